"""Every SQL statement of identity."""

from collections.abc import Mapping
from datetime import datetime, time
from typing import Any
from uuid import UUID

from services.identity.models import ApiKeyInfo, Attempt, Branch, Cafe, Member, OwnCafe, PolicyStep, SigningKey
from shared.db import Connection
from shared.events.identity import ApiKeyCreated, Role

ENTER_CAFE = """
SELECT role, set_config('app.cafe_id', cafe_id::text, true)
FROM user_cafe_access
WHERE cafe_id = $1 AND user_id = $2 AND role IS NOT NULL
"""
FIND_CAFE = """
SELECT c.cafe_id, c.version, c.name, c.time_zone, c.calendar, c.currency_unit, c.is_active,
       to_char(c.quiet_from, 'HH24:MI') AS quiet_from, to_char(c.quiet_until, 'HH24:MI') AS quiet_until,
       c.approval_when, c.approval_points, c.approval_amount, c.approval_staff_amount
FROM cafes AS c
WHERE c.cafe_id = $1
"""
LOCK_CAFE = FIND_CAFE + "FOR UPDATE"
INSERT_CAFE = """
INSERT INTO cafes (cafe_id, version, name, time_zone, calendar, currency_unit, quiet_from, quiet_until, is_active,
                   approval_when, approval_points, approval_amount, approval_staff_amount)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""
UPDATE_CAFE = """
UPDATE cafes
SET version = $2, name = $3, time_zone = $4, calendar = $5, currency_unit = $6, quiet_from = $7, quiet_until = $8,
    is_active = $9, approval_when = $10, approval_points = $11, approval_amount = $12, approval_staff_amount = $13
WHERE cafe_id = $1
"""
LIST_OWN_CAFES = """
SELECT c.cafe_id, c.version, c.name, c.time_zone, c.calendar, c.currency_unit, c.is_active,
       to_char(c.quiet_from, 'HH24:MI') AS quiet_from, to_char(c.quiet_until, 'HH24:MI') AS quiet_until,
       c.approval_when, c.approval_points, c.approval_amount, c.approval_staff_amount,
       a.role
FROM cafes AS c JOIN user_cafe_access AS a USING (cafe_id)
WHERE a.user_id = $1 AND a.role IS NOT NULL
ORDER BY c.created_at, c.cafe_id
"""
INSERT_BRANCH = """
INSERT INTO branches (cafe_id, branch_id, version, code, name, is_active)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (cafe_id, code) DO NOTHING
RETURNING true
"""
CHANGE_BRANCH = """
UPDATE branches
SET version = version + 1, name = coalesce($3, name), is_active = coalesce($4, is_active)
WHERE cafe_id = $1 AND branch_id = $2
RETURNING branch_id, version, code, name, is_active
"""
LIST_BRANCHES = "SELECT branch_id, version, code, name, is_active FROM branches WHERE cafe_id = $1 ORDER BY code"
LOCK_LOGIN = "SELECT pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 0))"
FIND_USER_ID = "SELECT user_id FROM user_logins WHERE login_hash = $1"
INSERT_USER = "INSERT INTO users (user_id, password_hash) VALUES ($1, $2)"
INSERT_LOGIN = "INSERT INTO user_logins (login_hash, user_id, kind, login_sealed) VALUES ($1, $2, $3, $4)"
SET_ACCESS = """
INSERT INTO user_cafe_access AS kept (cafe_id, user_id, version, role, changed_at, changed_by, display_name)
VALUES ($1, $2, 1, $3, $4, $5, coalesce($6, ''))
ON CONFLICT (cafe_id, user_id) DO UPDATE
SET version = kept.version + 1, role = excluded.role, changed_at = excluded.changed_at,
    changed_by = excluded.changed_by, display_name = coalesce($6, kept.display_name)
RETURNING version
"""
LIST_MEMBERS = """
SELECT user_id, display_name, role, changed_at
FROM user_cafe_access
WHERE cafe_id = $1 AND role IS NOT NULL
ORDER BY display_name, user_id
"""
INSERT_API_KEY = """
INSERT INTO till_keys (cafe_id, key_id, key_hash, signing_key_sealed, scopes, device_name, expires_at,
                       created_at, created_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
LIST_API_KEYS = """
SELECT key_id, device_name, scopes, created_at, expires_at, revoked_at
FROM till_keys
WHERE cafe_id = $1
ORDER BY created_at DESC, key_id
"""
REVOKE_API_KEY = """
UPDATE till_keys SET revoked_at = $3
WHERE cafe_id = $1 AND key_id = $2 AND revoked_at IS NULL
RETURNING key_id, device_name, scopes, created_at, expires_at, revoked_at
"""
FIND_LOGIN = """
SELECT u.user_id, u.password_hash
FROM user_logins AS l JOIN users AS u USING (user_id)
WHERE l.login_hash = $1
"""
FIND_HASH = "SELECT password_hash FROM users WHERE user_id = $1"
COUNT_ATTEMPT = """
INSERT INTO login_attempts AS kept (login_hash, failures, blocked_until, last_attempt_at)
VALUES ($1, 1, $2, $2)
ON CONFLICT (login_hash) DO UPDATE
SET failures = kept.failures + (kept.blocked_until <= $2)::int, last_attempt_at = $2
RETURNING failures, blocked_until
"""
BLOCK_LOGIN = "UPDATE login_attempts SET blocked_until = $2 WHERE login_hash = $1"
CLEAR_ATTEMPTS = "DELETE FROM login_attempts WHERE login_hash = $1"
FORGET_ATTEMPTS = """
DELETE FROM login_attempts
WHERE login_hash IN (SELECT login_hash FROM login_attempts WHERE last_attempt_at < $1 LIMIT $2)
RETURNING 1
"""
REPLACE_HASH = "UPDATE users SET password_hash = $2 WHERE user_id = $1"
NOTE_SIGN_IN = "UPDATE users SET last_login_at = $2 WHERE user_id = $1"
LOCK_SIGNING_KEYS = "SELECT pg_advisory_xact_lock(hashtext('crm.signing_keys'))"
ACTIVE_SIGNING_KEY = (
    "SELECT key_id, private_key_sealed, public_key, created_at FROM signing_keys WHERE retired_at IS NULL"
)
RETIRE_SIGNING_KEY = "UPDATE signing_keys SET retired_at = $1 WHERE retired_at IS NULL"
INSERT_SIGNING_KEY = (
    "INSERT INTO signing_keys (key_id, private_key_sealed, public_key, created_at) VALUES ($1, $2, $3, $4)"
)
PUBLISHED_KEYS = """
SELECT public_key FROM signing_keys
WHERE retired_at IS NULL OR retired_at > $1
ORDER BY created_at DESC
"""
NOTE_POLICY_STEP = """
INSERT INTO policy_steps (cafe_id, change_id, step, by_user, at, before, after) VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
LIST_POLICY_STEPS = """
SELECT change_id, step, by_user, at, before, after FROM policy_steps
WHERE cafe_id = $1 ORDER BY at DESC, change_id, step DESC LIMIT $2
"""
WAITING_POLICY = """
SELECT change_id, step, by_user, at, before, after FROM policy_steps AS asked
WHERE cafe_id = $1 AND step = 'asked' AND NOT EXISTS (
    SELECT FROM policy_steps AS ended
    WHERE ended.cafe_id = asked.cafe_id AND ended.change_id = asked.change_id AND ended.step <> 'asked'
)
"""
DELETE_SIGNING_KEYS = "DELETE FROM signing_keys WHERE retired_at < $1 RETURNING 1"


async def enter_cafe(conn: Connection, cafe_id: UUID, user_id: UUID) -> Role | None:
    """Open the cafe's list of people to this transaction, through the person's own access row, if they have one."""
    row = await conn.fetchrow(ENTER_CAFE, cafe_id, user_id)
    return row["role"] if row else None


async def find_cafe(conn: Connection, cafe_id: UUID) -> Cafe | None:
    """The cafe as it is."""
    row = await conn.fetchrow(FIND_CAFE, cafe_id)
    return Cafe(**row) if row else None


async def lock_cafe(conn: Connection, cafe_id: UUID) -> Cafe | None:
    """The cafe, held until the end of the transaction: changes of one cafe queue here."""
    row = await conn.fetchrow(LOCK_CAFE, cafe_id)
    return Cafe(**row) if row else None


async def insert_cafe(conn: Connection, cafe: Cafe) -> None:
    """Keep a new cafe."""
    await conn.execute(INSERT_CAFE, *_fields_of(cafe))


async def update_cafe(conn: Connection, cafe: Cafe) -> None:
    """Keep the cafe's new version."""
    await conn.execute(UPDATE_CAFE, *_fields_of(cafe))


async def list_own_cafes(conn: Connection, user_id: UUID) -> list[OwnCafe]:
    """The person's cafes with their role there, oldest first."""
    rows = await conn.fetch(LIST_OWN_CAFES, user_id)
    return [OwnCafe(**row) for row in rows]


async def insert_branch(conn: Connection, cafe_id: UUID, branch: Branch) -> bool:
    """False when the cafe has a branch with that code already."""
    done = await conn.fetchval(
        INSERT_BRANCH, cafe_id, branch.branch_id, branch.version, branch.code, branch.name, branch.is_active
    )
    return bool(done)


async def change_branch(
    conn: Connection, cafe_id: UUID, branch_id: UUID, name: str | None, is_active: bool | None
) -> Branch | None:
    """The branch in its new version; None when the cafe has no such branch."""
    row = await conn.fetchrow(CHANGE_BRANCH, cafe_id, branch_id, name, is_active)
    return Branch(**row) if row else None


async def list_branches(conn: Connection, cafe_id: UUID) -> list[Branch]:
    """The cafe's branches by code."""
    rows = await conn.fetch(LIST_BRANCHES, cafe_id)
    return [Branch(**row) for row in rows]


async def insert_user(
    conn: Connection, user_id: UUID, password_hash: str, login_hash: bytes, kind: str, login_sealed: str
) -> UUID:
    """The id of the person with that login: `user_id` when the login is new, the older one otherwise."""
    # Two first inserts of one login wait for each other; there is no row yet to lock.
    await conn.execute(LOCK_LOGIN, login_hash)
    known: UUID | None = await conn.fetchval(FIND_USER_ID, login_hash)
    if known:
        return known
    await conn.execute(INSERT_USER, user_id, password_hash)
    await conn.execute(INSERT_LOGIN, login_hash, user_id, kind, login_sealed)
    return user_id


async def set_access(
    conn: Connection,
    cafe_id: UUID,
    user_id: UUID,
    role: Role | None,
    *,
    changed_at: datetime,
    changed_by: UUID | None,
    display_name: str | None = None,
) -> int:
    """Give or take (None) a role; the new version of the access. `display_name` None leaves it."""
    version: int = await conn.fetchval(SET_ACCESS, cafe_id, user_id, role, changed_at, changed_by, display_name)
    return version


async def list_members(conn: Connection, cafe_id: UUID) -> list[Member]:
    """The people with access to the cafe, in the order of their names."""
    rows = await conn.fetch(LIST_MEMBERS, cafe_id)
    return [Member(**row) for row in rows]


async def insert_api_key(conn: Connection, event: ApiKeyCreated, created_by: UUID | None) -> None:
    """Keep a till's key: the hash of the whole, and the sealed key that checks its signatures."""
    await conn.execute(
        INSERT_API_KEY,
        event.cafe_id,
        event.key_id,
        bytes.fromhex(event.key_hash),
        event.signing_key_sealed,
        event.scopes,
        event.device_name,
        event.expires_at,
        event.occurred_at,
        created_by,
    )


async def list_api_keys(conn: Connection, cafe_id: UUID) -> list[ApiKeyInfo]:
    """The cafe's keys, newest first, also the revoked ones."""
    rows = await conn.fetch(LIST_API_KEYS, cafe_id)
    return [ApiKeyInfo(**row) for row in rows]


async def revoke_api_key(conn: Connection, cafe_id: UUID, key_id: str, moment: datetime) -> ApiKeyInfo | None:
    """The revoked key; None when the cafe has no such live key."""
    row = await conn.fetchrow(REVOKE_API_KEY, cafe_id, key_id, moment)
    return ApiKeyInfo(**row) if row else None


async def find_login(conn: Connection, login_hash: bytes) -> Attempt:
    """Who has that login, and the hash of their password."""
    row = await conn.fetchrow(FIND_LOGIN, login_hash)
    return Attempt(login_hash, row["user_id"], row["password_hash"]) if row else Attempt(login_hash, None, None)


async def find_password_hash(conn: Connection, user_id: UUID) -> str | None:
    """The hash of the person's password; None when there is no such person."""
    password_hash: str | None = await conn.fetchval(FIND_HASH, user_id)
    return password_hash


async def count_attempt(conn: Connection, login_hash: bytes, moment: datetime) -> tuple[int, datetime]:
    """Lock the login's counter and raise it, unless it is blocked at `moment`.

    Returns:
        Attempts without success including this one, and the moment until which the login is blocked.
    """
    row = await conn.fetchrow(COUNT_ATTEMPT, login_hash, moment)
    assert row is not None
    return row["failures"], row["blocked_until"]


async def block_login(conn: Connection, login_hash: bytes, until: datetime) -> None:
    """Answer no attempt for this login before `until`."""
    await conn.execute(BLOCK_LOGIN, login_hash, until)


async def clear_attempts(conn: Connection, login_hash: bytes) -> None:
    """The right password was given: forget the wrong ones."""
    await conn.execute(CLEAR_ATTEMPTS, login_hash)


async def forget_attempts(conn: Connection, before: datetime, limit: int = 1000) -> int:
    """How many counters untouched since `before` were deleted; at most `limit`."""
    rows = await conn.fetch(FORGET_ATTEMPTS, before, limit)
    return len(rows)


async def save_password(conn: Connection, user_id: UUID, password_hash: str) -> None:
    """Replace the hash of the person's password."""
    await conn.execute(REPLACE_HASH, user_id, password_hash)


async def note_sign_in(conn: Connection, user_id: UUID, moment: datetime) -> None:
    """Remember when the person last signed in."""
    await conn.execute(NOTE_SIGN_IN, user_id, moment)


async def active_signing_key(conn: Connection, *, lock: bool = False) -> SigningKey | None:
    """The key that signs tokens now. With `lock`, other rotations wait until the end of this transaction."""
    if lock:
        await conn.execute(LOCK_SIGNING_KEYS)
    row = await conn.fetchrow(ACTIVE_SIGNING_KEY)
    return SigningKey(**row) if row else None


async def replace_signing_key(conn: Connection, key: SigningKey) -> None:
    """Retire the active key and let `key` sign from now on."""
    await conn.execute(RETIRE_SIGNING_KEY, key.created_at)
    await conn.execute(INSERT_SIGNING_KEY, key.key_id, key.private_key_sealed, key.public_key, key.created_at)


async def published_keys(conn: Connection, retired_after: datetime) -> list[Mapping[str, Any]]:
    """The public keys of which tokens may still be valid, newest first."""
    rows = await conn.fetch(PUBLISHED_KEYS, retired_after)
    return [row["public_key"] for row in rows]


async def delete_signing_keys(conn: Connection, before: datetime) -> int:
    """How many keys retired before that moment were deleted: no token of theirs is valid any more."""
    rows = await conn.fetch(DELETE_SIGNING_KEYS, before)
    return len(rows)


async def note_policy_step(conn: Connection, cafe_id: UUID, step: PolicyStep) -> None:
    """Keep what became of a change of the policy; the row stays for ever."""
    await conn.execute(
        NOTE_POLICY_STEP, cafe_id, step.change_id, step.step, step.by_user, step.at, step.before, step.after
    )


async def list_policy_steps(conn: Connection, cafe_id: UUID, limit: int) -> list[PolicyStep]:
    """What happened to the cafe's policy, newest first."""
    return [PolicyStep(**row) for row in await conn.fetch(LIST_POLICY_STEPS, cafe_id, limit)]


async def waiting_policy(conn: Connection, cafe_id: UUID) -> PolicyStep | None:
    """The change that waits for another owner; the cafe is held, so there is one at most."""
    row = await conn.fetchrow(WAITING_POLICY, cafe_id)
    return PolicyStep(**row) if row else None


def _fields_of(cafe: Cafe) -> tuple[Any, ...]:
    quiet = (time.fromisoformat(cafe.quiet_from), time.fromisoformat(cafe.quiet_until))
    regional = (cafe.time_zone, cafe.calendar, cafe.currency_unit)
    policy = (cafe.approval_when, cafe.approval_points, cafe.approval_amount, cafe.approval_staff_amount)
    return (cafe.cafe_id, cafe.version, cafe.name, *regional, *quiet, cafe.is_active, *policy)

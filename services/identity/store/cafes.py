"""Cafes and branches, who works there, and the keys of their tills."""

from collections.abc import Mapping, Sequence
from datetime import datetime, time
from typing import Any
from uuid import UUID

from services.identity.models.http import ApiKeyInfo, Branch, Cafe, Member, OwnCafe
from shared.database.db import Connection
from shared.events.identity import ApiKeyCreated, Role

ENTER_CAFE = """
SELECT role, set_config('app.cafe_id', cafe_id::text, true)
FROM user_cafe_access
WHERE cafe_id = $1 AND user_id = $2 AND role IS NOT NULL
"""
FIND_CAFE = """
SELECT c.cafe_id, c.version, c.name, c.time_zone, c.calendar, c.currency_unit, c.language, c.is_active,
       to_char(c.quiet_from, 'HH24:MI') AS quiet_from, to_char(c.quiet_until, 'HH24:MI') AS quiet_until,
       c.approval_when, c.approval_points, c.approval_amount, c.approval_staff_amount
FROM cafes AS c
WHERE c.cafe_id = $1
"""
LOCK_CAFE = FIND_CAFE + "FOR UPDATE"
INSERT_CAFE = """
INSERT INTO cafes (cafe_id, version, name, time_zone, calendar, currency_unit, quiet_from, quiet_until, is_active,
                   approval_when, approval_points, approval_amount, approval_staff_amount, language)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
"""
UPDATE_CAFE = """
UPDATE cafes
SET version = $2, name = $3, time_zone = $4, calendar = $5, currency_unit = $6, quiet_from = $7, quiet_until = $8,
    is_active = $9, approval_when = $10, approval_points = $11, approval_amount = $12, approval_staff_amount = $13,
    language = $14
WHERE cafe_id = $1
"""
LIST_OWN_CAFES = """
SELECT c.cafe_id, c.version, c.name, c.time_zone, c.calendar, c.currency_unit, c.language, c.is_active,
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
SET_ACCESS = """
INSERT INTO user_cafe_access AS kept (cafe_id, user_id, version, role, changed_at, changed_by, display_name,
                                      sessions_from, ended_sessions)
VALUES ($1, $2, 1, $3, $4, $5, coalesce($6, ''), $7, $8)
ON CONFLICT (cafe_id, user_id) DO UPDATE
SET version = kept.version + 1, role = excluded.role, changed_at = excluded.changed_at,
    changed_by = excluded.changed_by, display_name = coalesce($6, kept.display_name),
    sessions_from = greatest(kept.sessions_from, excluded.sessions_from),
    ended_sessions = CASE WHEN $8 = '{}' THEN kept.ended_sessions ELSE $8 END
RETURNING version, sessions_from, ended_sessions
"""
NAMES_AROUND = """
SELECT DISTINCT unnest(ARRAY[c.name, a.display_name]) AS name
FROM user_cafe_access AS a JOIN cafes AS c USING (cafe_id)
WHERE a.user_id = $1 AND a.role IS NOT NULL
"""
AS_SERVICE = "RESET ROLE"
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


async def set_access(
    conn: Connection,
    cafe_id: UUID,
    user_id: UUID,
    role: Role | None,
    *,
    changed_at: datetime,
    changed_by: UUID | None,
    display_name: str | None = None,
    sessions_from: int = 0,
    ended_sessions: Sequence[UUID] = (),
) -> Mapping[str, Any]:
    """Give or take (None) a role. `display_name` None leaves it.

    Returns:
        The access' new `version` and the tokens it refuses: `sessions_from` and `ended_sessions`.
    """
    ended = list(ended_sessions)
    row = await conn.fetchrow(
        SET_ACCESS, cafe_id, user_id, role, changed_at, changed_by, display_name, sessions_from, ended
    )
    assert row is not None
    return dict(row)


async def names_around(conn: Connection, user_id: UUID) -> list[str]:
    """What the person's cafes are called, and what they call the person."""
    return [row["name"] for row in await conn.fetch(NAMES_AROUND, user_id)]


async def as_service(conn: Connection) -> None:
    """Acts as the service, no longer as the person, for the rest of the transaction.

    Accounts belong to no cafe, so no person may read or write them; what the person may do has been decided before.
    """
    await conn.execute(AS_SERVICE)


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


def _fields_of(cafe: Cafe) -> tuple[Any, ...]:
    quiet = (time.fromisoformat(cafe.quiet_from), time.fromisoformat(cafe.quiet_until))
    regional = (cafe.time_zone, cafe.calendar, cafe.currency_unit)
    policy = (cafe.approval_when, cafe.approval_points, cafe.approval_amount, cafe.approval_staff_amount)
    return (cafe.cafe_id, cafe.version, cafe.name, *regional, *quiet, cafe.is_active, *policy, cafe.language)

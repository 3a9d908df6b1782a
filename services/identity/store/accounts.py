"""People's accounts and logins, how often somebody tried them, and the keys that sign tokens."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.identity.models.accounts import LoginAccount, SigningKey
from shared.database.db import Connection
from shared.events.identity import Role
from shared.security.crypto import Keys, unseal

LOCK_LOGIN = "SELECT pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 0))"
FIND_LOGIN = """
SELECT l.login_hash, u.user_id, u.password_hash
FROM user_logins AS l JOIN users AS u USING (user_id)
WHERE l.login_hash = ANY($1::bytea[])
ORDER BY array_position($1::bytea[], l.login_hash)
LIMIT 1
"""
FIND_ACCOUNT = """
SELECT l.login_hash, u.user_id, u.password_hash
FROM users AS u LEFT JOIN user_logins AS l USING (user_id)
WHERE u.user_id = $1
LIMIT 1
"""
FIND_LOGINS = "SELECT login_hash, login_sealed FROM user_logins WHERE user_id = $1 ORDER BY login_hash"
INSERT_USER = "INSERT INTO users (user_id, password_hash) VALUES ($1, $2)"
# A login moves to another account only from one that opens no cafe: see handlers/invitations.py.
INSERT_LOGIN = """
INSERT INTO user_logins AS kept (login_hash, user_id, kind, login_sealed) VALUES ($1, $2, $3, $4)
ON CONFLICT (login_hash) DO UPDATE SET user_id = excluded.user_id, login_sealed = excluded.login_sealed
"""
FIND_ROLES = "SELECT cafe_id, role FROM user_cafe_access WHERE user_id = $1 AND role IS NOT NULL"
LOCK_USER = "SELECT generation FROM users WHERE user_id = $1 FOR UPDATE"
COUNT_ATTEMPT = """
INSERT INTO login_attempts AS kept (login_hash, failures, blocked_until, last_attempt_at)
VALUES ($1, 1, $2, $2)
ON CONFLICT (login_hash) DO UPDATE
SET failures = kept.failures + (kept.blocked_until <= $2)::int, last_attempt_at = $2
RETURNING failures, blocked_until
"""
BLOCK_ATTEMPTS = "UPDATE login_attempts SET blocked_until = $2 WHERE login_hash = $1"
CLEAR_ATTEMPTS = "DELETE FROM login_attempts WHERE login_hash = ANY($1::bytea[])"
FORGET_ATTEMPTS = """
DELETE FROM login_attempts
WHERE login_hash IN (SELECT login_hash FROM login_attempts WHERE last_attempt_at < $1 LIMIT $2)
RETURNING 1
"""
REFRESH_HASH = "UPDATE users SET password_hash = $3 WHERE user_id = $1 AND password_hash = $2"
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
DELETE_SIGNING_KEYS = "DELETE FROM signing_keys WHERE retired_at < $1 RETURNING 1"


async def lock_login(conn: Connection, login_hash: bytes) -> None:
    """Makes others who would create an account for that login wait: there is no row yet to lock."""
    await conn.execute(LOCK_LOGIN, login_hash)


async def find_login(conn: Connection, login_hashes: Sequence[bytes]) -> LoginAccount:
    """The account of the first of these logins that has one; without a `user_id` when none has."""
    row = await conn.fetchrow(FIND_LOGIN, login_hashes)
    return LoginAccount(**row) if row else LoginAccount(login_hashes[0])


async def find_account(conn: Connection, user_id: UUID) -> LoginAccount | None:
    """The person's account, with one of their logins."""
    row = await conn.fetchrow(FIND_ACCOUNT, user_id)
    return LoginAccount(**row) if row else None


async def logins_of(conn: Connection, keys: Keys, user_id: UUID) -> list[str]:
    """The person's logins."""
    return [
        unseal(keys, row["login_sealed"], table="user_logins", column="login_sealed", row=row["login_hash"].hex())
        for row in await conn.fetch(FIND_LOGINS, user_id)
    ]


async def insert_user(conn: Connection, user_id: UUID, password_hash: str) -> None:
    """Keep a new account, which no login leads to yet."""
    await conn.execute(INSERT_USER, user_id, password_hash)


async def point_login(conn: Connection, login_hash: bytes, user_id: UUID, kind: str, login_sealed: str) -> None:
    """Let a login lead to this account and to no other."""
    await conn.execute(INSERT_LOGIN, login_hash, user_id, kind, login_sealed)


async def find_roles(conn: Connection, user_id: UUID) -> dict[UUID, Role]:
    """The person's roles by cafe."""
    return {row["cafe_id"]: row["role"] for row in await conn.fetch(FIND_ROLES, user_id)}


async def lock_user(conn: Connection, user_id: UUID) -> int | None:
    """Locks the person: changes of their password, sessions and cafes wait until this transaction ends. Returns their
    generation of tokens."""
    generation: int | None = await conn.fetchval(LOCK_USER, user_id)
    return generation


async def count_attempt(conn: Connection, counter: bytes, moment: datetime) -> tuple[int, datetime]:
    """Lock a counter and raise it, unless it is blocked at `moment`.

    Returns:
        Attempts without success including this one, and the moment until which they are blocked.
    """
    row = await conn.fetchrow(COUNT_ATTEMPT, counter, moment)
    assert row is not None
    return row["failures"], row["blocked_until"]


async def block_attempts(conn: Connection, counter: bytes, until: datetime) -> None:
    """Answer no attempt that this counter counts before `until`."""
    await conn.execute(BLOCK_ATTEMPTS, counter, until)


async def clear_attempts(conn: Connection, counters: Sequence[bytes]) -> None:
    """The right password was given: forget the wrong ones."""
    await conn.execute(CLEAR_ATTEMPTS, counters)


async def forget_attempts(conn: Connection, before: datetime, limit: int = 1000) -> int:
    """How many counters untouched since `before` were deleted; at most `limit`."""
    rows = await conn.fetch(FORGET_ATTEMPTS, before, limit)
    return len(rows)


async def refresh_hash(conn: Connection, user_id: UUID, outdated: str, fresh: str) -> None:
    """Keep the same password under newer parameters, unless it has been replaced meanwhile."""
    await conn.execute(REFRESH_HASH, user_id, outdated, fresh)


async def save_password(conn: Connection, user_id: UUID, password_hash: str) -> None:
    """Replace the person's password."""
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

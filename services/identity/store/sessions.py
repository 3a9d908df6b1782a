"""Sessions: the devices that stay signed in."""

from datetime import datetime
from typing import Any
from uuid import UUID

from services.identity.models.accounts import SessionRow
from shared.database.db import Connection

INSERT = """
INSERT INTO sessions (session_id, user_id, seed, turned_at, device_name, address, created_at, last_used_at)
VALUES ($1, $2, $3, $6, $4, $5, $6, $6)
"""
# The person first: whoever ends all of their sessions waits for, or is seen by, whoever renews one of them.
LOCK = """
WITH person AS MATERIALIZED (
    SELECT u.user_id, u.generation
    FROM users AS u
    WHERE u.user_id = (SELECT user_id FROM sessions WHERE session_id = $1)
    FOR UPDATE
)
SELECT s.session_id, s.user_id, s.seed, s.turn, s.turned_at, s.created_at, s.last_used_at, s.ended_at, p.generation
FROM person AS p JOIN sessions AS s USING (user_id)
WHERE s.session_id = $1
FOR UPDATE OF s
"""
TURN = """
UPDATE sessions SET turn = turn + 1, turned_at = $2, last_used_at = $2, address = $3 WHERE session_id = $1
"""
LIVE = """
SELECT session_id, device_name, address, created_at, last_used_at
FROM sessions
WHERE user_id = $1 AND ended_at IS NULL AND created_at > $2 AND last_used_at > $3
ORDER BY last_used_at DESC, session_id DESC
"""
END_ONE = "UPDATE sessions SET ended_at = $3 WHERE user_id = $1 AND session_id = $2 AND ended_at IS NULL RETURNING 1"
END_ALL = "UPDATE sessions SET ended_at = $2 WHERE user_id = $1 AND ended_at IS NULL AND session_id IS DISTINCT FROM $3"
END_BEYOND = """
UPDATE sessions SET ended_at = $2
WHERE user_id = $1 AND ended_at IS NULL AND session_id NOT IN (
    SELECT session_id FROM sessions WHERE user_id = $1 AND ended_at IS NULL
    ORDER BY last_used_at DESC, session_id DESC LIMIT $3
)
"""
LATELY_ENDED = "SELECT session_id FROM sessions WHERE user_id = $1 AND ended_at > $2 ORDER BY ended_at DESC LIMIT 32"
HOLDS = """
SELECT u.generation <= $2 AND NOT EXISTS (
    SELECT FROM sessions AS s WHERE s.session_id = $3 AND s.ended_at IS NOT NULL
)
FROM users AS u
WHERE u.user_id = $1
"""
NEXT_GENERATION = "UPDATE users SET generation = generation + 1 WHERE user_id = $1 RETURNING generation"
REFUSE_TOKENS = """
UPDATE user_cafe_access
SET sessions_from = greatest(sessions_from, $2),
    ended_sessions = CASE WHEN $3::uuid IS NULL THEN ended_sessions ELSE (ended_sessions || $3)[greatest(
        1, cardinality(ended_sessions) - 30):] END
WHERE user_id = $1 AND role IS NOT NULL
RETURNING cafe_id
"""
FORGET = """
DELETE FROM sessions
WHERE session_id IN (SELECT session_id FROM sessions WHERE last_used_at < $1 LIMIT $2)
RETURNING 1
"""


async def insert(
    conn: Connection, session_id: UUID, user_id: UUID, seed: bytes, device_name: str, address: str, moment: datetime
) -> None:
    """Keep a session that begins now."""
    await conn.execute(INSERT, session_id, user_id, seed, device_name, address, moment)


async def lock(conn: Connection, session_id: UUID) -> SessionRow | None:
    """The session and its person, held until the end of the transaction."""
    row = await conn.fetchrow(LOCK, session_id)
    return SessionRow(**row) if row else None


async def turn(conn: Connection, session_id: UUID, moment: datetime, address: str) -> None:
    """Notes that from now on the next refresh token holds, and no earlier one."""
    await conn.execute(TURN, session_id, moment, address)


async def list_live(
    conn: Connection, user_id: UUID, created_after: datetime, used_after: datetime
) -> list[dict[str, Any]]:
    """The person's sessions that have not ended, by hand or by themselves; the last used first."""
    return [dict(row) for row in await conn.fetch(LIVE, user_id, created_after, used_after)]


async def end_one(conn: Connection, user_id: UUID, session_id: UUID, moment: datetime) -> bool:
    """False when the person has no such session that has not ended."""
    return bool(await conn.fetchval(END_ONE, user_id, session_id, moment))


async def end_all(conn: Connection, user_id: UUID, moment: datetime, besides: UUID | None = None) -> None:
    """End the person's sessions, all or all but one."""
    await conn.execute(END_ALL, user_id, moment, besides)


async def end_beyond(conn: Connection, user_id: UUID, limit: int, moment: datetime) -> None:
    """End those of the person's sessions that were used longest ago, until `limit` are left."""
    await conn.execute(END_BEYOND, user_id, moment, limit)


async def lately_ended(conn: Connection, user_id: UUID, since: datetime) -> list[UUID]:
    """The person's sessions that ended after that moment, the last first; at most 32."""
    return [row["session_id"] for row in await conn.fetch(LATELY_ENDED, user_id, since)]


async def token_holds(conn: Connection, user_id: UUID, generation: int, session_id: UUID | None) -> bool:
    """Whether neither all sessions of that generation nor this one have been ended."""
    return bool(await conn.fetchval(HOLDS, user_id, generation, session_id))


async def next_generation(conn: Connection, user_id: UUID) -> int:
    """Begins a new generation: all tokens made before are of an earlier one."""
    generation: int = await conn.fetchval(NEXT_GENERATION, user_id)
    return generation


async def refuse_tokens(conn: Connection, user_id: UUID, generation: int, session_id: UUID | None) -> list[UUID]:
    """Refuse the tokens of earlier generations, and of one session, in the person's cafes, which are returned."""
    return [row["cafe_id"] for row in await conn.fetch(REFUSE_TOKENS, user_id, generation, session_id)]


async def forget(conn: Connection, before: datetime, limit: int = 1000) -> int:
    """How many sessions that nobody used since `before` were deleted; at most `limit`."""
    return len(await conn.fetch(FORGET, before, limit))

"""Guests' answers that nobody but a person can read, until somebody has."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.campaign.messages.models.values import Reply, Settlement
from shared.database.columns import columns
from shared.database.db import Connection

# The guest's row is held: an erasure that is under way waits, and empties this one too.
ADD = """
INSERT INTO unclear_replies (cafe_id, id, customer_id, words_sealed, received_at)
SELECT $1, $2, $3, $4, $5
FROM (
    SELECT FROM contacts WHERE cafe_id = $1 AND customer_id = $3 AND phone_hash IS NOT NULL FOR NO KEY UPDATE
) AS held
"""
WAITING = """
SELECT cafe_id, id, customer_id, words_sealed, received_at, settled_as, settled_by, settled_at
FROM unclear_replies WHERE cafe_id = $1 AND settled_as IS NULL ORDER BY received_at, id LIMIT $2
"""
FIND = """
SELECT cafe_id, id, customer_id, words_sealed, received_at, settled_as, settled_by, settled_at
FROM unclear_replies WHERE cafe_id = $1 AND id = $2
"""
# As erasure does: the guest's row before what belongs to it.
HOLD = """
SELECT FROM contacts c
WHERE (c.cafe_id, c.customer_id) IN (SELECT cafe_id, customer_id FROM unclear_replies WHERE cafe_id = $1 AND id = $2)
FOR NO KEY UPDATE
"""
SETTLE = """
UPDATE unclear_replies SET settled_as = $3, settled_by = $4, settled_at = $5 WHERE cafe_id = $1 AND id = $2
"""
OLD = """
SELECT cafe_id, id FROM unclear_replies WHERE received_at < $1 AND cafe_id <> ALL ($2::uuid[])
ORDER BY received_at LIMIT $3 FOR UPDATE SKIP LOCKED
"""
REMOVE = """
DELETE FROM unclear_replies r USING unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, id)
WHERE r.cafe_id = t.cafe_id AND r.id = t.id
"""
MOST_OLD = 1000


async def add(conn: Connection, reply: Reply) -> None:
    """Keeps the answer, unless its guest was erased meanwhile."""
    await conn.execute(ADD, reply.cafe_id, reply.id, reply.customer_id, reply.words_sealed, reply.received_at)


async def list_waiting(conn: Connection, cafe_id: UUID, limit: int) -> list[Reply]:
    """The answers that nobody has read, the oldest first."""
    return [Reply(**row) for row in await conn.fetch(WAITING, cafe_id, limit)]


async def hold(conn: Connection, cafe_id: UUID, reply_id: UUID) -> Reply | None:
    """The answer, its guest held until the transaction ends."""
    await conn.execute(HOLD, cafe_id, reply_id)
    row = await conn.fetchrow(FIND, cafe_id, reply_id)
    return Reply(**row) if row else None


async def settle(
    conn: Connection, cafe_id: UUID, reply_id: UUID, settled_as: Settlement, by: UUID, at: datetime
) -> None:
    """Notes what it was taken for."""
    await conn.execute(SETTLE, cafe_id, reply_id, settled_as, by, at)


async def list_old(conn: Connection, before: datetime, without: Sequence[UUID]) -> list[tuple[UUID, UUID]]:
    """Some of the answers from before that moment, not in these cafes."""
    return [(row["cafe_id"], row["id"]) for row in await conn.fetch(OLD, before, without, MOST_OLD)]


async def remove(conn: Connection, replies: Sequence[tuple[Any, ...]]) -> int:
    """Deletes these (cafe, answer); returns how many."""
    await conn.execute(REMOVE, *columns(replies, 0, 1))
    return len(replies)

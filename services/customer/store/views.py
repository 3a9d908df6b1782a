"""Who of the cafe looked at which guest."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.customer.models.values import GuestKey, ViewKind
from shared.clock import new_id
from shared.database.columns import columns
from shared.database.db import Connection

KEEP = """
INSERT INTO guest_views (cafe_id, id, customer_id, user_id, kind, viewed_at, hour)
VALUES ($1, $2, $3, $4, $5, $6, date_trunc('hour', $6::timestamptz, 'UTC'))
ON CONFLICT (cafe_id, customer_id, user_id, hour) WHERE kind = 'opened' DO NOTHING
"""
# The ids are in the order of time.
LIST = """
SELECT id, customer_id, user_id, kind, viewed_at FROM guest_views
WHERE cafe_id = $1 AND ($2::uuid IS NULL OR customer_id = $2) AND ($3::uuid IS NULL OR user_id = $3)
    AND ($4::uuid IS NULL OR id < $4)
ORDER BY id DESC LIMIT $5
"""
OLD = "SELECT cafe_id, id FROM guest_views WHERE viewed_at < $1 AND cafe_id <> ALL($2::uuid[]) LIMIT $3"
PRUNE = """
DELETE FROM guest_views AS v USING unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, id)
WHERE v.cafe_id = t.cafe_id AND v.id = t.id
"""


async def keep(conn: Connection, guest: GuestKey, viewer: UUID, kind: ViewKind, now: datetime) -> None:
    """Adds that somebody looked; of opening a guest once an hour."""
    await conn.execute(KEEP, guest.cafe_id, new_id(), guest.customer_id, viewer, kind, now)


async def list_views(
    conn: Connection, cafe_id: UUID, customer_id: UUID | None, user_id: UUID | None, before: UUID | None, limit: int
) -> list[dict[str, Any]]:
    """Who looked at whom, the last first."""
    return [dict(row) for row in await conn.fetch(LIST, cafe_id, customer_id, user_id, before, limit)]


async def old(conn: Connection, before: datetime, aside: Sequence[UUID], limit: int) -> list[tuple[UUID, UUID]]:
    """Cafe and id of rows that are older."""
    return [(row["cafe_id"], row["id"]) for row in await conn.fetch(OLD, before, aside, limit)]


async def prune(conn: Connection, rows: Sequence[tuple[UUID, UUID]]) -> None:
    """Deletes these rows."""
    await conn.execute(PRUNE, *columns(rows, 0, 1))

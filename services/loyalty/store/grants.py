"""What was given without a bill, once for each occasion."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.loyalty.models.accounts import GuestKey
from services.loyalty.models.grants import Grant
from shared.database.columns import columns
from shared.database.db import Connection

INSERT = """
INSERT INTO grants (cafe_id, grant_id, customer_id, type, occasion, points, program_version, granted_at, available_at)
SELECT cafe_id, grant_id, customer_id, type::loyalty_transaction_enum, occasion, points, program_version, granted_at,
       available_at
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::integer[],
            $8::timestamptz[], $9::timestamptz[])
    AS t (cafe_id, grant_id, customer_id, type, occasion, points, program_version, granted_at, available_at)
ON CONFLICT DO NOTHING
RETURNING cafe_id, grant_id
"""
TAKE_BACK = """
UPDATE grants AS g SET state = 'taken_back', taken_back_at = $3
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, grant_id)
WHERE g.cafe_id = t.cafe_id AND g.grant_id = t.grant_id AND g.state = 'posted'
RETURNING g.cafe_id, g.grant_id
"""
WAITING = """
SELECT coalesce(sum(remaining), 0)::bigint FROM point_lots
WHERE cafe_id = $1 AND customer_id = $2 AND available_at > $3
"""
ACTIVATING = """
SELECT cafe_id, customer_id, lot_id FROM point_lots
WHERE activates_at <= $1 AND cafe_id <> ALL($2::uuid[]) ORDER BY activates_at LIMIT $3
"""
ACTIVATE = """
UPDATE point_lots AS l SET activates_at = NULL
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS t (cafe_id, customer_id, lot_id)
WHERE l.cafe_id = t.cafe_id AND l.customer_id = t.customer_id AND l.lot_id = t.lot_id AND l.activates_at <= $4
RETURNING l.cafe_id, l.customer_id, l.lot_id, l.remaining, l.available_at
"""


async def insert(conn: Connection, given: Sequence[Grant]) -> set[tuple[UUID, UUID]]:
    """Keeps the grants; the keys of those that are new."""
    rows = await conn.fetch(
        INSERT,
        *columns(given, "cafe_id", "grant_id", "customer_id", "type", "occasion", "points", "program_version"),
        *columns(given, "granted_at", "available_at"),
    )
    return {(row["cafe_id"], row["grant_id"]) for row in rows}


async def take_back(conn: Connection, given: Sequence[Grant], moment: datetime) -> set[tuple[UUID, UUID]]:
    """Notes that these are taken back; the keys of those that were not yet."""
    rows = await conn.fetch(TAKE_BACK, *columns(given, "cafe_id", "grant_id"), moment)
    return {(row["cafe_id"], row["grant_id"]) for row in rows}


async def waiting(conn: Connection, cafe_id: UUID, customer_id: UUID, moment: datetime) -> int:
    """How many of the guest's points can't be spent yet."""
    return int(await conn.fetchval(WAITING, cafe_id, customer_id, moment))


async def list_activating(
    conn: Connection, moment: datetime, aside: Sequence[UUID], limit: int
) -> list[tuple[UUID, UUID, UUID]]:
    """Lots (by cafe, guest and id) whose points have begun to be spendable, of which nobody was told."""
    return [tuple(row) for row in await conn.fetch(ACTIVATING, moment, aside, limit)]


async def activate(
    conn: Connection, keys: Sequence[tuple[GuestKey, UUID]] | Sequence[tuple[UUID, UUID, UUID]], moment: datetime
) -> list[Any]:
    """Notes that it is told; the lots as they are."""
    return await conn.fetch(ACTIVATE, *columns(keys, 0, 1, 2), moment)

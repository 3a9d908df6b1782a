"""When guests entered and left segments."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from services.loyalty.models.accounts import GuestKey
from services.loyalty.models.earning import MembershipMove
from shared.database.columns import columns
from shared.database.db import Connection

KEEP = """
INSERT INTO segment_moves (cafe_id, customer_id, segment_key, moved_at, is_member)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::boolean[])
ON CONFLICT DO NOTHING RETURNING cafe_id
"""
LOAD = """
SELECT m.cafe_id, m.customer_id, m.segment_key, m.moved_at, m.is_member
FROM unnest($1::uuid[], $2::uuid[]) AS wanted (cafe_id, customer_id)
JOIN segment_moves AS m USING (cafe_id, customer_id)
WHERE m.segment_key = ANY($3::text[])
ORDER BY m.cafe_id, m.customer_id, m.moved_at
"""

ToldMove = tuple[UUID, UUID, str, datetime, bool]
"""(cafe_id, customer_id, segment_key, moment, whether the guest is in it from then on)"""


async def keep(conn: Connection, moves: Sequence[ToldMove]) -> list[UUID]:
    """Keeps that guests entered or left segments; the cafe of each move that was not known."""
    return [row["cafe_id"] for row in await conn.fetch(KEEP, *columns(moves, 0, 1, 2, 3, 4))]


async def load(
    conn: Connection, guests: Sequence[GuestKey], keys: Collection[str]
) -> dict[GuestKey, list[MembershipMove]]:
    """The moves of these guests by segments with these keys, the oldest first; of those who have any."""
    found: dict[GuestKey, list[MembershipMove]] = {}
    for cafe_id, customer_id, *move in await conn.fetch(LOAD, *columns(guests, 0, 1), list(keys)):
        found.setdefault((cafe_id, customer_id), []).append(MembershipMove(*move))
    return found

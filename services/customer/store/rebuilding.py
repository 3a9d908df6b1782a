"""The same rows once more from events: for sessions in which the tables' plain names mean their shadows.

`public.` stands before what is not rebuilt but read.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.customer.models.values import GuestKey
from shared.database.columns import columns
from shared.database.db import Connection
from shared.events.base import Segment

# Among the moves of one guest and segment the last one counts.
MOVE = """
WITH moves AS MATERIALIZED (
    SELECT DISTINCT ON (cafe_id, segment_id, customer_id) *
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::boolean[]) WITH ORDINALITY
        AS t (cafe_id, customer_id, segment_id, moved_at, entered, place)
    ORDER BY cafe_id, segment_id, customer_id, place DESC
),
gone AS (
    DELETE FROM segment_members AS m USING moves
    WHERE NOT moves.entered
        AND m.cafe_id = moves.cafe_id AND m.segment_id = moves.segment_id AND m.customer_id = moves.customer_id
)
INSERT INTO segment_members (cafe_id, segment_id, customer_id, entered_at)
SELECT cafe_id, segment_id, customer_id, moved_at FROM moves WHERE entered
ON CONFLICT (cafe_id, segment_id, customer_id) DO UPDATE SET entered_at = excluded.entered_at
"""
# A guest whom a till made known begins with the first bill that stands; any other row says itself when.
BEGINS = "CASE WHEN c.known_since IS NULL THEN c.created_at ELSE coalesce(a.first_visit_at, c.created_at) END"
# Everybody who was ever registered has a row; only the living are evaluated.
ADD_REGISTERED = f"""
INSERT INTO customer_activity (cafe_id, customer_id, registered_at)
SELECT c.cafe_id, c.id, CASE WHEN c.is_active THEN {BEGINS} END
FROM public.customers AS c LEFT JOIN customer_activity AS a ON a.cafe_id = c.cafe_id AND a.customer_id = c.id
WHERE a.customer_id IS NULL OR a.registered_at IS DISTINCT FROM CASE WHEN c.is_active THEN {BEGINS} END
ON CONFLICT (cafe_id, customer_id) DO UPDATE SET registered_at = excluded.registered_at
"""  # noqa: S608
ADD_MASKS = """
UPDATE customer_activity AS a SET segment_mask = held.mask
FROM (
    SELECT m.cafe_id, m.customer_id, bit_or(1::bigint << s.slot) AS mask
    FROM segment_members AS m JOIN public.customer_segments AS s ON s.cafe_id = m.cafe_id AND s.id = m.segment_id
    WHERE s.slot IS NOT NULL GROUP BY m.cafe_id, m.customer_id
) AS held
WHERE a.cafe_id = held.cafe_id AND a.customer_id = held.customer_id
"""
# No event says that somebody was evaluated and is in no segment. The live row says so, or a shown segment other than
# the first one.
ADD_EMPTY_MASKS = """
UPDATE customer_activity AS a SET segment_mask = 0
FROM public.customers AS c
LEFT JOIN public.customer_activity AS live ON live.cafe_id = c.cafe_id AND live.customer_id = c.id
WHERE a.cafe_id = c.cafe_id AND a.customer_id = c.id AND c.is_active AND a.segment_mask IS NULL
    AND (live.segment_mask IS NOT NULL OR c.segment <> 'new')
"""
ADD_SHOWN = f"""
INSERT INTO customers (cafe_id, id, segment, created_at)
SELECT a.cafe_id, a.customer_id, coalesce(($1::text[])[(a.segment_mask & $2) + 1], $3)::customer_segment_enum, {BEGINS}
FROM customer_activity AS a
JOIN public.customers AS c ON c.cafe_id = a.cafe_id AND c.id = a.customer_id AND c.is_active
"""  # noqa: S608
ADD_COUNTS = """
INSERT INTO customer_segments (cafe_id, id, customer_count)
SELECT s.cafe_id, s.id, count(m.customer_id)
FROM public.customer_segments AS s LEFT JOIN segment_members AS m ON m.cafe_id = s.cafe_id AND m.segment_id = s.id
GROUP BY s.cafe_id, s.id
"""


async def move(
    conn: Connection,
    guests: Sequence[GuestKey],
    segments: Sequence[UUID],
    moments: Sequence[datetime],
    entered: Sequence[bool],
) -> None:
    """Guests enter segments or leave them, in this order."""
    cafes, customers = columns(guests, "cafe_id", "customer_id")
    await conn.execute(MOVE, cafes, customers, segments, moments, entered)


async def add_registered(conn: Connection) -> None:
    """Adds since when each guest is evaluated, which the guest's own row says."""
    await conn.execute(ADD_REGISTERED)


async def add_derived(conn: Connection, shown: Sequence[Segment], never_evaluated: Segment) -> None:
    """Adds what follows from the sums and memberships: bits, the segment shown, and counts.

    `shown` is the segment of each combination of the system segments' bits.
    """
    await conn.execute(ADD_MASKS)
    await conn.execute(ADD_EMPTY_MASKS)
    await conn.execute(ADD_SHOWN, shown, len(shown) - 1, never_evaluated)
    await conn.execute(ADD_COUNTS)

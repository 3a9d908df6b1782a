"""What was on bills, put to those that are here already."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from shared.database.db import Connection

ToldBill = tuple[UUID, UUID, UUID, datetime | None, bytes]
"""(cafe_id, customer_id, visit_id, the moment of the correction that says so, the facts)"""

# A correction speaks of the bill that it made. What a voided bill had is what was said of it last.
FILL = """
WITH told AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::bytea[])
    WITH ORDINALITY AS t (cafe_id, customer_id, visit_id, corrected_at, facts, place)
), wanted AS (
    SELECT DISTINCT ON (e.cafe_id, e.customer_id, e.visit_id) e.cafe_id, e.customer_id, e.visit_id, told.facts
    FROM told
    JOIN visit_earnings AS e USING (cafe_id, customer_id, visit_id)
    WHERE e.state = 'voided' OR e.corrected_at IS NOT DISTINCT FROM told.corrected_at
    ORDER BY e.cafe_id, e.customer_id, e.visit_id, told.place DESC
)
UPDATE visit_earnings AS e SET facts = wanted.facts
FROM wanted
WHERE e.cafe_id = wanted.cafe_id AND e.customer_id = wanted.customer_id AND e.visit_id = wanted.visit_id
    AND e.facts IS DISTINCT FROM wanted.facts
RETURNING e.cafe_id
"""
BY_RULES = "SELECT DISTINCT cafe_id FROM programs WHERE cafe_id = ANY($1::uuid[]) AND earning IS NOT NULL"


async def fill(conn: Connection, told: Sequence[ToldBill]) -> list[UUID]:
    """Writes the facts of the bills that are here; the cafe of each that had others, or none."""
    return [row["cafe_id"] for row in await conn.fetch(FILL, *zip(*told, strict=True))]


async def cafes_with_rules(conn: Connection, cafe_ids: Sequence[UUID]) -> list[UUID]:
    """Those of the cafes in which bills earn by more than their amount."""
    return [row["cafe_id"] for row in await conn.fetch(BY_RULES, cafe_ids)]

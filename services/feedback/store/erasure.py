"""What is left of erased guests: ratings and sums."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from shared.database.columns import columns
from shared.database.db import Connection
from shared.events.customer import CustomerErased

REMEMBER_ERASED = """
INSERT INTO erased_guests AS kept (cafe_id, customer_id, erased_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) ORDER BY 1, 2
ON CONFLICT (cafe_id, customer_id) DO UPDATE SET erased_at = greatest(kept.erased_at, excluded.erased_at)
"""
ERASED_AT = "SELECT erased_at FROM erased_guests WHERE cafe_id = $1 AND customer_id = $2"
# A link may be made, and used, in the moment between an erasure and our hearing of it: the visit's own time counts too.
ERASE_LINKS = """
UPDATE feedback_links l SET closed_at = t.erased_at
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (cafe_id, customer_id, erased_at)
WHERE l.cafe_id = t.cafe_id AND l.customer_id = t.customer_id AND l.closed_at IS NULL
  AND (l.created_at <= t.erased_at OR EXISTS (
      SELECT FROM visits v WHERE v.cafe_id = l.cafe_id AND v.visit_id = l.visit_id AND v.visit_at <= t.erased_at
  ))
"""
ERASE_FEEDBACK = """
UPDATE customer_feedback f
SET comment = NULL, comment_language = 'fa', source_reference = NULL, table_number = NULL, response_text = NULL,
    device_info = NULL, ip_address = NULL, forgotten_at = t.erased_at, updated_at = now()
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (cafe_id, customer_id, erased_at)
WHERE f.cafe_id = t.cafe_id AND f.customer_id = t.customer_id
  AND (f.created_at <= t.erased_at OR EXISTS (
      SELECT FROM visits v WHERE v.cafe_id = f.cafe_id AND v.visit_id = f.visit_id AND v.visit_at <= t.erased_at
  ))
"""
ERASE_CASES = """
UPDATE feedback_cases k SET resolution = NULL
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (cafe_id, customer_id, erased_at)
JOIN customer_feedback f USING (cafe_id, customer_id)
WHERE k.cafe_id = f.cafe_id AND k.feedback_id = f.id AND f.forgotten_at IS NOT NULL
"""
ERASE_TABLES = """
UPDATE visits v SET table_number = NULL
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (cafe_id, customer_id, erased_at)
JOIN feedback_links l USING (cafe_id, customer_id)
WHERE v.cafe_id = l.cafe_id AND v.visit_id = l.visit_id AND v.visit_at <= t.erased_at AND v.table_number IS NOT NULL
"""


async def erase_customers(conn: Connection, events: Sequence[CustomerErased]) -> None:
    """Empty what the guests said and from where; ratings and sums stay."""
    guests = columns(events, "cafe_id", "customer_id", "occurred_at")
    for statement in (REMEMBER_ERASED, ERASE_LINKS, ERASE_FEEDBACK, ERASE_CASES, ERASE_TABLES):
        await conn.execute(statement, *guests)


async def erased_at(conn: Connection, cafe_id: UUID, customer_id: UUID) -> datetime | None:
    """When the guest was last erased, if ever."""
    moment: datetime | None = await conn.fetchval(ERASED_AT, cafe_id, customer_id)
    return moment

"""Complaints that hold advertising back: the cases of guests, as the feedback service tells of them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.campaign.audience.models.values import CaseWord
from shared.database.columns import columns
from shared.database.db import Connection

# Events about one case come in any order, and more than once: of each kind the latest moment counts. What was said
# before the guest was erased is not kept.
KEEP = """
INSERT INTO complaint_holds AS kept (cafe_id, customer_id, case_id, opened_at, closed_at)
SELECT t.cafe_id, t.customer_id, t.case_id, max(t.opened_at), max(t.closed_at)
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[])
    AS t (cafe_id, customer_id, case_id, opened_at, closed_at)
WHERE NOT EXISTS (
    SELECT FROM contacts c
    WHERE c.cafe_id = t.cafe_id AND c.customer_id = t.customer_id
        AND c.erased_at >= coalesce(t.closed_at, t.opened_at)
)
GROUP BY t.cafe_id, t.customer_id, t.case_id ORDER BY t.cafe_id, t.customer_id, t.case_id
ON CONFLICT (cafe_id, customer_id, case_id) DO UPDATE
SET opened_at = greatest(kept.opened_at, excluded.opened_at), closed_at = greatest(kept.closed_at, excluded.closed_at)
"""
OPEN = """
SELECT h.cafe_id, h.customer_id, h.case_id
FROM complaint_holds h
JOIN unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id) USING (cafe_id, customer_id)
WHERE h.opened_at > coalesce(h.closed_at, '-infinity') ORDER BY h.opened_at, h.case_id
"""
# As if what was said until then had come after the erasure, and so had not been kept.
FORGET = """
UPDATE complaint_holds h
SET opened_at = CASE WHEN h.opened_at > t.at THEN h.opened_at END,
    closed_at = CASE WHEN h.closed_at > t.at THEN h.closed_at END
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (cafe_id, customer_id, at)
WHERE h.cafe_id = t.cafe_id AND h.customer_id = t.customer_id
"""
DROP = """
DELETE FROM complaint_holds h USING unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id)
WHERE h.cafe_id = t.cafe_id AND h.customer_id = t.customer_id AND h.opened_at IS NULL AND h.closed_at IS NULL
"""


async def keep(conn: Connection, words: Sequence[CaseWord]) -> None:
    """Keeps what is said of cases. Lock the contacts first, so that nobody decides by less."""
    await conn.execute(
        KEEP,
        *columns(words, "cafe_id", "customer_id", "case_id", "opened_at", "closed_at"),
    )


async def open_complaints(conn: Connection, guests: Sequence[tuple[UUID, UUID]]) -> dict[tuple[UUID, UUID], list[UUID]]:
    """The open cases of each (cafe, guest), the oldest first."""
    found: dict[tuple[UUID, UUID], list[UUID]] = {}
    rows = await conn.fetch(OPEN, *columns(guests, 0, 1))
    for cafe_id, guest, case_id in rows:
        found.setdefault((cafe_id, guest), []).append(case_id)
    return found


async def forget(conn: Connection, erasures: Sequence[tuple[UUID, UUID, datetime]]) -> None:
    """Empties what was said of the cases of (cafe, guest, when erased) until then."""
    cafes, guests = [erasure[0] for erasure in erasures], [erasure[1] for erasure in erasures]
    await conn.execute(FORGET, cafes, guests, [erasure[2] for erasure in erasures])
    await conn.execute(DROP, cafes, guests)

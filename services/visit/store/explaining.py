"""Bills with all that was done to them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from shared.database.db import Connection

BILL = """
       v.id, v.customer_id, v.visit_date, v.visit_number, v.device_id, v.receipt_number, v.total_amount,
       v.discount_amount, v.final_amount, v.currency_unit, v.points_earned, v.points_redeemed, v.created_at,
       v.created_by, v.corrected_at, v.voided_at, v.forgotten_at, r.claimed_at, EXISTS (
           SELECT FROM hand_entries h
           WHERE h.cafe_id = v.cafe_id AND h.visit_id = v.id AND h.kind = 'void' AND h.state = 'entered'
       ) AS voided_by_hand
"""
OF_VISIT = f"""
SELECT {BILL} FROM visit_receipts r
JOIN customer_visits v ON v.cafe_id = r.cafe_id AND v.visit_date = r.visit_date AND v.id = r.visit_id
WHERE r.cafe_id = $1 AND r.visit_id = $2
"""  # noqa: S608
OF_GUEST = f"""
SELECT {BILL} FROM customer_visits v
JOIN visit_receipts r ON r.cafe_id = v.cafe_id AND r.device_id = v.device_id AND r.receipt_number = v.receipt_number
WHERE v.cafe_id = $1 AND v.customer_id = $2 AND v.visit_date >= $3 AND v.visit_date < $4
ORDER BY v.visit_date DESC, v.id LIMIT $5
"""  # noqa: S608
MISSING = """
SELECT coalesce(sum(missing_to - missing_from + 1), 0)::bigint FROM device_gaps WHERE cafe_id = $1 AND device_id = $2
"""


async def of_visit(conn: Connection, cafe_id: UUID, visit_id: UUID) -> dict[str, Any] | None:
    """One bill."""
    row = await conn.fetchrow(OF_VISIT, cafe_id, visit_id)
    return dict(row) if row else None


async def of_guest(
    conn: Connection, cafe_id: UUID, customer_id: UUID, since: datetime, before: datetime, limit: int
) -> list[dict[str, Any]]:
    """A guest's bills, the newest first."""
    return [dict(row) for row in await conn.fetch(OF_GUEST, cafe_id, customer_id, since, before, limit)]


async def missing_numbers(conn: Connection, cafe_id: UUID, device_id: str) -> int:
    """How many numbers of the device never came."""
    return int(await conn.fetchval(MISSING, cafe_id, device_id))

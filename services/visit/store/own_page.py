"""A guest's last visits, as the guest sees them."""

from typing import Any
from uuid import UUID

from shared.database.db import Connection
from shared.security.guest_links import GuestLink

ERASED = """
SELECT EXISTS (SELECT FROM erased_guests WHERE cafe_id = $1 AND customer_id = $2 AND erased_at >= $3)
"""
LAST = """
SELECT v.visit_date AS at, b.name AS branch, v.points_earned AS points
FROM customer_visits v LEFT JOIN branches b ON b.cafe_id = v.cafe_id AND b.branch_id = v.branch_id
WHERE v.cafe_id = $1 AND v.customer_id = $2 AND v.voided_at IS NULL AND v.forgotten_at IS NULL
ORDER BY v.visit_date DESC, v.id LIMIT $3
"""


async def was_erased(conn: Connection, link: GuestLink) -> bool:
    """Whether the guest was erased after the link was made."""
    return bool(await conn.fetchval(ERASED, link.cafe_id, link.customer_id, link.made_at))


async def last_visits(conn: Connection, cafe_id: UUID, customer_id: UUID, limit: int) -> list[dict[str, Any]]:
    """The newest visits that stand."""
    return [dict(row) for row in await conn.fetch(LAST, cafe_id, customer_id, limit)]

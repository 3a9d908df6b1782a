"""Which of a guest's points lapse when."""

from datetime import date, datetime
from uuid import UUID

from shared.database.db import Connection

LAPSING = """
SELECT (l.expires_at AT TIME ZONE coalesce(c.time_zone, 'Asia/Tehran'))::date AS day, sum(l.remaining)::bigint
FROM point_lots l LEFT JOIN cafes c ON c.cafe_id = l.cafe_id
WHERE l.cafe_id = $1 AND l.customer_id = $2 AND l.remaining > 0 AND l.expires_at <= $3
GROUP BY day ORDER BY day LIMIT $4
"""


async def lapsing(
    conn: Connection, cafe_id: UUID, customer_id: UUID, until: datetime, limit: int
) -> list[tuple[date, int]]:
    """The first days on which points of the guest lapse until a moment, with how many."""
    return [(day, points) for day, points in await conn.fetch(LAPSING, cafe_id, customer_id, until, limit)]

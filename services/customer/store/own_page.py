"""The cafe of a guest who is there."""

from datetime import datetime
from typing import Any
from uuid import UUID

from shared.database.db import Connection

# What was sealed in a link before the guest was erased opens nothing after they came back.
CAFE_OF = """
SELECT coalesce(f.name, '') AS cafe_name, coalesce(f.time_zone, 'Asia/Tehran') AS time_zone,
       coalesce(f.calendar, 'jalali') AS calendar
FROM customers AS c LEFT JOIN cafes AS f ON f.cafe_id = c.cafe_id
WHERE c.cafe_id = $1 AND c.id = $2 AND c.deleted_at IS NULL AND (c.erased_at IS NULL OR c.erased_at < $3)
"""


async def cafe_of(conn: Connection, cafe_id: UUID, customer_id: UUID, made_at: datetime) -> dict[str, Any] | None:
    """The cafe's name, clock and calendar; None of a guest who is not there, or was erased after `made_at`."""
    row = await conn.fetchrow(CAFE_OF, cafe_id, customer_id, made_at)
    return dict(row) if row else None

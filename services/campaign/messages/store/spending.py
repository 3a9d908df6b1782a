"""What a cafe's messages cost, by day."""

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from shared.database.db import Connection

DAYS = """
SELECT day, sum(messages)::int AS messages, sum(cost) AS spent, sum(reserved) AS expected, 'IRR'::text AS currency_unit
FROM sms_usage WHERE cafe_id = $1 AND day BETWEEN $2 AND $3
GROUP BY day ORDER BY day
"""


async def of_days(conn: Connection, cafe_id: UUID, since: date, until: date) -> list[Mapping[str, Any]]:
    """What went out on each of these days, both included, and its cost in Rial; days without any are left out."""
    return [dict(row) for row in await conn.fetch(DAYS, cafe_id, since, until)]

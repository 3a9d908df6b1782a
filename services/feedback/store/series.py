"""Ratings by local days."""

from datetime import datetime
from uuid import UUID

from services.feedback.models.values import RatedDay
from shared.database.db import Connection
from shared.persian.calendar import Calendar

HERE = "SELECT time_zone, calendar FROM cafes WHERE cafe_id = $1"
# What was said of visits that never were counts no longer, as in the summary.
RATED_DAYS = """
SELECT (f.created_at AT TIME ZONE $4)::date AS day, count(*)::int AS responses, sum(f.overall_rating)::int AS stars,
       (count(*) FILTER (WHERE f.overall_rating <= 2))::int AS low
FROM customer_feedback f
WHERE f.cafe_id = $1 AND f.created_at >= $2 AND f.created_at < $3
  AND NOT EXISTS (
      SELECT FROM visits v WHERE v.cafe_id = f.cafe_id AND v.visit_id = f.visit_id AND v.voided_at IS NOT NULL
  )
GROUP BY 1
"""


async def here(conn: Connection, cafe_id: UUID) -> tuple[str, Calendar] | None:
    """The cafe's time zone and calendar; None of a cafe that nobody has told of."""
    row = await conn.fetchrow(HERE, cafe_id)
    return (row["time_zone"], row["calendar"]) if row else None


async def rated_days(
    conn: Connection, cafe_id: UUID, since: datetime, until: datetime, time_zone: str
) -> list[RatedDay]:
    """Days of [since, until) with ratings of visits that stand, or of no visit."""
    return [RatedDay(*row) for row in await conn.fetch(RATED_DAYS, cafe_id, since, until, time_zone)]

"""Partitions and statistics: what grows with time and what is counted over it."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from shared.db import Connection

MAKE_PARTITION = "SELECT make_visit_partition($1)"
DETACH_PARTITIONS = "SELECT detach_visit_partitions($1)"
CROWDED_MONTHS = "SELECT crowded_visit_months($1)"
# A new local day has begun somewhere since the figures were made.
STATS_ARE_OLD = """
SELECT NOT EXISTS (SELECT FROM daily_customer_stats) OR EXISTS (
    SELECT FROM cafes c CROSS JOIN (SELECT max(refreshed_at) AS at FROM daily_customer_stats) s
    WHERE ($1::timestamptz AT TIME ZONE c.time_zone)::date > (s.at AT TIME ZONE c.time_zone)::date
)
"""
REFRESH = "SELECT refresh_daily_stats()"
DAILY = """
SELECT stat_date, unique_customers, total_visits, total_revenue, avg_order_value, avg_rating, currency_unit,
       refreshed_at
FROM cafe_daily_stats WHERE cafe_id = $1 ORDER BY stat_date
"""
MONTHLY = "SELECT * FROM get_monthly_crm_stats($2, $1)"


async def make_partition(conn: Connection, month: date) -> bool:
    """Makes the partition of that month; False when it is there."""
    return bool(await conn.fetchval(MAKE_PARTITION, month))


async def crowded_months(conn: Connection, least: int) -> list[date]:
    """Months with so many visits in the default partition that they deserve their own."""
    return [row[0] for row in await conn.fetch(CROWDED_MONTHS, least)]


async def detach_partitions(conn: Connection, before: date) -> list[str]:
    """Detaches the partitions of all months that ended by that day; returns the names of the tables they now are."""
    return [row[0] for row in await conn.fetch(DETACH_PARTITIONS, before)]


async def stats_are_old(conn: Connection, moment: datetime) -> bool:
    """Whether by `moment` a cafe has begun a day that had not begun when the daily figures were made."""
    return bool(await conn.fetchval(STATS_ARE_OLD, moment))


async def refresh_stats(conn: Connection) -> None:
    """Makes the daily figures anew; readers see the old ones until then."""
    await conn.execute(REFRESH)


async def daily(conn: Connection, cafe_id: UUID) -> list[dict[str, Any]]:
    """The cafe's days, oldest first; what the caller's access row shows."""
    return [dict(row) for row in await conn.fetch(DAILY, cafe_id)]


async def monthly(conn: Connection, cafe_id: UUID, day: date) -> dict[str, Any] | None:
    """The month of that day in the cafe's calendar and time zone; None for a cafe that the caller can't see."""
    row = await conn.fetchrow(MONTHLY, cafe_id, day)
    return dict(row) if row else None

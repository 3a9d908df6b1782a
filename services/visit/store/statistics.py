"""Partitions and statistics: what grows with time and what is counted over it."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from services.visit.models.values import CountedHour
from shared.database.columns import columns
from shared.database.db import Connection

MAKE_PARTITION = "SELECT make_visit_partition($1)"
DETACH_PARTITIONS = "SELECT detach_visit_partitions($1)"
CROWDED_MONTHS = "SELECT crowded_visit_months($1)"
# Days that have ended are noted; today is noted once: only the first visit of a cafe adds a row, due when the day ends.
NOTE_DAYS = """
INSERT INTO days_to_count (cafe_id, stat_date, due_at)
SELECT n.cafe_id, n.stat_date, greatest(n.ends, now())
FROM (
    SELECT d.cafe_id, d.stat_date, (d.stat_date + 1)::timestamp AT TIME ZONE d.time_zone AS ends
    FROM (
        SELECT DISTINCT t.cafe_id, z.time_zone, (t.visit_date AT TIME ZONE z.time_zone)::date AS stat_date
        FROM {visits} LEFT JOIN cafes c ON c.cafe_id = t.cafe_id
        CROSS JOIN LATERAL (SELECT coalesce(c.time_zone, 'Asia/Tehran') AS time_zone) z
    ) d
) n
WHERE n.ends <= now() OR NOT EXISTS (
    SELECT FROM days_to_count q
    WHERE q.cafe_id = n.cafe_id AND q.stat_date = n.stat_date AND q.due_at > now() AND q.due_at <= n.ends
)
"""
NOTE = NOTE_DAYS.format(visits="unnest($1::uuid[], $2::timestamptz[]) AS t (cafe_id, visit_date)")
DUE_DAYS = "SELECT cafe_id, stat_date FROM due_days($1, $2, $3)"
DUE_CAFES = "SELECT cafe_id FROM due_cafes($1, $2, $3)"
COUNT_DAYS = "SELECT count_days($1, $2, $3)"
FIND_DAYS = "SELECT find_days($1, $2)"
DUE_MONTHS = "SELECT cafe_id, month FROM due_months($1, $2, $3)"
COUNT_MONTHS = "SELECT count_months($1, $2, $3)"
DAYS = """
SELECT s.stat_date, s.unique_customers, s.total_visits, s.total_revenue, s.avg_order_value, s.avg_rating,
       'IRT' AS currency_unit, s.counted_at AS refreshed_at
FROM cafes c JOIN daily_stats s ON s.cafe_id = c.cafe_id
WHERE c.cafe_id = $1 AND (s.branch_id = $2 OR ($2::uuid IS NULL AND s.branch_id IS NULL))
  AND s.stat_date BETWEEN $3 AND $4 AND s.stat_date < ($5::timestamptz AT TIME ZONE c.time_zone)::date
UNION ALL
SELECT z.today, v.unique_customers, v.total_visits, v.total_revenue, v.avg_order_value, v.avg_rating, 'IRT', $5
FROM cafes c
CROSS JOIN LATERAL (SELECT ($5::timestamptz AT TIME ZONE c.time_zone)::date AS today) z
CROSS JOIN LATERAL count_day(c.cafe_id, z.today, c.time_zone) v
WHERE c.cafe_id = $1 AND (v.branch_id = $2 OR ($2::uuid IS NULL AND v.branch_id IS NULL))
  AND z.today BETWEEN $3 AND $4
ORDER BY stat_date
"""
# The day of a moment until then, and the same part of the same weekday a week before.
OF_TODAY = """
FROM cafes c
CROSS JOIN LATERAL (SELECT $3::timestamptz AT TIME ZONE c.time_zone AS local) z
CROSS JOIN LATERAL (
    VALUES
        (true, date_trunc('day', z.local) AT TIME ZONE c.time_zone, $3::timestamptz),
        (false, (date_trunc('day', z.local) - interval '7 days') AT TIME ZONE c.time_zone,
         (z.local - interval '7 days') AT TIME ZONE c.time_zone)
) d (is_today, begins, ends)
JOIN customer_visits v ON v.cafe_id = c.cafe_id AND v.visit_date >= d.begins AND v.visit_date <= d.ends
WHERE c.cafe_id = $1 AND v.voided_at IS NULL AND ($2::uuid IS NULL OR v.branch_id = $2)
"""
TODAYS_HOURS = f"""
SELECT d.is_today, extract(hour FROM v.visit_date AT TIME ZONE c.time_zone)::int AS hour, v.branch_id,
       count(*) AS visits, sum(in_toman(v.final_amount, v.currency_unit)) AS revenue
{OF_TODAY} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""  # noqa: S608
TODAYS_GUESTS = f"""
SELECT d.is_today, count(DISTINCT v.customer_id) AS guests,
       count(DISTINCT v.customer_id) FILTER (WHERE v.visit_number = 1) AS new_guests
{OF_TODAY} GROUP BY 1
"""
# From Saturday on, as the week does.
HOURS = """
SELECT (extract(dow FROM s.stat_date)::int + 1) % 7 AS weekday, (h.place - 1)::int AS hour,
       sum(h.visits) AS visits, sum(h.revenue) AS revenue
FROM daily_stats s CROSS JOIN unnest(s.hour_visits, s.hour_revenue) WITH ORDINALITY AS h (visits, revenue, place)
WHERE s.cafe_id = $1 AND s.branch_id IS NOT DISTINCT FROM $2::uuid AND s.stat_date BETWEEN $3 AND $4
GROUP BY 1, 2
"""
LOCAL_DATE = "SELECT ($2::timestamptz AT TIME ZONE time_zone)::date FROM cafes WHERE cafe_id = $1"
# What get_monthly_crm_stats says of one cafe. That function is for one or for all, and its one plan for both reads all.
MONTHLY = """
SELECT c.cafe_id, lower(m.this) AS month_starts, upper(m.this) - 1 AS month_ends, s.*
FROM cafes c
CROSS JOIN LATERAL (
    SELECT this, calendar_month(lower(this) - 1, c.calendar) AS previous
    FROM calendar_month($2::date, c.calendar) AS this
) m
CROSS JOIN LATERAL crm_stats_between(
    c.cafe_id,
    lower(m.previous)::timestamp AT TIME ZONE c.time_zone,
    lower(m.this)::timestamp AT TIME ZONE c.time_zone,
    upper(m.this)::timestamp AT TIME ZONE c.time_zone,
    $3::uuid
) s
WHERE c.cafe_id = $1
"""

CafeDay = tuple[UUID, date]


async def make_partition(conn: Connection, month: date) -> bool:
    """Makes the partition of that month; False when it is there."""
    return bool(await conn.fetchval(MAKE_PARTITION, month))


async def crowded_months(conn: Connection, least: int) -> list[date]:
    """Months with so many visits in the default partition that they deserve their own."""
    return [row[0] for row in await conn.fetch(CROWDED_MONTHS, least)]


async def detach_partitions(conn: Connection, before: date) -> list[str]:
    """Detaches the partitions of all months that ended by that day; returns the names of the tables they now are."""
    return [row[0] for row in await conn.fetch(DETACH_PARTITIONS, before)]


async def note(conn: Connection, cafes: Sequence[UUID], moments: Sequence[datetime]) -> None:
    """Asks for the figures of the days on which these cafes' visits changed; those of today once they have ended."""
    if cafes:
        await conn.execute(NOTE, cafes, moments)


async def due_days(conn: Connection, moment: datetime, limit: int, but_for: Sequence[UUID]) -> list[CafeDay]:
    """Days that have ended by `moment` and must be counted, in the order in which they were noted, but for these
    cafes'."""
    return [tuple(row) for row in await conn.fetch(DUE_DAYS, moment, limit, but_for)]


async def count_days(conn: Connection, days: Sequence[CafeDay], moment: datetime) -> None:
    """Counts these days anew and takes their notes away."""
    await conn.execute(COUNT_DAYS, *columns(days, 0, 1), moment)


async def due_cafes(conn: Connection, moment: datetime, limit: int, but_for: Sequence[UUID]) -> list[UUID]:
    """Cafes all of whose days must be counted, without some."""
    return [row["cafe_id"] for row in await conn.fetch(DUE_CAFES, moment, limit, but_for)]


async def find_days(conn: Connection, cafes: Sequence[UUID], moment: datetime) -> None:
    """Notes each day of these cafes that has visits or figures."""
    await conn.execute(FIND_DAYS, cafes, moment)


async def due_months(conn: Connection, moment: datetime, limit: int, but_for: Sequence[UUID]) -> list[CafeDay]:
    """Months of which something has changed, by their first days, but for these cafes'."""
    return [tuple(row) for row in await conn.fetch(DUE_MONTHS, moment, limit, but_for)]


async def count_months(conn: Connection, months: Sequence[CafeDay], moment: datetime) -> None:
    """Counts what the visits of these months say together: guests of branches, and dishes."""
    await conn.execute(COUNT_MONTHS, *columns(months, 0, 1), moment)


async def daily(
    conn: Connection, cafe_id: UUID, branch_id: UUID | None, days: tuple[date, date], moment: datetime
) -> list[dict[str, Any]]:
    """The cafe's days with visits between these two, both inclusive, oldest first; that of `moment` is counted now."""
    return [dict(row) for row in await conn.fetch(DAYS, cafe_id, branch_id, *days, moment)]


async def monthly(conn: Connection, cafe_id: UUID, branch_id: UUID | None, day: date) -> dict[str, Any] | None:
    """The month of that day in the cafe's calendar and time zone; None for a cafe that the caller can't see."""
    row = await conn.fetchrow(MONTHLY, cafe_id, day, branch_id)
    return dict(row) if row else None


async def todays_hours(conn: Connection, cafe_id: UUID, branch_id: UUID | None, moment: datetime) -> list[CountedHour]:
    """What came in by hour and branch, on the day of that moment until then and a week before."""
    return [CountedHour(*row) for row in await conn.fetch(TODAYS_HOURS, cafe_id, branch_id, moment)]


async def todays_guests(
    conn: Connection, cafe_id: UUID, branch_id: UUID | None, moment: datetime
) -> dict[bool, tuple[int, int]]:
    """How many guests came, and how many for the first time: today (True) and a week before."""
    rows = await conn.fetch(TODAYS_GUESTS, cafe_id, branch_id, moment)
    return {row["is_today"]: (row["guests"], row["new_guests"]) for row in rows}


async def hours(
    conn: Connection, cafe_id: UUID, branch_id: UUID | None, days: tuple[date, date]
) -> dict[tuple[int, int], tuple[int, Decimal]]:
    """Visits and revenue of these days, both inclusive, by weekday (0 is Saturday) and hour."""
    rows = await conn.fetch(HOURS, cafe_id, branch_id, *days)
    return {(row["weekday"], row["hour"]): (row["visits"], row["revenue"]) for row in rows}


async def local_date(conn: Connection, cafe_id: UUID, moment: datetime) -> date | None:
    """The day on the cafe's wall; None of a cafe that nobody has told of."""
    found: date | None = await conn.fetchval(LOCAL_DATE, cafe_id, moment)
    return found

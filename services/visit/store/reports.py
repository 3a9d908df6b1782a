"""Figures that are kept by days and months, for reports. What of today belongs to them is counted as it is asked."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from services.visit.models.counted import Again, Comers, DaySums, Month
from shared.database.db import Connection

# Today's bounds are reckoned once: behind the walls of row level security an index is only asked for values.
HERE = """
here AS MATERIALIZED (
    SELECT z.*, z.today::timestamp AT TIME ZONE z.time_zone AS begins,
           (z.today + 1)::timestamp AT TIME ZONE z.time_zone AS ends
    FROM (
        SELECT c.cafe_id, c.calendar, c.time_zone, ($2::timestamptz AT TIME ZONE c.time_zone)::date AS today
        FROM cafes c WHERE c.cafe_id = $1
    ) z
)
"""
SUMMED = """
coalesce(sum(f.visits), 0)::int AS visits, coalesce(sum(f.revenue), 0) AS revenue,
coalesce(sum(f.known_visits), 0)::int AS known_visits, coalesce(sum(f.known_revenue), 0) AS known_revenue,
coalesce(sum(f.rating_count), 0)::int AS rating_count, coalesce(sum(f.rating_sum), 0)::int AS rating_sum
"""
KEPT = """
s.stat_date, s.branch_id, s.total_visits AS visits, s.total_revenue AS revenue, s.known_visits, s.known_revenue,
       s.rating_count, s.rating_sum
"""
TODAY = """
h.today AS stat_date, v.branch_id, v.total_visits AS visits, v.total_revenue AS revenue, v.known_visits,
       v.known_revenue, v.rating_count, v.rating_sum
FROM here h CROSS JOIN LATERAL count_day(h.cafe_id, h.today, h.time_zone) v
"""
PLACES = f"""
WITH {HERE}
SELECT f.branch_id, {SUMMED}
FROM (
    SELECT {KEPT} FROM here h JOIN daily_stats s ON s.cafe_id = h.cafe_id
    WHERE s.stat_date BETWEEN $3 AND $4 AND s.stat_date < h.today
    UNION ALL
    SELECT {TODAY} WHERE h.today BETWEEN $3 AND $4
) f GROUP BY f.branch_id
"""  # noqa: S608
# Figures are found once, not once for each month.
MONTHS = f"""
WITH {HERE}, months AS MATERIALIZED (
    SELECT m.starts, m.ends, h.cafe_id, h.today FROM here h CROSS JOIN LATERAL last_months(h.today, h.calendar, $3) m
), f AS MATERIALIZED (
    SELECT {KEPT} FROM here h JOIN daily_stats s ON s.cafe_id = h.cafe_id
    WHERE s.stat_date >= (SELECT min(m.starts) FROM months m) AND s.stat_date < h.today
      AND s.branch_id IS NOT DISTINCT FROM $4::uuid
    UNION ALL
    SELECT {TODAY} WHERE v.branch_id IS NOT DISTINCT FROM $4::uuid
)
SELECT m.starts, m.ends, {SUMMED}
FROM months m LEFT JOIN f ON f.stat_date BETWEEN m.starts AND m.ends
GROUP BY m.starts, m.ends ORDER BY m.starts
"""  # noqa: S608
LAST_MONTHS = f"""
WITH {HERE} SELECT m.* FROM here h CROSS JOIN LATERAL last_months(h.today, h.calendar, $3) m ORDER BY m.starts
"""  # noqa: S608
# First and last day of the months in which two days lie.
WHOLE_MONTHS = """
SELECT lower(calendar_month($2::date, calendar)), upper(calendar_month($3::date, calendar)) - 1
FROM cafes WHERE cafe_id = $1
"""
COMERS = """
SELECT m.month, sum(m.guests)::int AS guests, (sum(m.guests) FILTER (WHERE m.first_month = m.month))::int AS new_guests
FROM guest_months m WHERE m.cafe_id = $1 AND m.month >= $2 GROUP BY m.month
"""
COMERS_OF_BRANCH = """
SELECT m.month, m.guests, m.new_guests FROM branch_months m WHERE m.cafe_id = $1 AND m.month >= $2 AND m.branch_id = $3
"""
# Today's guests who did not come earlier in the month (to that branch), and those of them who never came before it.
COMERS_TODAY = f"""
WITH {HERE}, came AS (
    SELECT DISTINCT v.customer_id, h.cafe_id, h.today, h.begins, h.time_zone
    FROM here h CROSS JOIN LATERAL (
        SELECT i.customer_id FROM customer_visits i
        WHERE i.cafe_id = h.cafe_id AND i.visit_date >= h.begins AND i.visit_date < h.ends AND i.voided_at IS NULL
          AND i.customer_id IS NOT NULL AND ($4::uuid IS NULL OR i.branch_id = $4)
        OFFSET 0
    ) v
)
SELECT count(*)::int AS guests, count(*) FILTER (WHERE NOT EXISTS (
    SELECT FROM guest_days g WHERE g.cafe_id = c.cafe_id AND g.customer_id = c.customer_id AND g.stat_date < $3
))::int AS new_guests
FROM came c
WHERE CASE WHEN $4::uuid IS NULL THEN NOT EXISTS (
    SELECT FROM guest_days g
    WHERE g.cafe_id = c.cafe_id AND g.customer_id = c.customer_id AND g.stat_date >= $3 AND g.stat_date < c.today
) ELSE NOT EXISTS (
    SELECT FROM customer_visits v
    WHERE v.cafe_id = c.cafe_id AND v.customer_id = c.customer_id AND v.branch_id = $4 AND v.voided_at IS NULL
      AND v.visit_date >= $3::date::timestamp AT TIME ZONE c.time_zone
      AND v.visit_date < c.begins
) END
"""  # noqa: S608
AGAIN = """
SELECT m.month, m.first_month = m.month AS is_new, sum(m.guests)::int AS guests, sum(m.again_30)::int AS within_30,
       sum(m.again_60)::int AS within_60, sum(m.again_90)::int AS within_90
FROM guest_months m WHERE m.cafe_id = $1 AND m.month >= $2 GROUP BY 1, 2
"""
COHORTS = """
SELECT m.first_month, m.month, m.guests FROM guest_months m WHERE m.cafe_id = $1 AND m.first_month >= $2
"""
DISHES = """
SELECT m.name, sum(m.quantity) AS quantity, sum(m.revenue) AS revenue, sum(m.bills)::int AS bills,
       sum(m.guests)::int AS guests, sum(m.repeat_guests)::int AS repeat_guests
FROM dish_months m
WHERE m.cafe_id = $1 AND m.branch_id IS NOT DISTINCT FROM $2::uuid AND m.month BETWEEN $3 AND $4
GROUP BY m.name ORDER BY revenue DESC, m.name
"""
COUNTED_AT = "SELECT max(counted_at) FROM counted_months WHERE cafe_id = $1 AND month BETWEEN $2 AND $3"
BRANCH_NAMES = "SELECT branch_id, name FROM branches WHERE cafe_id = $1"


async def places(
    conn: Connection, cafe_id: UUID, moment: datetime, days: tuple[date, date]
) -> dict[UUID | None, DaySums]:
    """What these days, both inclusive, add up to: of the whole cafe (None) and of each branch that has visits."""
    rows = await conn.fetch(PLACES, cafe_id, moment, *days)
    return {row["branch_id"]: DaySums(*row[1:]) for row in rows}


async def months(conn: Connection, cafe_id: UUID, branch_id: UUID | None, moment: datetime, count: int) -> list[Month]:
    """So many months until that of `moment`, the oldest first; none of a cafe that nobody has told of."""
    rows = await conn.fetch(MONTHS, cafe_id, moment, count, branch_id)
    return [Month(row["starts"], row["ends"], DaySums(*row[2:])) for row in rows]


async def last_months(conn: Connection, cafe_id: UUID, moment: datetime, count: int) -> list[tuple[date, date]]:
    """First and last day of so many months until that of `moment`, the oldest first."""
    return [tuple(row) for row in await conn.fetch(LAST_MONTHS, cafe_id, moment, count)]


async def whole_months(conn: Connection, cafe_id: UUID, days: tuple[date, date]) -> tuple[date, date] | None:
    """The days, moved to the ends of their months; None of a cafe that nobody has told of."""
    row = await conn.fetchrow(WHOLE_MONTHS, cafe_id, *days)
    return tuple(row) if row else None


async def comers(conn: Connection, cafe_id: UUID, branch_id: UUID | None, since: date) -> dict[date, Comers]:
    """Guests of each month since that one, until yesterday."""
    rows = (
        await conn.fetch(COMERS, cafe_id, since)
        if branch_id is None
        else await conn.fetch(COMERS_OF_BRANCH, cafe_id, since, branch_id)
    )
    return {row["month"]: Comers(row["guests"], row["new_guests"] or 0) for row in rows}


async def comers_today(
    conn: Connection, cafe_id: UUID, branch_id: UUID | None, moment: datetime, month: date
) -> Comers:
    """Today's guests who did not come before in this month, and those of them who never came before it."""
    row = await conn.fetchrow(COMERS_TODAY, cafe_id, moment, month, branch_id)
    assert row is not None
    return Comers(*row)


async def again(conn: Connection, cafe_id: UUID, since: date) -> list[Again]:
    """Who came again, for each month since that one."""
    rows = await conn.fetch(AGAIN, cafe_id, since)
    return [Again(row[0], row[1], row[2], (row[3], row[4], row[5])) for row in rows]


async def cohorts(conn: Connection, cafe_id: UUID, since: date) -> dict[tuple[date, date], int]:
    """Guests by the month of their first visit, since that one, and by the month in which they came."""
    return {(row["first_month"], row["month"]): row["guests"] for row in await conn.fetch(COHORTS, cafe_id, since)}


async def dishes(
    conn: Connection, cafe_id: UUID, branch_id: UUID | None, months_between: tuple[date, date]
) -> list[dict[str, Any]]:
    """Dishes of these months, both inclusive, the dearest first; without a name what is no dish. `revenue` in Toman."""
    return [dict(row) for row in await conn.fetch(DISHES, cafe_id, branch_id, *months_between)]


async def counted_at(conn: Connection, cafe_id: UUID, months_between: tuple[date, date]) -> datetime | None:
    """When the newest of these months was counted."""
    found: datetime | None = await conn.fetchval(COUNTED_AT, cafe_id, *months_between)
    return found


async def branch_names(conn: Connection, cafe_id: UUID) -> dict[UUID, str]:
    """The names of the cafe's branches."""
    return {row["branch_id"]: row["name"] for row in await conn.fetch(BRANCH_NAMES, cafe_id)}

"""What time asks for: partitions ahead, old ones out of the way, the figures of a day that has ended."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from services.visit.store import statistics
from shared.clock import now
from shared.database.db import Connection, Pool, plan_by_key, transaction
from shared.jobs.by_cafe import ByCafe

MONTHS_AHEAD = 3
# Below this a month that ended long ago is not worth a table.
CROWDED = 10_000
# Each a transaction that lasts a second or two where cafes have thousands of visits a day.
DAYS_AT_ONCE = 50
CAFES_AT_ONCE = 10
MONTHS_AT_ONCE = 4
COUNTING = ByCafe("visit", "visit.count_days")
FINDING = ByCafe("visit", "visit.find_days")
SUMMING = ByCafe("visit", "visit.count_months")


async def make_partitions(pool: Pool) -> int:
    """Makes the partitions of this month and the next ones, and of every month that crowds the default partition.

    Each in its own transaction: it locks the table for a moment. Returns 0, there is nothing to repeat.
    """
    async with transaction(pool) as conn:
        months = await statistics.crowded_months(conn, CROWDED)
    today = now().date()
    for month in [*(_month_after(today, ahead) for ahead in range(MONTHS_AHEAD + 1)), *months]:
        async with transaction(pool) as conn:
            await statistics.make_partition(conn, month)
    return 0


def _month_after(day: date, months: int) -> date:
    years, month = divmod(day.month - 1 + months, 12)
    return date(day.year + years, month + 1, 1)


async def count_days(pool: Pool) -> int:
    """Counts days that have ended, or whose visits have changed since they were counted; returns 0 when none is due.

    Cafes all of whose days are to be counted have their turn when few single days are left, and months after them.
    """
    done = await COUNTING.run(pool, _due_days, _count)
    if done < DAYS_AT_ONCE:
        done += await FINDING.run(pool, _due_cafes, _find, cafe_of=_itself)
    return done if done >= DAYS_AT_ONCE else done + await SUMMING.run(pool, _due_months, _sum_up)


async def _due_days(conn: Connection, but_for: Sequence[UUID]) -> list[statistics.CafeDay]:
    await plan_by_key(conn)
    return await statistics.due_days(conn, now(), DAYS_AT_ONCE, but_for)


async def _count(conn: Connection, days: Sequence[statistics.CafeDay]) -> int:
    await plan_by_key(conn)
    await statistics.count_days(conn, days, now())
    return len(days)


async def _due_cafes(conn: Connection, but_for: Sequence[UUID]) -> list[UUID]:
    await plan_by_key(conn)
    return await statistics.due_cafes(conn, now(), CAFES_AT_ONCE, but_for)


async def _find(conn: Connection, cafes: Sequence[UUID]) -> int:
    await plan_by_key(conn)
    await statistics.find_days(conn, cafes, now())
    return len(cafes)


async def _due_months(conn: Connection, but_for: Sequence[UUID]) -> list[statistics.CafeDay]:
    await plan_by_key(conn)
    return await statistics.due_months(conn, now(), MONTHS_AT_ONCE, but_for)


async def _sum_up(conn: Connection, months: Sequence[statistics.CafeDay]) -> int:
    await plan_by_key(conn)
    await statistics.count_months(conn, months, now())
    return len(months)


def _itself(cafe_id: UUID) -> UUID:
    return cafe_id


async def detach_old_visits(conn: Connection, before: date) -> list[str]:
    """Takes the months that ended by `before` out of the visits, for the operator to dump and drop.

    Their receipts stay, so a repeat is still a repeat; their visits can be neither read nor changed here any more.
    Returns the names of the tables they now are.
    """
    return await statistics.detach_partitions(conn, before)

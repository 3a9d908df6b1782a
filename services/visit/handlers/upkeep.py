"""What time asks for: partitions ahead, old ones out of the way, the figures of a day that has ended."""

from datetime import date

from services.visit.store import statistics
from shared.clock import now
from shared.db import Connection, Pool, transaction

MONTHS_AHEAD = 3
# Below this a month that ended long ago is not worth a table.
CROWDED = 10_000


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


async def refresh_stats(pool: Pool) -> int:
    """Makes the daily figures anew when, since they were made, midnight has passed in the time zone of any cafe."""
    async with transaction(pool) as conn:
        if await statistics.stats_are_old(conn, now()):
            await statistics.refresh_stats(conn)
    return 0


async def detach_old_visits(conn: Connection, before: date) -> list[str]:
    """Takes the months that ended by `before` out of the visits, for the operator to dump and drop.

    Their receipts stay, so a repeat is still a repeat; their visits can be neither read nor changed here any more.
    Returns the names of the tables they now are.
    """
    return await statistics.detach_partitions(conn, before)

"""The figures of the cafe's day so far, and of its hours."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from services.visit.models.http import BranchToday, HoursView, HourView, PartOfDay, TodayView
from services.visit.models.values import CountedHour
from services.visit.store import statistics
from shared.database.db import Connection
from shared.errors import NotFound
from shared.inputs.amounts import INSIDE
from shared.persian.money import Unit, in_unit, rounded

HOURS_OF_A_DAY = 24
DAYS_OF_A_WEEK = 7


async def today(
    conn: Connection, cafe_id: UUID, branch_id: UUID | None, moment: datetime, unit: Unit, *, with_amounts: bool
) -> TodayView:
    """The day of that moment until then."""
    counted = await statistics.todays_hours(conn, cafe_id, branch_id, moment)
    guests = await statistics.todays_guests(conn, cafe_id, branch_id, moment)
    shown = _In(unit, with_amounts)
    now, before = ([each for each in counted if each.is_today is is_today] for is_today in (True, False))
    visits, revenue = _sum(now)
    visits_before, revenue_before = _sum(before)
    return TodayView(
        as_of=moment,
        visits=visits,
        guests=guests.get(True, (0, 0))[0],
        new_guests=guests.get(True, (0, 0))[1],
        revenue=shown.amount(revenue),
        avg_order=shown.amount(rounded(revenue / visits)) if visits else None,
        hours=[shown.hour(*_sum(each for each in now if each.hour == hour)) for hour in range(HOURS_OF_A_DAY)],
        week_ago=PartOfDay(
            visits=visits_before,
            guests=guests.get(False, (0, 0))[0],
            revenue=shown.amount(revenue_before),
            currency_unit=unit,
        ),
        branches=_branches(now, shown),
        currency_unit=unit,
    )


async def hours(
    conn: Connection, cafe_id: UUID, branch_id: UUID | None, weeks: int, moment: datetime, unit: Unit
) -> HoursView:
    """So many whole weeks until yesterday, by weekday and hour.

    Raises:
        NotFound: a cafe that nobody has told of.
    """
    present = await statistics.local_date(conn, cafe_id, moment)
    if present is None:
        raise NotFound("cafe", "این کافه")
    first, last = present - timedelta(days=DAYS_OF_A_WEEK * weeks), present - timedelta(days=1)
    counted = await statistics.hours(conn, cafe_id, branch_id, (first, last))
    shown, nothing = _In(unit, with_amounts=True), (0, Decimal(0))
    weekdays = [
        [shown.hour(*counted.get((weekday, hour), nothing)) for hour in range(HOURS_OF_A_DAY)]
        for weekday in range(DAYS_OF_A_WEEK)
    ]
    return HoursView(first=first, last=last, weekdays=weekdays, currency_unit=unit)


@dataclass(frozen=True)
class _In:
    """Figures in the cafe's unit of money, or without amounts."""

    unit: Unit
    with_amounts: bool

    def amount(self, toman: Decimal) -> Decimal | None:
        return in_unit(toman, INSIDE, self.unit) if self.with_amounts else None

    def hour(self, visits: int, revenue: Decimal) -> HourView:
        return HourView(visits=visits, revenue=self.amount(revenue), currency_unit=self.unit)


def _sum(counted: Iterable[CountedHour]) -> tuple[int, Decimal]:
    counted = list(counted)
    return sum(each.visits for each in counted), sum((each.revenue for each in counted), Decimal(0))


def _branches(counted: Sequence[CountedHour], shown: _In) -> list[BranchToday]:
    ids = sorted({each.branch_id for each in counted}, key=str)
    sums = {branch_id: _sum(each for each in counted if each.branch_id == branch_id) for branch_id in ids}
    return [
        BranchToday(branch_id=branch_id, visits=visits, revenue=shown.amount(revenue), currency_unit=shown.unit)
        for branch_id, (visits, revenue) in sums.items()
    ]

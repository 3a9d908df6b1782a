"""Reports of a cafe: months, who came again, branches, dishes. All from figures that are kept."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from services.visit.models.counted import Again, Comers, DaySums, Month
from services.visit.models.http import (
    AgainShares,
    Branches,
    Club,
    ClubPart,
    Cohort,
    CohortMonth,
    Dish,
    Dishes,
    MonthSums,
    OtherLines,
    PlaceSums,
    ReturnMonth,
)
from services.visit.rules.reporting import NOTHING, WINDOWS, average, has_passed, percent, without
from services.visit.store import reports as store
from services.visit.store import statistics
from shared.database.db import Connection
from shared.errors import NotFound
from shared.inputs.amounts import INSIDE
from shared.persian.money import Unit, in_unit

NOBODY = Comers(0, 0)


@dataclass(frozen=True)
class WantedFigures:
    """Whose figures, of when, in which unit of money. Without a branch: of the whole cafe."""

    cafe_id: UUID
    branch_id: UUID | None
    moment: datetime
    unit: Unit

    def amount(self, toman: Decimal) -> Decimal:
        """The amount in the cafe's unit."""
        return in_unit(toman, INSIDE, self.unit)

    def average(self, toman: Decimal, count: int) -> Decimal | None:
        """The average in the cafe's unit; None of nothing."""
        found = average(toman, count)
        return None if found is None else self.amount(found)


async def months(conn: Connection, asked: WantedFigures, count: int) -> list[MonthSums]:
    """So many months until now, the oldest first.

    Raises:
        NotFound: a cafe that nobody has told of.
    """
    found = await store.months(conn, asked.cafe_id, asked.branch_id, asked.moment, count)
    if not found:
        raise NotFound("cafe", "این کافه")
    kept = await store.comers(conn, asked.cafe_id, asked.branch_id, found[0].starts)
    today = await store.comers_today(conn, asked.cafe_id, asked.branch_id, asked.moment, found[-1].starts)
    running = kept.get(found[-1].starts, NOBODY)
    kept[found[-1].starts] = Comers(running.guests + today.guests, running.new_guests + today.new_guests)
    return [_month(asked, each, kept.get(each.starts, NOBODY), is_running=each is found[-1]) for each in found]


def _month(asked: WantedFigures, month: Month, comers: Comers, *, is_running: bool) -> MonthSums:
    sums = month.sums
    return MonthSums(
        month_starts=month.starts,
        month_ends=month.ends,
        is_running=is_running,
        visits=sums.visits,
        revenue=asked.amount(sums.revenue),
        avg_order=asked.average(sums.revenue, sums.visits),
        avg_rating=average(sums.rating_sum, sums.rating_count),
        guests=comers.guests,
        new_guests=comers.new_guests,
        returning_guests=comers.guests - comers.new_guests,
        known_visits=sums.known_visits,
        known_revenue=asked.amount(sums.known_revenue),
        currency_unit=asked.unit,
    )


async def returns(conn: Connection, asked: WantedFigures, count: int) -> list[ReturnMonth]:
    """Who of each month's guests came again, the oldest month first."""
    spans, today = await _spans(conn, asked, count)
    counted = {(each.month, each.is_new): each for each in await store.again(conn, asked.cafe_id, spans[0][0])}

    def of(month: date, is_new: bool) -> Again:
        return counted.get((month, is_new), Again(month, is_new, 0, (0, 0, 0)))

    return [_return_month(span, of(span[0], True), of(span[0], False), today) for span in spans]


def _return_month(span: tuple[date, date], new: Again, known: Again, today: date) -> ReturnMonth:
    again = []
    for place, days in enumerate(WINDOWS):
        is_known = has_passed(span[1], days, today)
        of_new, of_known = new.within[place], known.within[place]
        again.append(
            AgainShares(
                days=days,
                guests=of_new + of_known if is_known else None,
                share=percent(of_new + of_known, new.guests + known.guests) if is_known else None,
                share_of_new=percent(of_new, new.guests) if is_known else None,
                share_of_returning=percent(of_known, known.guests) if is_known else None,
            )
        )
    return ReturnMonth(
        month_starts=span[0],
        month_ends=span[1],
        guests=new.guests + known.guests,
        new_guests=new.guests,
        returning_guests=known.guests,
        again=again,
    )


async def cohorts(conn: Connection, asked: WantedFigures, count: int) -> list[Cohort]:
    """Guests by the month of their first visit, the oldest first; a month in which nobody was new has none."""
    spans, _ = await _spans(conn, asked, count)
    starts = [first for first, _ in spans]
    counted = await store.cohorts(conn, asked.cafe_id, starts[0])
    return [
        Cohort(
            first_month_starts=first,
            guests=size,
            months=[
                CohortMonth(month_starts=month, guests=came, share=percent(came, size) or Decimal(0))
                for month in starts[place:]
                for came in (counted.get((first, month), 0),)
            ],
        )
        for place, first in enumerate(starts)
        if (size := counted.get((first, first), 0))
    ]


async def branches(conn: Connection, asked: WantedFigures, days: tuple[date, date]) -> Branches:
    """Branches side by side, the dearest first, and last what belongs to none."""
    found = await store.places(conn, asked.cafe_id, asked.moment, days)
    names = await store.branch_names(conn, asked.cafe_id)
    whole = found.pop(None, NOTHING)
    rest = without(whole, list(found.values()))
    shown = [(branch_id, found.get(branch_id, NOTHING)) for branch_id in {*found, *names} if branch_id]
    shown.sort(key=lambda each: (-each[1].revenue, names.get(each[0], "")))
    rows: list[tuple[UUID | None, DaySums]] = [*shown, *([(None, rest)] if rest.visits else [])]
    return Branches(
        first=days[0],
        last=days[1],
        branches=[
            PlaceSums(
                branch_id=branch_id,
                name=names.get(branch_id) if branch_id else None,
                visits=sums.visits,
                revenue=asked.amount(sums.revenue),
                avg_order=asked.average(sums.revenue, sums.visits),
                avg_rating=average(sums.rating_sum, sums.rating_count),
                known_visits=sums.known_visits,
                share=percent(sums.revenue, whole.revenue),
                currency_unit=asked.unit,
            )
            for branch_id, sums in rows
        ],
    )


async def club(conn: Connection, asked: WantedFigures, days: tuple[date, date]) -> Club:
    """Bills with a guest beside those without."""
    sums = (await store.places(conn, asked.cafe_id, asked.moment, days)).get(asked.branch_id, NOTHING)

    def part(visits: int, revenue: Decimal) -> ClubPart:
        return ClubPart(
            visits=visits,
            revenue=asked.amount(revenue),
            avg_order=asked.average(revenue, visits),
            share_of_visits=percent(visits, sums.visits),
            share=percent(revenue, sums.revenue),
            currency_unit=asked.unit,
        )

    return Club(
        first=days[0],
        last=days[1],
        known=part(sums.known_visits, sums.known_revenue),
        unknown=part(sums.visits - sums.known_visits, sums.revenue - sums.known_revenue),
    )


async def dishes(conn: Connection, asked: WantedFigures, days: tuple[date, date]) -> Dishes:
    """Dishes of the months in which these days lie.

    Raises:
        NotFound: a cafe that nobody has told of.
    """
    span = await store.whole_months(conn, asked.cafe_id, days)
    if span is None:
        raise NotFound("cafe", "این کافه")
    rows = await store.dishes(conn, asked.cafe_id, asked.branch_id, span)
    total = sum((row["revenue"] for row in rows), Decimal(0))
    rest = next((row for row in rows if not row["name"]), {"quantity": Decimal(0), "revenue": Decimal(0)})
    return Dishes(
        first=span[0],
        last=span[1],
        counted_at=await store.counted_at(conn, asked.cafe_id, span),
        items=[
            Dish(
                name=row["name"],
                quantity=row["quantity"],
                revenue=asked.amount(row["revenue"]),
                share=percent(row["revenue"], total),
                bills=row["bills"],
                guests=row["guests"],
                repeat_share=percent(row["repeat_guests"], row["guests"]),
                currency_unit=asked.unit,
            )
            for row in rows
            if row["name"]
        ],
        others=OtherLines(quantity=rest["quantity"], revenue=asked.amount(rest["revenue"]), currency_unit=asked.unit),
    )


async def _spans(conn: Connection, asked: WantedFigures, count: int) -> tuple[list[tuple[date, date]], date]:
    spans = await store.last_months(conn, asked.cafe_id, asked.moment, count)
    today = await statistics.local_date(conn, asked.cafe_id, asked.moment)
    if today is None:
        raise NotFound("cafe", "این کافه")
    return spans, today

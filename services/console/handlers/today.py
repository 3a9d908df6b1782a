"""How today goes, beside the same day of last week."""

import asyncio
from dataclasses import dataclass
from datetime import date, timedelta

from services.console.handlers.panels import panel, there
from services.console.models import guests, people, work
from services.console.models.session import Insider
from services.console.rules import roles
from services.console.store import customer, feedback, visit, waiting
from services.console.store.upstream import Away, Upstream

DAYS = 14
FEED = 8


@dataclass(frozen=True)
class TodayPage:
    """What the page of today shows; what could not be asked is `Away`."""

    today: work.TodayFigures | Away
    days: tuple[work.DayNumbers | None, ...] | Away
    figures: work.RatingFigures | Away
    cases: tuple[work.CaseRow, ...] | Away
    visits: work.VisitRows | Away
    birthdays: tuple[guests.GuestCard, ...] | Away


async def show(up: Upstream, here: Insider, day: date) -> TodayPage:
    """The page of `day`, which is today in the cafe: six calls beside each other. Days are for who may see money."""
    access, cafe_id = here.access, here.cafe.cafe_id
    first = day - timedelta(days=DAYS - 1)
    (today, days, visits), (figures, cases, birthdays) = await asyncio.gather(
        asyncio.gather(
            panel(visit.today(up, access, cafe_id)),
            panel(visit.days(up, access, cafe_id, first, day)) if roles.may(here.cafe.role, "see_money") else _none(),
            panel(visit.list_visits(up, access, cafe_id, {"limit": FEED})),
        ),
        asyncio.gather(
            panel(feedback.figures(up, access, cafe_id)),
            panel(feedback.list_cases(up, access, cafe_id, "open", 5)),
            panel(customer.birthdays(up, access, cafe_id, day)),
        ),
    )
    each_day = days if isinstance(days, Away) else _each_day(days, first) if days else ()
    return TodayPage(today, each_day, figures, cases, visits, birthdays)


def days_until(day: date) -> tuple[date, ...]:
    """The days of the chart, the last of them `day`."""
    return tuple(day - timedelta(days=DAYS - 1 - index) for index in range(DAYS))


@dataclass(frozen=True)
class Numbers:
    """The figures of today alone."""

    today: work.TodayFigures | Away
    figures: work.RatingFigures | Away


async def numbers(up: Upstream, here: Insider) -> Numbers:
    """The figures of today, in two calls beside each other."""
    cafe_id = here.cafe.cafe_id
    asked = panel(visit.today(up, here.access, cafe_id)), panel(feedback.figures(up, here.access, cafe_id))
    return Numbers(*await asyncio.gather(*asked))


async def newest(up: Upstream, here: Insider) -> work.VisitRows | Away:
    """The newest visits."""
    return await panel(visit.list_visits(up, here.access, here.cafe.cafe_id, {"limit": FEED}))


async def count_waiting(up: Upstream, here: Insider) -> int | None:
    """How much waits for a second person; None when some service can't be asked."""
    asked = [panel(waiting.list_waiting(up, here.access, each, here.cafe.cafe_id)) for each in waiting.HOLDERS]
    lists = await asyncio.gather(*asked)
    if any(isinstance(each, Away) for each in lists):
        return None
    none: tuple[people.WaitingMatter, ...] = ()
    return sum(len(there(each, none)) for each in lists)


async def _none() -> tuple[work.DayNumbers, ...]:
    return ()


def _each_day(days: tuple[work.DayNumbers, ...], first: date) -> tuple[work.DayNumbers | None, ...]:
    found = {each.stat_date: each for each in days}
    return tuple(found.get(first + timedelta(days=index)) for index in range(DAYS))

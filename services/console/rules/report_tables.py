"""Reports as tables: what the page shows is what the files hold, row by row."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

from services.console.models.reports import (
    CohortFigures,
    DayFigures,
    DishesFigures,
    KnownAndUnknown,
    MonthOfCafe,
    ReturnFigures,
    SideBySide,
    StepOfRatings,
    WeekHours,
)
from services.console.rules.sheets import Cell, Column, Sheet
from services.console.rules.speech import Speech

HOURS = 24
PERCENT = Decimal(100)


class Say(Protocol):
    """A text of the catalogue by its key."""

    def __call__(self, key: str, /, **values: str) -> str: ...


def part(percent: Decimal | None) -> Decimal | None:
    """A share in percent as a part of one, as spreadsheets keep it."""
    return None if percent is None else percent / PERCENT


def money(speech: Speech, say: Say, key: str) -> Column:
    """A column of amounts, with its unit in the title."""
    return Column(f"{say(key)} ({speech.unit_name()})", "amount")


def sheet(speech: Speech, title: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> Sheet:
    """A table in the direction of the language."""
    return Sheet(title, columns, rows, speech.direction == "rtl")


def of_months(months: Sequence[MonthOfCafe], speech: Speech, say: Say) -> Sheet:
    """One row a month, the oldest first."""
    columns = (
        Column(say("reports.month"), "day"),
        Column(say("reports.visits"), "number"),
        money(speech, say, "reports.revenue"),
        money(speech, say, "reports.average"),
        Column(say("reports.guests"), "number"),
        Column(say("reports.new_guests"), "number"),
        Column(say("reports.returning_guests"), "number"),
        Column(say("reports.rating"), "number"),
    )
    rows = [
        (
            speech.month(each.month_starts), each.visits, each.revenue, each.avg_order, each.guests, each.new_guests,
            each.returning_guests, each.avg_rating,
        )
        for each in months
    ]  # fmt: skip
    return sheet(speech, say("report_title.months"), columns, rows)


def of_days(days: Sequence[DayFigures], speech: Speech, say: Say) -> Sheet:
    """One row a day, the newest first: these are looked for."""
    columns = (
        Column(say("reports.day"), "day"),
        Column(say("reports.weekday"), "day"),
        Column(say("reports.visits"), "number"),
        money(speech, say, "reports.revenue"),
        money(speech, say, "reports.average"),
        Column(say("reports.guests"), "number"),
        Column(say("reports.rating"), "number"),
    )
    rows = [
        (
            speech.day_typed(each.stat_date), speech.weekday(each.stat_date), each.total_visits, each.total_revenue,
            each.avg_order_value, each.unique_customers, each.avg_rating,
        )
        for each in reversed(days)
    ]  # fmt: skip
    return sheet(speech, say("report_title.days"), columns, rows)


def of_hours(hours: WeekHours, speech: Speech, say: Say) -> Sheet:
    """One row a weekday and hour with visits, from Saturday on."""
    columns = (
        Column(say("reports.weekday"), "day"),
        Column(say("reports.hour"), "number"),
        Column(say("reports.visits"), "number"),
        money(speech, say, "reports.revenue"),
    )
    rows = [
        (speech.weekday_from_saturday(weekday), hour, each.visits, each.revenue)
        for weekday, day in enumerate(hours.weekdays)
        for hour, each in enumerate(day)
        if each.visits
    ]
    return sheet(speech, say("report_title.hours"), columns, rows)


def of_returns(months: Sequence[ReturnFigures], speech: Speech, say: Say) -> Sheet:
    """One row a month, with how many came again in each window."""
    windows = [each.days for each in months[0].again] if months else []
    columns = (
        Column(say("reports.month"), "day"),
        Column(say("reports.guests"), "number"),
        Column(say("reports.new_guests"), "number"),
        Column(say("reports.returning_guests"), "number"),
        *(Column(say("reports.again_in", n=speech.number(days)), "share") for days in windows),
        *(Column(say("reports.again_new_in", n=speech.number(days)), "share") for days in windows[:1]),
    )
    rows = [
        (
            speech.month(each.month_starts), each.guests, each.new_guests, each.returning_guests,
            *(part(again.share) for again in each.again), *(part(again.share_of_new) for again in each.again[:1]),
        )
        for each in months
    ]  # fmt: skip
    return sheet(speech, say("report_title.return"), columns, rows)


def of_cohorts(cohorts: Sequence[CohortFigures], speech: Speech, say: Say) -> Sheet:
    """One row a cohort, with its share in each month that followed the first."""
    longest = max((len(each.months) for each in cohorts), default=0)
    columns = (
        Column(say("reports.first_month"), "day"),
        Column(say("reports.new_guests"), "number"),
        *(Column(say("reports.months_later", n=speech.number(later)), "share") for later in range(1, longest)),
    )
    rows = [
        (
            speech.month(each.first_month_starts), each.guests,
            *(part(month.share) for month in each.months[1:]), *([None] * (longest - len(each.months))),
        )
        for each in cohorts
    ]  # fmt: skip
    return sheet(speech, say("report_title.cohorts"), columns, rows)


def of_club(club: KnownAndUnknown, speech: Speech, say: Say) -> Sheet:
    """Known guests, and bills of nobody."""
    columns = (
        Column(say("reports.whose")),
        Column(say("reports.visits"), "number"),
        Column(say("reports.share_of_visits"), "share"),
        money(speech, say, "reports.revenue"),
        Column(say("reports.share_of_revenue"), "share"),
        money(speech, say, "reports.average"),
    )
    rows = [
        (word, half.visits, part(half.share_of_visits), half.revenue, part(half.share), half.avg_order)
        for word, half in ((say("reports.known"), club.known), (say("reports.unknown"), club.unknown))
    ]
    return sheet(speech, say("report_title.club"), columns, rows)


def of_branches(side: SideBySide, speech: Speech, say: Say) -> Sheet:
    """One row a branch, the dearest first, and last what belongs to none."""
    columns = (
        Column(say("reports.branch")),
        Column(say("reports.visits"), "number"),
        money(speech, say, "reports.revenue"),
        Column(say("reports.share_of_revenue"), "share"),
        money(speech, say, "reports.average"),
        Column(say("reports.known_visits"), "number"),
        Column(say("reports.rating"), "number"),
    )
    rows = [
        (
            each.name or say("reports.no_branch"), each.visits, each.revenue, part(each.share), each.avg_order,
            each.known_visits, each.avg_rating,
        )
        for each in side.branches
    ]  # fmt: skip
    return sheet(speech, say("report_title.branches"), columns, rows)


def of_dishes(dishes: DishesFigures, speech: Speech, say: Say) -> Sheet:
    """One row a dish, the dearest first, and last all that has no shared name."""
    columns = (
        Column(say("reports.dish")),
        Column(say("reports.quantity"), "number"),
        money(speech, say, "reports.revenue"),
        Column(say("reports.share_of_revenue"), "share"),
        Column(say("reports.bills"), "number"),
        Column(say("reports.guests"), "number"),
        Column(say("reports.repeat"), "share"),
    )
    rows: list[Sequence[Cell]] = [
        (
            each.name, each.quantity, each.revenue, part(each.share), each.bills, each.guests,
            part(each.repeat_share),
        )
        for each in dishes.items
    ]  # fmt: skip
    if dishes.others.quantity:
        rows.append(
            (say("reports.other_dishes"), dishes.others.quantity, dishes.others.revenue, None, None, None, None)
        )
    return sheet(speech, say("report_title.dishes"), columns, rows)


def of_ratings(steps: Sequence[StepOfRatings], speech: Speech, say: Say, *, by_months: bool) -> Sheet:
    """One row a step, the oldest first."""
    columns = (
        Column(say("reports.month") if by_months else say("reports.since_day"), "day"),
        Column(say("reports.responses"), "number"),
        Column(say("reports.rating"), "number"),
        Column(say("reports.low"), "number"),
    )
    rows = [
        (
            speech.month(each.date) if by_months else speech.day_typed(each.date), each.responses, each.average,
            each.low,
        )
        for each in steps
    ]  # fmt: skip
    return sheet(speech, say("report_title.ratings"), columns, rows)

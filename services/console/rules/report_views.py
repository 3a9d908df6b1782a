"""What a report says beside its table: a drawing, one sentence about it, and the numbers of its head."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from services.console.models.reports import (
    CohortFigures,
    DayFigures,
    DishesFigures,
    HourOfWeek,
    KnownAndUnknown,
    MonthOfCafe,
    ReturnFigures,
    SideBySide,
    StepOfRatings,
    WeekHours,
)
from services.console.rules import report_tables as tables
from services.console.rules.report_tables import Say
from services.console.rules.sheets import Sheet
from services.console.rules.speech import Speech

MOST_RANKS = 10
RATINGS = 5
NOTHING = HourOfWeek(0, Decimal(0))


@dataclass(frozen=True)
class Drawing:
    """A chart: its kind, its values, and the word of each. `parts`: what of each value is drawn darker, or lines of
    values; `marks`: short words for below the bars; `shown`: what is written for each value, already in words."""

    kind: Literal["bars", "line", "ranks", "heat", "cohorts", "stacked"]
    values: Sequence[Decimal | int]
    words: Sequence[str]
    parts: Sequence[Decimal | int] = ()
    marks: Sequence[str] = ()
    shown: Sequence[str] = ()
    rows: Sequence[Sequence[Decimal | int | None]] = ()
    columns: Sequence[str] = ()
    legend: tuple[str, str] | None = None


@dataclass(frozen=True)
class Number:
    """A number of the head, and what it is compared with: (words, change in percent or None)."""

    word: str
    value: str
    unit: str = ""
    beside: Sequence[tuple[str, int | None]] = ()


@dataclass(frozen=True)
class Report:
    """One report whole."""

    sheet: Sheet
    says: str
    drawing: Drawing | None
    numbers: Sequence[Number] = ()


def change(now: Decimal | int | None, before: Decimal | int | None) -> int | None:
    """By how much something has grown, in whole percent; None where there was nothing before."""
    if not before or now is None:
        return None
    return round((Decimal(now) - Decimal(before)) * 100 / Decimal(before))


def of_months(months: Sequence[MonthOfCafe], shown: int, speech: Speech, say: Say) -> Report:
    """Months until now. `months` reach a year further back than the `shown` ones, to compare with."""
    last = list(months[-shown:])
    # The running month is not over: what is compared is the one before it.
    whole = [each for each in months if not each.is_running]
    if not any(each.visits for each in last):
        return Report(tables.of_months(last, speech, say), say("reports.nothing"), None)
    this = whole[-1] if whole and whole[-1].visits else months[-1]
    place = next(index for index, each in enumerate(months) if each is this)
    before = months[place - 1] if place >= 1 and months[place - 1].visits else None
    year_before = months[place - 12] if place >= 12 and months[place - 12].visits else None
    best = max(last, key=lambda each: each.revenue)
    said = say("reports.says_months", best=speech.month(best.month_starts), amount=speech.money(best.revenue))
    grown = change(this.revenue, before.revenue) if before and not this.is_running else None
    if grown is not None and before is not None:
        key = "reports.says_more" if grown > 0 else "reports.says_less" if grown < 0 else "reports.says_same"
        said += " " + say(
            key,
            month=speech.month(this.month_starts),
            n=speech.number(abs(grown)),
            before=speech.month(before.month_starts),
        )
    drawing = Drawing(
        "bars",
        [each.revenue for each in last],
        [speech.month(each.month_starts) for each in last],
        marks=[speech.month(each.month_starts, year=False) for each in last],
        shown=[speech.money(each.revenue) for each in last],
    )
    return Report(tables.of_months(last, speech, say), said, drawing, _numbers(this, before, year_before, speech, say))


def _numbers(
    this: MonthOfCafe, before: MonthOfCafe | None, year_before: MonthOfCafe | None, speech: Speech, say: Say
) -> tuple[Number, ...]:
    def beside(name: str) -> list[tuple[str, int | None]]:
        found = []
        for word, other in ((say("reports.month_before"), before), (say("reports.year_before"), year_before)):
            if other is not None and getattr(other, name) is not None:
                grown = None if this.is_running else change(getattr(this, name), getattr(other, name))
                found.append((f"{word}: {speech.number(round(getattr(other, name)))}", grown))
        return found

    month = speech.month(this.month_starts)
    return (
        Number(
            f"{say('reports.revenue')} · {month}", speech.number(this.revenue), speech.unit_name(), beside("revenue")
        ),
        Number(say("reports.visits"), speech.number(this.visits), "", beside("visits")),
        Number(
            say("reports.average"), speech.number(round(this.avg_order)) if this.avg_order is not None else "—",
            speech.unit_name(), [(word, grown) for word, grown in beside("avg_order")],
        ),
        Number(say("reports.new_guests"), speech.number(this.new_guests), "", beside("new_guests")),
    )  # fmt: skip


def of_days(days: Sequence[DayFigures], speech: Speech, say: Say) -> Report:
    """Day by day, with the best of them."""
    made = tables.of_days(days, speech, say)
    if not days:
        return Report(made, say("reports.nothing"), None)
    best = max(days, key=lambda each: each.total_revenue)
    said = say(
        "reports.says_days",
        n=speech.number(len(days)),
        day=f"{speech.weekday(best.stat_date)} {speech.day(best.stat_date)}",
        amount=speech.money(best.total_revenue),
    )
    drawing = Drawing(
        "line", [each.total_revenue for each in days], [speech.day(each.stat_date, year=False) for each in days]
    )
    return Report(made, said, drawing)


def of_hours(hours: WeekHours, speech: Speech, say: Say) -> Report:
    """Hours down, weekdays across, as a week's calendar is read; only hours in which anybody ever came."""
    made = tables.of_hours(hours, speech, say)
    busy = [hour for hour in range(tables.HOURS) if any(day[hour].visits for day in hours.weekdays)]
    if not busy:
        return Report(made, say("reports.nothing"), None)
    weekday, hour = max(
        ((weekday, hour) for weekday in range(len(hours.weekdays)) for hour in busy),
        key=lambda place: hours.weekdays[place[0]][place[1]].visits,
    )
    quiet = min(range(len(hours.weekdays)), key=lambda day: sum(each.visits for each in hours.weekdays[day]))
    said = say(
        "reports.says_hours",
        day=speech.weekday_from_saturday(weekday),
        hour=speech.number(hour),
        n=speech.number(hours.weekdays[weekday][hour].visits),
        quiet=speech.weekday_from_saturday(quiet),
    )
    between = range(busy[0], busy[-1] + 1)
    drawing = Drawing(
        "heat",
        (),
        [speech.digits(f"{each}:00") for each in between],
        rows=[[day[each].visits for day in hours.weekdays] for each in between],
        columns=[speech.weekday_from_saturday(day) for day in range(len(hours.weekdays))],
    )
    return Report(made, said, drawing)


def of_returns(months: Sequence[ReturnFigures], speech: Speech, say: Say) -> Report:
    """How many of each month's guests came again within the shortest time, where that is known."""
    made = tables.of_returns(months, speech, say)
    known = [(each, each.again[0]) for each in months if each.again[0].share is not None]
    if not known:
        return Report(made, say("reports.not_known_yet"), None)
    last, again = known[-1]
    said = say(
        "reports.says_return",
        month=speech.month(last.month_starts),
        share=speech.number(round(again.share or 0)),
        days=speech.number(again.days),
    )
    if again.share_of_new is not None and again.share_of_returning is not None:
        said += " " + say(
            "reports.says_return_new",
            new=speech.number(round(again.share_of_new)),
            others=speech.number(round(again.share_of_returning)),
        )
    drawing = Drawing(
        "bars",
        [each.share or Decimal(0) for _, each in known],
        [speech.month(each.month_starts) for each, _ in known],
        marks=[speech.month(each.month_starts, year=False) for each, _ in known],
        shown=[say("app.percent", n=speech.tenths(each.share or Decimal(0))) for _, each in known],
    )
    return Report(made, said, drawing)


def of_cohorts(cohorts: Sequence[CohortFigures], speech: Speech, say: Say) -> Report:
    """Of each month's new guests, how many came in each month after."""
    made = tables.of_cohorts(cohorts, speech, say)
    followed = [each for each in cohorts if len(each.months) > 1]
    if not followed:
        return Report(made, say("reports.not_known_yet"), None)
    # The running month is not over, so the newest that can be compared is the last but one.
    judged = next((each for each in reversed(followed) if len(each.months) > 2), followed[-1])
    said = say(
        "reports.says_cohorts",
        n=speech.number(judged.guests),
        month=speech.month(judged.first_month_starts),
        share=speech.number(round(judged.months[1].share)),
    )
    longest = max(len(each.months) for each in cohorts)
    drawing = Drawing(
        "cohorts",
        [each.guests for each in cohorts],
        [speech.month(each.first_month_starts) for each in cohorts],
        rows=[
            [*(round(month.share) for month in each.months[1:]), *([None] * (longest - len(each.months)))]
            for each in cohorts
        ],
        columns=[speech.number(later) for later in range(1, longest)],
    )
    return Report(made, said, drawing)


def of_club(club: KnownAndUnknown, speech: Speech, say: Say) -> Report:
    """Which part of the revenue is of guests one knows."""
    made = tables.of_club(club, speech, say)
    if not club.known.visits + club.unknown.visits:
        return Report(made, say("reports.nothing"), None)
    said = say("reports.says_club", share=speech.number(round(club.known.share or 0)))
    grown = change(club.known.avg_order, club.unknown.avg_order)
    if grown is not None and grown != 0:
        said += " " + say(
            "reports.says_club_more" if grown > 0 else "reports.says_club_less", n=speech.number(abs(grown))
        )
    drawing = Drawing(
        "stacked",
        [club.known.revenue, club.unknown.revenue],
        [say("reports.known"), say("reports.unknown")],
        shown=[speech.money(club.known.revenue), speech.money(club.unknown.revenue)],
    )
    return Report(made, said, drawing)


def of_branches(side: SideBySide, speech: Speech, say: Say) -> Report:
    """Branches by their revenue."""
    made = tables.of_branches(side, speech, say)
    taking = [each for each in side.branches if each.visits]
    if not taking:
        return Report(made, say("reports.nothing"), None)
    best = max(taking, key=lambda each: each.revenue)
    said = say(
        "reports.says_branches",
        branch=best.name or say("reports.no_branch"),
        share=speech.number(round(best.share or 0)),
    )
    drawing = Drawing(
        "ranks",
        [each.revenue for each in taking],
        [each.name or say("reports.no_branch") for each in taking],
        shown=[speech.money(each.revenue) for each in taking],
    )
    return Report(made, said, drawing)


def of_dishes(dishes: DishesFigures, speech: Speech, say: Say) -> Report:
    """The dishes that bring most."""
    made = tables.of_dishes(dishes, speech, say)
    if not dishes.items:
        return Report(made, say("reports.nothing"), None)
    first = dishes.items[0]
    said = say("reports.says_dishes", dish=first.name, share=speech.number(round(first.share or 0)))
    asked = [each for each in dishes.items if each.guests >= RATINGS and each.repeat_share]
    if asked:
        loved = max(asked, key=lambda each: each.repeat_share or 0)
        said += " " + say("reports.says_repeat", dish=loved.name, share=speech.number(round(loved.repeat_share or 0)))
    top = dishes.items[:MOST_RANKS]
    drawing = Drawing(
        "ranks",
        [each.revenue for each in top],
        [each.name for each in top],
        shown=[speech.money(each.revenue) for each in top],
    )
    return Report(made, said, drawing)


def of_ratings(steps: Sequence[StepOfRatings], speech: Speech, say: Say, *, by_months: bool) -> Report:
    """How many stars, and how many low ones, step by step."""
    made = tables.of_ratings(steps, speech, say, by_months=by_months)
    responses = sum(each.responses for each in steps)
    if not responses:
        return Report(made, say("reports.no_ratings"), None)
    stars = sum(((each.average or Decimal(0)) * each.responses for each in steps), Decimal(0))
    low = sum(each.low for each in steps)
    said = say(
        "reports.says_ratings",
        n=speech.number(responses),
        average=speech.number(round(stars / responses, 1)),
        low=speech.number(low),
    )
    words = [speech.month(each.date) if by_months else speech.day(each.date, year=False) for each in steps]
    drawing = Drawing(
        "bars",
        [each.responses for each in steps],
        words,
        parts=[each.low for each in steps],
        marks=[speech.month(each.date, year=False) for each in steps] if by_months else words,
        shown=[
            speech.number(each.responses) if each.average is None
            else f"{speech.number(each.responses)} · {speech.number(each.average)}"
            for each in steps
        ],
        legend=(say("reports.responses"), say("reports.low")),
    )  # fmt: skip
    return Report(made, said, drawing)

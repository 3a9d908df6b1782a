"""One month as a person of the cafe sees it on a wall: in the cafe's calendar, week by week."""

from dataclasses import dataclass
from datetime import date, timedelta

from services.console.rules.speech import Speech
from shared.persian.calendar import month_of

# The first day of the week, as `date.weekday` counts: Saturday, and Monday.
_FIRST = {"jalali": 5, "gregorian": 0}
# A guest may be this old; the months of a hundred years are reached by the year.
YEARS = 100
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class DayOfMonth:
    """A day to be chosen: its number, and how it is typed."""

    number: str
    typed: str
    spoken: str
    is_today: bool


@dataclass(frozen=True)
class MonthGrid:
    """The month of a page. `before`, `after`: a day of the month beside it. `years`: each with a day of this month."""

    title: str
    weekdays: tuple[str, ...]
    weeks: tuple[tuple[DayOfMonth | None, ...], ...]
    before: date
    after: date
    years: tuple[tuple[str, date], ...]
    year: str


def month_grid(speech: Speech, shown: date, today: date) -> MonthGrid:
    """The month of the day `shown`."""
    first, last = month_of(shown, speech.calendar)
    days = [first + index * _DAY for index in range((last - first).days + 1)]
    lead = (first.weekday() - _FIRST[speech.calendar]) % 7
    cells: list[DayOfMonth | None] = [None] * lead + [_cell(speech, day, today) for day in days]
    cells += [None] * (-len(cells) % 7)
    start = first - lead * _DAY
    return MonthGrid(
        speech.day(first).partition(" ")[2],
        tuple(speech.weekday(start + index * _DAY) for index in range(7)),
        tuple(tuple(cells[index : index + 7]) for index in range(0, len(cells), 7)),
        first - _DAY,
        last + _DAY,
        _years(speech, first, today),
        speech.day(first).rpartition(" ")[2],
    )


def _cell(speech: Speech, day: date, today: date) -> DayOfMonth:
    spoken = f"{speech.weekday(day)} {speech.day(day)}"
    return DayOfMonth(speech.day(day).partition(" ")[0], speech.day_typed(day), spoken, day == today)


def _years(speech: Speech, first: date, today: date) -> tuple[tuple[str, date], ...]:
    # Fifteen days in, so that a year of 365.2425 days always ends in the same month.
    middle = first + 15 * _DAY
    ahead = today.year + 1 - first.year
    each = (middle + timedelta(days=round(365.2425 * offset)) for offset in range(ahead, ahead - YEARS - 1, -1))
    return tuple((speech.day(day).rpartition(" ")[2], day) for day in each)

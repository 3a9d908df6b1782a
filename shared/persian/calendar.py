"""The cafe's calendar: local days, Jalali and Gregorian months and years, birthdays.

Two kinds of answers: `*_of` gives first and last day, both inclusive; `day_bounds` gives the moments
[start, end) in the cafe's time zone. Months and years are cached, because loyalty asks for them once per visit.
"""

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, Literal, get_args
from zoneinfo import ZoneInfo

from persiantools.jdatetime import JalaliDate

from shared.persian.text import persian_digits

Calendar = Literal["jalali", "gregorian"]
CALENDARS: Final[tuple[Calendar, ...]] = get_args(Calendar)
DaySpan = tuple[date, date]
MomentSpan = tuple[datetime, datetime]
MonthDay = tuple[int, int]

_DAY = timedelta(days=1)


def local_date(moment: datetime, tz: str) -> date:
    """The day on the cafe's wall at `moment` (aware), in the IANA time zone `tz`.

    Raises:
        ValueError: `moment` has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    return moment.astimezone(ZoneInfo(tz)).date()


@lru_cache(maxsize=8192)
def month_of(day: date, calendar: Calendar) -> DaySpan:
    """First and last day (inclusive) of the month of `day`."""
    if calendar == "gregorian":
        first = day.replace(day=1)
        return first, (first + 31 * _DAY).replace(day=1) - _DAY
    year, month, month_day = _jalali(day)
    first = day - (month_day - 1) * _DAY
    return first, first + (_jalali_month_length(year, month) - 1) * _DAY


@lru_cache(maxsize=8192)
def year_of(day: date, calendar: Calendar) -> DaySpan:
    """First and last day (inclusive) of the year of `day`; a Jalali year starts on 1 Farvardin."""
    if calendar == "gregorian":
        return date(day.year, 1, 1), date(day.year, 12, 31)
    year = _jalali(day)[0]
    return _from_jalali(year, 1, 1), _from_jalali(year + 1, 1, 1) - _DAY


@lru_cache(maxsize=8192)
def year_number(day: date, calendar: Calendar) -> int:
    """The number of the year of `day`, such as 1405 or 2026."""
    return day.year if calendar == "gregorian" else _jalali(day)[0]


def day_bounds(day: date, tz: str) -> MomentSpan:
    """Moments [start, end) of the local `day`."""
    zone = ZoneInfo(tz)
    return datetime.combine(day, time(), zone), datetime.combine(day + _DAY, time(), zone)


@lru_cache(maxsize=8192)
def month_day(day: date, calendar: Calendar) -> MonthDay:
    """Month and day numbers of `day`: what a birthday is kept as for the daily birthday job."""
    return (day.month, day.day) if calendar == "gregorian" else _jalali(day)[1:]


def celebrated_on(day: date, calendar: Calendar) -> tuple[MonthDay, ...]:
    """Month and day numbers of the birthdays kept on `day`.

    On the last day of a common year's Esfand (or February) that includes the leap day's, so that a guest born
    on 30 Esfand has a birthday every year.
    """
    own = month_day(day, calendar)
    leap_day: MonthDay = (12, 30) if calendar == "jalali" else (2, 29)
    eve = (leap_day[0], leap_day[1] - 1)
    return (own, leap_day) if own == eve and month_of(day, calendar)[1] == day else (own,)


def format_date(day: date, calendar: Calendar = "jalali") -> str:
    """`day` for a guest to read, in Persian digits: year/month/day of `calendar`."""
    year, month, month_day = _jalali(day) if calendar == "jalali" else (day.year, day.month, day.day)
    return persian_digits(f"{year:04}/{month:02}/{month_day:02}")


def _jalali(day: date) -> tuple[int, int, int]:
    jalali = JalaliDate(day)  # type: ignore[no-untyped-call]
    return jalali.year, jalali.month, jalali.day


def _from_jalali(year: int, month: int, day: int) -> date:
    return JalaliDate(year, month, day).to_gregorian()  # type: ignore[no-untyped-call]


def _jalali_month_length(year: int, month: int) -> int:
    return JalaliDate.days_in_month(month, year)

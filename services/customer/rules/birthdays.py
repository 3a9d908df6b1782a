"""Who has a birthday on a given day, asked of an index on the date of birth."""

from datetime import date, timedelta
from functools import lru_cache

from shared.persian.calendar import Calendar, celebrated_on, month_day

OLDEST_YEARS = 120


@lru_cache(maxsize=128)
def birth_dates(day: date, calendar: Calendar) -> tuple[date, ...]:
    """Every date of the last 120 years on which a guest celebrating on `day` may have been born."""
    wanted = celebrated_on(day, calendar)
    found = []
    for years in range(OLDEST_YEARS + 1):
        # A Jalali day wanders by at most two days against the solar year, a leap day's birthday by one more.
        near = day - timedelta(days=round(years * 365.2425))
        found += [born for shift in range(-3, 4) if month_day(born := near + timedelta(days=shift), calendar) in wanted]
    return tuple(sorted({born for born in found if born <= day}))

"""The cafe's calendar at its difficult places: month and year ends, leap days, the border of the local day."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.persian import calendar

TEHRAN = "Asia/Tehran"
DAYS = st.dates(date(1990, 1, 1), date(2060, 12, 31))
CALENDARS = st.sampled_from(calendar.CALENDARS)


@pytest.mark.parametrize(
    ("day", "first", "last"),
    [
        (date(2025, 3, 20), date(2024, 3, 20), date(2025, 3, 20)),  # 30 Esfand 1403
        (date(2025, 3, 21), date(2025, 3, 21), date(2026, 3, 20)),  # 1 Farvardin 1404
        (date(2026, 3, 20), date(2025, 3, 21), date(2026, 3, 20)),  # 29 Esfand 1404: no leap year
        (date(2026, 3, 21), date(2026, 3, 21), date(2027, 3, 20)),  # 1 Farvardin 1405
        (date(2058, 3, 20), date(2057, 3, 20), date(2058, 3, 20)),  # 30 Esfand 1436; a common approximation says 1437
    ],
)
def test_year_of_jalali_year_ends(day: date, first: date, last: date) -> None:
    assert calendar.year_of(day, "jalali") == (first, last)


@pytest.mark.parametrize(
    ("day", "first", "last"),
    [
        (date(2025, 3, 20), date(2025, 2, 19), date(2025, 3, 20)),  # Esfand 1403, 30 days
        (date(2026, 3, 1), date(2026, 2, 20), date(2026, 3, 20)),  # Esfand 1404, 29 days
        (date(2025, 9, 22), date(2025, 8, 23), date(2025, 9, 22)),  # Shahrivar, 31 days
        (date(2025, 9, 23), date(2025, 9, 23), date(2025, 10, 22)),  # Mehr, 30 days
    ],
)
def test_month_of_jalali_month_ends(day: date, first: date, last: date) -> None:
    assert calendar.month_of(day, "jalali") == (first, last)


def test_month_of_gregorian_month_ends() -> None:
    assert calendar.month_of(date(2024, 2, 29), "gregorian") == (date(2024, 2, 1), date(2024, 2, 29))
    assert calendar.month_of(date(2025, 12, 31), "gregorian") == (date(2025, 12, 1), date(2025, 12, 31))


@given(day=DAYS, kind=CALENDARS)
def test_months_and_years_tile_the_days(day: date, kind: calendar.Calendar) -> None:
    for span in (calendar.month_of, calendar.year_of):
        first, last = span(day, kind)
        assert first <= day <= last
        assert span(first, kind) == span(last, kind) == (first, last)
        assert span(last + timedelta(days=1), kind)[0] == last + timedelta(days=1)


def test_local_date_turns_at_the_cafes_midnight() -> None:
    before = datetime(2025, 3, 20, 20, 29, 59, tzinfo=UTC)
    assert calendar.local_date(before, TEHRAN) == date(2025, 3, 20)
    assert calendar.local_date(before + timedelta(seconds=1), TEHRAN) == date(2025, 3, 21)


def test_local_date_knows_that_tehran_has_no_summer_time_any_more() -> None:
    assert calendar.local_date(datetime(2026, 7, 1, 20, 29, tzinfo=UTC), TEHRAN) == date(2026, 7, 1)
    assert calendar.local_date(datetime(2022, 7, 1, 19, 31, tzinfo=UTC), TEHRAN) == date(2022, 7, 2)


def test_local_date_refuses_a_moment_without_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        calendar.local_date(datetime(2025, 3, 20), TEHRAN)  # noqa: DTZ001


def test_bounds_are_half_open_moments() -> None:
    start, end = calendar.day_bounds(date(2025, 3, 20), TEHRAN)
    assert start.astimezone(UTC) == datetime(2025, 3, 19, 20, 30, tzinfo=UTC)
    assert end.astimezone(UTC) == datetime(2025, 3, 20, 20, 30, tzinfo=UTC)


def test_birthday_on_30_esfand_comes_every_year() -> None:
    born = date(2025, 3, 20)
    assert calendar.month_day(born, "jalali") == (12, 30)
    assert calendar.celebrated_on(date(2026, 3, 20), "jalali") == ((12, 29), (12, 30))
    assert calendar.celebrated_on(date(2025, 3, 19), "jalali") == ((12, 29),)
    assert calendar.celebrated_on(date(2025, 3, 20), "jalali") == ((12, 30),)


def test_birthday_on_29_february_comes_every_year() -> None:
    assert calendar.celebrated_on(date(2025, 2, 28), "gregorian") == ((2, 28), (2, 29))
    assert calendar.celebrated_on(date(2024, 2, 28), "gregorian") == ((2, 28),)


@given(born=DAYS, year=DAYS, kind=CALENDARS)
def test_birthday_comes_once_a_year(born: date, year: date, kind: calendar.Calendar) -> None:
    wanted = calendar.month_day(born, kind)
    first, last = calendar.year_of(year, kind)
    days = (first + timedelta(days=ahead) for ahead in range((last - first).days + 1))
    assert sum(wanted in calendar.celebrated_on(day, kind) for day in days) == 1


def test_format_date_in_persian_digits() -> None:
    assert calendar.format_date(date(2025, 3, 20)) == "۱۴۰۳/۱۲/۳۰"
    assert calendar.format_date(date(2025, 3, 20), "gregorian") == "۲۰۲۵/۰۳/۲۰"

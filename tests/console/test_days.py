"""Days as people type and choose them: any digits, either calendar, a month of the cafe's own."""

from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qs
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.console.api.forms import typed_day, typed_moment
from services.console.models import work
from services.console.models.http import VisitFilter
from services.console.rules.month import month_grid
from services.console.rules.speech import Speech
from services.console.store.upstream import RefusedCall
from tests.console.house import CAFE, console

TODAY = date(2026, 11, 30)
SPEECHES = [Speech("fa", "jalali"), Speech("en", "jalali"), Speech("fa", "gregorian"), Speech("en", "gregorian")]


@pytest.mark.parametrize("typed", ["1405/9/8", "۱۴۰۵/۰۹/۰۸", "٢٠٢٦-١١-٢٩", " 2026-11-29 ", "1405.9.8"])
def test_a_day_is_read_in_any_digits_and_either_calendar(typed: str) -> None:
    assert typed_day("day", typed) == date(2026, 11, 29)


@pytest.mark.parametrize("typed", ["", "tomorrow", "1405/13/1", "1405/9/31", "8/9"])
def test_what_is_no_day_is_refused_with_the_field_and_the_way_to_write_it(typed: str) -> None:
    with pytest.raises(RefusedCall) as caught:
        typed_day("until", typed)
    [fault] = caught.value.faults
    assert (fault.field, caught.value.status) == ("until", 422)
    assert "۱۴۰۵" in fault.fa
    assert "2026" in fault.en


@pytest.mark.parametrize(
    ("clock", "hour", "minute"), [("18:30", 18, 30), ("۹:۰۵", 9, 5), ("7", 7, 0), ("۱۸٫۳۰", 18, 30)]
)
def test_a_moment_is_that_on_the_cafes_wall(clock: str, hour: int, minute: int) -> None:
    found = typed_moment("day", "1405/9/8", "clock", clock, "Asia/Tehran")
    assert found.astimezone(UTC) == datetime(2026, 11, 29, hour, minute, tzinfo=UTC) - timedelta(hours=3, minutes=30)


@pytest.mark.parametrize("clock", ["", "25:00", "18:60", "noon"])
def test_what_is_no_time_is_refused(clock: str) -> None:
    with pytest.raises(RefusedCall) as caught:
        typed_moment("day", "1405/9/8", "clock", clock, "Asia/Tehran")
    assert [each.field for each in caught.value.faults] == ["clock"]


# From the year on that a day of a bill may have; birthdays are read by the customer service.
@given(st.dates(date(2000, 2, 1), date(2060, 1, 1)), st.sampled_from(SPEECHES))
def test_a_month_has_each_of_its_days_once_under_its_own_weekday(shown: date, speech: Speech) -> None:
    grid = month_grid(speech, shown, TODAY)
    days = [typed_day("day", each.typed) for week in grid.weeks for each in week if each]
    assert shown in days
    assert days == [days[0] + timedelta(days=index) for index in range(len(days))]
    assert (grid.before, grid.after) == (days[0] - timedelta(days=1), days[-1] + timedelta(days=1))
    for week in grid.weeks:
        for name, each in zip(grid.weekdays, week, strict=True):
            assert each is None or speech.weekday(typed_day("day", each.typed)) == name


@pytest.mark.parametrize("speech", SPEECHES)
@pytest.mark.parametrize("shown", [date(2026, 3, 20), date(2026, 3, 21), date(1991, 12, 31), TODAY])
def test_another_year_is_the_same_month(speech: Speech, shown: date) -> None:
    grid = month_grid(speech, shown, TODAY)
    assert grid.year in dict(grid.years)
    names = {month_grid(speech, day, TODAY).title.rpartition(" ")[0] for _, day in grid.years}
    assert names == {grid.title.rpartition(" ")[0]}
    assert len(dict(grid.years)) == len(grid.years)


async def test_the_month_is_a_part_that_fills_the_field_it_was_opened_for() -> None:
    async with console("staff") as (client, told, _):
        part = (await client.get(f"/c/{CAFE}/month", params={"field": "f-birthday", "shown": "1991-11-29"})).text
        assert 'data-fill="f-birthday" data-value="۱۳۷۰/۰۹/۰۸"' in part
        assert [each[2] for each in told.asked] == ["/me"]
        answer = await client.get(f"/c/{CAFE}/month", params={"field": "f'x"})
        assert answer.status_code == 422


async def test_visits_are_narrowed_by_days_that_people_type_and_every_page_keeps_it() -> None:
    rows = work.VisitRows((), (datetime(2026, 11, 28, tzinfo=UTC).isoformat(), UUID(int=7)))
    async with console() as (client, told, _):
        told.answers[f"/cafes/{CAFE}/visits"] = rows
        asked = {"since": "1405/9/8", "until": "۱۴۰۵/۹/۸", "receipt": "42", "nameless": "true", "branch": ""}
        answer = await client.get(f"/c/{CAFE}/visits", params=asked)
        assert answer.status_code == 200
        [sent] = [each[3]["params"] for each in told.asked if each[2].endswith("/visits")]
        assert (sent["since"], sent["before"]) == ("2026-11-29T00:00:00+03:30", "2026-11-30T00:00:00+03:30")
        assert (sent["receipt_number"], sent["unknown_guest"], "branch_id" in sent) == ("42", "true", False)
        refused = await client.get(f"/c/{CAFE}/visits", params={"since": "yesterday"})
        assert refused.status_code == 422
        assert "۱۴۰۵" in refused.text
        kept = VisitFilter(receipt="a&b", since="1405/9/8").address(voided=True)
        assert parse_qs(kept) == {"receipt": ["a&b"], "since": ["1405/9/8"], "voided": ["true"]}

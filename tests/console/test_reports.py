"""Reports in the console: what the APIs tell, as pages and as files."""

import csv
import io
import re
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import msgspec
import openpyxl
import pytest

from services.console.api.rendering import catalogue
from services.console.models import reports as figures
from services.console.rules import report_views as views
from services.console.rules.report_range import SECTIONS, span_of
from services.console.rules.speech import Speech
from services.console.store.upstream import Away, RefusedCall
from shared.clock import new_id
from shared.persian.calendar import month_of
from tests.console.house import CAFE, console

NAME = '=HYPERLINK("http://x","قهوه")'
BRANCH = new_id()
TODAY = date(2026, 11, 30)
PERSIAN = Speech()


def say(key: str, /, **values: str) -> str:
    return catalogue().say("fa", key, **values)


def a_month(starts: date, n: int, *, running: bool = False) -> figures.MonthOfCafe:
    return figures.MonthOfCafe(
        starts, running, 10 * n, Decimal(1000 * n), Decimal(100) if n else None, Decimal("4.50"), n, n // 2, n - n // 2
    )


def some_months(count: int) -> tuple[figures.MonthOfCafe, ...]:
    starts = [month_of(TODAY, "jalali")[0]]
    while len(starts) < count:
        starts.append(month_of(starts[-1] - timedelta(days=1), "jalali")[0])
    return tuple(a_month(each, place + 1, running=place == count - 1) for place, each in enumerate(reversed(starts)))


def again(share: str | None) -> tuple[figures.CameAgain, ...]:
    known = None if share is None else Decimal(share)
    return (
        figures.CameAgain(30, known, known, known),
        figures.CameAgain(60, None, None, None),
        figures.CameAgain(90, None, None, None),
    )


def answers() -> dict[str, Any]:
    """What the APIs say, by path."""
    hour = figures.HourOfWeek
    week = tuple(tuple(hour(day * 10 + at if 8 <= at < 22 else 0, Decimal(0)) for at in range(24)) for day in range(7))
    months = some_months(3)
    cells = [
        figures.CohortCell(each.month_starts, 4 - place, Decimal(100 - 25 * place)) for place, each in enumerate(months)
    ]
    half = figures.ClubHalf
    return {
        "statistics/months": some_months(24),
        "statistics/days": (
            figures.DayFigures(date(2026, 11, 29), 3, 4, Decimal(740000), Decimal(185000), Decimal("4.50")),
            figures.DayFigures(date(2026, 11, 30), 0, 1, Decimal(90000), Decimal(90000), None),
        ),
        "statistics/hours": figures.WeekHours(date(2026, 10, 1), date(2026, 11, 29), week),
        "statistics/return": tuple(
            figures.ReturnFigures(each.month_starts, 8, 5, 3, again("37.50" if place < 2 else None))
            for place, each in enumerate(months)
        ),
        "statistics/cohorts": tuple(
            figures.CohortFigures(each.month_starts, 4, tuple(cells[: len(months) - place]))
            for place, each in enumerate(months)
        ),
        "statistics/club": figures.KnownAndUnknown(
            half(6, Decimal(900), Decimal(150), Decimal("60.00"), Decimal("75.00")),
            half(4, Decimal(300), Decimal(75), Decimal("40.00"), Decimal("25.00")),
        ),
        "statistics/branches": figures.SideBySide(
            (
                figures.BranchFigures(BRANCH, NAME, 6, Decimal(900), Decimal(150), None, 5, Decimal("75.00")),
                figures.BranchFigures(new_id(), "تجریش", 0, Decimal(0), None, None, 0, Decimal("0.00")),
                figures.BranchFigures(None, None, 4, Decimal(300), Decimal(75), None, 1, Decimal("25.00")),
            )
        ),
        "statistics/items": figures.DishesFigures(
            date(2026, 10, 23),
            date(2026, 12, 21),
            (
                figures.DishFigures(NAME, Decimal("2.5"), Decimal(900), Decimal("75.00"), 3, 6, Decimal("50.00")),
                figures.DishFigures("چای", Decimal(9), Decimal(300), Decimal("25.00"), 9, 0, None),
            ),
            figures.OtherDishes(Decimal(1), Decimal(40)),
        ),
        "feedback/series": (
            figures.StepOfRatings(date(2026, 10, 23), 4, Decimal("4.50"), 0),
            figures.StepOfRatings(date(2026, 11, 22), 2, Decimal("1.50"), 2),
        ),
    }


@pytest.fixture
async def manager() -> Any:
    async with console("manager") as (client, told, _):
        told.answers |= {f"/cafes/{CAFE}/{path}": answer for path, answer in answers().items()}
        yield client, told


@pytest.mark.parametrize("section", [each.key for each in SECTIONS])
async def test_every_report_is_a_page_and_two_files_that_say_the_same(manager: Any, section: str) -> None:
    client, told = manager
    page = await client.get(f"/c/{CAFE}/reports/{section}")
    assert page.status_code == 200
    assert say(f"report_title.{section}") in page.text
    assert len(told.asked) <= 8
    files = {kind: await client.get(f"/c/{CAFE}/reports/{section}.{kind}") for kind in ("csv", "xlsx")}
    for kind, answer in files.items():
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "private, no-store"), kind
        name = unquote(answer.headers["content-disposition"].partition("UTF-8''")[2])
        assert name.startswith(f"کافه {say(f'report_title.{section}')}")
        assert name.endswith(f".{kind}")
    lines = list(csv.reader(io.StringIO(files["csv"].content.decode("utf-8-sig"), newline="")))
    [sheet] = openpyxl.load_workbook(io.BytesIO(files["xlsx"].content)).worksheets
    assert sheet.sheet_view.rightToLeft
    rows = list(sheet.iter_rows())
    assert len(lines) == len(rows) > 1
    for line, row in zip(lines, rows, strict=True):
        for text, cell in zip(line, row, strict=True):
            assert cell.data_type in ("s", "n")
            if isinstance(cell.value, str):
                assert text.removeprefix("'") == cell.value
            else:
                assert (Decimal(text) if text else None) == (None if cell.value is None else Decimal(str(cell.value)))
    assert not [text for line in lines for text in line if re.match(r"[=+@\t-](?!\d)", text)]


async def test_range_and_branch_live_in_the_address_and_reach_the_api(manager: Any) -> None:
    client, told = manager
    page = await client.get(f"/c/{CAFE}/reports/club?months=3&branch={BRANCH}")
    [asked] = [more["params"] for _, _, path, more in told.asked if path.endswith("/club")]
    first = date.fromisoformat(asked["from"])
    assert asked["branch_id"] == str(BRANCH)
    assert month_of(first, "jalali")[0] == first
    assert f"/reports/club.csv?months=3&amp;branch={BRANCH}" in page.text
    assert f"/reports/dishes?months=3&amp;branch={BRANCH}" in page.text
    # What is of the whole cafe does not pretend to be of a branch.
    page = await client.get(f"/c/{CAFE}/reports/return?months=3&branch={BRANCH}")
    assert say("reports.whole_cafe") in page.text
    assert 'aria-current="true"><bdi>' not in page.text


async def test_report_of_a_service_that_is_away_says_so(manager: Any) -> None:
    client, told = manager
    told.answers[f"/cafes/{CAFE}/feedback/series"] = Away("feedback")
    page = await client.get(f"/c/{CAFE}/reports/ratings")
    assert (page.status_code, say("trouble.panel") in page.text) == (200, True)
    assert (await client.get(f"/c/{CAFE}/reports/ratings.csv")).status_code == 503


async def test_who_may_not_see_reports_is_told(manager: Any) -> None:
    client, told = manager
    for path in answers():
        told.answers[f"/cafes/{CAFE}/{path}"] = RefusedCall(403, "forbidden", "no", "نه", (), 0)
    assert (await client.get(f"/c/{CAFE}/reports")).status_code == 403
    assert (await client.get(f"/c/{CAFE}/reports/months.xlsx")).status_code == 403


async def test_there_are_no_other_reports(manager: Any) -> None:
    client, _ = manager
    for path in ("reports/secrets", "reports/months.pdf", "reports/months?branch=x"):
        assert (await client.get(f"/c/{CAFE}/{path}")).status_code in (404, 422), path


def test_span_is_whole_months_of_the_calendar() -> None:
    assert span_of(1, TODAY, "jalali").first == date(2026, 11, 22)
    assert span_of(3, TODAY, "gregorian").first == date(2026, 9, 1)
    assert span_of(12, TODAY, "gregorian").first == date(2025, 12, 1)
    assert span_of(7, TODAY, "gregorian").months == 12
    assert (span_of(1, TODAY, "jalali").weeks, span_of(24, TODAY, "jalali").weeks) == (4, 101)
    assert [span_of(each, TODAY, "jalali").rating_step for each in (1, 3, 6)] == ["day", "week", "month"]


@pytest.mark.parametrize(("now", "before", "grown"), [(110, 100, 10), (50, 100, -50), (5, 0, None), (None, 5, None)])
def test_change(now, before, grown) -> None:
    assert views.change(now, before) == grown


def test_months_are_compared_with_the_last_whole_ones() -> None:
    months = some_months(24)
    report = views.of_months(months, 12, PERSIAN, say)
    assert report.numbers[0].value == PERSIAN.number(months[-2].revenue)
    words = [word for word, _ in report.numbers[0].beside]
    assert words == [
        f"ماه پیش: {PERSIAN.number(months[-3].revenue)}", f"سال پیش: {PERSIAN.number(months[-14].revenue)}",
    ]  # fmt: skip
    assert [grown for _, grown in report.numbers[0].beside] == [5, 109]
    assert "آبان ۱۴۰۵ نسبت به مهر ۱۴۰۵ ۵٪ بیشتر فروخت" in report.says.replace("\u2068", "").replace("\u2069", "")
    assert len(list(report.sheet.rows)) == 12


def test_first_month_of_a_cafe_is_shown_without_comparison() -> None:
    months = (*(a_month(each.month_starts, 0) for each in some_months(12)[:-1]), some_months(12)[-1])
    report = views.of_months(months, 12, PERSIAN, say)
    assert report.numbers[0].value == PERSIAN.number(months[-1].revenue)
    assert report.numbers[0].beside == []


def test_nothing_is_said_where_nothing_is() -> None:
    empty = figures.HourOfWeek(0, Decimal(0))
    week = figures.WeekHours(TODAY, TODAY, tuple(tuple(empty for _ in range(24)) for _ in range(7)))
    half = figures.ClubHalf(0, Decimal(0), None, None, None)
    nothing = [
        views.of_months(tuple(a_month(each.month_starts, 0) for each in some_months(13)), 12, PERSIAN, say),
        views.of_days((), PERSIAN, say),
        views.of_hours(week, PERSIAN, say),
        views.of_returns((), PERSIAN, say),
        views.of_cohorts((), PERSIAN, say),
        views.of_club(figures.KnownAndUnknown(half, half), PERSIAN, say),
        views.of_branches(figures.SideBySide(()), PERSIAN, say),
        views.of_dishes(
            figures.DishesFigures(TODAY, TODAY, (), figures.OtherDishes(Decimal(0), Decimal(0))), PERSIAN, say
        ),
        views.of_ratings((), PERSIAN, say, by_months=True),
    ]
    assert [each.drawing for each in nothing] == [None] * len(SECTIONS)
    assert all(each.says for each in nothing)


def test_busiest_hour_and_quietest_day_are_named() -> None:
    said = views.of_hours(answers()["statistics/hours"], PERSIAN, say)
    assert "جمعه ساعت ۲۱" in said.says.replace("\u2068", "").replace("\u2069", "")
    assert "شنبه" in said.says
    assert said.drawing is not None
    assert (len(said.drawing.rows), said.drawing.words[0]) == (14, "۸:۰۰")


def test_share_is_that_of_the_newest_month_that_is_known() -> None:
    months = answers()["statistics/return"]
    said = views.of_returns(months, PERSIAN, say)
    assert PERSIAN.month(months[1].month_starts) in said.says
    assert said.drawing is not None
    assert len(said.drawing.values) == 2
    early = tuple(msgspec.structs.replace(each, again=again(None)) for each in months)
    assert views.of_returns(early, PERSIAN, say).drawing is None


def test_files_of_another_language_read_from_the_left() -> None:
    english = replace(PERSIAN, language="en")
    for each in (views.of_club(answers()["statistics/club"], english, lambda key, /, **_: key),):
        assert not each.sheet.leftwards

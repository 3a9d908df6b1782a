"""Numbers, days and charts as people read them, and who may open which door."""

import tomllib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from services.console.rules import chart, menu, roles
from services.console.rules.speech import Speech

# The route behind each action; tests/security/test_roles.py holds the table of routes against the running APIs.
DOORS = {
    "see_money": ("visit", "GET /cafes/{cafe_id}/statistics/month"),
    "void": ("visit", "POST /cafes/{cafe_id}/visits/{visit_id}/void"),
    "adjust": ("loyalty", "POST /cafes/{cafe_id}/customers/{customer_id}/adjustments"),
    "erase": ("customer", "DELETE /cafes/{cafe_id}/customers/{customer_id}"),
    "approve": ("loyalty", "POST /cafes/{cafe_id}/adjustments/{adjustment_id}/decision"),
    "see_people": ("identity", "GET /cafes/{cafe_id}/members"),
    "invite": ("identity", "GET /cafes/{cafe_id}/invitations"),
    "make_keys": ("identity", "POST /cafes/{cafe_id}/api-keys"),
    "end_keys": ("identity", "DELETE /cafes/{cafe_id}/api-keys/{key_id}"),
    "see_messages": ("campaign", "GET /cafes/{cafe_id}/journeys"),
    "set_messaging": ("campaign", "PUT /cafes/{cafe_id}/messaging"),
    "see_accounts": ("campaign", "GET /cafes/{cafe_id}/providers"),
    "write_rules": ("loyalty", "POST /cafes/{cafe_id}/programs"),
    "keep_rewards": ("loyalty", "PATCH /cafes/{cafe_id}/rewards/{reward_id}"),
    "give_bonus": ("loyalty", "POST /cafes/{cafe_id}/bonuses"),
    "change_cafe": ("identity", "PATCH /cafes/{cafe_id}"),
    "edit_segments": ("customer", "POST /cafes/{cafe_id}/segments"),
    "send_campaigns": ("campaign", "POST /cafes/{cafe_id}/campaigns"),
    "see_looks": ("customer", "GET /cafes/{cafe_id}/guest-views"),
}
NOON = datetime(2026, 11, 29, 8, 30, tzinfo=UTC)
PERSIAN, ENGLISH = Speech(), Speech("en")


@pytest.mark.parametrize(
    ("value", "fa", "en"),
    [
        (0, "۰", "0"),
        (1234567, "۱٬۲۳۴٬۵۶۷", "1,234,567"),
        (Decimal("4.00"), "۴", "4"),
        (Decimal("4.25"), "۴٫۲۵", "4.25"),
        (Decimal("1234.5"), "۱٬۲۳۴٫۵۰", "1,234.50"),
        (-3, "-۳", "-3"),
    ],
)
def test_number(value, fa: str, en: str) -> None:
    assert (PERSIAN.number(value), ENGLISH.number(value)) == (fa, en)


@pytest.mark.parametrize(
    ("value", "fa", "en"), [("13.24", "۱۳٫۲", "13.2"), ("14.00", "۱۴", "14"), ("1234.55", "۱٬۲۳۴٫۶", "1,234.6")]
)
def test_tenths(value: str, fa: str, en: str) -> None:
    assert (PERSIAN.tenths(Decimal(value)), ENGLISH.tenths(Decimal(value))) == (fa, en)


def test_months_and_weekdays_by_their_number_have_names() -> None:
    assert (PERSIAN.month(date(2026, 11, 29)), ENGLISH.month(date(2026, 11, 29), year=False)) == ("آذر ۱۴۰۵", "Azar")
    assert [ENGLISH.weekday_from_saturday(each) for each in (0, 1, 6)] == ["Saturday", "Sunday", "Friday"]


def test_signs_stand_before_the_number() -> None:
    assert (PERSIAN.signed(12), PERSIAN.signed(-12), ENGLISH.signed(0)) == ("\u200e+۱۲", "\u200e−۱۲", "0")


def test_money_names_its_unit() -> None:
    assert PERSIAN.money(Decimal(180000)) == "۱۸۰٬۰۰۰ تومان"
    assert PERSIAN.money(Decimal(180000), "IRR") == "۱۸۰٬۰۰۰ ریال"
    assert Speech("en", unit="IRR").money(Decimal(5)) == "5 Rial"


def test_days_follow_the_cafes_calendar_and_the_persons_language() -> None:
    day = date(2026, 11, 29)
    assert PERSIAN.day(day) == "۸ آذر ۱۴۰۵"
    assert ENGLISH.day(day, year=False) == "8 Azar"
    assert Speech("fa", "gregorian").day(day) == "۲۹ نوامبر ۲۰۲۶"
    assert Speech("en", "gregorian").day(day) == "29 November 2026"
    assert PERSIAN.day_typed(day) == "۱۴۰۵/۰۹/۰۸"
    assert (PERSIAN.weekday(day), ENGLISH.weekday(day)) == ("یکشنبه", "Sunday")


def test_times_are_those_on_the_cafes_wall() -> None:
    late = datetime(2026, 11, 29, 22, 0, tzinfo=UTC)
    assert PERSIAN.clock(late) == "۰۱:۳۰"
    assert PERSIAN.local_day(late) == date(2026, 11, 30)
    assert PERSIAN.moment(late) == "۹ آذر ۱۴۰۵، ۰۱:۳۰"


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        (timedelta(seconds=20), "همین حالا"),
        (timedelta(minutes=5), "۵ دقیقه پیش"),
        (timedelta(hours=3), "۳ ساعت پیش"),
        (timedelta(days=4), "۴ روز پیش"),
        (timedelta(days=40), "۲۸ مهر ۱۴۰۵"),
    ],
)
def test_how_long_ago(passed: timedelta, said: str) -> None:
    assert PERSIAN.ago(NOON - passed, NOON) == said


def test_numbers_of_the_country_are_written_as_people_do() -> None:
    assert PERSIAN.phone("+989121112233") == "۰۹۱۲ ۱۱۱ ۲۲۳۳"
    assert ENGLISH.phone("+4930123456") == "+4930123456"


def test_bars_fill_the_width_and_the_newest_stands_where_reading_ends() -> None:
    rtl, ltr = chart.bars([1, 2, 4], rightwards=False), chart.bars([1, 2, 4], rightwards=True)
    assert [bar.height for bar in ltr] == [35.0, 70.0, 140.0]
    assert rtl[-1].x < rtl[0].x
    assert ltr[-1].x > ltr[0].x
    assert all(bar.x >= 0 and bar.x + bar.width <= chart.WIDTH for bar in rtl)
    assert [bar.height for bar in chart.bars([0, 0], rightwards=True)] == [2.0, 2.0]
    assert chart.bars([], rightwards=True) == ()


def test_line_ends_at_the_newest_value() -> None:
    ltr, rtl = chart.line([0, 2, 4], rightwards=True), chart.line([0, 2, 4], rightwards=False)
    assert ltr is not None
    assert rtl is not None
    assert ltr.points == "0.0,140.0 360.0,73.0 720.0,6.0"
    assert (ltr.end, rtl.end) == ((720.0, 6.0), (0.0, 6.0))
    assert chart.line([5], rightwards=True) is None


def test_shares_fill_the_whole_bar() -> None:
    rtl = chart.shares([1, 0, 3], rightwards=False)
    assert [(each.x, each.width, each.percent) for each in rtl] == [
        (540.0, 180.0, 25),
        (540.0, 0.0, 0),
        (0.0, 540.0, 75),
    ]
    assert chart.shares([1, 3], rightwards=True)[1].x == 180.0
    assert chart.shares([0, 0], rightwards=True) == ()


def test_cells_have_five_strengths() -> None:
    assert [chart.level(value, 100) for value in (0, 1, 19, 20, 79, 100)] == [0, 1, 1, 2, 4, 5]
    assert chart.level(3, 0) == 0
    assert (chart.percent(1, 3), chart.percent(0, 0)) == (33, 0)


def test_everybody_is_shown_only_rooms_that_are_open_to_them() -> None:
    keys = [each.key for each in menu.MENU]
    assert len(keys) == len(set(keys))
    assert sum(each.on_phones for each in menu.MENU) == 4
    assert menu.of_role("owner") == menu.MENU
    assert "approvals" not in [each.key for each in menu.of_role("staff")]


def test_doors_of_the_console_are_those_of_the_apis() -> None:
    table = tomllib.loads((Path(__file__).parents[1] / "security" / "roles.toml").read_text())
    assert roles.ALLOWED.keys() == DOORS.keys()
    for action, (service, route) in DOORS.items():
        assert table[service]["least"][route] == roles.ALLOWED[action], action


def test_who_may_what() -> None:
    assert not any(roles.may("staff", action) for action in roles.ALLOWED)
    assert all(roles.may("owner", action) for action in roles.ALLOWED)
    assert [action for action in roles.ALLOWED if not roles.may("manager", action)] == [
        "make_keys",
        "see_looks",
        "set_messaging",
        "see_accounts",
    ]
    assert [roles.below(role) for role in ("staff", "manager", "owner")] == [
        (),
        ("staff",),
        ("staff", "manager", "owner"),
    ]

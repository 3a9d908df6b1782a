"""How bills earn: worked bills, the published order of evaluation, and one end state for every order of arrival."""

import hashlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from services.loyalty.models.accounts import Plan, Visit
from services.loyalty.models.programs import ProgramRules
from services.loyalty.rules import tiers
from services.loyalty.rules.counting import news_of
from services.loyalty.rules.earning import trace
from shared.events.base import Item
from shared.events.visit import VisitRecorded
from tests.loyalty import schemes
from tests.loyalty.examples import NOON, plan_of, recorded, visit_number
from tests.loyalty.schemes import (
    BRANCH,
    OTHER_BRANCH,
    line,
    plan_by,
)

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
# In Tehran: a Sunday noon in Ordibehesht.
SUNDAY = NOON
EVER = datetime(1970, 1, 1, tzinfo=UTC)


def parts_of(plan: Plan, *bills: VisitRecorded) -> list[dict[str, int]]:
    visits = [visit for visit, _ in news_of(bills, "recorded", {}).values()]
    _, earnings = tiers.fold(plan, tiers.NOBODY, sorted(visits, key=tiers.order_of))
    for each in earnings.values():
        assert each.parts is not None
        assert sum(each.parts.values()) == each.points
    return [dict(earnings[bill.visit_id].parts or {}) for bill in bills]


WORKED: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, int]]] = [
    (
        "the amount is rounded down once",
        {"earn": [{"key": "more", "kind": "amount", "toman_per_point": 7000}]},
        {"toman": 99_999},
        {"base": 99, "more": 14},
    ),
    (
        "excluded lines don't count",
        {"base": {"exclude": {"categories": ["دخانیات"]}}},
        {"toman": 100_000, "items": [line(30_000, category="دخانيات"), line(70_000, category="قهوه")]},
        {"base": 70},
    ),
    (
        "a discount does not make the rest negative",
        {"base": {"exclude": {"categories": ["دخانیات"]}}},
        {"toman": 20_000, "items": [line(30_000, category="دخانیات")]},
        {},
    ),
    ("below the least bill", {"base": {"minimum_toman": 50_000}}, {"toman": "49999.99"}, {}),
    ("the least bill", {"base": {"minimum_toman": 50_000}}, {"toman": 50_000}, {"base": 50}),
    (
        "a visit has its points whatever the bill",
        {"earn": [{"key": "visit", "kind": "visit", "points": 5}]},
        {"toman": 0},
        {"visit": 5},
    ),
    (
        "half a kilo is half of the points, rounded down",
        {"earn": [{"key": "beans", "kind": "item", "points": 21, "match": {"skus": ["BEAN-1"]}}]},
        {"toman": 0, "items": [line(0, "1.5", sku="BEAN-1"), line(0, 4, sku="BEAN-2")]},
        {"beans": 31},
    ),
    (
        "points for the amount of some lines, never more than the bill",
        {"earn": [{"key": "cakes", "kind": "item", "toman_per_point": 1000, "match": {"names": ["کیک"]}}]},
        {"toman": 80_000, "items": [line(90_000, name="كيك"), line(None, name="کیک")]},
        {"base": 80, "cakes": 80},
    ),
    (
        "excluded lines of what matches",
        {"earn": [{"key": "food", "kind": "item", "points": 3, "match": {"categories": ["غذا"]},
                   "exclude": {"skus": ["WATER"]}}]},
        {"toman": 0, "items": [line(1, 2, category="غذا"), line(1, 5, category="غذا", sku="WATER")]},
        {"food": 6},
    ),
    (
        "on a weekday and hour of the cafe",
        {"multiply": [{"key": "sun", "factor": "2", "weekdays": ["sun"], "from_time": "12:00", "until_time": "13:00"}]},
        {"toman": 10_000},
        {"base": 20},
    ),
    (
        "the end of the hours is not in them",
        {"multiply": [{"key": "sun", "factor": "2", "from_time": "11:00", "until_time": "12:00"}]},
        {"toman": 10_000},
        {"base": 10},
    ),
    (
        "over midnight",
        {"multiply": [{"key": "night", "factor": "0.5", "from_time": "22:00", "until_time": "02:00"}]},
        {"toman": 9_000, "at": NOON + 13 * HOUR + timedelta(minutes=59)},
        {"base": 4},
    ),
    (
        "in a range of Jalali days, both included",
        {"multiply": [{"key": "day", "factor": "3", "dates": [{"first": "1405-02-20", "last": "1405-02-20"}]}]},
        {"toman": 10_000},
        {"base": 30},
    ),
    (
        "in a branch",
        {"multiply": [{"key": "garden", "factor": "1.5", "branches": [str(BRANCH)]}]},
        {"toman": 3_000, "branch_id": BRANCH},
        {"base": 4},
    ),
    (
        "not in another branch",
        {"multiply": [{"key": "garden", "factor": "1.5", "branches": [str(BRANCH)]}]},
        {"toman": 3_000, "branch_id": OTHER_BRANCH},
        {"base": 3},
    ),
    (
        "the best of those that hold",
        {"multiply": [{"key": "a", "factor": "2"}, {"key": "b", "factor": "3"}, {"key": "c", "factor": "0.5"}]},
        {"toman": 10_000},
        {"base": 30},
    ),
    (
        "all of those that hold",
        {"stacking": "product", "multiply": [{"key": "a", "factor": "1.15"}, {"key": "b", "factor": "1.15"}]},
        {"toman": 10_000},
        {"base": 13},
    ),
    (
        "only on the parts that it names",
        {"earn": [{"key": "visit", "kind": "visit", "points": 5}],
         "multiply": [{"key": "a", "factor": "2", "on": ["visit"]}]},
        {"toman": 10_000},
        {"base": 10, "visit": 10},
    ),
    (
        "a cap takes from the last part",
        {"earn": [{"key": "visit", "kind": "visit", "points": 50}, {"key": "more", "kind": "visit", "points": 50}],
         "caps": {"visit": 60}},
        {"toman": 20_000},
        {"base": 20, "visit": 40},
    ),
]  # fmt: skip


@pytest.mark.parametrize("unit", ["IRT", "IRR"])
@pytest.mark.parametrize(("said", "rules", "bill", "expected"), WORKED, ids=[each[0] for each in WORKED])
def test_worked_bill(said: str, rules: dict[str, Any], bill: dict[str, Any], expected: dict[str, int], unit) -> None:
    fields = dict(bill)
    times = 1 if unit == "IRT" else 10
    toman, at = Decimal(fields.pop("toman")), fields.pop("at", NOON)
    lines = [
        Item(name="", quantity=each.quantity, amount=None if each.amount is None else each.amount * times,
             name_code=each.name_code, sku_code=each.sku_code, category_code=each.category_code)
        for each in fields.pop("items", [])
    ]  # fmt: skip
    event = recorded(1, toman * times, at, currency_unit=unit, items=lines, **fields)
    assert parts_of(schemes.only(**rules), event) == [expected]


def test_order_is_parts_multipliers_tier_floor_caps() -> None:
    plan = schemes.only(
        tiers=[
            {"tier": "bronze", "threshold": 0, "multiplier": 1},
            {"tier": "gold", "threshold": 10, "multiplier": "1.5"},
        ],
        earn=[
            {"key": "flat", "kind": "visit", "points": 3},
            {"key": "tiered", "kind": "visit", "points": 3, "by_tier": True},
        ],
        multiply=[{"key": "half", "factor": "0.5", "weekdays": ["mon"]}],
        caps={"visit": 12},
    )
    # Gold on the second day: 9999 * 0.5 * 1.5 is 7.49…; 3 * 0.5 is 1; 3 * 0.5 * 1.5 is 2.
    assert parts_of(plan, recorded(1, 4_000), recorded(2, 9_999, NOON + DAY)) == [
        {"base": 4, "flat": 3, "tiered": 3},
        {"base": 7, "flat": 1, "tiered": 2},
    ]


def test_nth_and_every_nth_visit_are_of_all_visits() -> None:
    plan = schemes.only(
        earn=[{"key": "first", "kind": "nth_visit", "n": [1, 4], "points": 50},
              {"key": "second", "kind": "every_nth_visit", "n": 2, "points": 7}],
    )  # fmt: skip
    bills = [recorded(number, 0, NOON + number * DAY) for number in range(1, 5)]
    assert parts_of(plan, *bills) == [{"first": 50}, {"second": 7}, {}, {"first": 50, "second": 7}]


def test_limit_a_day_is_of_the_cafe_s_day() -> None:
    plan = schemes.only(earn=[{"key": "visit", "kind": "visit", "points": 5, "per_day": 2}])
    bills = [recorded(number, 0, NOON + number * HOUR) for number in range(11)]
    # Noon to ten in the evening; the next day begins eleven hours later, at midnight in Tehran.
    late = [recorded(11, 0, NOON + 12 * HOUR), recorded(12, 0, NOON + 13 * HOUR)]
    assert [each.get("visit", 0) for each in parts_of(plan, *bills, *late)] == [5, 5] + 9 * [0] + [5, 5]


def test_caps_of_day_and_month_count_what_earlier_bills_earned() -> None:
    plan = schemes.only(caps={"day": 100, "month": 150})
    # 29 to 31 Ordibehesht, then 1 Khordad.
    days = [NOON + 9 * DAY, NOON + 9 * DAY + HOUR, NOON + 10 * DAY, NOON + 11 * DAY, NOON + 12 * DAY]
    bills = [recorded(number, 70_000, at) for number, at in enumerate(days)]
    assert [each.get("base", 0) for each in parts_of(plan, *bills)] == [70, 30, 50, 0, 70]


def test_cap_says_what_it_cut() -> None:
    plan = schemes.only(caps={"visit": 60, "day": 50})
    visit = next(iter(news_of([recorded(1, 90_000)], "recorded", {}).values()))[0]
    program = plan.programs[0]
    assert program.scheme is not None
    found = trace(plan, program.scheme, program.steps[0], tiers.NOBODY, visit)
    assert [(each.of, each.most, each.points, each.held) for each in found.cuts] == [
        ("visit", 60, 90, False),
        ("day", 50, 60, False),
    ]
    assert (found.rules[0].points, found.rules[0].given) == (90, 50)


def test_version_without_rules_of_its_own_counts_for_no_cap() -> None:
    plain = ProgramRules(tier_period="jalali_year")
    capped = ProgramRules.model_validate({"tier_period": "jalali_year", "caps": {"day": 100}})
    plan = plan_by((EVER, plain), (NOON, capped), (NOON + 2 * HOUR, plain), (NOON + 4 * HOUR, capped))
    visits = [recorded(number, 80_000, NOON + (2 * number - 1) * HOUR) for number in range(4)]
    counted = [visit for visit, _ in news_of(visits, "recorded", {}).values()]
    _, earnings = tiers.fold(plan, tiers.NOBODY, sorted(counted, key=tiers.order_of))
    assert [earnings[each.visit_id].points for each in visits] == [80, 80, 80, 20]
    assert [earnings[each.visit_id].parts for each in visits] == [None, {"base": 80}, None, {"base": 20}]


def golden_history(random: Random, bills: int) -> list[Visit]:
    at, found = NOON - 700 * DAY, []
    for number in range(bills):
        at += timedelta(minutes=random.randrange(30, 20_000))
        unit = random.choice(("IRT", "IRR"))
        amount = Decimal(random.randrange(0, 90_000_000)) / 100 * (1 if unit == "IRT" else 10)
        state = "voided" if random.random() < 0.05 else "recorded"
        found.append(Visit(visit_number(number), state, at, "till-1", f"{number:05}", amount, unit))
    return found


def test_program_with_the_base_rule_alone_earns_what_it_always_earned() -> None:
    """20,000 bills of 100 guests, through two versions and three years: the digest is from before there were others."""
    plan = plan_of((NOON + 400 * DAY, ProgramRules(earn_per_toman=750, tier_period="jalali_year")))
    random, digest = Random(1405), hashlib.sha256()
    kept = (
        "tier_since", "period_ends", "period_points", "previous_points", "program_version", "year_ends", "year_spent",
        "month_ends", "month_spent", "month_visits", "lifetime_spent", "total_visits", "first_day", "last_day",
        "last_visit_at",
    )  # fmt: skip
    for _ in range(100):
        visits = golden_history(random, 200)
        standing, earnings = tiers.fold(plan, tiers.NOBODY, [each for each in visits if each.state != "voided"])
        lost = tiers.lost(plan, visits, earnings)
        assert standing.counts is None
        assert all(each.parts is None for each in earnings.values())
        rows = [(each.points, each.multiplier, each.program_version) for each in earnings.values()]
        digest.update(repr(rows).encode())
        digest.update(repr(sorted((str(key), points) for key, points in lost.items())).encode())
        digest.update(repr([getattr(standing, name) for name in kept]).encode())
    assert digest.hexdigest() == "71c01d8e03239a88a241dcd262f6e4c207016e0f6650c4a1f61960e50bc73e75"

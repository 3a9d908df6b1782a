"""Criteria: what is understood, what is refused and how, and what the masks mean."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.customer.models.values import SegmentRule
from services.customer.rules import amounts
from services.customer.rules.attributes import ATTRIBUTES, NEWEST_VISITS, AttributeKind
from services.customer.rules.birthdays import birth_dates
from services.customer.rules.compile import compile_condition, compile_rules
from services.customer.rules.criteria import DEEPEST, Group, Not, parse
from services.customer.rules.segments import SLOTS, SYSTEM, first_free, segment_of, slots_of
from services.customer.store.activity import NEWEST_KEPT
from shared.errors import Rejected
from shared.persian.calendar import celebrated_on, month_day
from shared.persian.money import in_unit


def faults(raw: Any) -> dict[str, str]:
    """The faults that parsing names: field -> code."""
    with pytest.raises(Rejected) as refused:
        parse(raw)
    assert all(problem.en and problem.fa for problem in refused.value.problems)
    return {problem.field: problem.code for problem in refused.value.problems}


@pytest.mark.parametrize("system", SYSTEM, ids=lambda system: system.key)
def test_the_three_shapes_of_the_seed_are_understood_as_written(system: Any) -> None:
    node = parse(system.criteria)
    assert isinstance(node, Group)
    assert node.how == "all"
    assert len(node.parts) == 2


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        ([], {"criteria": "not_an_object"}),
        ({}, {"criteria": "not_an_object"}),
        ({"visits": {"min": 1}}, {"criteria.visits": "unknown_attribute"}),
        ({"visit_count": {"atleast": 1}}, {"criteria.visit_count.atleast": "unknown_operator"}),
        ({"visit_count": {}}, {"criteria.visit_count": "wrong_form"}),
        ({"visit_count": 3}, {"criteria.visit_count": "wrong_form"}),
        ({"visit_count": {"min": 1.5}}, {"criteria.visit_count.min": "not_a_number"}),
        ({"visit_count": {"min": True}}, {"criteria.visit_count.min": "not_a_number"}),
        ({"visit_count": {"min": -1}}, {"criteria.visit_count.min": "out_of_range"}),
        ({"visit_count": {"min": 5, "max": 4}}, {"criteria.visit_count": "empty_range"}),
        ({"monthly_visits": {"min": 101}}, {"criteria.monthly_visits.min": "out_of_range"}),
        ({"lifetime_spent": {"min": 0.1}}, {"criteria.lifetime_spent.min": "not_a_number"}),
        ({"lifetime_spent": {"min": "NaN"}}, {"criteria.lifetime_spent.min": "not_a_number"}),
        ({"avg_rating": {"min": "1e-99999999"}}, {"criteria.avg_rating.min": "not_a_number"}),
        ({"lifetime_spent": {"min": 10**400}}, {"criteria.lifetime_spent.min": "not_a_number"}),
        ({"created_within_days": {"max": 3}}, {"criteria.created_within_days": "not_a_number"}),
        ({"tier_level": ["diamond"]}, {"criteria.tier_level": "unknown_choice"}),
        ({"tier_level": []}, {"criteria.tier_level": "wrong_form"}),
        ({"city": [1]}, {"criteria.city": "wrong_form"}),
        ({"has_email": "yes"}, {"criteria.has_email": "wrong_form"}),
        ({"any": []}, {"criteria.any": "not_a_list"}),
        ({"any": {"visit_count": {"min": 1}}}, {"criteria.any": "not_a_list"}),
        ({"not": [1]}, {"criteria.not": "not_an_object"}),
        (
            {"any": [{"visit_count": {"min": 1}}, {"not": {"points": {"max": "x"}}}], "who": 1},
            {"criteria.any.1.not.points.max": "not_a_number", "criteria.who": "unknown_attribute"},
        ),
    ],
)
def test_every_fault_is_named_with_its_place(raw: Any, fields: dict[str, str]) -> None:
    assert faults(raw) == fields


def test_range_of_one_number_is_no_empty_one() -> None:
    parse({"visit_count": {"min": 5, "max": 5}})


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"visit_count": {"min": 1}}
    for _ in range(depth - 1):
        inner = {"not": inner}
    return inner


def test_ten_levels_are_understood_and_eleven_are_not() -> None:
    assert isinstance(parse(nested(10)), Not)
    assert list(faults(nested(11)).values()) == ["too_deep"]
    assert list(faults(nested(5000)).values()) == ["too_deep"]


def clauses(count: int) -> dict[str, Any]:
    half = count // 2
    parts = [{"visit_count": {"min": 1}} for _ in range(count)]
    return {"all": [{"any": parts[:half]}, {"any": parts[half:]}]}


def test_two_hundred_clauses_are_understood_and_one_more_is_not() -> None:
    assert parse(clauses(200))
    assert faults(clauses(201)) == {"criteria": "too_many_clauses"}
    assert faults({"any": [{"visit_count": {"min": 1}}] * 5000}) == {"criteria": "too_many_clauses"}


def depth_of(raw: dict[str, Any]) -> int:
    """Levels of nested objects."""
    inner = [*raw.get("all", []), *raw.get("any", []), *([raw["not"]] if "not" in raw else [])]
    return 1 + max(map(depth_of, inner), default=0)


leaves = st.sampled_from(
    [
        {"created_within_days": 3},
        {"visit_count": {"min": 2, "max": 9}},
        {"monthly_visits": {"max": 2}},
        {"last_visit_days": {"min": 1}},
        {"lifetime_spent": {"min": "10.50"}},
        {"avg_rating": {"min": 4.5}},
        {"tier_level": "gold"},
        {"city": ["تهران"]},
        {"has_birthday": True},
    ]
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"not": inner}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
    ),
    max_leaves=12,
).filter(lambda raw: depth_of(raw) <= DEEPEST)


@given(st.sampled_from(["IRT", "IRR"]), st.one_of(st.integers(0, 10**12), st.decimals(0, 10**12, places=2).map(str)))
def test_criteria_are_kept_in_toman_and_shown_as_they_were_written(unit: Any, least: Any) -> None:
    written = {
        "all": [{"not": {"avg_spend": {"min": least}}}, {"points": {"min": 7}}],
        "lifetime_spent": {"max": least},
    }
    kept = amounts.kept(written, unit)
    for criteria, worth in ((kept, in_unit(Decimal(least), unit, "IRT")), (amounts.shown(kept, unit), Decimal(least))):
        found = criteria["all"][0]["not"]["avg_spend"]["min"], criteria["lifetime_spent"]["max"]
        assert [Decimal(each) for each in found] == [worth, worth]
        assert criteria["all"][1] == {"points": {"min": 7}}
    assert parse(kept, stored=True)
    assert kept == written or unit == "IRR"


@pytest.mark.parametrize(("unit", "most"), [("IRT", 10**12), ("IRR", 10**13)])
def test_amounts_of_criteria_are_bounded_in_their_unit(unit: Any, most: int) -> None:
    assert amounts.kept({"avg_spend": {"max": most}}, unit)
    for wrong, code in ((most + 1, "out_of_range"), ("0.001", "two_decimals")):
        with pytest.raises(Rejected) as caught:
            amounts.kept({"avg_spend": {"max": wrong}}, unit)
        assert [(each.field, each.code) for each in caught.value.problems] == [("criteria.avg_spend.max", code)]


@given(trees)
def test_every_tree_compiles_with_one_parameter_per_value_and_no_value_in_the_text(raw: dict[str, Any]) -> None:
    node = parse(raw)
    evaluation = compile_condition(node, 5)
    for number in range(5, 5 + len(evaluation.values)):
        assert f"${number}::" in evaluation.mask
    assert f"${5 + len(evaluation.values)}::" not in evaluation.mask + evaluation.check_at
    assert "gold" not in evaluation.mask
    assert "تهران" not in evaluation.mask
    assert evaluation.needs_customer == any(word in json.dumps(raw) for word in ("city", "has_birthday"))


def test_only_tests_of_time_set_a_moment() -> None:
    assert compile_condition(parse({"points": {"min": 5}, "tier_level": "gold"}), 1).check_at == "NULL::timestamptz"
    for timed in ({"created_within_days": 3}, {"monthly_visits": {"min": 1}}, {"last_visit_days": {"min": 1}}):
        assert "LEAST(CASE WHEN" in compile_condition(parse(timed), 1).check_at


def test_equal_rule_sets_compile_once_and_different_ones_are_cases() -> None:
    rules = tuple(SegmentRule(system.slot, json.dumps(system.criteria)) for system in SYSTEM)
    assert compile_rules((rules,), 5) is compile_rules((tuple(rules),), 5)
    assert "CASE t.ruleset" not in compile_rules((rules,), 5).mask
    assert compile_rules((rules, rules[:1]), 5).mask.startswith("CASE t.ruleset WHEN 0 THEN")


def test_no_rule_in_force_is_an_empty_mask() -> None:
    assert compile_rules(((),), 5).mask == "0::bigint"


def test_vip_goes_before_regular_before_new() -> None:
    assert segment_of(None) == "new"
    assert [segment_of(mask) for mask in range(8)] == [
        "occasional", "new", "regular", "regular", "vip", "vip", "vip", "vip",
    ]  # fmt: skip
    assert segment_of(1 << 40) == "occasional"


def test_slots_are_bits() -> None:
    assert slots_of((1 << 62) | 5) == [0, 2, 62]
    assert first_free(set()) == 3
    assert first_free({0, 1, 2, 3, 5}) == 4
    assert first_free(set(range(SLOTS))) is None


def test_the_projection_keeps_as_many_visits_as_criteria_may_ask_for() -> None:
    assert NEWEST_KEPT == NEWEST_VISITS


def test_every_attribute_is_described_in_both_languages() -> None:
    for attribute in ATTRIBUTES.values():
        assert attribute.en.isascii()
        assert not attribute.fa.isascii()
        assert bool(attribute.choices) == (attribute.kind is AttributeKind.CHOICE and attribute.name != "city")


# 29 Esfand 1404 ends a common year; 30 Esfand 1403 ended a leap year.
@pytest.mark.parametrize("calendar", ["jalali", "gregorian"])
@pytest.mark.parametrize("day", [date(2026, 3, 20), date(2025, 3, 20), date(2026, 2, 28), date(2024, 2, 29)])
def test_birth_dates_are_those_celebrated_on_the_day(day: date, calendar: Any) -> None:
    found = birth_dates(day, calendar)
    wanted = celebrated_on(day, calendar)
    every_day = (date.fromordinal(number) for number in range(date(1920, 1, 1).toordinal(), day.toordinal() + 1))
    assert [born for born in found if born.year >= 1920] == [
        born for born in every_day if month_day(born, calendar) in wanted
    ]

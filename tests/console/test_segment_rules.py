"""The rule of a segment: form, tree, JSON and words say the same."""

from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.console.api.rendering import catalogue
from services.console.models.segments import RuleGroup, RuleNode, RuleRow
from services.console.rules import segment_tree as tree_rules
from services.console.rules.segment_words import sentence
from services.console.rules.speech import Speech
from services.customer.rules.attributes import ATTRIBUTES
from services.customer.rules.criteria import parse
from shared.persian.text import SpokenLanguage

KINDS = {name: each.kind.value for name, each in ATTRIBUTES.items()}
CHOICES = {name: each.choices for name, each in ATTRIBUTES.items()}
WORDS = st.text(st.characters(categories=["L"]), min_size=1, max_size=8)
LANGUAGES: tuple[SpokenLanguage, ...] = ("fa", "en")


@st.composite
def rows(draw: st.DrawFn) -> RuleRow:
    name = draw(st.sampled_from(sorted(KINDS)))
    operator = draw(st.sampled_from(tree_rules.OPERATORS[KINDS[name]]))
    if operator == "one_of":
        values = draw(st.lists(st.sampled_from(CHOICES[name]) if CHOICES[name] else WORDS, min_size=1, unique=True))
        return RuleRow(name, operator, tree_rules.values_of(operator, values))
    top = 5 if KINDS[name] == "score" else 100
    numbers = sorted(draw(st.lists(st.integers(1, top), min_size=2, max_size=2)))
    return RuleRow(name, operator, tree_rules.values_of(operator, [str(number) for number in numbers]))


def groups(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[RuleGroup]:
    return st.builds(
        RuleGroup, st.sampled_from(("all", "any", "none")), st.lists(parts, min_size=1, max_size=4).map(tuple)
    )


TREES = groups(rows() | groups(rows() | groups(rows())))


@given(TREES)
def test_a_form_gives_back_its_tree_and_a_tree_its_form(tree: RuleGroup) -> None:
    fields = tree_rules.to_form(tree)
    assert tree_rules.from_form(fields) == tree
    assert tree_rules.to_form(tree_rules.from_form(fields)) == fields


@given(TREES)
def test_criteria_give_back_their_tree(tree: RuleGroup) -> None:
    criteria = tree_rules.to_criteria(tree)
    assert tree_rules.from_criteria(criteria, KINDS) == tree


@given(TREES)
def test_what_can_be_made_here_is_taken_by_the_api(tree: RuleGroup) -> None:
    assert tree_rules.faults(tree, KINDS, CHOICES) == {}
    parse(tree_rules.to_criteria(tree))


@given(st.dictionaries(st.text(max_size=8) | st.sampled_from(["how", "of.0", "is.0", "v.0", "how.0", "of.0.0"]),
                       st.lists(st.text(max_size=5), min_size=1, max_size=3)))  # fmt: skip
def test_any_fields_give_a_tree_that_is_a_form_again(fields: dict[str, list[str]]) -> None:
    tree = tree_rules.from_form(fields)
    assert tree_rules.from_form(tree_rules.to_form(tree)) == tree


@given(TREES, st.data())
def test_a_part_more_can_be_taken_away_again(tree: RuleGroup, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from([path for path, node in tree_rules.walk(tree) if isinstance(node, RuleGroup)]))
    row = RuleRow("visit_count", "at_least", ("3",))
    longer = tree_rules.with_row(tree, path, row)
    group = dict(tree_rules.walk(longer))[path]
    assert isinstance(group, RuleGroup)
    assert group.parts[-1] == row
    assert tree_rules.without(longer, (*path, len(group.parts) - 1)) == tree
    nested = tree_rules.with_group(tree, path, row)
    assert (nested == tree) is (len(path) >= tree_rules.DEEPEST)
    if nested != tree:
        assert tree_rules.without(nested, (*path, len(group.parts) - 1)) == tree


def test_what_is_not_there_changes_nothing() -> None:
    tree = RuleGroup("all", (RuleRow("visit_count", "at_least", ("3",)),))
    for path in ((1,), (0, 0), (9, 9), ()):
        assert tree_rules.without(tree, path) == tree
    assert tree_rules.with_row(tree, (0,), RuleRow("points", "at_least", ("1",))) == tree


def test_a_row_follows_its_attribute() -> None:
    tree = RuleGroup("all", (RuleRow("tier_level", "at_least", ("3",)), RuleRow("points", "between", ("1", "2"))))
    assert tree_rules.shaped(tree, KINDS) == RuleGroup(
        "all", (RuleRow("tier_level", "one_of", ()), RuleRow("points", "between", ("1", "2")))
    )


@pytest.mark.parametrize(
    ("node", "fault"),
    [
        (RuleRow("visit_count", "at_least", ("",)), "row_fault.number"),
        (RuleRow("visit_count", "at_least", ("three",)), "row_fault.number"),
        (RuleRow("visit_count", "at_least", ("1e5",)), "row_fault.number"),
        (RuleRow("visit_count", "at_least", ("9" * 26,)), "row_fault.number"),
        (RuleRow("visit_count", "between", ("5", "3")), "row_fault.order"),
        (RuleRow("tier_level", "one_of", ()), "row_fault.choice"),
        (RuleRow("tier_level", "one_of", ("diamond",)), "row_fault.choice"),
        (RuleRow("nothing", "at_least", ("1",)), "row_fault.attribute"),
        (RuleRow("visit_count", "yes", ()), "row_fault.operator"),
        (RuleGroup("any", ()), "row_fault.empty"),
    ],
)
def test_what_is_wrong_is_said_of_its_row(node: RuleNode, fault: str) -> None:
    tree = RuleGroup("all", (RuleRow("points", "at_least", ("1",)), RuleGroup("any", (node,))))
    assert tree_rules.faults(tree, KINDS, CHOICES) == {(1, 0): fault}
    assert fault in {key for key in (fault,) if catalogue().has(key)}


def test_a_fault_of_the_api_is_one_of_the_row() -> None:
    assert tree_rules.place_of("criteria.all.0.not.any.2.visit_count.min") == (0, 2)
    assert tree_rules.place_of("criteria") == ()


def test_numbers_are_typed_in_any_digits() -> None:
    assert tree_rules.typed(" ۵۰۰٬۰۰۰ ") == "500000"
    assert tree_rules.typed("۴٫۵") == "4.5"
    assert tree_rules.values_of("one_of", ["تهران، کرج", "تهران"]) == ("تهران", "کرج")
    money = tree_rules.to_criteria(RuleGroup("all", (RuleRow("avg_spend", "at_least", ("750.5",)),)))
    assert money == {"all": [{"avg_spend": {"min": "750.5"}}]}


SAID: list[tuple[dict[str, Any], str, str]] = [
    (
        {"created_within_days": 30, "visit_count": {"max": 3}},
        "آشنایی در ۳۰ روز گذشته و تعداد بازدید حداکثر ۳",
        "met within the last 30 days and visits at most 3",
    ),
    (
        {"any": [{"lifetime_spent": {"min": 500000}}, {"tier_level": ["gold", "platinum"]}]},
        "جمع خرید دست‌کم ۵۰۰٬۰۰۰ تومان یا سطح: طلایی یا پلاتینی",
        "spent in all at least 500,000 Toman or tier: Gold or Platinum",
    ),
    (
        {"last_visit_days": {"min": 30, "max": 60}, "not": {"any": [{"status": "blocked"}, {"has_email": False}]}},
        "آخرین بازدید بین ۳۰ تا ۶۰ روز پیش و هیچ‌کدام از (وضعیت: مسدود یا ایمیل: ثبت نشده)",
        "last visit 30 to 60 days ago and none of (status: Blocked or e-mail: not known)",
    ),
    (
        {"all": [{"points": {"min": 5}}, {"any": [{"city": ["تهران"]}, {"avg_rating": {"max": 2.5}}]}]},
        "امتیاز دست‌کم ۵ و (شهر: تهران یا میانگین نظر حداکثر ۲٫۵۰)",
        "points at least 5 and (city: تهران or average rating at most 2.50)",
    ),
    ({"last_visit_days": {"max": 14}}, "آخرین بازدید در ۱۴ روز گذشته", "last visit within the last 14 days"),
    ({"first_visit_days": {"min": 90}}, "نخستین بازدید ۹۰ روز پیش یا زودتر", "first visit 90 or more days ago"),
]


@pytest.mark.parametrize(("criteria", "fa", "en"), SAID)
def test_a_rule_is_a_sentence(criteria: dict[str, Any], fa: str, en: str) -> None:
    tree = tree_rules.from_criteria(criteria, KINDS)
    for language, expected in zip(LANGUAGES, (fa, en), strict=True):
        said = sentence(
            tree,
            KINDS,
            partial(catalogue().say, language),
            catalogue().has,
            Speech(language),
        )
        assert said.replace("\u2068", "").replace("\u2069", "") == expected


@given(TREES)
def test_every_rule_has_a_sentence_in_both_languages(tree: RuleGroup) -> None:
    for language in LANGUAGES:
        said = sentence(
            tree,
            KINDS,
            partial(catalogue().say, language),
            catalogue().has,
            Speech(language),
        )
        assert said.count("(") == said.count(")")
        for row in (node for _, node in tree_rules.walk(tree) if isinstance(node, RuleRow)):
            assert catalogue().say(language, f"attribute.{row.attribute}") in said


def test_every_attribute_and_way_to_compare_it_has_its_words() -> None:
    for name, kind in KINDS.items():
        assert catalogue().has(f"attribute.{name}"), name
        for operator in tree_rules.OPERATORS[kind]:
            assert catalogue().has(f"operator.{operator}"), operator

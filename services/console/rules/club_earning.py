"""How bills earn beyond their amount, in sentences."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from services.console.models.club import EarnRuleOfClub, MenuOfClub, MultiplierOfClub, RulesOfClub
from services.console.rules.club_sentence import Sentence
from services.console.rules.speech import Speech
from shared.persian.money import Unit, in_unit

# The sentences by the last part of their keys in the catalogue: rules, then what limits them.
EARNING_SENTENCES: Final = (
    "base_limits", "own_amount", "own_visit", "own_items", "own_items_amount", "own_nth_visit", "own_every_nth_visit",
    "own_times", "stacking_best", "stacking_product", "cap_visit", "cap_day", "cap_month",
    "when_minimum", "when_without", "when_per_day", "when_by_tier", "when_days", "when_hours", "when_dates",
    "when_branches", "when_segments", "when_on_base", "when_on_amount", "when_on_visit", "when_on_items",
    "when_on_nth_visit", "when_on_every_nth_visit", "when_on_nothing",
)  # fmt: skip
_WEEK: Final = ("sat", "sun", "mon", "tue", "wed", "thu", "fri")
_AND: Final = {"fa": "، ", "en": ", "}


def sentences_of(rules: RulesOfClub, unit: Unit, s: Speech) -> Iterator[Sentence]:
    """The rules in the order in which they are evaluated."""
    base = tuple(_limits(rules.base, unit, s))
    if base:
        yield Sentence("own.base", "base_limits", {}, also=base)
    for rule in rules.earn:
        yield _of_rule(rule, unit, s)
    for each in rules.multiply:
        factor = f"{each.factor.normalize():f}"
        times = {"times": s.digits(factor.replace(".", "٫") if s.language == "fa" else factor)}
        yield Sentence(f"own.{each.key}", "own_times", times, also=tuple(_when(each, rules, s)))
    if len(rules.multiply) > 1:
        yield Sentence("own.stacking", f"stacking_{rules.stacking}", {})
    for name, points in (("visit", rules.caps.visit), ("day", rules.caps.day), ("month", rules.caps.month)):
        if points is not None:
            yield Sentence(f"cap.{name}", f"cap_{name}", {"points": s.number(points)})


def _of_rule(rule: EarnRuleOfClub, unit: Unit, s: Speech) -> Sentence:
    points = {"points": s.number(rule.points or 0)}
    amount = {"amount": money_text(rule.toman_per_point or 0, unit, s)}
    key, values = f"own_{rule.kind}", points
    match rule.kind:
        case "amount":
            values = amount
        case "item" if rule.points is None:
            key, values = "own_items_amount", amount | {"items": menu_text(rule.match, s)}
        case "item":
            key, values = "own_items", points | {"items": menu_text(rule.match, s)}
        case "nth_visit" | "every_nth_visit":
            values = points | {"n": _numbers(rule, s)}
    return Sentence(f"own.{rule.key}", key, values, also=tuple(_limits(rule, unit, s)))


def _limits(rule: EarnRuleOfClub, unit: Unit, s: Speech) -> Iterator[Sentence]:
    if rule.exclude is not None:
        yield Sentence("", "when_without", {"items": menu_text(rule.exclude, s)})
    if rule.minimum_toman:
        yield Sentence("", "when_minimum", {"amount": money_text(rule.minimum_toman, unit, s)})
    if rule.per_day is not None:
        yield Sentence("", "when_per_day", {"n": s.number(rule.per_day)})
    if rule.by_tier:
        yield Sentence("", "when_by_tier", {})


def _when(each: MultiplierOfClub, rules: RulesOfClub, s: Speech) -> Iterator[Sentence]:
    own = {rule.key: rule for rule in rules.earn}
    for key in each.on:
        yield Sentence("", "when_on_base", {}) if key == "base" else _on(own.get(key), s)
    if each.weekdays:
        days = (s.weekday_from_saturday(_WEEK.index(day)) for day in each.weekdays)
        yield Sentence("", "when_days", {"days": _AND[s.language].join(days)})
    if each.from_time or each.until_time:
        since, until = each.from_time or "00:00", each.until_time or "24:00"
        yield Sentence("", "when_hours", {"since": s.digits(since), "until": s.digits(until)})
    for span in each.dates:
        yield Sentence("", "when_dates", {"first": s.day(span.first), "last": s.day(span.last)})
    if each.branches:
        yield Sentence("", "when_branches", {"n": s.number(len(each.branches))})
    if each.segments:
        yield Sentence("", "when_segments", {"n": s.number(len(each.segments))})


def _on(rule: EarnRuleOfClub | None, s: Speech) -> Sentence:
    """That a multiplier is for this rule; None for one that there is not, which earns nothing."""
    match rule:
        case None:
            return Sentence("", "when_on_nothing", {})
        case EarnRuleOfClub(kind="item"):
            return Sentence("", "when_on_items", {"items": menu_text(rule.match, s)})
        case EarnRuleOfClub(kind="nth_visit" | "every_nth_visit"):
            return Sentence("", f"when_on_{rule.kind}", {"n": _numbers(rule, s)})
        case _:
            return Sentence("", f"when_on_{rule.kind}", {})


def _numbers(rule: EarnRuleOfClub, s: Speech) -> str:
    numbers = rule.n if isinstance(rule.n, tuple) else (rule.n or 0,)
    return _AND[s.language].join(s.number(each) for each in numbers)


def listed(words: Sequence[str], s: Speech) -> str:
    """One after the other."""
    return _AND[s.language].join(words)


def menu_text(menu: MenuOfClub | None, s: Speech) -> str:
    """The words that a menu names, as they are said."""
    if menu is None:
        return ""
    return _AND[s.language].join(f"«{word}»" for word in (*menu.categories, *menu.names, *menu.skus))


def money_text(toman: int, unit: Unit, s: Speech) -> str:
    """An amount of whole Toman in the unit of the cafe."""
    return s.money(in_unit(Decimal(toman), "IRT", unit), unit)

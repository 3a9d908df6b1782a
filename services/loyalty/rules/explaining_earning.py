"""Which earning rules, multipliers and caps a bill met, as conditions of an explanation."""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Final

from services.loyalty.models.earning import CapOf, Multiplier, RuleCheck, RuleKind, Trace, WeighedRule
from services.loyalty.rules.announcing import multiplier
from shared.inputs.bounds import MOST_POINTS
from shared.inputs.explaining import Condition, amounts, facts
from shared.persian.money import Unit

# What each kind of rule and each cap is called as a condition.
OF_KIND: Final[Mapping[RuleKind, str]] = {
    "amount": "earns_amount",
    "visit": "earns_visit",
    "item_quantity": "earns_items",
    "item_amount": "earns_items_amount",
    "nth_visit": "earns_nth_visit",
    "every_nth_visit": "earns_every_nth_visit",
}
OF_CAP: Final[Mapping[CapOf, str]] = {"visit": "cap_visit", "day": "cap_day", "month": "cap_month"}
CHECKS: Final = (
    "minimum_bill", "item_bought", "visit_is_nth", "visit_is_every_nth", "times_a_day", "on_weekday", "at_hour",
    "on_date", "in_branch", "in_segment",
)  # fmt: skip
EARNING_RULES: Final = (*OF_KIND.values(), *OF_CAP.values(), "multiplies", *CHECKS)


def conditions_of(trace: Trace, unit: Unit) -> list[Condition]:
    """Every rule with its conditions below it, then the multipliers, then the caps, in the order of evaluation. A rule
    holds when it gave points, a cap when the bill stayed within it."""
    found = [each for rule in trace.rules for each in _of_rule(rule, unit)]
    found += [each for one, checks in trace.multipliers for each in _of_multiplier(one, checks, unit)]
    found += [
        Condition(
            rule=OF_CAP[cut.of], held=cut.held, values=facts(points=cut.points, room=cut.room, most=cut.most)
        )
        for cut in trace.cuts
        if cut.most < MOST_POINTS or not cut.held
    ]  # fmt: skip
    return found


def _of_rule(weighed: WeighedRule, unit: Unit) -> Iterator[Condition]:
    values = {"key": weighed.rule.key, "points": weighed.given}
    if weighed.given != weighed.points:
        values["before_caps"] = weighed.points
    if weighed.times:
        values["by"] = ", ".join(weighed.times)
    yield Condition(rule=OF_KIND[weighed.rule.kind], held=weighed.given > 0, values=facts(**values))
    yield from checks_below(weighed.checks, unit)


def _of_multiplier(one: Multiplier, checks: Iterable[RuleCheck], unit: Unit) -> Iterator[Condition]:
    held = all(check.held for check in checks)
    yield Condition(rule="multiplies", held=held, values=facts(key=one.key, multiplier=multiplier(one.factor)))
    yield from checks_below(checks, unit)


def checks_below(checks: Iterable[RuleCheck], unit: Unit) -> Iterator[Condition]:
    """What a rule asked, below it."""
    for check in checks:
        told = {name: Decimal(each) / 1000 for name, each in check.amounts.items()}
        yield Condition(
            rule=check.rule, held=check.held, depth=1, values=dict(check.values), amounts=amounts(unit, "IRT", **told)
        )

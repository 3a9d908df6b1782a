"""From the published rules of a cafe to the plan by which its guests are counted."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from services.loyalty.models.accounts import Plan, Program, Step
from services.loyalty.models.http import ProgramRules
from shared.persian.calendar import Calendar

EVER = datetime(1970, 1, 1, tzinfo=UTC)
# Of a cafe whose own event is on its way; its guests are counted anew when it comes and says otherwise.
BEFORE_THE_CAFE: tuple[str, Calendar] = ("Asia/Tehran", "jalali")


def default_rules(calendar: Calendar) -> ProgramRules:
    """What a new cafe starts with."""
    return ProgramRules(tier_period="jalali_year" if calendar == "jalali" else "gregorian_year")


def program(version: int, valid_from: datetime, rules: ProgramRules) -> Program:
    """One version of the rules, in the integers that counting uses."""
    steps = tuple(Step(each.tier, each.threshold, int(each.multiplier * 100)) for each in rules.tiers)
    return Program(
        version=version,
        valid_from=valid_from,
        earn_per_toman=rules.earn_per_toman,
        steps=steps,
        tier_period="jalali" if rules.tier_period == "jalali_year" else "gregorian",
        points_expire_days=rules.points_expire_days,
        negative_balance=rules.negative_balance,
        approval_above=rules.approval_above,
    )


def plan(
    time_zone: str | None,
    calendar: Calendar | None,
    versions: Iterable[tuple[int, datetime, Mapping[str, Any]]],
) -> Plan:
    """The plan of a cafe from its versions (number, valid from, rules as stored), which ascend.

    Without any it has the default rules, in force since ever.
    """
    zone, calendar = time_zone or BEFORE_THE_CAFE[0], calendar or BEFORE_THE_CAFE[1]
    programs = [program(number, since, ProgramRules.model_validate(rules)) for number, since, rules in versions]
    return Plan(zone, calendar, tuple(programs or [program(1, EVER, default_rules(calendar))]))

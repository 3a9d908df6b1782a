"""From the published rules of a cafe to the plan by which its guests are counted."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from services.loyalty.models.accounts import Plan, Program, TierStep
from services.loyalty.models.grants import HeldBack
from services.loyalty.models.programs import ProgramRules
from services.loyalty.models.referrals import ReferralTerms
from services.loyalty.models.time_terms import lapse_of, warns_of
from services.loyalty.rules.schemes import cards_of, scheme_of
from shared.errors import Problem, Rejected
from shared.inputs.amounts import INSIDE, inside
from shared.inputs.bounds import MOST_TOMAN
from shared.persian.calendar import Calendar
from shared.persian.money import Unit

EVER = datetime(1970, 1, 1, tzinfo=UTC)
# Of a cafe whose own event is on its way; its guests are counted anew when it comes and says otherwise.
BEFORE_THE_CAFE: tuple[str, Calendar] = ("Asia/Tehran", "jalali")


def default_rules(calendar: Calendar) -> ProgramRules:
    """What a new cafe starts with."""
    return ProgramRules(tier_period="jalali_year" if calendar == "jalali" else "gregorian_year")


def program(
    version: int, valid_from: datetime, rules: ProgramRules, menu_codes: Mapping[str, str] | None = None
) -> Program:
    """One version of the rules, in the integers that counting uses. `menu_codes`: those of the words that they name."""
    steps = tuple(TierStep(each.tier, each.threshold, int(each.multiplier * 100)) for each in rules.tiers)
    return Program(
        version=version,
        valid_from=valid_from,
        earn_per_toman=rules.earn_per_toman,
        steps=steps,
        tier_period="jalali" if rules.tier_period == "jalali_year" else "gregorian",
        lapse=lapse_of(rules.expiry, rules.points_expire_days),
        negative_balance=rules.negative_balance,
        approval_above=rules.approval_above,
        scheme=scheme_of(rules, menu_codes or {}),
        cards=cards_of(rules, menu_codes or {}),
        birthday=rules.birthday.points if rules.birthday else None,
        waiting=HeldBack(timedelta(hours=rules.pending.hours), rules.pending.above_points) if rules.pending else None,
        grace_days=rules.tier_grace_days,
        falls_by_step=rules.downgrade == "one_step",
        warns=warns_of(rules.warn),
        referral=_referral(rules),
    )


def _referral(rules: ProgramRules) -> ReferralTerms | None:
    term = rules.referral
    if term is None:
        return None
    return ReferralTerms(
        referrer=term.referrer, referee=term.referee, minimum=term.minimum_bill * 1000, within_days=term.within_days,
        referrer_visits=term.referrer_visits, per_month=term.per_month,
    )  # fmt: skip


def priced(rules: Mapping[str, Any]) -> dict[str, Any]:
    """Rules as they are kept, with what earns a point and what one is worth as amounts beside them."""
    known = ProgramRules.model_validate(rules)
    return {
        "rules": rules,
        "earn_per": known.earn_per_toman,
        "point_worth": known.toman_per_point,
        "currency_unit": INSIDE,
    }


def in_toman(rules: ProgramRules, earn_per: Decimal | None, point_worth: Decimal | None, unit: Unit) -> ProgramRules:
    """The rules as they are kept, with what earns a point and what one is worth: the amounts in `unit`, or what the
    rules say without them.

    Raises Rejected for an amount that is no whole Toman or contradicts the rules.
    """
    for name, amount, rule in (
        ("earn_per", earn_per, "earn_per_toman"),
        ("point_worth", point_worth, "toman_per_point"),
    ):
        if amount is not None:
            toman = _whole_toman(name, amount, unit)
            if rule in rules.model_fields_set and getattr(rules, rule) != toman:
                raise _wrong_amount(
                    name,
                    f"{name}_twice",
                    f"Differs from rules.{rule}; leave one of the two out.",
                    f"با rules.{rule} یکی نیست؛ یکی از این دو را نفرستید.",
                )
            rules = rules.model_copy(update={rule: toman})
    return rules


def plan(
    time_zone: str | None,
    calendar: Calendar | None,
    versions: Iterable[tuple[int, datetime, str, str | None]],
) -> Plan:
    """The plan of a cafe from its versions (number, valid from, rules and menu codes as JSON), which ascend.

    Without any it has the default rules, in force since ever.
    """
    zone, calendar = time_zone or BEFORE_THE_CAFE[0], calendar or BEFORE_THE_CAFE[1]
    programs = [_published(*version) for version in versions]
    return Plan(zone, calendar, tuple(programs or [program(1, EVER, default_rules(calendar))]))


# A version never changes and comes with every batch and call; to read fifty rules takes longer than to count a bill.
@lru_cache(maxsize=512)
def _published(version: int, valid_from: datetime, rules: str, menu_codes: str | None) -> Program:
    codes = msgspec.json.decode(menu_codes, type=dict[str, str]) if menu_codes else None
    return program(version, valid_from, ProgramRules.model_validate(msgspec.json.decode(rules)), codes)


def _whole_toman(name: str, amount: Decimal, unit: Unit) -> int:
    toman = inside(amount, unit)
    if not 1 <= toman <= MOST_TOMAN or toman % 1:
        raise _wrong_amount(
            name,
            "whole_toman",
            "Must be whole Toman and at least one; 1 Toman is 10 Rial.",
            "باید تومان بدون اعشار و دست‌کم یک تومان باشد؛ هر تومان ده ریال است.",
        )
    return int(toman)


def _wrong_amount(name: str, code: str, en: str, fa: str) -> Rejected:
    return Rejected("invalid_input", en, fa, problems=[Problem(name, code, en, fa)])

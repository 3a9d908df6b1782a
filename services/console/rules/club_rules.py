"""A club's rules in sentences, what another version would change, and the form in which it is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from services.console.models.club import RulesVersion, TierOfRules
from services.console.rules.club_earning import EARNING_SENTENCES, sentences_of
from services.console.rules.club_sentence import Sentence
from services.console.rules.speech import Speech
from shared.persian.text import latin_digits

_MOST_PLACES: Final = 9
LADDER: Final = ("bronze", "silver", "gold", "platinum")
# The sentences by the last part of their keys in the catalogue.
SENTENCES: Final = (
    "earn", "worth", "no_worth", "first", "step", "no_step", "jalali_year", "gregorian_year", "expire", "never",
    "allow_after_refund", "forgive_after_refund", "approval", "no_rule", *EARNING_SENTENCES,
)  # fmt: skip


@dataclass(frozen=True)
class RuleChange:
    """A rule that another version would change: as it is, None when it is new, and as it would be."""

    before: Sentence | None
    after: Sentence


@dataclass(frozen=True)
class RulesThatWait:
    """Rules that wait, and when they begin: None when that is with the approval."""

    begins: datetime | None
    said: tuple[Sentence, ...]


def sentences(version: RulesVersion, s: Speech) -> tuple[Sentence, ...]:
    """The rules, one sentence each, in the order in which one asks for them."""
    rules, unit = version.rules, version.currency_unit
    worth = version.point_worth
    days = rules.points_expire_days
    return (
        Sentence("earn", "earn", {"amount": s.money(version.earn_per, unit)}),
        *sentences_of(rules, "IRR" if unit == "IRR" else "IRT", s),
        Sentence("worth", "no_worth", {}) if worth is None else Sentence("worth", "worth", {"n": s.money(worth, unit)}),
        *(_of_tier(each, s) for each in rules.tiers),
        Sentence("period", rules.tier_period, {}),
        Sentence("expiry", "never", {}) if days is None else Sentence("expiry", "expire", {"days": s.number(days)}),
        Sentence("debt", rules.negative_balance, {}),
        Sentence("approval", "approval", {"points": s.number(rules.approval_above)}),
    )


def rules_that_wait(what: Mapping[str, Any], at: datetime, s: Speech) -> RulesThatWait:
    """Rules that wait for a second person, from what the approval says of them; `at` is when they were asked for."""
    begins = msgspec.convert(what.get("valid_from"), datetime | None)
    version = msgspec.convert({**what, "valid_from": at, "created_at": at, "version": 0}, RulesVersion, strict=False)
    return RulesThatWait(begins, sentences(version, s))


def changes(now: RulesVersion, then: RulesVersion, s: Speech) -> tuple[RuleChange, ...]:
    """What the other version would change, in the order of its rules; a tier that goes says so."""
    before = {each.about: each for each in sentences(now, s)}
    after = {each.about: each for each in sentences(then, s)}
    gone = {
        about: Sentence(about, "no_step", {}, each.tier) if each.tier else Sentence(about, "no_rule", {})
        for about, each in before.items()
        if about not in after
    }
    return tuple(
        RuleChange(before.get(about), sentence)
        for about, sentence in (after | gone).items()
        if before.get(about) != sentence
    )


def as_form(version: RulesVersion, s: Speech) -> dict[str, str]:
    """The version as the fields of the form."""
    tiers = {each.tier: each for each in version.rules.tiers}
    found = {
        "earn_per": s.digits(f"{version.earn_per.normalize():f}"),
        "point_worth": "" if version.point_worth is None else s.digits(f"{version.point_worth.normalize():f}"),
        "points_expire_days": s.digits(version.rules.points_expire_days or ""),
        "negative_balance": version.rules.negative_balance,
        "approval_above": s.digits(version.rules.approval_above),
        "from_day": "",
        "from_clock": "",
    }
    for name in LADDER:
        tier = tiers.get(name)
        found[f"{name}_threshold"] = s.digits(tier.threshold) if tier else ""
        found[f"{name}_multiplier"] = _plain(tier.multiplier, s) if tier else ""
    return found


def written_version(form: Mapping[str, str], now: RulesVersion) -> tuple[RulesVersion | None, str | None]:
    """The version that the form describes, to be compared with the present one; or the field that holds no number.

    A tier whose threshold is empty is left out. What the form does not ask for stays as it is.
    """
    numbers: dict[str, Decimal | None] = {}
    for name, typed in form.items():
        if name in ("negative_balance", "from_day", "from_clock"):
            continue
        numbers[name] = _number(typed)
        if numbers[name] is None and typed.strip():
            return None, name
    for needed in ("earn_per", "bronze_multiplier"):
        if numbers.get(needed) is None:
            return None, needed
    tiers = []
    for name in LADDER:
        threshold = Decimal(0) if name == "bronze" else numbers.get(f"{name}_threshold")
        multiplier = numbers.get(f"{name}_multiplier")
        if threshold is None:
            continue
        if multiplier is None:
            return None, f"{name}_multiplier"
        tiers.append(TierOfRules(name, int(threshold), multiplier))  # type: ignore[arg-type]
    days, limit = numbers.get("points_expire_days"), numbers.get("approval_above")
    rules = replace(
        now.rules,
        tiers=tuple(tiers),
        points_expire_days=None if days is None else int(days),
        negative_balance=form.get("negative_balance", now.rules.negative_balance),
        approval_above=now.rules.approval_above if limit is None else int(limit),
    )
    earn_per = numbers["earn_per"]
    assert earn_per is not None
    return (
        RulesVersion(
            version=now.version + 1,
            earn_per=earn_per,
            point_worth=numbers.get("point_worth"),
            currency_unit=now.currency_unit,
            valid_from=now.valid_from,
            created_at=now.created_at,
            rules=rules,
        ),
        None,
    )


def as_body(version: RulesVersion, now: RulesVersion) -> dict[str, Any]:
    """The version as the API takes it. Who may not change the limit of approval does not send it."""
    rules: dict[str, Any] = {
        "tiers": [
            {"tier": each.tier, "threshold": each.threshold, "multiplier": f"{each.multiplier:f}"}
            for each in version.rules.tiers
        ],
        "tier_period": version.rules.tier_period,
        "points_expire_days": version.rules.points_expire_days,
        "negative_balance": version.rules.negative_balance,
    }
    if version.rules.approval_above != now.rules.approval_above:
        rules["approval_above"] = version.rules.approval_above
    worth = None if version.point_worth is None else f"{version.point_worth:f}"
    amounts = {"earn_per": f"{version.earn_per:f}", "currency_unit": version.currency_unit, "point_worth": worth}
    return {"rules": rules, **amounts}


def _of_tier(tier: TierOfRules, s: Speech) -> Sentence:
    times = _plain(tier.multiplier, s)
    if tier.tier == "bronze":
        return Sentence("tier.bronze", "first", {"times": times}, "bronze")
    return Sentence(f"tier.{tier.tier}", "step", {"points": s.number(tier.threshold), "times": times}, tier.tier)


def _plain(number: Decimal, s: Speech) -> str:
    written = f"{number.normalize():f}"
    return s.digits(written.replace(".", "٫") if s.language == "fa" else written)


def _number(typed: str) -> Decimal | None:
    digits = latin_digits(typed).replace("٬", "").replace(",", "").replace("٫", ".").strip()
    try:
        found = Decimal(digits)
    except InvalidOperation:
        return None
    # By its exponent a short text can be a number of a thousand million digits, once it is written out.
    places = found.as_tuple().exponent
    return found if isinstance(places, int) and places >= -_MOST_PLACES and 0 <= found < 10**15 else None

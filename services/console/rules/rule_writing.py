"""From the fields of the editor to the next version of a club's rules: as it would be said, and as the API takes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from services.console.models.club import BirthdayOfClub, ExpiryOfClub, RulesOfClub, RulesVersion, TierOfRules
from services.console.rules.rule_blanks import Fields, number, plain
from services.console.rules.rule_draft import Faults, blank_at, fields_of, rules_of
from services.console.rules.rule_forms import PLACES
from services.console.rules.speech import Speech
from shared.events.base import Tier

LADDER: Final[tuple[Tier, ...]] = ("bronze", "silver", "gold", "platinum")
# What is asked for by one field each: whole numbers, and whether it must be filled.
_AMOUNTS: Final = {"earn_per": True, "point_worth": False}
_WHOLE: Final = ("tier_grace_days", "approval_above")


@dataclass(frozen=True)
class WrittenRules:
    """What the editor says. `version`: to be compared with the present one, and `body`, the same as the API takes it;
    None while something has to be mended. `faults`: by the name of a field the key of what is said there."""

    version: RulesVersion | None
    body: dict[str, Any] | None
    faults: Faults


def as_fields(version: RulesVersion, s: Speech) -> dict[str, tuple[str, ...]]:
    """The version as the fields of the editor."""
    rules = version.rules
    tiers = {each.tier: each for each in rules.tiers}
    typed = {
        "earn_per": _amount(version.earn_per, s),
        "point_worth": "" if version.point_worth is None else _amount(version.point_worth, s),
        "tier_grace_days": s.number(rules.tier_grace_days) if rules.tier_grace_days else "",
        "downgrade": rules.downgrade,
        "negative_balance": rules.negative_balance,
        "approval_above": s.number(rules.approval_above),
        "from_day": "",
        "from_clock": "",
    }
    for name in LADDER:
        tier = tiers.get(name)
        typed[f"{name}_threshold"] = s.number(tier.threshold) if tier else ""
        typed[f"{name}_multiplier"] = plain(tier.multiplier, s) if tier else ""
    return {name: (each,) for name, each in typed.items()} | fields_of(msgspec.to_builtins(_as_edited(rules)), s)


def _as_edited(rules: RulesOfClub) -> RulesOfClub:
    """The same as the editor says it: days of older rules are an expiry, never is none, and a tier without a gift has
    nought."""
    expiry = rules.expiry
    if expiry is None and rules.points_expire_days is not None:
        expiry = ExpiryOfClub("days", rules.points_expire_days)
    elif expiry is not None and expiry.kind == "never":
        expiry = None
    nought: dict[Tier, int] = dict.fromkeys(LADDER, 0)
    birthday = None if rules.birthday is None else BirthdayOfClub(nought | rules.birthday.points)
    return replace(rules, expiry=expiry, birthday=birthday)


def written_rules(fields: Fields, now: RulesVersion, s: Speech) -> WrittenRules:
    """The version that the fields describe. A tier whose threshold is empty is left out."""
    own, faults = rules_of(fields, s)
    amounts = {name: _read(fields, name, faults, needed=needed) for name, needed in _AMOUNTS.items()}
    grace, limit = (_read(fields, name, faults, whole=True) for name in _WHOLE)
    tiers = _tiers(fields, faults)
    if faults:
        return WrittenRules(None, None, faults)
    kept = replace(
        now.rules,
        tiers=tiers,
        points_expire_days=None,
        tier_grace_days=0 if grace is None else int(grace),
        downgrade=(fields.get("downgrade") or (now.rules.downgrade,))[0],
        negative_balance=(fields.get("negative_balance") or (now.rules.negative_balance,))[0],
        approval_above=now.rules.approval_above if limit is None else int(limit),
    )
    rules = msgspec.convert(msgspec.to_builtins(kept) | own, RulesOfClub, strict=False)
    version = replace(
        now,
        version=now.version + 1,
        earn_per=amounts["earn_per"] or Decimal(0),
        point_worth=amounts["point_worth"],
        rules=rules,
    )
    return WrittenRules(version, _body(version, now, own), {})


def field_at(path: str, fields: Fields, version: RulesVersion | None) -> str:
    """The field of the editor that the API means by `rules.tiers.1.threshold` or `rules.earn.0.points`."""
    own = path.removeprefix("rules.")
    head, _, rest = own.partition(".")
    if head == "tiers" and version is not None:
        number_of, _, name = rest.partition(".")
        at = int(number_of) if number_of.isdecimal() else len(version.rules.tiers)
        if name and at < len(version.rules.tiers):
            return f"{version.rules.tiers[at].tier}_{name}"
    alone = {"valid_from": "from_day", "earn_per_toman": "earn_per", "toman_per_point": "point_worth"}
    return blank_at(fields, own) if any(head == each.name for each in PLACES) else alone.get(own, own)


def _body(version: RulesVersion, now: RulesVersion, own: Mapping[str, Any]) -> dict[str, Any]:
    """Whole, so that nothing stays but what was shown. Who may not change the limit of approval does not send it."""
    rules: dict[str, Any] = dict(own) | {
        "tiers": [
            {"tier": each.tier, "threshold": each.threshold, "multiplier": f"{each.multiplier:f}"}
            for each in version.rules.tiers
        ],
        "tier_period": version.rules.tier_period,
        "points_expire_days": None,
        "tier_grace_days": version.rules.tier_grace_days,
        "downgrade": version.rules.downgrade,
        "negative_balance": version.rules.negative_balance,
    }
    if version.rules.approval_above != now.rules.approval_above:
        rules["approval_above"] = version.rules.approval_above
    worth = None if version.point_worth is None else f"{version.point_worth:f}"
    amounts = {"earn_per": f"{version.earn_per:f}", "currency_unit": version.currency_unit, "point_worth": worth}
    return {"rules": rules, **amounts}


def _tiers(fields: Fields, faults: Faults) -> tuple[TierOfRules, ...]:
    tiers = []
    for name in LADDER:
        threshold = Decimal(0) if name == "bronze" else _read(fields, f"{name}_threshold", faults, whole=True)
        multiplier = _read(fields, f"{name}_multiplier", faults, needed=threshold is not None)
        if threshold is not None and multiplier is not None:
            tiers.append(TierOfRules(name, int(threshold), multiplier))
    return tuple(tiers)


def _read(fields: Fields, name: str, faults: Faults, *, needed: bool = False, whole: bool = False) -> Decimal | None:
    typed = (fields.get(name) or ("",))[0]
    if not typed.strip():
        if needed:
            faults[name] = "needed"
        return None
    found = number(typed)
    if found is None or (whole and found % 1):
        faults[name] = "whole" if whole else "number"
        return None
    return found


def _amount(amount: Decimal, s: Speech) -> str:
    return s.number(amount) if amount == amount.to_integral_value() else plain(amount, s)

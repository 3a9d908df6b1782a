"""One rule for points, as it stands in a version, in words."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from services.console.rules.segment_words import SayRule
from services.console.rules.speech import Speech

# What is said of terms that are more than a number.
_NUMBERS: Final[Mapping[str, Callable[[dict[str, Any]], int]]] = {
    "birthday": lambda term: max(term["points"].values()),
    "pending": lambda term: term["hours"],
    "referral": lambda term: term["referrer"] + term["referee"],
}


def fact(name: str, value: Any, *, say: SayRule, speech: Speech) -> str:
    """What a rule says, as `every 1,000 Toman one point`."""
    if name == "tiers":
        return say("app.comma").join(_tier(each, say, speech) for each in value or ())
    if value is None:
        return say("chain.rule_never") if name == "points_expire_days" else say("chain.rule_none")
    if name == "expiry":
        return _expiry(value, say, speech)
    if name in ("tier_period", "negative_balance", "stacking", "downgrade"):
        return say(f"rule_value.{value}")
    if name in ("base", "earn", "multiply", "caps", "warn", "cards"):
        held = value if isinstance(value, list) else [each for each in value.values() if each]
        return say(f"rule_says.{name}", n=speech.number(len(held)))
    number = _NUMBERS[name](value) if name in _NUMBERS else Decimal(str(value))
    return say(f"rule_says.{name}", n=speech.number(number))


def _expiry(value: dict[str, Any], say: SayRule, speech: Speech) -> str:
    after = value.get("after") or 0
    key = f"{value['kind']}_after" if after else value["kind"]
    return say(f"rule_says.expiry_{key}", n=speech.number(after or value.get("days") or 0))


def _tier(step: dict[str, Any], say: SayRule, speech: Speech) -> str:
    values = (speech.number(Decimal(str(step[name]))) for name in ("threshold", "multiplier"))
    points, times = values
    return say("chain.rule_tier", tier=say(f"tier.{step['tier']}"), n=points, times=times)

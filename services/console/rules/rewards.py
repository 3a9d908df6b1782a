"""A reward's limits in sentences, what it is worth, and the form in which it is written."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from services.console.models.counter import RewardAtCounter
from services.console.models.http_rewards import RewardForm
from services.console.models.rewards import ConditionsOfReward, RewardOfCafe
from services.console.rules.speech import Speech
from shared.persian.text import latin_digits

WEEK: Final = ("sat", "sun", "mon", "tue", "wed", "thu", "fri")
# The sentences by the last part of their keys in the catalogue, and the picture beside each.
LIMITS: Final[Mapping[str, str]] = {
    "cards_only": "award", "days": "calendar", "hours": "clock", "since": "calendar", "until": "calendar",
    "span": "calendar", "branches": "store", "tier": "award", "bill": "receipt", "goods": "coffee", "guest": "user",
    "guest_days": "user",
}  # fmt: skip
_AND: Final = {"fa": "، ", "en": ", "}
_APART: Final = re.compile(r"[,،\n]")


@dataclass(frozen=True)
class RewardLimit:
    """One limit: the key of its sentence, what stands in its places, and the tier that it names."""

    key: str
    values: Mapping[str, str]
    tier: str | None = None


def limits(reward: RewardOfCafe | RewardAtCounter, branches: Mapping[UUID, str], s: Speech) -> tuple[RewardLimit, ...]:
    """What keeps guests from having it, in the order in which one says it at the counter."""
    return tuple(_limits(reward, branches, s))


def worth_of_cost(reward: RewardOfCafe, point_worth: Decimal | None) -> Decimal | None:
    """What its points are worth when they are spent without it; None while points have no price."""
    return None if point_worth is None or reward.cost_points is None else point_worth * reward.cost_points


def as_form(reward: RewardOfCafe, s: Speech) -> RewardForm:
    """The reward as the fields of the form."""
    has = reward.conditions
    goods = {name: _AND[s.language].join((has.match or {}).get(name, ())) for name in _GOODS}
    until = has.valid_until - timedelta(microseconds=1) if has.valid_until else None
    return RewardForm(
        name=reward.name, kind=reward.kind, least_tier=has.least_tier or "",
        cost_points=_shown(reward.cost_points, s), value=_shown(reward.value, s),
        minimum_bill=_shown(reward.minimum_bill or None, s), stock=_shown(reward.stock, s),
        branches=[str(each) for each in has.branches], weekdays=list(has.weekdays),
        from_time=s.digits(has.from_time or ""), until_time=s.digits(has.until_time or ""),
        valid_from=s.day_typed(has.valid_from) if has.valid_from else "",
        valid_until=s.day_typed(until) if until else "",
        per_guest=_shown(has.per_guest, s), per_guest_days=_shown(has.per_guest_days, s), **goods,
    )  # fmt: skip


def as_offer(
    form: RewardForm, reward_id: UUID, unit: str, since: datetime | None, until: datetime | None
) -> dict[str, Any]:
    """The form as the API takes a new reward. Its key is made up: nobody has to type one."""
    return {
        "reward_id": reward_id,
        "key": f"reward_{reward_id.hex[-12:]}",
        "kind": form.kind,
        "stock": number(form.stock),
        **as_change(form, form.kind, unit, since, until),
    }


def as_change(form: RewardForm, kind: str, unit: str, since: datetime | None, until: datetime | None) -> dict[str, Any]:
    """The form as the API takes what changes of a reward of that kind."""
    goods = {name: words(getattr(form, name)) for name in _GOODS}
    return {
        "name": form.name,
        "cost_points": number(form.cost_points),
        "value": number(form.value) if kind == "discount" else None,
        "minimum_bill": number(form.minimum_bill) or "0",
        "currency_unit": unit,
        "conditions": {
            "match": goods if any(goods.values()) else None,
            "least_tier": form.least_tier or None,
            "branches": form.branches,
            "weekdays": form.weekdays,
            "from_time": clock(form.from_time),
            "until_time": clock(form.until_time),
            "valid_from": since,
            "valid_until": until,
            "per_guest": number(form.per_guest),
            "per_guest_days": number(form.per_guest_days),
        },
    }


def number(typed: str) -> str | None:
    """What somebody typed as a number, without what keeps its thousands apart; None for nothing."""
    return re.sub(r"[٬,\s]", "", latin_digits(typed)).replace("٫", ".") or None


def clock(typed: str) -> str | None:
    """A time as the API takes it: "9" and "۹:۳۰" have their noughts."""
    found = re.fullmatch(r"(\d{1,2})(?:[:٫.](\d{2}))?", latin_digits(typed).strip())
    return f"{int(found[1]):02}:{found[2] or '00'}" if found else typed.strip() or None


def words(typed: str) -> list[str]:
    """Words that somebody typed with commas between them."""
    return [word for each in _APART.split(typed) if (word := each.strip())]


_GOODS: Final = ("categories", "names", "skus")


def _limits(reward: RewardOfCafe | RewardAtCounter, branches: Mapping[UUID, str], s: Speech) -> Iterator[RewardLimit]:
    has = reward.conditions
    if reward.cost_points is None:
        yield RewardLimit("cards_only", {})
    if has.least_tier:
        yield RewardLimit("tier", {}, has.least_tier)
    if reward.minimum_bill:
        yield RewardLimit("bill", {"amount": s.money(reward.minimum_bill, reward.currency_unit)})
    if has.match:
        goods = [word for name in _GOODS for word in has.match.get(name, ())]
        yield RewardLimit("goods", {"items": _AND[s.language].join(goods)})
    if has.weekdays:
        days = (s.weekday_from_saturday(WEEK.index(day)) for day in WEEK if day in has.weekdays)
        yield RewardLimit("days", {"days": _AND[s.language].join(days)})
    if has.from_time or has.until_time:
        since, until = has.from_time or "00:00", has.until_time or "24:00"
        yield RewardLimit("hours", {"since": s.digits(since), "until": s.digits(until)})
    yield from _span(has, s)
    if has.branches:
        known = (branches[each] for each in has.branches if each in branches)
        yield RewardLimit("branches", {"branches": _AND[s.language].join(known) or s.number(len(has.branches))})
    if has.per_guest is not None and has.per_guest_days is not None:
        yield RewardLimit("guest_days", {"n": s.number(has.per_guest), "days": s.number(has.per_guest_days)})
    elif has.per_guest is not None:
        yield RewardLimit("guest", {"n": s.number(has.per_guest)})


def _span(has: ConditionsOfReward, s: Speech) -> Iterator[RewardLimit]:
    # Its last moment is not included: the day before is the last.
    last = has.valid_until - timedelta(microseconds=1) if has.valid_until else None
    if has.valid_from and last:
        yield RewardLimit("span", {"first": s.day(has.valid_from), "last": s.day(last)})
    elif has.valid_from:
        yield RewardLimit("since", {"day": s.day(has.valid_from)})
    elif last:
        yield RewardLimit("until", {"day": s.day(last)})


def _shown(value: Decimal | int | None, s: Speech) -> str:
    return "" if value is None else s.digits(f"{Decimal(value).normalize():f}")

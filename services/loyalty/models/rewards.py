"""Rewards: what guests may have for their points, and when. Money is in Toman, minutes are of the cafe's day."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

import msgspec

from services.loyalty.models.accounts import RedemptionKind
from services.loyalty.models.earning import BillLine, Weekday
from shared.events.base import Tier

RewardKey = tuple[UUID, UUID]
"""(cafe_id, reward_id)."""

# Why a guest can't have a reward, in the order in which it is looked at.
RewardRefusal = Literal[
    "reward_unknown",
    "reward_inactive",
    "reward_not_valid",
    "not_for_points",
    "wrong_branch",
    "wrong_day",
    "wrong_hour",
    "tier_too_low",
    "bill_too_small",
    "not_on_bill",
    "guest_limit",
    "INSUFFICIENT_POINTS",
    "out_of_stock",
]


class GoodFor(msgspec.Struct, frozen=True):
    """Words of the menu, as somebody wrote them."""

    categories: tuple[str, ...] = ()
    skus: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def words(self) -> set[str]:
        """All of them."""
        return {*self.categories, *self.skus, *self.names}


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """When and for whom a reward is. Fields are only ever added, with a default: this is how it is kept. `codes` are
    those of the words of `match`; `per_guest` pieces within `per_guest_days` days of the cafe, ever without them."""

    match: GoodFor | None = None
    codes: Mapping[str, str] = {}
    least_tier: Tier | None = None
    branches: tuple[UUID, ...] = ()
    weekdays: tuple[Weekday, ...] = ()
    from_time: str | None = None
    until_time: str | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    per_guest: int | None = None
    per_guest_days: int | None = None


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a reward. Without `cost_points` it is not to be had for points."""

    name: str
    kind: RedemptionKind
    cost_points: int | None
    value: Decimal | None
    minimum_bill: Decimal
    conditions: Conditions


class Reward(msgspec.Struct, frozen=True, kw_only=True):
    """A reward as it is offered: its newest version, and how many of it are taken of how many."""

    cafe_id: UUID
    reward_id: UUID
    key: str
    version: int
    is_active: bool
    stock: int | None
    taken: int
    terms: Terms
    created_by: UUID
    created_at: datetime

    @property
    def left(self) -> int | None:
        """How many are left; None without end."""
        return None if self.stock is None else self.stock - self.taken


class Occasion(msgspec.Struct, frozen=True, kw_only=True):
    """When, by the cafe's own clock, where and for which bill somebody asks for a reward. `bill` is in Toman, None
    where nothing is told of it; without `lines` nothing is told of what is on it."""

    at: datetime
    branch: UUID | None = None
    bill: Decimal | None = None
    lines: Sequence[BillLine] = ()


class RewardSeeker(msgspec.Struct, frozen=True, kw_only=True):
    """The guest who would have it. `had`: how many of each reward within its days, by its id."""

    tier: Tier
    balance: int
    had: Mapping[UUID, int] = {}

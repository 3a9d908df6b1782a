"""A cafe's rewards."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from shared.events.base import Tier


class ConditionsOfReward(msgspec.Struct, frozen=True):
    """When and for whom a reward is."""

    match: dict[str, tuple[str, ...]] | None
    least_tier: Tier | None
    branches: tuple[UUID, ...]
    weekdays: tuple[str, ...]
    from_time: str | None
    until_time: str | None
    valid_from: datetime | None
    valid_until: datetime | None
    per_guest: int | None
    per_guest_days: int | None


class RewardOfCafe(msgspec.Struct, frozen=True):
    """A reward as the cafe keeps it: `taken` of `stock` are given; without a stock it has no end."""

    reward_id: UUID
    name: str
    kind: str
    cost_points: int | None
    value: Decimal | None
    minimum_bill: Decimal
    currency_unit: str
    conditions: ConditionsOfReward
    stock: int | None
    stock_left: int | None
    taken: int
    is_active: bool

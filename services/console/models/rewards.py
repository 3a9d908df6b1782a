"""A cafe's rewards, and the form in which one is written."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import msgspec
from pydantic import BaseModel, Field

from shared.events.base import Tier

Line = Annotated[str, Field(max_length=300)]
Several = Annotated[list[Annotated[str, Field(max_length=40)]], Field(max_length=60)]


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


class RewardForm(BaseModel):
    """What stands in the form of a reward, as people type it. `valid_until` is a day that is included."""

    name: Line = ""
    kind: Line = "item"
    cost_points: Line = ""
    value: Line = ""
    minimum_bill: Line = ""
    stock: Line = ""
    least_tier: Line = ""
    branches: Several = []
    weekdays: Several = []
    from_time: Line = ""
    until_time: Line = ""
    valid_from: Line = ""
    valid_until: Line = ""
    per_guest: Line = ""
    per_guest_days: Line = ""
    categories: Line = ""
    names: Line = ""
    skus: Line = ""

"""Points that come without a bill, and those that wait."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID, uuid5

import msgspec

from shared.events.base import Tier

GrantType = Literal["earned_bonus", "earned_referral", "earned_birthday", "adjustment_add"]


class HeldBack(msgspec.Struct, frozen=True):
    """How long the points of a bill above `above` wait until they can be spent."""

    time: timedelta
    above: int


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Points for one occasion, which a guest has once. They can't be spent before `available_at`."""

    cafe_id: UUID
    customer_id: UUID
    type: GrantType
    occasion: str
    points: int
    program_version: int
    granted_at: datetime
    available_at: datetime | None = None
    created_by: UUID | None = None

    @property
    def grant_id(self) -> UUID:
        """The same whenever and however often the occasion is heard of."""
        return uuid5(self.customer_id, f"{self.type} {self.occasion}")


TierPoints = Mapping[Tier, int]

"""What a guest's own page shows."""

from datetime import date, datetime

import msgspec

from services.console.models.counter import CardOfGuest, VoucherOfGuest
from shared.events.base import Tier
from shared.persian.calendar import Calendar


class OwnConsentTold(msgspec.Struct, frozen=True):
    """Whether messages of that purpose come by that channel."""

    channel: str
    purpose: str
    granted: bool


class OwnCardTold(msgspec.Struct, frozen=True):
    """The cafe, and what the guest allows."""

    cafe_name: str
    time_zone: str
    calendar: Calendar
    consents: tuple[OwnConsentTold, ...]


class LapsingTold(msgspec.Struct, frozen=True):
    """Points that lapse at the end of a day."""

    day: date
    points: int


class OwnRewardTold(msgspec.Struct, frozen=True):
    """A reward that the guest has points for, or saves for."""

    name: str
    cost_points: int
    points_missing: int


class OwnPointsTold(msgspec.Struct, frozen=True):
    """Points, tier, what they are good for, and stamp cards."""

    current_points: int
    tier: Tier
    next_tier: Tier | None
    points_to_next_tier: int
    lapsing: tuple[LapsingTold, ...]
    rewards: tuple[OwnRewardTold, ...] = ()
    cards: tuple[CardOfGuest, ...] = ()
    vouchers: tuple[VoucherOfGuest, ...] = ()
    referral_code: str | None = None


class OwnVisitTold(msgspec.Struct, frozen=True):
    """One visit."""

    at: datetime
    branch: str | None
    points: int


class OwnVisitsTold(msgspec.Struct, frozen=True):
    """The newest visits first."""

    visits: tuple[OwnVisitTold, ...]

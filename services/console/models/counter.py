"""What a guest may have at the counter, and what a bill would earn."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from services.console.models.rewards import ConditionsOfReward
from shared.events.base import Tier


class WhyNotNow(msgspec.Struct, frozen=True):
    """What keeps the guest from a reward."""

    code: str


class RewardAtCounter(msgspec.Struct, frozen=True):
    """A reward as it is offered."""

    reward_id: UUID
    name: str
    kind: str
    cost_points: int | None
    value: Decimal | None
    minimum_bill: Decimal
    currency_unit: str
    conditions: ConditionsOfReward
    stock_left: int | None


class RewardAtHand(RewardAtCounter, frozen=True, kw_only=True):
    """The same with what keeps one guest from it, and how many points are missing."""

    refusals: tuple[WhyNotNow, ...]
    points_missing: int


class CardOfGuest(msgspec.Struct, frozen=True):
    """A stamp card as it stands. `owed`: completed ones that the guest has to earn again."""

    name: str
    reward: str
    stamps: int
    need: int
    owed: int
    missing: int


class VoucherOfGuest(msgspec.Struct, frozen=True):
    """A voucher that can be used now."""

    voucher_id: UUID
    card_name: str
    reward: str
    expires_at: datetime | None


class UsedVoucher(msgspec.Struct, frozen=True):
    """A voucher that was used."""

    voucher_id: UUID
    reward: str
    used_at: datetime | None


class OffersAtCounter(msgspec.Struct, frozen=True):
    """Everything that a guest may have now, and what keeps the rest from them."""

    current_points: int
    available_points: int
    total_visits: int
    rewards: tuple[RewardAtHand, ...]
    cards: tuple[CardOfGuest, ...]
    vouchers: tuple[VoucherOfGuest, ...]
    used_vouchers: tuple[UsedVoucher, ...]


class StampsOfBill(msgspec.Struct, frozen=True):
    """What a bill would do to a card, and the card after it."""

    gives: int
    completes: int
    after: CardOfGuest


class RewardInSight(msgspec.Struct, frozen=True):
    """The cheapest reward that only points keep from the guest."""

    name: str
    points_missing: int


class BillQuote(msgspec.Struct, frozen=True):
    """What a bill would earn, how near the next tier is, and what the guest may have with it."""

    points: int
    tier: Tier
    tier_after: Tier
    next_tier: Tier | None
    points_to_next_tier: int
    more_for_next_tier: Decimal | None
    current_points: int
    currency_unit: str
    rewards: tuple[RewardAtCounter, ...]
    next_reward: RewardInSight | None
    cards: tuple[StampsOfBill, ...]


class TakenAtCounter(msgspec.Struct, frozen=True):
    """What became of a reward that was asked for."""

    redemption_id: UUID
    points: int
    state: str


class ReferralOfGuest(msgspec.Struct, frozen=True):
    """One guest whom another has brought, and what became of it."""

    state: str
    referee_id: UUID
    referrer_id: UUID


class GuestReferrals(msgspec.Struct, frozen=True):
    """A guest's code (None while the rules give nothing for it), who brought the guest, and whom the guest brought."""

    code: str | None
    brought_by: ReferralOfGuest | None
    brought: tuple[ReferralOfGuest, ...]

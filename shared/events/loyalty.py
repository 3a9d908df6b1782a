"""Published by `loyalty`, keyed by the guest."""

from datetime import date, datetime
from typing import ClassVar, Literal
from uuid import UUID

from shared.events.base import Code, Event, Identifier, Tier

LedgerType = Literal[
    "earned_purchase",
    "earned_bonus",
    "earned_referral",
    "earned_birthday",
    "redeemed_discount",
    "redeemed_item",
    "adjustment_add",
    "adjustment_subtract",
    "expired",
]


class LoyaltyEvent(Event, frozen=True, kw_only=True):
    topic: ClassVar[str] = "loyalty.events"
    customer_id: UUID


class PointsEarned(LoyaltyEvent, frozen=True, kw_only=True):
    """Points of one visit as they stand now: `points` is the visit's whole sum, `points_change` what this event adds
    to it (negative after a correction or a void). `visit_at` is the moment of the visit. `is_new`: the visit was new,
    and this is what it earned; None in events from before it was said."""

    type: ClassVar[str] = "points.earned"
    visit_id: UUID
    visit_at: datetime
    points: int
    points_change: int
    balance_after: int
    account_version: int
    program_version: int
    multiplier: Code
    is_new: bool | None = None


class PointsChanged(LoyaltyEvent, frozen=True, kw_only=True):
    """Any other row of the ledger: bonus, adjustment, redemption, expiry."""

    type: ClassVar[str] = "points.changed"
    transaction_id: UUID
    transaction_type: LedgerType
    points_change: int
    balance_after: int
    account_version: int
    visit_id: UUID | None = None
    visit_at: datetime | None = None
    redemption_id: UUID | None = None


class TierChanged(LoyaltyEvent, frozen=True, kw_only=True):
    """The highest `account_version` wins. `expires_on` is the last day the tier holds without further points.
    `visit_at`: nothing but visits that were new moved it, the oldest of which happened then."""

    type: ClassVar[str] = "tier.changed"
    tier: Tier
    previous_tier: Tier
    starts_on: date
    expires_on: date | None
    account_version: int
    visit_at: datetime | None = None


class PointsExpiring(LoyaltyEvent, frozen=True, kw_only=True):
    """So many points lapse unless they are spent: `expires_on` is the last day on which they count. Said once for the
    guest, that day and each of the `days` before it that the cafe has chosen."""

    type: ClassVar[str] = "points.expiring"
    points: int
    expires_on: date
    days: int


class TierExpiring(LoyaltyEvent, frozen=True, kw_only=True):
    """A tier ends unless points are earned: `expires_on` is its last day, and `points_to_keep` are missing to keep it.
    Said once for the guest, tier, last day and each of the `days` before it that the cafe has chosen."""

    type: ClassVar[str] = "tier.expiring"
    tier: Tier
    expires_on: date
    days: int
    points_to_keep: int


class RewardReached(LoyaltyEvent, frozen=True, kw_only=True):
    """The guest's points have come to what a reward costs, from below it. Said once for the guest, the reward and a day
    of the cafe; whether the reward may be had just now is another question."""

    type: ClassVar[str] = "reward.reached"
    reward_id: UUID
    reward_version: int
    cost_points: int
    balance: int


class RedemptionCompleted(LoyaltyEvent, frozen=True, kw_only=True):
    """Points were spent. Said again, with the visit, when a visit names the redemption later. `reward_id`: for which
    reward; None for a discount by the price of a point, and in events from before there were rewards."""

    type: ClassVar[str] = "redemption.completed"
    redemption_id: UUID
    points: int
    visit_id: UUID | None = None
    visit_at: datetime | None = None
    reward_id: UUID | None = None


class RedemptionReversed(LoyaltyEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "redemption.reversed"
    redemption_id: UUID
    points: int
    visit_id: UUID | None = None
    visit_at: datetime | None = None


class RedemptionRefused(LoyaltyEvent, frozen=True, kw_only=True):
    """A visit names a redemption that the balance did not cover: the cafe gave a discount that was not paid for."""

    type: ClassVar[str] = "redemption.refused"
    redemption_id: UUID
    points: int
    reason: Code
    visit_id: UUID | None = None
    visit_at: datetime | None = None


class CardCompleted(LoyaltyEvent, frozen=True, kw_only=True):
    """A bill completed a stamp card, the guest's `number`th with that key, and the guest has a voucher for it. Said
    once of each number: that the bill is taken back later is not said, nor that another one completes the card then."""

    type: ClassVar[str] = "card.completed"
    card_key: Identifier
    number: int
    voucher_id: UUID
    visit_id: UUID
    visit_at: datetime
    expires_at: datetime | None = None


class ReferralCompleted(LoyaltyEvent, frozen=True, kw_only=True):
    """The guest has brought another, `referee_id`, whose bill `visit_id` made it count. Both have their points, which
    `points.changed` says, as it does when a void takes them back."""

    type: ClassVar[str] = "referral.completed"
    referee_id: UUID
    visit_id: UUID | None = None


class PointsActivated(LoyaltyEvent, frozen=True, kw_only=True):
    """Points that were in the balance and waited can be spent since `occurred_at`: what is left of them. `lot_id` is
    the visit or the grant that gave them."""

    type: ClassVar[str] = "points.activated"
    lot_id: UUID
    points: int


EVENTS = (
    PointsEarned,
    PointsChanged,
    PointsActivated,
    PointsExpiring,
    ReferralCompleted,
    TierChanged,
    TierExpiring,
    RewardReached,
    RedemptionCompleted,
    RedemptionReversed,
    RedemptionRefused,
    CardCompleted,
)

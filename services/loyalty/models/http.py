"""What loyalty is asked over HTTP and what it answers."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.loyalty.models.accounts import (
    AdjustmentState,
    AdjustmentType,
    RedemptionKind,
    RedemptionState,
)
from services.loyalty.models.http_cards import OpenVoucher, OwnCards, QuotedCard
from services.loyalty.models.http_rewards import BillSoFar, NearReward, OfferedReward, OwnReward
from services.loyalty.models.programs import ProgramRules
from shared.events.base import CurrencyUnit, Tier
from shared.events.loyalty import LedgerType
from shared.events.pos import MOST_ITEMS, PosItem
from shared.inputs.amounts import Money, Priced
from shared.inputs.bounds import Points, Rial
from shared.inputs.fields import Command, Moment, Phone, Text, Whole, fault

Reason = Annotated[str, Text(500, least=3)]
Reference = Annotated[str, Text(100, line=True)]


class PublishProgram(Command):
    """New rules; `valid_from` is now when it is left out, and never in the past.

    `earn_per` is what earns one point, in `currency_unit`, which is the cafe's own when it is left out: instead of
    `rules.earn_per_toman`, which is Toman in every cafe. `point_worth` is what one point is worth to who spends it, in
    the same unit, instead of `rules.toman_per_point`; without either points have no price. `rehearsal_id` is a
    rehearsal of these very rules: it is kept with them, and shown to who approves them.
    """

    rules: ProgramRules
    valid_from: Moment | None = None
    earn_per: Rial | None = None
    point_worth: Rial | None = None
    currency_unit: CurrencyUnit | None = None
    rehearsal_id: UUID | None = None


class ShownProgram(Priced):
    """A version of the rules. `earn_per` earns one point and `point_worth` is what one is worth (null: points have no
    price), in `currency_unit`, the cafe's."""

    version: int
    earn_per: Money
    point_worth: Money | None
    valid_from: datetime
    rules: ProgramRules
    created_by: UUID | None
    created_at: datetime
    rehearsal_id: UUID | None = None


class ShownProposal(Priced):
    """Rules that wait for a second person; published, they have a `version`. `earn_per` and `point_worth` as in
    `ShownProgram`."""

    proposal_id: UUID
    earn_per: Money
    point_worth: Money | None
    rules: ProgramRules
    valid_from: datetime | None
    state: Literal["pending", "published", "declined"]
    created_by: UUID
    created_at: datetime
    decided_by: UUID | None
    decided_at: datetime | None
    version: int | None
    rehearsal_id: UUID | None = None


class ShownAccount(Priced):
    """A guest's account as it stands today; amounts in `currency_unit`, the cafe's, and null for whom they are not
    shown. Of `current_points` only `available_points` can be spent: the rest waits, or is a debt."""

    id: UUID
    customer_id: UUID
    points_earned: int
    points_redeemed: int
    points_expired: int
    current_points: int
    available_points: int
    points_owed: int
    tier: Tier
    tier_start_date: date
    tier_expires_date: date | None
    next_tier: Tier | None
    points_to_next_tier: int
    lifetime_spent: Money | None
    current_year_spent: Money | None
    current_month_spent: Money | None
    total_visits: int
    visits_this_month: int
    first_visit_date: date | None
    last_visit_date: date | None
    updated_at: datetime


class EntryRule(Priced):
    """By which version of the rules a bill earned: a point for each `earn_per`, in `currency_unit`, the cafe's, times
    the multiplier of the guest's tier."""

    program_version: int
    earn_per: Money
    multiplier: Decimal


class ShownLedgerEntry(Priced):
    """A row of the ledger; `related_amount`, the bill it stands for, in `currency_unit`, the cafe's, and null for whom
    amounts are not shown. `rule` of points that a bill earned."""

    id: UUID
    account_version: int
    type: LedgerType
    points_change: int
    balance_after: int
    visit_id: UUID | None
    redemption_id: UUID | None
    campaign_id: UUID | None
    order_reference: str | None
    description: str
    notes: str | None
    rule: EntryRule | None
    related_amount: Money | None
    occurred_at: datetime
    created_at: datetime
    created_by: UUID | None


class LedgerPage(BaseModel):
    """Rows of the ledger, the newest first. `next_before` is to be sent as `before` for the next page."""

    entries: list[ShownLedgerEntry]
    next_before: int | None


class LookUp(Command):
    """A guest's phone number in any spelling."""

    phone: Phone


class AskBill(Command):
    """A bill as it would be sent now, with the same lines."""

    final_amount: Rial
    currency_unit: CurrencyUnit
    items: Annotated[list[PosItem], Field(max_length=MOST_ITEMS)] = []
    branch_id: UUID | None = None


class AskEarning(AskBill):
    """The same by a till. Without a phone it is of somebody who never came."""

    phone: Phone | None = None


class EarningQuote(Priced):
    """What a bill would earn now, and the guest after it. `parts` by rule, `base` for the amount; `more_for_next_tier`:
    so much more on this very bill and the guest is in `next_tier`, null when no bill does it. `points_worth`: what the
    guest's points are worth now, null while points have no price. `rewards` may be reserved now for this bill, the
    cheapest first; `next_reward` is the cheapest that only points keep from the guest. `cards`: what the bill stamps;
    `vouchers`: those that the guest can use now. Amounts in `currency_unit`, the cafe's."""

    points: int
    parts: dict[str, int]
    multiplier: Decimal
    tier: Tier
    tier_after: Tier
    next_tier: Tier | None
    points_to_next_tier: int
    more_for_next_tier: Money | None
    current_points: int
    points_worth: Money | None
    rewards: list[OfferedReward]
    next_reward: NearReward | None
    cards: list[QuotedCard] = []
    vouchers: list[OpenVoucher] = []


class TillAccount(BaseModel):
    """What a till may show: no personal data. Zero points in bronze when the number is not known. Of `current_points`
    only `available_points` can be spent now. `guest_link` is for the receipt: the guest's own page, which opens for
    whoever is a guest here; `referral_code` is what the guest gives to others, where the program pays for it."""

    current_points: int
    available_points: int
    tier: Tier
    next_tier: Tier | None
    points_to_next_tier: int
    referral_code: str | None = None
    guest_link: str | None = None


class Redeem(Command):
    """`redemption_id` is made up by the asker: asking again with it changes nothing, and the visit may name it. Either
    `points`, for what `kind` says, or a `reward_id`: what a reward costs and is, it says itself. A reward may ask for
    the `branch_id` and the `bill`."""

    redemption_id: UUID
    points: Points | None = None
    kind: RedemptionKind | None = None
    reward_id: UUID | None = None
    branch_id: UUID | None = None
    bill: BillSoFar | None = None
    order_reference: Reference | None = None

    @model_validator(mode="after")
    def _points_or_reward(self) -> Self:
        if (self.points is None) == (self.reward_id is None) or (self.reward_id and self.kind):
            raise fault(
                "points_or_reward",
                "Needs either points (and kind) or a reward_id, which says both itself.",
                "یا points (و kind) لازم است یا reward_id که خودش هر دو را می‌گوید.",
            )
        return self


class RedeemForCustomer(Redeem):
    """A redemption by staff, who know the guest's id."""

    customer_id: UUID


class RedeemAtTill(Redeem):
    """A redemption by a till, which knows the guest's phone number in any spelling. The points are reserved: the
    bill that names `redemption_id` has them; without one they go back after `reserve_minutes`."""

    phone: Phone
    reserve_minutes: Annotated[int, Whole(5, 10_080)] = 1440


class ShownRedemption(BaseModel):
    """A redemption, and the balance that the guest has after it; in lists no balance. It has `reserved_until` as
    long as no bill has named it."""

    redemption_id: UUID
    reward_id: UUID | None
    points: int
    kind: RedemptionKind
    state: RedemptionState
    refusal: str | None
    visit_id: UUID | None
    order_reference: str | None
    created_at: datetime
    reserved_until: datetime | None
    reversed_at: datetime | None
    current_points: int | None


class Adjust(Command):
    """Points given or taken by hand, for a reason. `adjustment_id` makes asking again harmless."""

    adjustment_id: UUID
    type: AdjustmentType
    points: Points
    reason: Reason
    campaign_id: UUID | None = None
    order_reference: Reference | None = None


class ShownAdjustment(BaseModel):
    """An adjustment; `pending` until another manager has decided."""

    adjustment_id: UUID
    customer_id: UUID
    type: AdjustmentType
    points: int
    reason: str | None
    campaign_id: UUID | None
    order_reference: str | None
    state: AdjustmentState
    created_by: UUID
    created_at: datetime
    decided_by: UUID | None
    decided_at: datetime | None
    redemption_id: UUID | None


class TierCount(BaseModel):
    """A tier: how many guests stand in it now, and how many rose or fell into it over the period."""

    model_config = ConfigDict(from_attributes=True)

    tier: Tier
    guests: int
    up: int
    down: int


class LapsingSum(Priced):
    """Points that lapse within 30 days, of how many guests, and their worth; counted once an hour."""

    points: int
    guests: int
    worth: Money | None


class Overview(Priced):
    """A club as it stands, and what came and went from `since` to `until`, both included, in the cafe's own days, by
    when it was booked. A minute behind at most.

    `outstanding` are the points that guests can spend, `worth` what they are worth today; `owed` what guests owe.
    `earned` is net of corrections, `redeemed` net of what was given back; `given` and `taken` are by hand. The worths
    are null while a point has no price.
    """

    since: date
    until: date
    members: int
    joined: int
    outstanding: int
    worth: Money | None
    owed: int
    point_worth: Money | None
    earned: int
    redeemed: int
    lapsed: int
    given: int
    taken: int
    lapsing: LapsingSum
    tiers: list[TierCount]


class AskQuote(Command):
    """What spending so many points would mean; without `points` only what there is and what it is worth."""

    customer_id: UUID
    points: Points | None = None


class Quote(Priced):
    """What spending `points` would mean now: the `discount` that they are worth, null while a point has no price, and
    the balance after it, null where the balance does not cover them. `most_points` is what the guest can spend, and
    `most_discount` its worth."""

    points: int | None
    discount: Money | None
    point_worth: Money | None
    most_points: int
    most_discount: Money | None
    balance_after: int | None


class LapsingDay(Priced):
    """Points of a guest that lapse at the end of their time on that day of the cafe."""

    day: date
    points: int
    worth: Money | None


class LapsingGuest(BaseModel):
    """A guest whose points lapse soon: how many within 30 days, and when the first of them."""

    customer_id: UUID
    points: int
    lapses_at: datetime


class RefusedRedemption(ShownRedemption):
    """A redemption that the balance did not cover, with its guest."""

    customer_id: UUID


class AdjustmentPage(BaseModel):
    """Points given and taken by hand, the newest first. `next_before` is to be sent as `before` for the next page."""

    adjustments: list[ShownAdjustment]
    next_before: UUID | None


class LapsingPoints(BaseModel):
    """How many points lapse at the end of that day."""

    day: date
    points: int


class OwnPoints(OwnCards):
    """What a guest's own page says of their points and stamp cards. `lapsing`: the next days on which some lapse.
    `rewards`: those that the guest has points for or saves for, the nearest first. `referral_code`: with it others
    come, while the program gives something for it."""

    current_points: int
    tier: Tier
    next_tier: Tier | None
    points_to_next_tier: int
    lapsing: list[LapsingPoints]
    rewards: list[OwnReward]
    referral_code: str | None

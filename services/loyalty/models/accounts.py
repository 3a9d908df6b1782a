"""A guest's account and what stands behind it. Points are whole numbers, sums of money hundredths of a Toman,
multipliers hundredths: integers, so that nothing is ever rounded by accident."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import msgspec

from services.loyalty.models.cards import Card, CardStates, Voucher
from services.loyalty.models.earning import Counts, Parts, Scheme
from services.loyalty.models.grants import HeldBack, TierPoints
from services.loyalty.models.referrals import ReferralTerms
from services.loyalty.models.time_terms import Lapse, Warns
from shared.clock import new_id
from shared.events.base import CurrencyUnit, Event, Tier
from shared.events.loyalty import LedgerType
from shared.persian.calendar import Calendar

GuestKey = tuple[UUID, UUID]
"""(cafe_id, customer_id): who an account belongs to. Sorted, it is the order in which accounts are locked."""

VisitState = Literal["recorded", "corrected", "voided"]
RedemptionKind = Literal["discount", "item"]
RedemptionState = Literal["completed", "reversed", "refused"]
AdjustmentType = Literal["earned_bonus", "earned_referral", "earned_birthday", "adjustment_add", "adjustment_subtract"]
AdjustmentState = Literal["pending", "posted", "declined"]
DebtPolicy = Literal["allow_after_refund", "forgive_after_refund"]


# Thousandths of a Toman in one of the unit. Counting asks for each bill's amount several times.
_THOUSANDTHS: dict[CurrencyUnit, int] = {"IRT": 1000, "IRR": 100}


class TierStep(msgspec.Struct, frozen=True):
    """A tier of a program: reached with `threshold` points in a tier period, and worth `multiplier` hundredths."""

    tier: Tier
    threshold: int
    multiplier: int


class Program(msgspec.Struct, frozen=True):
    """One version of a cafe's rules. `steps` ascend and start at 0 points; without a `scheme` only amounts earn.
    `cards` are stamped whatever earns."""

    version: int
    valid_from: datetime
    earn_per_toman: int
    steps: tuple[TierStep, ...]
    tier_period: Calendar
    lapse: Lapse | None
    negative_balance: DebtPolicy
    approval_above: int
    scheme: Scheme | None = None
    cards: tuple[Card, ...] = ()
    birthday: TierPoints | None = None
    waiting: HeldBack | None = None
    grace_days: int = 0
    falls_by_step: bool = False
    warns: Warns | None = None
    referral: ReferralTerms | None = None


class Plan(msgspec.Struct, frozen=True):
    """All that counting a guest of one cafe needs to know. `programs` ascend by `valid_from` and by version."""

    time_zone: str
    calendar: Calendar
    programs: tuple[Program, ...]


class Visit(msgspec.Struct, frozen=True):
    """A visit as far as points are concerned. `points_to_redeem` is None where nothing is known of what it asks for,
    and `facts`, which are packed (`bill_facts`), where nothing is known of what else is on the bill. `segments` are
    those that the cafe's rules name and the guest was in just before it (`stays`), sorted."""

    visit_id: UUID
    state: VisitState
    occurred_at: datetime
    device_id: str
    receipt_number: str
    final_amount: Decimal
    currency_unit: CurrencyUnit
    corrected_at: datetime | None = None
    points_to_redeem: int | None = None
    redemption_id: UUID | None = None
    voided_at: datetime | None = None
    facts: bytes | None = None
    segments: tuple[str, ...] = ()

    @property
    def amount(self) -> int:
        """The bill in thousandths of a Toman: exact, for a hundredth of a Rial is one."""
        return int(self.final_amount * _THOUSANDTHS[self.currency_unit])


class Earning(msgspec.Struct, frozen=True):
    """What a visit earned and by which rules; `parts` add up to `points`, and are None when only the amount earned."""

    points: int
    multiplier: int
    program_version: int
    parts: Parts | None = None


class Standing(msgspec.Struct, frozen=True):
    """What a guest's visits add up to, as of the last one. Periods are named by their last day; `tier_since` is when
    the tier that follows from the points began. `counts` are those of bills under schemes, None while there is none;
    `cards` are those with stamps. `kept` is a tier that the guest keeps without the points for it: to the end of the
    period, or `kept_until` that day. The default is a guest who never came."""

    tier_since: date | None = None
    period_ends: date | None = None
    period_points: int = 0
    previous_points: int = 0
    program_version: int = 0
    year_ends: date | None = None
    year_spent: int = 0
    month_ends: date | None = None
    month_spent: int = 0
    month_visits: int = 0
    lifetime_spent: int = 0
    total_visits: int = 0
    first_day: date | None = None
    last_day: date | None = None
    last_visit_at: datetime | None = None
    counts: Counts | None = None
    cards: CardStates = ()
    kept: Tier | None = None
    kept_until: date | None = None


class Rank(msgspec.Struct, frozen=True):
    """The tier in which a standing places a guest on some day. `until` is its last day without further points;
    `next_at` are the points of a period that reach the next tier, None on the highest; `to_next` are still missing."""

    tier: Tier = "bronze"
    since: date | None = None
    until: date | None = None
    next_at: int | None = None
    to_next: int = 0


class Account(msgspec.Struct, frozen=True):
    """A guest's account as it was locked, or as it is to be written: `rank` as of the moment of writing. With `is_new`
    it is not in the database yet."""

    cafe_id: UUID
    customer_id: UUID
    earned: int
    redeemed: int
    expired: int
    owed: int
    version: int
    rank: Rank = Rank()
    standing: Standing = Standing()
    is_new: bool = False

    @property
    def guest(self) -> GuestKey:
        """Whose account it is."""
        return self.cafe_id, self.customer_id

    @property
    def balance(self) -> int:
        """Points the guest can spend; below zero when the guest owes."""
        return self.earned - self.redeemed - self.expired


class Lot(msgspec.Struct, frozen=True):
    """What is left of one earning, which can be spent from `available_at` on. The lot whose id is the guest's own holds
    a debt, below zero."""

    lot_id: UUID
    points: int
    remaining: int
    earned_at: datetime
    expires_at: datetime | None = None
    available_at: datetime | None = None


class EntryDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A row for the ledger, before it has its number and the balance after it."""

    entry_id: UUID = msgspec.field(default_factory=new_id)
    type: LedgerType
    change: int
    occurred_at: datetime
    description: str
    notes: str | None = None
    visit_id: UUID | None = None
    redemption_id: UUID | None = None
    campaign_id: UUID | None = None
    order_reference: str | None = None
    related_amount: Decimal | None = None
    currency_unit: CurrencyUnit | None = None
    created_by: UUID | None = None


class LedgerEntry(msgspec.Struct, frozen=True):
    """A row of the ledger: what happened, as which version of the account, and the balance from then on."""

    draft: EntryDraft
    account_version: int
    balance_after: int


class Redemption(msgspec.Struct, frozen=True, kw_only=True):
    """Points spent or refused. `drawn` says which lots were drawn on and how far; `undone_by_bill` that its bill asks
    for it no more, and may again. It ends at `reserved_until` unless a bill names it before. With a `reward_id` the
    points were spent for that version of the reward."""

    redemption_id: UUID
    cafe_id: UUID
    customer_id: UUID
    kind: RedemptionKind
    points: int
    state: RedemptionState
    refusal: str | None = None
    visit_id: UUID | None = None
    order_reference: str | None = None
    drawn: tuple[tuple[UUID, int], ...] = ()
    created_by: UUID | None = None
    till_key_id: str | None = None
    created_at: datetime
    reversed_at: datetime | None = None
    undone_by_bill: bool = False
    reserved_until: datetime | None = None
    reward_id: UUID | None = None
    reward_version: int | None = None


class Fact(msgspec.Struct, frozen=True):
    """Points that came or went at a moment, whatever bills say: gifts, what was taken by hand, what lapsed."""

    at: datetime
    change: int


class Wish(msgspec.Struct, frozen=True):
    """What a bill spends under one redemption id (`refusal` None), or why it is refused. `is_fact`: it is spent
    whatever bills ask."""

    redemption_id: UUID
    visit: Visit
    points: int
    refusal: str | None = None
    is_fact: bool = False


class Adjustment(msgspec.Struct, frozen=True, kw_only=True):
    """Points given or taken by hand, or to be once another manager agrees. With a `redemption_id` it gives that
    redemption back. `decided_by` is None when nobody else was needed."""

    adjustment_id: UUID
    cafe_id: UUID
    customer_id: UUID
    type: AdjustmentType
    points: int
    reason: str | None
    campaign_id: UUID | None = None
    order_reference: str | None = None
    state: AdjustmentState
    created_by: UUID
    created_at: datetime
    decided_by: UUID | None = None
    decided_at: datetime | None = None
    redemption_id: UUID | None = None


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """Rules that wait for a second person, or did: `version` is the one they became, `rehearsal_id` what their author
    has seen of them."""

    proposal_id: UUID
    rules: dict[str, Any]
    valid_from: datetime | None
    after_version: int
    state: Literal["pending", "published", "declined"] = "pending"
    created_by: UUID
    created_at: datetime
    decided_by: UUID | None = None
    decided_at: datetime | None = None
    version: int | None = None
    rehearsal_id: UUID | None = None


class Counted(msgspec.Struct, frozen=True):
    """A visit and what it earned; None when it was voided."""

    visit: Visit
    earning: Earning | None

    @property
    def points(self) -> int:
        """What the visit counts for now."""
        return self.earning.points if self.earning else 0


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """All that is to be written about one guest. `before` is the account as it was locked.

    `only_purchases`: all visits are new, and nothing else happened. Then each visit with points has one of the entries
    and one of the lots, in the order of the visits.
    """

    before: Account
    after: Account
    only_purchases: bool = False
    entries: Sequence[LedgerEntry] = ()
    lots: Sequence[Lot] = ()
    counted: Sequence[Counted] = ()
    redemptions: Sequence[Redemption] = ()
    vouchers: Sequence[Voucher] = ()
    events: Sequence[Event] = ()

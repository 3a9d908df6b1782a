"""A cafe's club: its rules, its figures, and points that came, went or lapse."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from shared.events.base import Tier


class TierOfRules(msgspec.Struct, frozen=True):
    """A tier: from how many points of a period on, and what it multiplies points by."""

    tier: Tier
    threshold: int
    multiplier: Decimal


class MenuOfClub(msgspec.Struct, frozen=True):
    """Words of the menu that a rule names."""

    categories: tuple[str, ...] = ()
    skus: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


class EarnRuleOfClub(msgspec.Struct, frozen=True):
    """One way in which bills earn; which fields it has follows from its kind."""

    key: str = "base"
    kind: str = "amount"
    minimum_toman: int = 0
    by_tier: bool = False
    points: int | None = None
    toman_per_point: int | None = None
    per_day: int | None = None
    n: int | tuple[int, ...] | None = None
    match: MenuOfClub | None = None
    exclude: MenuOfClub | None = None


class DatesOfClub(msgspec.Struct, frozen=True):
    """Days, both included."""

    first: date
    last: date


class MultiplierOfClub(msgspec.Struct, frozen=True):
    """When points count more or less."""

    key: str
    factor: Decimal
    on: tuple[str, ...] = ()
    weekdays: tuple[str, ...] = ()
    from_time: str | None = None
    until_time: str | None = None
    dates: tuple[DatesOfClub, ...] = ()
    branches: tuple[UUID, ...] = ()
    segments: tuple[str, ...] = ()


class CapsOfClub(msgspec.Struct, frozen=True):
    """The most points of a bill, a day and a month."""

    visit: int | None = None
    day: int | None = None
    month: int | None = None


class CardOfClub(msgspec.Struct, frozen=True):
    """A stamp card."""

    key: str
    name: str
    need: int
    reward: str
    match: MenuOfClub | None = None
    per: str = "quantity"
    per_visit: int | None = None
    minimum_toman: int = 0
    lives_days: int | None = None


class BirthdayOfClub(msgspec.Struct, frozen=True):
    """Points for a birthday, by tier."""

    points: dict[Tier, int]


class PendingOfClub(msgspec.Struct, frozen=True):
    """Which points wait, and for how long."""

    hours: int
    above_points: int


class ReferralOfClub(msgspec.Struct, frozen=True):
    """Points for guests who bring others, and for these."""

    referrer: int
    referee: int
    minimum_bill: int = 0
    within_days: int = 30
    referrer_visits: int = 1
    per_month: int | None = 10


class ExpiryOfClub(msgspec.Struct, frozen=True):
    """When points lapse."""

    kind: str
    days: int | None = None
    after: int = 0


class WarnOfClub(msgspec.Struct, frozen=True):
    """How many days before it happens guests are told."""

    points_days: tuple[int, ...] = ()
    tier_days: tuple[int, ...] = ()


class RulesOfClub(msgspec.Struct, frozen=True):
    """What the rules say beside their amounts."""

    tiers: tuple[TierOfRules, ...]
    tier_period: str
    points_expire_days: int | None
    negative_balance: str
    approval_above: int
    base: EarnRuleOfClub = EarnRuleOfClub()
    earn: tuple[EarnRuleOfClub, ...] = ()
    multiply: tuple[MultiplierOfClub, ...] = ()
    stacking: str = "best"
    caps: CapsOfClub = CapsOfClub()
    cards: tuple[CardOfClub, ...] = ()
    birthday: BirthdayOfClub | None = None
    pending: PendingOfClub | None = None
    referral: ReferralOfClub | None = None
    expiry: ExpiryOfClub | None = None
    tier_grace_days: int = 0
    downgrade: str = "by_points"
    warn: WarnOfClub = WarnOfClub()


class RulesVersion(msgspec.Struct, frozen=True):
    """A version of the rules; its amounts in `currency_unit`."""

    version: int
    earn_per: Decimal
    point_worth: Decimal | None
    currency_unit: str
    valid_from: datetime
    created_at: datetime
    rules: RulesOfClub


class RulesAnswer(msgspec.Struct, frozen=True):
    """What became of new rules: a version, or a proposal that waits for a second person."""

    proposal_id: UUID | None = None
    version: int | None = None


class ClubTier(msgspec.Struct, frozen=True):
    """Who stands in a tier, and how many rose or fell into it."""

    tier: Tier
    guests: int
    up: int
    down: int


class LapsingFigures(msgspec.Struct, frozen=True):
    """Points that lapse within 30 days."""

    points: int
    guests: int
    worth: Decimal | None


class ClubFigures(msgspec.Struct, frozen=True):
    """The club as it stands, and what came and went over some days."""

    since: date
    until: date
    members: int
    joined: int
    outstanding: int
    worth: Decimal | None
    owed: int
    point_worth: Decimal | None
    currency_unit: str
    earned: int
    redeemed: int
    lapsed: int
    given: int
    taken: int
    lapsing: LapsingFigures
    tiers: tuple[ClubTier, ...]


class OwedMonth(msgspec.Struct, frozen=True):
    """Points that lapse in a month."""

    first: date
    points: int
    worth: Decimal | None


class OwedFigures(msgspec.Struct, frozen=True):
    """What the club owes, by the month in which it lapses, and what never does."""

    outstanding: int
    worth: Decimal | None
    never: int
    never_worth: Decimal | None
    currency_unit: str
    months: tuple[OwedMonth, ...]


class LapsingOfGuest(msgspec.Struct, frozen=True):
    """A guest whose points lapse soon."""

    customer_id: UUID
    points: int
    lapses_at: datetime


class ExpiryDay(msgspec.Struct, frozen=True):
    """Points of a guest that lapse on a day."""

    day: date
    points: int
    worth: Decimal | None
    currency_unit: str


class RefusedSpending(msgspec.Struct, frozen=True):
    """What a bill wanted to spend and the balance did not cover."""

    redemption_id: UUID
    customer_id: UUID
    points: int
    refusal: str | None
    visit_id: UUID | None
    created_at: datetime


class ByHand(msgspec.Struct, frozen=True):
    """Points given or taken by hand, with who asked and who decided."""

    adjustment_id: UUID
    customer_id: UUID
    type: str
    points: int
    reason: str | None
    state: str
    created_by: UUID
    created_at: datetime
    decided_by: UUID | None
    decided_at: datetime | None
    redemption_id: UUID | None


class ByHandPage(msgspec.Struct, frozen=True):
    """A page of what was given and taken; `next_before` asks for the following."""

    adjustments: tuple[ByHand, ...]
    next_before: UUID | None


class SpendingQuote(msgspec.Struct, frozen=True):
    """What spending points would mean now."""

    points: int | None
    discount: Decimal | None
    point_worth: Decimal | None
    most_points: int
    most_discount: Decimal | None
    balance_after: int | None
    currency_unit: str

"""What staff and tills say and hear of rewards over HTTP. Amounts are in the cafe's own unit of money."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

from services.loyalty.models.accounts import RedemptionKind
from services.loyalty.models.earn_rules import Clock, MenuMatch, VisitNumber
from services.loyalty.models.earning import Weekday
from services.loyalty.models.http_cards import OwnCards, ShownVoucher
from services.loyalty.models.rewards import RewardRefusal
from shared.events.base import CurrencyUnit, Tier
from shared.events.pos import MOST_ITEMS, PosItem
from shared.inputs.amounts import Money, Priced
from shared.inputs.bounds import Points, Rial
from shared.inputs.fields import Command, Matching, Moment, Text, Whole, fault

RewardName = Annotated[str, Text(100, line=True)]
RewardWord = Annotated[str, Matching("[a-z0-9_]{1,40}", 40, "با حروف کوچک لاتین، رقم و زیرخط، مانند free_coffee")]
Stock = Annotated[int, Whole(0, 1_000_000_000)]
LimitDays = Annotated[int, Whole(1, 3660)]


class BillSoFar(Command):
    """The bill for which somebody asks, as far as it is known: a reward may want a least one, or something on it.
    Without lines nothing is said of what is on it."""

    final_amount: Rial
    currency_unit: CurrencyUnit
    items: Annotated[list[PosItem], Field(max_length=MOST_ITEMS)] = []


class RewardConditions(Command):
    """When and for whom a reward is. Hours are of the cafe's wall, `until_time` itself not included; when they end
    before they begin they go over midnight. `per_guest` pieces for each guest, within so many days of the cafe, today
    being the last of them, or ever. `valid_until` itself is not included."""

    match: MenuMatch | None = None
    least_tier: Tier | None = None
    branches: Annotated[tuple[UUID, ...], Field(max_length=50)] = ()
    weekdays: Annotated[tuple[Weekday, ...], Field(max_length=7)] = ()
    from_time: Clock | None = None
    until_time: Clock | None = None
    valid_from: Moment | None = None
    valid_until: Moment | None = None
    per_guest: VisitNumber | None = None
    per_guest_days: LimitDays | None = None

    @model_validator(mode="after")
    def _can_hold(self) -> Self:
        if (self.from_time or "00:00") == (self.until_time or "24:00"):
            raise fault("never_matches", "Begins and ends at one time of the day.", "آغاز و پایان ساعتش یکی است.")
        if self.valid_from and self.valid_until and self.valid_until <= self.valid_from:
            raise fault("never_matches", "Ends before it begins.", "پایانش پیش از آغازش است.")
        if self.per_guest_days is not None and self.per_guest is None:
            raise fault(
                "days_without_limit",
                "LimitDays belong to a limit: send per_guest as well.",
                "روزها از آنِ سقف هر مهمان است؛ per_guest را هم بفرستید.",
            )
        return self


class OfferReward(Command):
    """A new reward, which is offered at once. `reward_id` is made up by who asks, so that asking again changes nothing;
    `key` is what stamp cards call it by, and stays. Without `cost_points` it is not to be had for points. A discount
    has its `value`; amounts are in `currency_unit`, the cafe's own when it is left out. `stock`: how many may be given
    in all."""

    reward_id: UUID
    key: RewardWord
    name: RewardName
    kind: RedemptionKind
    cost_points: Points | None = None
    value: Rial | None = None
    minimum_bill: Rial = Decimal(0)
    currency_unit: CurrencyUnit | None = None
    conditions: RewardConditions = RewardConditions()
    stock: Stock | None = None
    is_active: Annotated[bool, Strict()] = True


class ChangeReward(Command):
    """What changes of a reward; what is left out stays. What it is, costs and asks for makes a new version: those who
    have it keep theirs. `conditions` are sent whole. `stock`: how many may be given in all, with those that are
    taken."""

    name: RewardName | None = None
    cost_points: Points | None = None
    value: Rial | None = None
    minimum_bill: Rial | None = None
    currency_unit: CurrencyUnit | None = None
    conditions: RewardConditions | None = None
    stock: Stock | None = None
    is_active: Annotated[bool, Strict()] | None = None

    @model_validator(mode="after")
    def _no_emptied_names(self) -> Self:
        for name in ("name", "minimum_bill", "conditions", "is_active"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise fault(
                    "never_empty",
                    f"{name} can't be taken away: send another one or leave it out.",
                    f"{name} را نمی‌توان برداشت؛ مقدار تازه بفرستید یا آن را نفرستید.",
                )
        return self


class ShownConditions(BaseModel):
    """When and for whom a reward is, as in `RewardConditions`."""

    model_config = ConfigDict(from_attributes=True)

    match: dict[str, list[str]] | None
    least_tier: Tier | None
    branches: list[UUID]
    weekdays: list[Weekday]
    from_time: str | None
    until_time: str | None
    valid_from: datetime | None
    valid_until: datetime | None
    per_guest: int | None
    per_guest_days: int | None


class OfferedReward(Priced):
    """A reward as a till or the staff offer it. `stock_left` is null without end; without `cost_points` it is not to be
    had for points."""

    reward_id: UUID
    key: str
    version: int
    name: str
    kind: RedemptionKind
    cost_points: int | None
    value: Money | None
    minimum_bill: Money
    conditions: ShownConditions
    stock_left: int | None


class ShownReward(OfferedReward):
    """A reward as the cafe keeps it: `taken` of `stock` are given and stand."""

    is_active: bool
    stock: int | None
    taken: int
    created_by: UUID
    created_at: datetime


class NearReward(BaseModel):
    """The cheapest reward that only points keep from the guest, and how many."""

    reward_id: UUID
    key: str
    name: str
    points_missing: int


class WhyNot(BaseModel):
    """What keeps a guest from a reward now."""

    code: RewardRefusal
    en: str
    fa: str


class RewardForGuest(OfferedReward):
    """A reward as one guest may have it now: at once without `refusals`. `points_missing`: so many points more are
    needed, whatever else is."""

    refusals: list[WhyNot]
    points_missing: int


class OwnReward(BaseModel):
    """A reward as its guest reads of it: theirs at the counter when no points are missing."""

    name: str
    kind: RedemptionKind
    cost_points: int
    points_missing: int


class GuestOffers(OwnCards):
    """What a guest may have now without a bill: every reward that is to be had for points in these days, the cheapest
    first, each with all that keeps it from the guest; stamp cards, vouchers that can be used, and the last used."""

    current_points: int
    available_points: int
    total_visits: int
    rewards: list[RewardForGuest]
    used_vouchers: list[ShownVoucher]

"""What tills and staff send, and what they are answered."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from pydantic import BaseModel

from shared.events.pos import VisitBody
from shared.inputs.amounts import Money, Priced
from shared.inputs.fields import Command, Identifier, Phone, Text, Words


class EnteredVisit(VisitBody):
    """A bill that a person enters by hand. A receipt number is made unless one is given."""

    receipt_number: Identifier | None = None


class ClaimBody(Command):
    """Whose a bill of nobody is."""

    phone: Phone
    name: Annotated[str | None, Words(100)] = None


class Taken(BaseModel):
    """The visit of a bill: the same answer however often it is sent. Without a guest it has no number. `feedback_link`
    is for the receipt, as text or as a QR code: whoever opens it may say once how this visit was. So is `guest_link`,
    the guest's own page with points and consents; a bill of nobody has none."""

    visit_id: UUID
    customer_id: UUID | None
    visit_number: int | None
    feedback_link: str
    guest_link: str | None = None


class Asked(Taken):
    """The same of a bill that asks to spend points: whether the guest has them is known a moment later, and told by
    `GET /visits/{device_id}/{receipt_number}`."""

    redemption: Literal["asked"]


class BillRedemption(BaseModel):
    """What became of the points that a bill asks to spend. `pending` lasts a moment: loyalty answers after the bill was
    taken in. A refused one may be `completed` later, when an earlier bill of the guest arrives. `reason`:
    `insufficient_points`, or `redemption_taken` when the `redemption_id` is another bill's or guest's."""

    state: Literal["none", "pending", "completed", "refused"]
    points_asked: int
    points_redeemed: int
    reason: str | None


class BillState(BaseModel):
    """What became of a bill, as far as a till may know. `feedback_link` as in the answer to the bill."""

    visit_id: UUID | None
    status: Literal["recorded", "corrected", "voided"]
    points_earned: int
    feedback_link: str | None
    redemption: BillRedemption


class Changed(BaseModel):
    """`superseded`: a later correction or a void stands. A void that came before its bill has no visit yet."""

    status: Literal["recorded", "repeated", "corrected", "superseded", "voided"]
    visit_id: UUID | None


class BillResult(BaseModel):
    """How one bill of a batch ended, by its index: 201 recorded, 200 repeated, 409 and 422 with the reason."""

    index: int
    status: int
    visit_id: UUID | None = None
    customer_id: UUID | None = None
    visit_number: int | None = None
    feedback_link: str | None = None
    problem: dict[str, object] | None = None


class BillResults(BaseModel):
    """One result for each bill, in their order."""

    results: list[BillResult]


class VisitView(Priced):
    """One visit whole. Amounts, also those of `items_ordered`, are in `currency_unit`, the cafe's, whatever unit the
    till sent; null for whom they are not shown."""

    id: UUID
    customer_id: UUID | None
    visit_date: datetime
    visit_number: int | None
    branch_id: UUID | None
    device_id: str
    receipt_number: str
    total_amount: Money | None
    discount_amount: Money | None
    final_amount: Money | None
    payment_method: str | None
    items_ordered: list[dict[str, Any]]
    item_count: int
    table_number: str | None
    server_name: str | None
    service_duration: int | None
    feedback_rating: int | None
    feedback_categories: list[str] | None
    feedback_has_comment: bool | None
    points_earned: int
    points_redeemed: int
    created_at: datetime
    updated_at: datetime
    created_by: UUID | None
    visit_notes: str | None
    attributes: dict[str, Any]
    corrected_at: datetime | None
    voided_at: datetime | None
    void_reason: str | None


class VisitLine(Priced):
    """One visit as a line of a list; `final_amount` as in `VisitView`."""

    id: UUID
    visit_date: datetime
    customer_id: UUID | None
    visit_number: int | None
    final_amount: Money | None
    points_earned: int
    points_redeemed: int
    feedback_rating: int | None
    item_count: int
    device_id: str
    receipt_number: str
    voided_at: datetime | None
    corrected_at: datetime | None


class ShownDeskEntry(Priced):
    """A bill entered, voided or claimed for a guest by hand; `pending` until another manager has decided. `amount` in
    `currency_unit`; null of a claimed bill for whom amounts are not shown."""

    entry_id: UUID
    kind: Literal["bill", "void", "claim"]
    state: Literal["pending", "entered", "declined"]
    customer_id: UUID | None
    visit_id: UUID | None
    amount: Money | None
    created_by: UUID
    created_at: datetime
    decided_by: UUID | None
    decided_at: datetime | None


class VisitPage(BaseModel):
    """Newest first; ask again with `before` and `before_id` of `next` for older ones."""

    items: list[VisitView]
    next: tuple[datetime, UUID] | None


class VisitLines(BaseModel):
    """The same in short."""

    items: list[VisitLine]
    next: tuple[datetime, UUID] | None


class VoidReason(Command):
    """Why a visit is voided."""

    reason: Annotated[str, Text(500, least=3)]


class DeviceView(BaseModel):
    """A device that has sent something, and the numbers that are missing from it."""

    device_id: str
    highest_sequence: int | None
    first_seen_at: datetime
    last_seen_at: datetime
    gaps: list[dict[str, int]]


class DayView(Priced):
    """One local day, as of `refreshed_at`; amounts in `currency_unit`, the cafe's."""

    stat_date: date
    unique_customers: int
    total_visits: int
    total_revenue: Money
    avg_order_value: Money
    avg_rating: Decimal | None
    refreshed_at: datetime


class MonthView(Priced):
    """One month of the cafe's calendar; amounts in `currency_unit`, the cafe's, `retention_rate` in percent."""

    month_starts: date
    month_ends: date
    new_customers: int
    total_visits: int
    total_revenue: Money
    avg_rating: Decimal
    retention_rate: Decimal


class HourView(Priced):
    """Visits that began in one hour of the day; `revenue` is null for whom it is not shown."""

    visits: int
    revenue: Money | None


class PartOfDay(Priced):
    """A day until a minute of it."""

    visits: int
    guests: int
    revenue: Money | None


class BranchToday(Priced):
    """Today's visits of one branch; null are those of no branch."""

    branch_id: UUID | None
    visits: int
    revenue: Money | None


class TodayView(Priced):
    """The cafe's local day until `as_of`, without what was voided. `new_guests` are those whose first visit is of
    today; `hours` are the 24 of the day; `week_ago` is the same weekday a week before until the same minute. Amounts in
    `currency_unit`, the cafe's, and null for whom they are not shown."""

    as_of: datetime
    visits: int
    guests: int
    new_guests: int
    revenue: Money | None
    avg_order: Money | None
    hours: list[HourView]
    week_ago: PartOfDay
    branches: list[BranchToday]


class HoursView(Priced):
    """Visits of the days from `first` to `last` by weekday, Saturday first, and by the hour of the local day."""

    first: date
    last: date
    weekdays: list[list[HourView]]


class MonthSums(Priced):
    """One month of the cafe's calendar, the running one until now. `guests` are known ones, each counted once;
    `returning_guests` had come before the month."""

    month_starts: date
    month_ends: date
    is_running: bool
    visits: int
    revenue: Money
    avg_order: Money | None
    avg_rating: Decimal | None
    guests: int
    new_guests: int
    returning_guests: int
    known_visits: int
    known_revenue: Money


class AgainShares(BaseModel):
    """How many of a month's guests came again on a later day, within so many days of their first day in it: of all, of
    the new ones, of those who had come before. Null while these days have not passed for all of them, and of nobody."""

    days: int
    guests: int | None
    share: Decimal | None
    share_of_new: Decimal | None
    share_of_returning: Decimal | None


class ReturnMonth(BaseModel):
    """Guests of one month, until yesterday, and how many came again."""

    month_starts: date
    month_ends: date
    guests: int
    new_guests: int
    returning_guests: int
    again: list[AgainShares]


class CohortMonth(BaseModel):
    """How many of a cohort came in that month."""

    month_starts: date
    guests: int
    share: Decimal


class Cohort(BaseModel):
    """Guests who came for the first time in one month, and who of them came in each month from then on, until
    yesterday. Months without any of them are there too."""

    first_month_starts: date
    guests: int
    months: list[CohortMonth]


class PlaceSums(Priced):
    """What one branch took in; null are the bills of no branch. `share` is its part of the revenue."""

    branch_id: UUID | None
    name: str | None
    visits: int
    revenue: Money
    avg_order: Money | None
    avg_rating: Decimal | None
    known_visits: int
    share: Decimal | None


class Branches(BaseModel):
    """Branches side by side from `first` to `last`: together they are the whole cafe."""

    first: date
    last: date
    branches: list[PlaceSums]


class ClubPart(Priced):
    """Bills with a guest, or without. `share` is of all revenue. Shares are in percent."""

    visits: int
    revenue: Money
    avg_order: Money | None
    share_of_visits: Decimal | None
    share: Decimal | None


class Club(BaseModel):
    """Known guests beside bills of nobody, from `first` to `last`."""

    first: date
    last: date
    known: ClubPart
    unknown: ClubPart


class Dish(Priced):
    """One dish. `guests` are those of each month, added up over the months; `repeat_share` is how many of them had it
    on two days of a month or more. `revenue` is before discounts of the whole bill."""

    name: str
    quantity: Decimal
    revenue: Money
    share: Decimal | None
    bills: int
    guests: int
    repeat_share: Decimal | None


class OtherLines(Priced):
    """Lines whose name stands on one guest's bills only, or is no more."""

    quantity: Decimal
    revenue: Money


class Dishes(BaseModel):
    """Dishes of the whole months from `first` to `last`, until yesterday, the dearest first. `counted_at`: as of when
    the newest of these months was counted."""

    first: date
    last: date
    counted_at: datetime | None
    items: list[Dish]
    others: OtherLines


class OwnVisit(BaseModel):
    """One visit as its guest sees it."""

    at: datetime
    branch: str | None
    points: int


class OwnVisits(BaseModel):
    """The newest first."""

    visits: list[OwnVisit]


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    """The frame of `POST /visits/batch`; each bill is read on its own."""

    visits: list[msgspec.Raw]

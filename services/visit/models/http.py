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
    is for the receipt, as text or as a QR code: whoever opens it may say once how this visit was."""

    visit_id: UUID
    customer_id: UUID | None
    visit_number: int | None
    feedback_link: str


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


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    """The frame of `POST /visits/batch`; each bill is read on its own."""

    visits: list[msgspec.Raw]

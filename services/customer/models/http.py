"""What staff ask and are answered."""

from datetime import date
from datetime import date as Date  # noqa: N812 - a field is named date
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, StrictBool

from services.customer.models.values import Direction, GuestSort, GuestStatus, ViewKind
from shared.consent import Channel, Purpose
from shared.events.base import CurrencyUnit, Segment, Tier
from shared.inputs.amounts import Money, Priced
from shared.inputs.fields import Birth, Command, Email, Free, Matching, Opaque, Phone, Text, Version, Whole
from shared.persian.calendar import Calendar

Name = Annotated[str, Text(100, line=True)]
Word = Annotated[str, Text(50, line=True)]
Note = Annotated[str, Text(2000)]
Json = Annotated[dict[str, Any], Free()]
# Each level of the tree is an object and a list.
Criteria = Annotated[dict[str, Any], Free(depth=24)]
PostalCode = Annotated[str, Matching("[0-9]{5,10}", 10, "کد پستی ۵ تا ۱۰ رقم دارد")]
Color = Annotated[str, Matching("#[0-9A-Fa-f]{6}", 7, "رنگ باید مانند #6B7280 باشد")]
NewSegmentKey = Annotated[str, Matching("[a-z][a-z0-9_]{0,49}", 50, "کلید از حروف کوچک انگلیسی، رقم و زیرخط است")]
LastFour = Annotated[str, Matching("[0-9]{4}", 4, "چهار رقم پایانی شماره را بنویسید")]
# Kept as a proof for ever, and told to other services: a word of a list, never a sentence.
AnswerSource = Literal["staff", "in_person", "phone", "form", "website", "instagram"]
Order = Annotated[int, Whole(0, 10_000)]


class _Details(Command):
    name_english: Name | None = None
    email: Email | None = None
    birthday: Birth | None = None
    anniversary: Birth | None = None
    notes: Note | None = None
    preferences: Json = {}
    address: Note | None = None
    city: Word | None = None
    postal_code: PostalCode | None = None


class RegisterCustomer(_Details):
    """A guest registered by staff. `phone` in any spelling; `marketing_consent` when the guest was asked."""

    phone: Phone
    name: Name
    marketing_consent: StrictBool | None = None


class ChangeCustomer(_Details):
    """What is given changes, null empties a field. The phone stays: it is who the guest is.

    With `version`, the change is refused when somebody else was faster.
    """

    name: Name | None = None
    version: Version | None = None


class SetStatus(Command):
    """Another status for a guest."""

    status: GuestStatus


class RecordConsent(Command):
    """The guest's answer, given now. `source` is where it was given."""

    channel: Channel
    purpose: Purpose
    granted: StrictBool
    source: AnswerSource = "staff"


class FindCustomers(Command):
    """A search. What is given must all hold; in a body, so that no phone stands in an address.

    `name` in any spelling and any part; `phone` whole, in any spelling; `after` continues a list without `name`.
    """

    name: Name | None = None
    phone: Phone | None = None
    last_four: LastFour | None = None
    status: GuestStatus | None = None
    segment: Segment | None = None
    after: UUID | None = None
    limit: Annotated[int, Whole(1, 200)] = 50


class ListCustomers(Command):
    """Which guests, and in which order, as of some seconds ago; in a body, so that no filter stands in an address.

    `after` is what the page before answered. `not_seen_for_days` leaves out who never came. `birthday_within_days`
    counts days of the cafe's calendar from today on; 0 is today.
    """

    sort: GuestSort = "last_visit"
    order: Direction = "desc"
    segment_id: UUID | None = None
    tier: Tier | None = None
    reachable: StrictBool | None = None
    not_seen_for_days: Annotated[int, Whole(1, 3650)] | None = None
    birthday_within_days: Annotated[int, Whole(0, 31)] | None = None
    after: Annotated[str, Opaque(300)] | None = None
    limit: Annotated[int, Whole(1, 100)] = 50


class _WithCriteria(Command):
    currency_unit: Annotated[
        CurrencyUnit | None, Field(description="of amounts in the criteria; the cafe's own when left out")
    ] = None


class CreateSegment(_WithCriteria):
    """A segment of the cafe's own; see GET …/segments/attributes for what criteria may say."""

    name: Name
    segment_key: NewSegmentKey
    criteria: Criteria
    description: Note | None = None
    is_active: StrictBool = True
    color_hex: Color = "#6B7280"
    icon_name: Word | None = None
    display_order: Order = 0


class ChangeSegment(_WithCriteria):
    """What is given changes, the rest stays."""

    name: Name | None = None
    criteria: Criteria | None = None
    description: Note | None = None
    is_active: StrictBool | None = None
    color_hex: Color | None = None
    icon_name: Word | None = None
    display_order: Order | None = None


class PreviewSegment(_WithCriteria):
    """Criteria to try on the guests as they are now, and to compare with who is in the segment of `segment_id`."""

    criteria: Criteria
    segment_id: UUID | None = None


class CardsOf(Command):
    """Which guests' cards are wanted; in a body, as there may be two hundred."""

    ids: Annotated[list[UUID], Field(max_length=200)]


class CustomerCard(BaseModel):
    """A guest in a list: enough to recognize one, without the number.

    `marketing_reachable`: the guest is active and agreed to advertising by SMS. Whether the number takes SMS, and
    what else holds a message back, is found when one is sent.
    """

    id: UUID
    name: str | None
    name_english: str | None
    phone_last4: str
    status: GuestStatus
    segment: Segment
    total_visits: int
    last_visit: AwareDatetime | None
    tier_level: Tier
    current_points: int
    marketing_reachable: bool


class CustomerPage(BaseModel):
    """`after` continues the list; null when it ends here."""

    customers: list[CustomerCard]
    after: UUID | None


class CustomerList(BaseModel):
    """`after` continues the list; null when it ends here. Where few guests fit, a page may be shorter than asked, even
    empty, and go on all the same."""

    customers: list[CustomerCard]
    after: str | None


class Customer(BaseModel):
    """All that is known about a guest, in clear but for the number, of which only the end is shown."""

    id: UUID
    phone: str
    phone_last4: str
    name: str | None
    name_english: str | None
    email: str | None
    birthday: date | None
    anniversary: date | None
    status: GuestStatus
    segment: Segment
    notes: str | None
    preferences: dict[str, Any]
    address: str | None
    city: str | None
    postal_code: str | None
    created_at: AwareDatetime
    updated_at: AwareDatetime
    created_by: UUID | None
    updated_by: UUID | None
    version: int


class WholePhone(BaseModel):
    """A guest's number. That it was shown is kept, with who saw it."""

    phone: str


class ViewedGuest(BaseModel):
    """Somebody opened a guest (told once an hour), or had the whole number shown."""

    id: UUID
    customer_id: UUID
    user_id: UUID
    kind: ViewKind
    viewed_at: AwareDatetime


class ViewPage(BaseModel):
    """Who looked at whom, the last first; `before` continues the list, null when it ends here."""

    views: list[ViewedGuest]
    before: UUID | None


class CustomerSummary(Priced):
    """A guest's numbers. Money is in `currency_unit`, the cafe's, and null for whom sums are not shown; what the guest
    never did is null."""

    id: UUID
    phone_last4: str
    name: str | None
    status: GuestStatus
    segment: Segment
    created_at: AwareDatetime
    current_points: int
    tier_level: Tier
    lifetime_spent: Money | None
    total_visits: int
    last_visit_date: date | None
    last_visit: AwareDatetime | None
    avg_rating: Decimal | None
    days_since_last_visit: int | None
    avg_spend_per_visit: Money | None


class ConsentView(BaseModel):
    """The answer in force for one channel and purpose."""

    channel: Channel
    purpose: Purpose
    granted: bool
    source: str
    changed_at: AwareDatetime
    changed_by: UUID | None


class PastAnswer(BaseModel):
    """One answer the guest gave, whether or not it still counts."""

    channel: Channel
    purpose: Purpose
    granted: bool
    source: str
    occurred_at: AwareDatetime
    recorded_at: AwareDatetime
    recorded_by: UUID | None


class Consents(BaseModel):
    """Answers in force, and all answers, newest first."""

    current: list[ConsentView]
    history: list[PastAnswer]


class SegmentView(BaseModel):
    """A segment; `last_calculated_at` is null until all guests have been evaluated by it once. Amounts of its criteria
    are in `currency_unit`, the cafe's. Of the guests in it `reachable_count` may be sent advertising by SMS, as of some
    seconds ago. `is_being_calculated` while guests of the cafe are evaluated by changed definitions."""

    id: UUID
    name: str
    description: str | None
    segment_key: str
    criteria: dict[str, Any]
    currency_unit: CurrencyUnit
    customer_count: int
    reachable_count: int
    is_being_calculated: bool
    last_calculated_at: AwareDatetime | None
    is_system_segment: bool
    is_active: bool
    color_hex: str
    icon_name: str | None
    display_order: int
    created_at: AwareDatetime
    updated_at: AwareDatetime
    created_by: UUID | None


class SegmentPreview(BaseModel):
    """How many guests the criteria would hold, of how many; whom of them advertising may be sent by SMS, as of some
    seconds ago; and up to twelve of them, who came last first.

    Who would enter and who would leave the segment that was asked about; null without one.
    """

    matching: int
    customers: int
    reachable: int
    sample: list[CustomerCard]
    would_enter: int | None
    would_leave: int | None
    entering: list[CustomerCard]
    leaving: list[CustomerCard]


class DayOfSegment(BaseModel):
    """How many guests were in a segment at the end of a day of the cafe (today: now), and how many entered and left it
    on that day. Who entered twice counts twice."""

    date: Date
    members: int
    entered: int
    left: int


class SegmentHistory(BaseModel):
    """A segment's days, the oldest first, from its first one on."""

    segment_id: UUID
    days: list[DayOfSegment]


class SegmentMember(CustomerCard):
    """A guest in a segment."""

    entered_at: AwareDatetime


class MemberPage(BaseModel):
    """`after` continues the list; null when it ends here."""

    members: list[SegmentMember]
    after: UUID | None


class MoveCause(BaseModel):
    """The event for which a guest moved, the visit it is about, and what all that followed from one bill or request
    has in common."""

    event_id: UUID
    visit_id: UUID | None
    correlation_id: UUID


class Stay(BaseModel):
    """A time in which the guest was in a segment; still is when `left_at` is null.

    `cause` and `left_cause` are null where time or a definition moved the guest, and in stays from before they were
    kept.
    """

    segment_id: UUID
    segment_key: str
    name: str
    entered_at: AwareDatetime
    reason: str
    left_at: AwareDatetime | None
    left_reason: str | None
    cause: MoveCause | None
    left_cause: MoveCause | None


class AttributeView(BaseModel):
    """One thing that criteria may ask about, how it is compared, and the most it can be compared with; an amount has
    the cafe's `currency_unit`."""

    name: str
    kind: Literal["count", "money", "score", "days_since", "newer_than", "newest", "choice", "flag"]
    most: int | None
    currency_unit: CurrencyUnit | None
    form: str
    description: str
    description_fa: str
    choices: list[str]


class OwnConsent(BaseModel):
    """Whether messages of that purpose come by that channel, as the guest said or as it is until they say."""

    channel: Channel
    purpose: Purpose
    granted: bool


class OwnCard(BaseModel):
    """What a guest's own page says of their cafe and of what they allow."""

    cafe_name: str
    time_zone: str
    calendar: Calendar
    consents: list[OwnConsent]


class OwnAnswer(Command):
    """The guest's own yes or no."""

    channel: Channel
    purpose: Purpose
    granted: StrictBool

"""What staff ask and are answered."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from services.customer.models.shapes import Channel, Purpose, Status
from shared.events.base import Segment, Tier
from shared.persian import phone, text

LONGEST_JSON = 8 * 1024


def _tidy(typed: Any) -> Any:
    return text.normalize(typed) if isinstance(typed, str) else typed


def _canonical(typed: str) -> str:
    try:
        return phone.canonical(typed)
    except phone.InvalidPhone:
        raise PydanticCustomError(
            "phone", "not a phone number, such as 09123456789", {"fa": "شمارهٔ تلفن درست نیست؛ مانند ۰۹۱۲۳۴۵۶۷۸۹"}
        ) from None


def _storable(value: dict[str, Any]) -> dict[str, Any]:
    encoded = msgspec.json.encode(value)
    if len(encoded) > LONGEST_JSON or b"\\u0000" in encoded:
        raise PydanticCustomError(
            "too_large", "at most 8 KiB of JSON without null characters", {"fa": "حداکثر ۸ کیلوبایت JSON مجاز است"}
        )
    return value


Phone = Annotated[str, Field(max_length=40), AfterValidator(_canonical)]
Name = Annotated[str, BeforeValidator(_tidy), Field(min_length=1, max_length=100)]
Word = Annotated[str, BeforeValidator(_tidy), Field(min_length=1, max_length=50)]
Note = Annotated[str, BeforeValidator(_tidy), Field(min_length=1, max_length=2000)]
Email = Annotated[str, BeforeValidator(_tidy), Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
Day = Annotated[date, Field(ge=date(1900, 1, 1), le=date(2200, 1, 1))]
Json = Annotated[dict[str, Any], AfterValidator(_storable)]
PostalCode = Annotated[str, BeforeValidator(text.latin_digits), Field(pattern="^[0-9]{5,10}$")]
Color = Annotated[str, Field(pattern="^#[0-9A-Fa-f]{6}$")]
Key = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,49}$")]


class Command(BaseModel):
    """A request's body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Details(Command):
    name_english: Name | None = None
    email: Email | None = None
    birthday: Day | None = None
    anniversary: Day | None = None
    notes: Note | None = None
    preferences: Json = {}
    address: Note | None = None
    city: Word | None = None
    postal_code: PostalCode | None = None


class RegisterCustomer(_Details):
    """A guest registered by staff. `phone` in any spelling; `marketing_consent` when the guest was asked."""

    phone: Phone
    name: Name
    marketing_consent: bool | None = None


class ChangeCustomer(_Details):
    """What is given changes, null empties a field. The phone stays: it is who the guest is.

    With `version`, the change is refused when somebody else was faster.
    """

    name: Name | None = None
    version: int | None = None


class SetStatus(Command):
    """Another status for a guest."""

    status: Status


class RecordConsent(Command):
    """The guest's answer, given now."""

    channel: Channel
    purpose: Purpose
    granted: bool
    source: Word = "staff"


class FindCustomers(Command):
    """A search. What is given must all hold; in a body, so that no phone stands in an address.

    `name` in any spelling and any part; `phone` whole, in any spelling; `after` continues a list without `name`.
    """

    name: Name | None = None
    phone: Phone | None = None
    last_four: Annotated[str, BeforeValidator(text.latin_digits), Field(pattern="^[0-9]{4}$")] | None = None
    status: Status | None = None
    segment: Segment | None = None
    after: UUID | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class CreateSegment(Command):
    """A segment of the cafe's own; see GET …/segments/attributes for what criteria may say."""

    name: Name
    segment_key: Key
    criteria: Json
    description: Note | None = None
    is_active: bool = True
    color_hex: Color = "#6B7280"
    icon_name: Word | None = None
    display_order: Annotated[int, Field(ge=0, le=10_000)] = 0


class ChangeSegment(Command):
    """What is given changes, the rest stays."""

    name: Name | None = None
    criteria: Json | None = None
    description: Note | None = None
    is_active: bool | None = None
    color_hex: Color | None = None
    icon_name: Word | None = None
    display_order: Annotated[int, Field(ge=0, le=10_000)] | None = None


class PreviewSegment(Command):
    """Criteria to try on the guests as they are now."""

    criteria: Json


class CustomerCard(BaseModel):
    """A guest in a list: enough to recognize one, without the number."""

    id: UUID
    name: str | None
    name_english: str | None
    phone_last4: str
    status: Status
    segment: Segment
    total_visits: int
    last_visit: AwareDatetime | None


class CustomerPage(BaseModel):
    """`after` continues the list; null when it ends here."""

    customers: list[CustomerCard]
    after: UUID | None


class Customer(BaseModel):
    """All that is known about a guest, in clear."""

    id: UUID
    phone: str
    name: str | None
    name_english: str | None
    email: str | None
    birthday: date | None
    anniversary: date | None
    status: Status
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


class CustomerSummary(BaseModel):
    """A guest's numbers. Money is in `currency_unit`; what the guest never did is null."""

    id: UUID
    phone_last4: str
    name: str | None
    status: Status
    segment: Segment
    created_at: AwareDatetime
    current_points: int
    tier_level: Tier
    lifetime_spent: Decimal
    currency_unit: Literal["IRT"]
    total_visits: int
    last_visit_date: date | None
    last_visit: AwareDatetime | None
    avg_rating: Decimal | None
    days_since_last_visit: int | None
    avg_spend_per_visit: Decimal


class Consent(BaseModel):
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

    current: list[Consent]
    history: list[PastAnswer]


class SegmentView(BaseModel):
    """A segment; `last_calculated_at` is null until all guests have been judged by it once."""

    id: UUID
    name: str
    description: str | None
    segment_key: str
    criteria: dict[str, Any]
    customer_count: int
    last_calculated_at: AwareDatetime | None
    is_system_segment: bool
    is_active: bool
    color_hex: str
    icon_name: str | None
    display_order: int
    created_at: AwareDatetime
    updated_at: AwareDatetime
    created_by: UUID | None


class Preview(BaseModel):
    """How many guests the criteria would hold, of how many."""

    matching: int
    customers: int


class Member(CustomerCard):
    """A guest in a segment."""

    entered_at: AwareDatetime


class MemberPage(BaseModel):
    """`after` continues the list; null when it ends here."""

    members: list[Member]
    after: UUID | None


class Stay(BaseModel):
    """A time in which the guest was in a segment; still is when `left_at` is null."""

    segment_id: UUID
    segment_key: str
    name: str
    entered_at: AwareDatetime
    reason: str
    left_at: AwareDatetime | None
    left_reason: str | None


class AttributeView(BaseModel):
    """One thing that criteria may ask about."""

    name: str
    form: str
    description: str
    description_fa: str
    choices: list[str]

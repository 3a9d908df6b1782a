"""Published by `customer`, keyed by the guest; what is about the whole cafe, by the cafe."""

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

import msgspec

from shared.events.base import Code, Event, Identifier, Sealed, Segment


class CustomerEvent(Event, frozen=True, kw_only=True):
    topic: ClassVar[str] = "customer.events"
    customer_id: UUID


class CustomerRegistered(CustomerEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "customer.registered"
    source: Literal["visit", "staff", "import"]


class CustomerStatusChanged(CustomerEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "customer.status_changed"
    status: Literal["active", "inactive", "blocked"]


class CustomerErased(CustomerEvent, frozen=True, kw_only=True):
    """Every service empties what it holds of this guest; sums stay."""

    type: ClassVar[str] = "customer.erased"


class ConsentChanged(CustomerEvent, frozen=True, kw_only=True):
    """An answer that counts from now on; shared.consent says which of two does."""

    type: ClassVar[str] = "consent.changed"
    channel: Literal["sms", "email", "push", "instagram"]
    purpose: Literal["service", "marketing"]
    granted: bool
    source: Code


class BirthdayReached(CustomerEvent, frozen=True, kw_only=True):
    """The guest's birthday began at `occurred_at` where the cafe is; `year` is that of the cafe's calendar. Told once a
    year, unless the date of birth is moved to a day of the year that is still to come."""

    type: ClassVar[str] = "birthday.reached"
    year: int


class SegmentChanged(CustomerEvent, frozen=True, kw_only=True):
    """The guest's one enum segment (new, occasional, regular, vip)."""

    type: ClassVar[str] = "customer.segment_changed"
    segment: Segment
    previous_segment: Segment


class SegmentEntered(CustomerEvent, frozen=True, kw_only=True):
    """`reason` says what moved the guest, as the guest's history does: "visit" when a visit alone explains it, which
    happened at `visit_at`, "time" when days went by, and otherwise what else there was, such as "definition" or
    "visit_corrected". None in events from before it was said."""

    type: ClassVar[str] = "segment.entered"
    segment_id: UUID
    segment_key: Identifier
    reason: Code | None = None
    visit_at: datetime | None = None


class SegmentLeft(CustomerEvent, frozen=True, kw_only=True):
    """`reason` and `visit_at` as in `SegmentEntered`."""

    type: ClassVar[str] = "segment.left"
    segment_id: UUID
    segment_key: Identifier
    reason: Code | None = None
    visit_at: datetime | None = None


class SegmentKey(msgspec.Struct, frozen=True, kw_only=True):
    """A segment that there is; one that is switched off holds nobody."""

    segment_id: UUID
    segment_key: Identifier
    is_active: bool = True


class SegmentListChanged(Event, frozen=True, kw_only=True):
    """All segments that a cafe has from `occurred_at` on. The latest list counts, whatever order they come in."""

    type: ClassVar[str] = "segment_list.changed"
    topic: ClassVar[str] = "customer.events"
    key_field: ClassVar[str] = "cafe_id"
    segments: list[SegmentKey]


class CustomerProfiled(Event, frozen=True, kw_only=True):
    """The guest's whole profile, on a compacted topic; a tombstone follows erasure. Personal fields are sealed with
    table `customer.profiles`, the field's name and the customer id. The highest `version` wins."""

    type: ClassVar[str] = "customer.profiled"
    topic: ClassVar[str] = "customer.profiles"
    customer_id: UUID
    version: int
    phone_sealed: Sealed
    name_sealed: Sealed | None = None
    birthday_sealed: Sealed | None = None
    status: Literal["active", "inactive", "blocked"] = "active"
    language: Code = "fa"
    registered_at: datetime


EVENTS = (
    CustomerRegistered,
    CustomerStatusChanged,
    CustomerErased,
    ConsentChanged,
    BirthdayReached,
    SegmentChanged,
    SegmentEntered,
    SegmentLeft,
    SegmentListChanged,
    CustomerProfiled,
)

"""Guests as this service knows them, and whoever is told of unhappy ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from shared.consent import Channel, Purpose

ContactStatus = Literal["active", "inactive", "blocked"]


@dataclass(frozen=True)
class KnownSegments:
    """Keys of a cafe's segments: in use, and switched off. `with_members`: keys that guests are in, where nobody has
    told of the cafe's segments yet."""

    keys: Sequence[str]
    off_keys: Sequence[str]
    with_members: Sequence[str]


@dataclass(frozen=True)
class Contact:
    """What is known of a guest at the moment of sending, in clear: never stored or logged like this."""

    phone: str | None = field(repr=False)
    name: str | None = field(repr=False)
    status: ContactStatus
    line_blocked: bool
    erased: bool
    consents: Mapping[Purpose, bool]
    # Cases that a low rating opened and nobody has closed.
    complaints: Sequence[UUID] = ()
    # How many messages a day this one gets at most, where that is not the same for all guests.
    daily_cap: int | None = None


@dataclass(frozen=True)
class OnDuty:
    """Somebody of the cafe who may be told of unhappy guests."""

    id: UUID
    cafe_id: UUID
    phone_sealed: str = field(repr=False)
    phone_hash: bytes = field(repr=False)
    label: str
    is_on_duty: bool


@dataclass(frozen=True)
class Notice:
    """What a message to whoever is on duty says of a case."""

    case_id: UUID
    overall_rating: int | None
    table_number: str | None


GuestKey = tuple[UUID, UUID]


@dataclass(frozen=True)
class ContactVersion:
    """A version of a guest's profile; phone and name in the envelopes they travelled in."""

    cafe_id: UUID
    customer_id: UUID
    version: int
    phone_sealed: str = field(repr=False)
    phone_hash: bytes = field(repr=False)
    name_sealed: str | None = field(repr=False)
    status: ContactStatus
    language: str
    at: datetime
    registered_at: datetime


@dataclass(frozen=True)
class Consent:
    """What a guest said about one channel and purpose, and when."""

    cafe_id: UUID
    customer_id: UUID
    channel: Channel
    purpose: Purpose
    granted: bool
    at: datetime
    source: str


@dataclass(frozen=True)
class Membership:
    """A guest entered or left a segment."""

    cafe_id: UUID
    segment_key: str
    customer_id: UUID
    segment_id: UUID
    is_member: bool
    at: datetime
    reason: str | None


@dataclass(frozen=True)
class SegmentList:
    """All segments of a cafe: those in use, and those that are switched off."""

    cafe_id: UUID
    keys: Sequence[str]
    off_keys: Sequence[str]
    at: datetime


@dataclass(frozen=True)
class CaseWord:
    """A guest's case was opened or closed: one of the two moments is there."""

    cafe_id: UUID
    customer_id: UUID
    case_id: UUID
    opened_at: datetime | None = None
    closed_at: datetime | None = None


PROFILES: Final = "customer.profiles"

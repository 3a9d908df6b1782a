"""Segments as the pages know them: what is told of them, and their rule as a person makes it row by row."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from services.console.models.guests import GuestCard


class SegmentFile(msgspec.Struct, frozen=True, kw_only=True):
    """A segment: its rule, and how many guests are in it and may be written to."""

    id: UUID
    name: str
    description: str | None
    segment_key: str
    criteria: dict[str, Any]
    customer_count: int
    reachable_count: int
    is_being_calculated: bool
    last_calculated_at: datetime | None
    is_system_segment: bool
    is_active: bool
    color_hex: str


class SegmentDay(msgspec.Struct, frozen=True):
    """How many were in a segment at the end of a day, and how many came and went on it."""

    date: date
    members: int
    entered: int
    left: int


class SegmentLine(msgspec.Struct, frozen=True):
    """The days of one segment."""

    segment_id: UUID
    days: tuple[SegmentDay, ...]


class MemberCard(GuestCard, frozen=True, kw_only=True):
    """A guest in a segment."""

    entered_at: datetime


class MemberCards(msgspec.Struct, frozen=True):
    """A page of members; `after` asks for the following."""

    members: tuple[MemberCard, ...]
    after: UUID | None


class RulePreview(msgspec.Struct, frozen=True):
    """What a rule would find, and who would come and go."""

    matching: int
    customers: int
    reachable: int
    would_enter: int | None
    would_leave: int | None
    sample: tuple[GuestCard, ...]
    entering: tuple[GuestCard, ...]
    leaving: tuple[GuestCard, ...]


class RuleAttribute(msgspec.Struct, frozen=True):
    """What a condition may ask about. `kind` says how it is compared."""

    name: str
    kind: str
    description: str
    description_fa: str
    choices: tuple[str, ...]


class SegmentJourney(msgspec.Struct, frozen=True):
    """A message that goes out by itself, as far as it has to do with segments."""

    id: UUID
    name: str
    segment_key: str | None
    starts_on: tuple[str, ...]
    is_active: bool


GroupHow = Literal["all", "any", "none"]


@dataclass(frozen=True)
class RuleRow:
    """One row: an attribute, how it is compared, and what was typed or chosen."""

    attribute: str
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class RuleGroup:
    """All, any or none of the parts."""

    how: GroupHow
    parts: tuple["RuleRow | RuleGroup", ...]


RuleNode = RuleRow | RuleGroup
# Where a part stands: its place in the first group, in the group there, and so on.
RulePath = tuple[int, ...]

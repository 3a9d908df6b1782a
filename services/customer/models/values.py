"""What rules, store and handlers pass among themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple
from uuid import UUID

from shared.consent import Channel, Purpose
from shared.events.base import Event
from shared.persian.calendar import Calendar

GuestStatus = Literal["active", "inactive", "blocked"]
GuestSource = Literal["visit", "staff", "import"]
# What a list of guests is ordered by, and which way.
GuestSort = Literal["last_visit", "points", "spent", "visits", "created"]
Direction = Literal["asc", "desc"]
# What somebody looked at: a guest, or the whole number.
ViewKind = Literal["opened", "revealed"]


class GuestKey(NamedTuple):
    """The key of everything about one guest. Rows are locked in the order of these keys."""

    cafe_id: UUID
    customer_id: UUID


class CafeClock(NamedTuple):
    """By which clock and calendar a cafe counts days."""

    time_zone: str
    calendar: Calendar


class Bookmark(NamedTuple):
    """Where a list goes on: the key of its order as PostgreSQL writes it, and the guest."""

    key: str
    customer_id: UUID


@dataclass(frozen=True)
class Cause:
    """Why a guest is evaluated again.

    `reason`: the word that the history keeps and that events carry. `visit_at`: when the visit happened, if new visits
    are the only reason. `event`: the causation of what follows.
    """

    reason: str
    event: Event | None = None
    visit_at: datetime | None = None


@dataclass(frozen=True)
class Act:
    """Who does something, when, and under which trace id."""

    author: UUID
    at: datetime
    trace: UUID


class SegmentRule(NamedTuple):
    """A segment's bit and its criteria as stored JSON. Cafes whose rules are equal are evaluated together."""

    slot: int
    criteria: str


@dataclass(frozen=True)
class DaysAgo:
    """A parameter whose value is known when somebody is evaluated: the moment so many times 24 hours before."""

    days: int


@dataclass(frozen=True)
class Evaluation:
    """SQL over `a` (customer_activity) and `c` (customers), with the values of its parameters."""

    mask: str
    check_at: str
    values: tuple[Any, ...]
    needs_customer: bool

    def values_at(self, now: datetime) -> list[Any]:
        """The values of the parameters for evaluating at that moment."""
        return [now - timedelta(days=value.days) if isinstance(value, DaysAgo) else value for value in self.values]


@dataclass(frozen=True)
class Segmentation:
    """One segment of one cafe, as evaluating needs it."""

    cafe_id: UUID
    id: UUID
    slot: int
    key: str
    criteria: str
    in_force: bool
    # Why all guests of the cafe are being evaluated again, when they are.
    recalculated_for: str | None


class MaskChange(NamedTuple):
    """A guest whose bits or next moment changed. `old_mask` is None of one who was never evaluated before."""

    guest: GuestKey
    old_mask: int | None
    new_mask: int
    first_visit_at: datetime | None = None


class Move(NamedTuple):
    """A guest enters or leaves a segment, and why: the event, the visit it is about and its trace id; None where no
    event did it."""

    guest: GuestKey
    segment_id: UUID
    reason: str
    event_id: UUID | None
    visit_id: UUID | None
    trace: UUID | None


class MovesOfDay(NamedTuple):
    """How many guests entered and left a segment on a day of the cafe, and how many were in it after the last one."""

    segment_id: UUID
    day: date
    entered: int
    gone: int
    members: int


class Judged(NamedTuple):
    """What criteria would find among all guests: numbers, and the first few ids of each kind, who came last first.
    Entering and leaving are compared with the segment that was asked about."""

    customers: int
    matching: int
    reachable: int
    would_enter: int
    would_leave: int
    sample: list[UUID]
    entering: list[UUID]
    leaving: list[UUID]


@dataclass(frozen=True)
class Sums:
    """What visits add to one guest's sums."""

    guest: GuestKey
    visited_at: datetime
    spent: Decimal


@dataclass(frozen=True)
class Revision:
    """What a corrected or voided visit changes; `first_at` and `last_at` are the guest's visits as they now stand."""

    guest: GuestKey
    visits: int
    spent: Decimal
    removed_at: datetime
    added_at: datetime | None
    first_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True)
class GuestProfile:
    """Everything a person typed about a guest, in clear; None where nothing is known."""

    phone: str = field(repr=False)
    name: str | None = field(default=None, repr=False)
    name_english: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    birthday: date | None = field(default=None, repr=False)
    anniversary: date | None = field(default=None, repr=False)
    notes: str | None = field(default=None, repr=False)
    preferences: Mapping[str, Any] = field(default_factory=dict, repr=False)
    address: str | None = field(default=None, repr=False)
    city: str | None = None
    postal_code: str | None = None


@dataclass(frozen=True)
class ConsentAnswer:
    """A guest's answer to the consent question. Which of two counts says shared.consent."""

    guest: GuestKey
    channel: Channel
    purpose: Purpose
    granted: bool
    source: str
    occurred_at: datetime
    recorded_by: UUID | None = None

"""What customer, loyalty, visit, campaign and feedback say of one guest."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from shared.events.base import Tier


class GuestCard(msgspec.Struct, frozen=True):
    """A guest in a list."""

    id: UUID
    name: str | None
    phone_last4: str
    status: str
    total_visits: int
    last_visit: datetime | None
    tier_level: Tier
    current_points: int


class GuestCards(msgspec.Struct, frozen=True):
    """A page of guests; `after` asks for the next."""

    customers: tuple[GuestCard, ...]
    after: str | None


class GuestFile(msgspec.Struct, frozen=True):
    """All that the cafe wrote down about a guest."""

    id: UUID
    phone_last4: str
    name: str | None
    birthday: date | None
    status: str
    notes: str | None
    created_at: datetime
    version: int


class WholeNumber(msgspec.Struct, frozen=True):
    """A guest's number, for who asked for it."""

    phone: str


class LookAtGuest(msgspec.Struct, frozen=True):
    """Somebody of the cafe looked at a guest, or at the whole number."""

    id: UUID
    user_id: UUID
    customer_id: UUID
    kind: str
    viewed_at: datetime


class LooksAtGuests(msgspec.Struct, frozen=True):
    """Who looked at whom, the last first; `before` asks for the following."""

    views: tuple[LookAtGuest, ...]
    before: UUID | None


class ConsentGiven(msgspec.Struct, frozen=True):
    """The guest's answer to one question of consent."""

    channel: str
    purpose: str
    granted: bool
    source: str
    changed_at: datetime


class ConsentsGiven(msgspec.Struct, frozen=True):
    """The answers that count."""

    current: tuple[ConsentGiven, ...]


class CauseOfMove(msgspec.Struct, frozen=True):
    """The event that moved a guest, and the visit that it was about."""

    visit_id: UUID | None


class SegmentStay(msgspec.Struct, frozen=True):
    """From when to when a guest was in a segment, and why."""

    segment_id: UUID
    segment_key: str
    name: str
    entered_at: datetime
    reason: str
    left_at: datetime | None
    left_reason: str | None
    cause: CauseOfMove | None
    left_cause: CauseOfMove | None


class Balance(msgspec.Struct, frozen=True):
    """The guest's points and tier."""

    current_points: int
    tier: Tier
    next_tier: Tier | None
    points_to_next_tier: int
    lifetime_spent: Decimal | None
    current_year_spent: Decimal | None
    total_visits: int
    visits_this_month: int
    last_visit_date: date | None
    currency_unit: str


class RuleOfEntry(msgspec.Struct, frozen=True):
    """By which version of the rules a bill earned: a point for each `earn_per`, times the multiplier of the tier."""

    program_version: int
    earn_per: Decimal
    multiplier: Decimal
    currency_unit: str


class LedgerLine(msgspec.Struct, frozen=True):
    """One row of the ledger."""

    id: UUID
    type: str
    points_change: int
    balance_after: int
    visit_id: UUID | None
    redemption_id: UUID | None
    notes: str | None
    rule: RuleOfEntry | None
    related_amount: Decimal | None
    occurred_at: datetime
    created_at: datetime


class LedgerLines(msgspec.Struct, frozen=True):
    """The newest rows of the ledger first."""

    entries: tuple[LedgerLine, ...]


class Redeemed(msgspec.Struct, frozen=True):
    """What became of a redemption."""

    redemption_id: UUID
    points: int
    state: str
    current_points: int | None


class Adjusted(msgspec.Struct, frozen=True):
    """What became of an adjustment: done, or waiting for a second person."""

    adjustment_id: UUID
    customer_id: UUID
    points: int
    state: str


class CheckMade(msgspec.Struct, frozen=True):
    """One check of a decision."""

    check: str
    passed: bool


class DecisionMade(msgspec.Struct, frozen=True):
    """What was decided about a message, and why."""

    outcome: str
    reason: str
    checks: tuple[CheckMade, ...]


class JourneyRun(msgspec.Struct, frozen=True):
    """One guest's way through a journey."""

    journey_key: str
    trigger_id: UUID
    occurred_at: datetime
    due_at: datetime
    state: str
    reason: str | None
    en: str | None
    fa: str | None


class JourneyNotBegun(msgspec.Struct, frozen=True):
    """A journey that did not begin, and why."""

    journey_key: str
    segment_key: str
    entered_at: datetime
    reason: str
    en: str
    fa: str


class SentMessage(msgspec.Struct, frozen=True):
    """One message to the guest, with every decision about it."""

    id: UUID
    campaign: str
    purpose: str
    trigger_id: UUID
    visit_id: UUID | None
    delivery_status: str
    queued_at: datetime
    due_at: datetime
    decisions: tuple[DecisionMade, ...]


class MessagesOfGuest(msgspec.Struct, frozen=True):
    """Journeys and messages of one guest, the newest first."""

    runs: tuple[JourneyRun, ...]
    not_begun: tuple[JourneyNotBegun, ...]
    messages: tuple[SentMessage, ...]

"""Rules of a club that were tried on everything that happened, and what would have become of it."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from shared.events.base import Tier


class DifferingBill(msgspec.Struct, frozen=True):
    """A bill that the rules in force count differently than the books."""

    visit_id: UUID
    kept: int
    counted: int


class CheckOfBooks(msgspec.Struct, frozen=True):
    """Whether counting by the rules in force finds what the books say."""

    holds: bool
    visits: int
    visits_differing: int
    redemptions_differing: int
    recount_waits: bool
    differing_visits: tuple[DifferingBill, ...]


class PointsOfMonth(msgspec.Struct, frozen=True):
    """Points that a rule gave for the bills of a month."""

    month: date
    rule: str
    before: int
    after: int


class LapsesOfMonth(msgspec.Struct, frozen=True):
    """Points that lapse in a month; None: never."""

    month: date | None
    before: int
    after: int


class RungOfLadder(msgspec.Struct, frozen=True):
    """How many guests stand in a tier."""

    tier: Tier
    before: int
    after: int


class MoveOfGuests(msgspec.Struct, frozen=True):
    """How many guests go from a tier to another."""

    origin: Tier
    target: Tier
    guests: int


class GroupOfGuests(msgspec.Struct, frozen=True):
    """How many guests have a change of points between these, both included."""

    least: int | None
    most: int | None
    guests: int


class TriedGuestCard(msgspec.Struct, frozen=True):
    """What would become of a guest."""

    customer_id: UUID
    points_before: int
    points_after: int
    tier_before: Tier
    tier_after: Tier


class RehearsalFindings(msgspec.Struct, frozen=True):
    """What a rehearsal found: before, by the rules in force; after, with the draft."""

    at: datetime
    ladder_at: datetime
    check: CheckOfBooks
    guests: int
    points_before: int
    points_after: int
    months: tuple[PointsOfMonth, ...]
    liability_before: int
    liability_after: int
    lapses: tuple[LapsesOfMonth, ...]
    cards_before: int
    cards_after: int
    redemptions: int
    uncovered: int
    uncovered_points: int
    uncovered_guests: int
    ladder: tuple[RungOfLadder, ...]
    moves: tuple[MoveOfGuests, ...]
    winning: int
    losing: int
    winners: tuple[TriedGuestCard, ...]
    losers: tuple[TriedGuestCard, ...]
    groups: tuple[GroupOfGuests, ...]


class RehearsalOfClub(msgspec.Struct, frozen=True):
    """A rehearsal: how far it is, and the rules that it tries."""

    rehearsal_id: UUID
    state: str
    mode: str
    valid_from: datetime | None
    asked_at: datetime
    error_en: str | None
    error_fa: str | None
    rules: dict[str, Any]
    earn_per: Decimal
    point_worth: Decimal | None
    currency_unit: str
    issued_worth_before: Decimal | None
    issued_worth_after: Decimal | None
    held_worth_before: Decimal | None
    held_worth_after: Decimal | None
    report: RehearsalFindings | None

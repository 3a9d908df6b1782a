"""What a cafe's day is made of: visits, ratings, cases, numbers, tills."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import msgspec


class VisitRow(msgspec.Struct, frozen=True, kw_only=True):
    """A visit in a list. Who may not see money gets no amount."""

    id: UUID
    customer_id: UUID | None
    visit_date: datetime
    visit_number: int | None
    device_id: str
    receipt_number: str
    final_amount: Decimal | None
    currency_unit: str
    item_count: int
    points_earned: int
    points_redeemed: int
    feedback_rating: int | None
    corrected_at: datetime | None
    voided_at: datetime | None


class VisitBill(VisitRow, frozen=True, kw_only=True):
    """One visit with its bill."""

    discount_amount: Decimal | None
    items_ordered: tuple[dict[str, object], ...]
    void_reason: str | None


class VisitRows(msgspec.Struct, frozen=True):
    """A page of visits; `next` is where the following begins."""

    items: tuple[VisitRow, ...]
    next: tuple[str, str] | None


class HourFigures(msgspec.Struct, frozen=True):
    """One hour of a day."""

    visits: int


class EarlierDay(msgspec.Struct, frozen=True):
    """The same day of last week until the same minute."""

    visits: int
    guests: int
    revenue: Decimal | None


class TodayFigures(msgspec.Struct, frozen=True):
    """How today goes. Who may not see money gets no revenue."""

    as_of: datetime
    visits: int
    guests: int
    new_guests: int
    revenue: Decimal | None
    hours: tuple[HourFigures, ...]
    week_ago: EarlierDay


class DayNumbers(msgspec.Struct, frozen=True):
    """The figures of one day."""

    stat_date: date
    total_visits: int
    currency_unit: str


class SeenTill(msgspec.Struct, frozen=True):
    """A device that sent bills, and the numbers that never came."""

    device_id: str
    last_seen_at: datetime
    gaps: tuple[dict[str, object], ...]


class RatingRow(msgspec.Struct, frozen=True):
    """What a guest said about a visit or the cafe."""

    id: UUID
    customer_id: UUID | None
    visit_id: UUID | None
    feedback_source: str
    overall_rating: int
    category_ratings: dict[str, int | None]
    comment: str | None
    table_number: str | None
    response_text: str | None
    response_date: datetime | None
    follow_up_required: bool
    follow_up_completed: bool
    created_at: datetime


class RatingRows(msgspec.Struct, frozen=True):
    """A page of ratings; `next` asks for the following."""

    items: tuple[RatingRow, ...]
    next: str | None


class RatingFigures(msgspec.Struct, frozen=True):
    """Figures over ratings of a time."""

    responses: int
    average_rating: Decimal | None
    answered: int


class CaseRow(msgspec.Struct, frozen=True):
    """A low rating that somebody must answer in time."""

    id: UUID
    feedback_id: UUID
    customer_id: UUID | None
    status: str
    due_at: datetime
    is_overdue: bool
    closed_at: datetime | None
    resolution: str | None
    overall_rating: int
    comment: str | None

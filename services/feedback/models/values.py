"""What the feedback service keeps."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple
from uuid import UUID

from shared.events.base import CurrencyUnit

FeedbackSource = Literal["qr_code", "staff_tablet", "sms_link", "website", "phone_call", "manual"]
FeedbackTopic = Literal["service", "quality", "ambiance", "price", "cleanliness", "waiting"]
Language = Literal["fa", "en"]
SeriesStep = Literal["day", "week", "month"]
PointKind = Literal["table", "branch", "website"]
LinkState = Literal["open", "used", "expired", "closed", "unknown"]


@dataclass(frozen=True)
class FeedbackPoint:
    """A place where guests are asked without a bill."""

    cafe_id: UUID
    code: str
    kind: PointKind
    branch: str | None
    table_number: str | None
    label: str
    created_at: datetime
    created_by: UUID
    retired_at: datetime | None = None


@dataclass(frozen=True)
class RatedVisit:
    """The visit that some words are about. `visit_date` is the day on the cafe's wall."""

    visit_id: UUID
    customer_id: UUID | None
    visit_at: datetime
    visit_date: date
    final_amount: Decimal
    currency_unit: CurrencyUnit
    table_number: str | None


@dataclass(frozen=True)
class Link:
    """A feedback link as a guest finds it; `cafe_name` is None while the cafe's own event is on its way."""

    link_id: UUID
    cafe_id: UUID
    correlation_id: UUID
    expires_at: datetime
    used_at: datetime | None
    closed_at: datetime | None
    cafe_name: str | None
    calendar: Literal["jalali", "gregorian"]
    visit: RatedVisit


@dataclass(frozen=True)
class UsedLink:
    """A link at the moment of its use: the visit may have been claimed since it was looked at."""

    customer_id: UUID | None


@dataclass(frozen=True)
class Answered:
    """A feedback that the cafe has answered; `is_first`: it had not before. `said_at`: when the guest said it."""

    customer_id: UUID | None
    visit_id: UUID | None
    said_at: datetime
    is_first: bool


@dataclass(frozen=True)
class SubmittedFrom:
    """From where a submission came. Trimmed after some weeks."""

    device_info: dict[str, Any] | None = None
    ip_address: str | None = None


@dataclass(frozen=True)
class Feedback:
    """One row of customer_feedback as it is first written."""

    feedback_id: UUID
    cafe_id: UUID
    customer_id: UUID | None
    visit_id: UUID | None
    source: FeedbackSource
    source_reference: str | None
    overall_rating: int
    category_ratings: dict[str, int]
    comment: str | None
    comment_language: Language
    categories: list[FeedbackTopic]
    sentiment_score: Decimal | None
    table_number: str | None
    visit_date: date | None
    order_amount: Decimal | None
    currency_unit: CurrencyUnit | None
    follow_up_at: datetime | None
    created_at: datetime
    sender: SubmittedFrom


@dataclass(frozen=True)
class Filter:
    """Which feedback staff ask for; None asks for all. `before` is the last id of the page before."""

    words: str | None = None
    rating_from: int = 1
    rating_to: int = 5
    source: FeedbackSource | None = None
    category: FeedbackTopic | None = None
    customer_id: UUID | None = None
    visit_id: UUID | None = None
    follow_up: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: UUID | None = None
    limit: int = 50


class RatedDay(NamedTuple):
    """The ratings of one day, or of the days of a step from that one on: how many, their sum, and how many were low."""

    day: date
    responses: int
    stars: int
    low: int

"""What the feedback service takes in, keeps and answers. Pure data."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from shared.events.base import CurrencyUnit
from shared.inputs.bounds import MOST_OF_UNIT, Rial, too_much
from shared.inputs.fields import Command, Day, Identifier, Text, Whole, Words, fault

Source = Literal["qr_code", "staff_tablet", "sms_link", "website", "phone_call", "manual"]
StaffSource = Literal["staff_tablet", "phone_call", "manual"]
RatedCategory = Literal["service", "quality", "ambiance"]
Topic = Literal["service", "quality", "ambiance", "price", "cleanliness", "waiting"]
Language = Literal["fa", "en"]
PointKind = Literal["table", "branch", "website"]
LinkState = Literal["open", "used", "expired", "closed", "unknown"]

COMMENT_LIMIT = 2000


Rating = Annotated[int, Whole(1, 5)]
Comment = Annotated[str | None, Words(COMMENT_LIMIT)]


class Submission(Command):
    """What a guest says about a visit."""

    overall_rating: Rating
    category_ratings: dict[RatedCategory, Rating] = {}
    comment: Comment = None


class StaffEntry(Submission):
    """What a guest said to somebody of the staff, who writes it down."""

    source: StaffSource
    source_reference: Annotated[str | None, Words(100, line=True)] = None
    visit_id: UUID | None = None
    customer_id: UUID | None = None
    table_number: Annotated[str | None, Words(10, line=True)] = None
    visit_date: Day | None = None
    # Before the amount, which is held to the bound of its unit.
    currency_unit: CurrencyUnit | None = None
    order_amount: Rial | None = None

    @field_validator("order_amount")
    @classmethod
    def _within_the_bound_of_its_unit(cls, amount: Decimal | None, info: ValidationInfo) -> Decimal | None:
        unit = info.data.get("currency_unit")
        if amount is not None and unit is not None and amount > MOST_OF_UNIT[unit]:
            raise too_much()
        return amount

    @model_validator(mode="after")
    def _amount_has_its_unit(self) -> "StaffEntry":
        if (self.order_amount is None) != (self.currency_unit is None):
            raise PydanticCustomError(
                "amount_without_unit",
                "order_amount and currency_unit go together",
                {"fa": "مبلغ سفارش و واحد پول باید با هم بیایند"},
            )
        return self


class ResponseText(Command):
    """What the cafe answers to a guest's words."""

    text: Annotated[str, Text(COMMENT_LIMIT)]


class Resolution(Command):
    """How a follow-up case ended."""

    resolution: Annotated[str, Text(COMMENT_LIMIT)]


class MakePoint(Command):
    """A place where guests are to be asked. `branch` as the tills name it; a table has a number, others have none."""

    kind: PointKind
    label: Annotated[str, Text(100, line=True)]
    branch: Identifier | None = None
    table_number: Annotated[str | None, Words(10, line=True)] = None

    @model_validator(mode="after")
    def _table_has_a_number(self) -> "MakePoint":
        if (self.kind == "table") != (self.table_number is not None):
            raise fault(
                "table_without_number",
                "A table needs table_number, and nothing else may have one.",
                "برای میز شمارهٔ میز لازم است و برای بقیه نباید بیاید.",
            )
        return self


@dataclass(frozen=True)
class Point:
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
class Visit:
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
    visit: Visit


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
class Sender:
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
    source: Source
    source_reference: str | None
    overall_rating: int
    category_ratings: dict[str, int]
    comment: str | None
    comment_language: Language
    categories: list[Topic]
    sentiment_score: Decimal | None
    table_number: str | None
    visit_date: date | None
    order_amount: Decimal | None
    currency_unit: CurrencyUnit | None
    follow_up_at: datetime | None
    created_at: datetime
    sender: Sender


@dataclass(frozen=True)
class Filter:
    """Which feedback staff ask for; None asks for all. `before` is the last id of the page before."""

    words: str | None = None
    rating_from: int = 1
    rating_to: int = 5
    source: Source | None = None
    category: Topic | None = None
    customer_id: UUID | None = None
    visit_id: UUID | None = None
    follow_up: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: UUID | None = None
    limit: int = 50

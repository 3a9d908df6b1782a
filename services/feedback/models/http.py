"""What guests and staff send, and what they are answered."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from services.feedback.models.values import PointKind
from shared.events.base import CurrencyUnit
from shared.inputs.amounts import Money, Priced
from shared.inputs.bounds import MOST_OF_UNIT, Rial, too_much
from shared.inputs.fields import Command, Day, Identifier, Text, Whole, Words, fault

StaffSource = Literal["staff_tablet", "phone_call", "manual"]
RatedCategory = Literal["service", "quality", "ambiance"]
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


class LinkView(BaseModel):
    """What is behind an open link."""

    cafe_name: str | None
    visit_date: date


class Received(BaseModel):
    """What was made of a submission."""

    feedback_id: UUID


class FeedbackView(Priced):
    """One feedback as people of the cafe see it: without device and address. `order_amount` in `currency_unit`, the
    cafe's; null for whom amounts are not shown."""

    id: UUID
    customer_id: UUID | None
    visit_id: UUID | None
    feedback_source: str
    source_reference: str | None
    overall_rating: int
    category_ratings: dict[str, int]
    comment: str | None
    comment_language: str
    feedback_categories: list[str]
    sentiment_score: Decimal | None
    table_number: str | None
    visit_date: date | None
    order_amount: Money | None
    response_text: str | None
    response_date: datetime | None
    responded_by: UUID | None
    follow_up_required: bool
    follow_up_completed: bool
    follow_up_date: datetime | None
    created_at: datetime
    updated_at: datetime
    visit_voided_at: datetime | None


class FeedbackPage(BaseModel):
    """Newest first; ask again with `before=next` for older ones."""

    items: list[FeedbackView]
    next: UUID | None


class CaseView(BaseModel):
    """A follow-up case and what it is about. `visit_voided_at`: the bill was voided since, and the rating counts no
    longer; the guest may still wait for an answer."""

    id: UUID
    feedback_id: UUID
    customer_id: UUID | None
    visit_id: UUID | None
    status: Literal["open", "closed"]
    opened_at: datetime
    due_at: datetime
    is_overdue: bool
    closed_at: datetime | None
    closed_by: UUID | None
    resolution: str | None
    overall_rating: int
    comment: str | None
    visit_voided_at: datetime | None


class Summary(BaseModel):
    """Feedback of a period in numbers; an average of nothing is null. What was said of visits that were voided since is
    counted in `of_voided_visits` and, while its case is open, in `open_cases`; nowhere else."""

    responses: int
    average_rating: Decimal | None
    average_service: Decimal | None
    average_quality: Decimal | None
    average_ambiance: Decimal | None
    average_sentiment: Decimal | None
    low_ratings: int
    answered: int
    open_cases: int
    of_voided_visits: int


class RatedStep(BaseModel):
    """Ratings of a day, of a week from Saturday on, or of a month of the cafe's calendar; `date` is its first day.
    `low` are those of one or two stars. What was said of visits that were voided since does not count."""

    date: date
    responses: int
    average: Decimal | None
    low: int


class PointView(BaseModel):
    """A place where guests are asked, and the address behind its code."""

    model_config = ConfigDict(from_attributes=True)

    code: str
    kind: PointKind
    branch: str | None
    table_number: str | None
    label: str
    created_at: datetime
    created_by: UUID
    retired_at: datetime | None
    address: str

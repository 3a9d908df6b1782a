"""What staff do with feedback: read, search, answer, follow up, and write down what guests say to them."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel

from services.feedback import handlers, store
from services.feedback.models import Filter, Resolution, ResponseText, Source, StaffEntry, Topic
from services.feedback.store import cases
from shared.clock import now
from shared.database import db
from shared.errors import NotFound
from shared.inputs.amounts import Money, Priced
from shared.inputs.fields import Count, Moment, Offset, PageSize, Words
from shared.security.access import unit_of
from shared.web.acting import acting
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}", tags=["feedback"])


class FeedbackView(Priced):
    """One feedback as staff see it: without device and address. `order_amount` in `currency_unit`, the cafe's."""

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


class Received(BaseModel):
    """The id of what was written down."""

    feedback_id: UUID


Rating = Annotated[int, Count(1, 5)]


@router.get("/feedback")
async def search(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    q: Annotated[str | None, Words(200, line=True)] = None,
    rating_from: Rating = 1,
    rating_to: Rating = 5,
    source: Source | None = None,
    category: Topic | None = None,
    customer_id: UUID | None = None,
    visit_id: UUID | None = None,
    follow_up: bool | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    before: UUID | None = None,
    limit: PageSize = 50,
) -> FeedbackPage:
    """Feedback of the cafe. `q` finds words by their beginnings in any spelling; `follow_up` the ones still to do."""
    wanted = Filter(
        q, rating_from, rating_to, source, category, customer_id, visit_id, follow_up, since, until, before, limit
    )
    async with acting(request, caller, cafe_id) as conn:
        unit = await unit_of(conn, cafe_id)
        rows = await store.search_feedback(conn, cafe_id, wanted)
    items = [FeedbackView.of(row, unit) for row in rows]
    return FeedbackPage(items=items, next=items[-1].id if len(items) == limit else None)


@router.get("/feedback/summary")
async def summary(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    since: Moment | None = None,
    until: Moment | None = None,
) -> Summary:
    """Counts and averages of [since, until), the last 30 days when not given."""
    until = until or now()
    async with acting(request, caller, cafe_id) as conn:
        return Summary(**await store.summarize(conn, cafe_id, since or until - timedelta(days=30), until))


@router.post("/feedback", status_code=201)
async def enter(request: Request, caller: StaffCaller, cafe_id: UUID, entry: StaffEntry) -> Received:
    """Writes down what a guest said to the staff."""
    async with acting(request, caller, cafe_id) as conn:
        feedback_id = await handlers.enter(conn, cafe_id, entry)
    return Received(feedback_id=feedback_id)


@router.get("/feedback/{feedback_id}")
async def show(request: Request, caller: StaffCaller, cafe_id: UUID, feedback_id: UUID) -> FeedbackView:
    """One feedback."""
    async with acting(request, caller, cafe_id) as conn:
        return await _view(conn, cafe_id, feedback_id)


@router.put("/feedback/{feedback_id}/response")
async def respond(
    request: Request, caller: StaffCaller, cafe_id: UUID, feedback_id: UUID, answer: ResponseText
) -> FeedbackView:
    """Writes down what the cafe answered; a second answer replaces the first. It stands on the page behind the visit's
    link, and the guest of the visit gets one message that it does, of the first answer alone."""
    async with acting(request, caller, cafe_id) as conn:
        await handlers.respond(conn, cafe_id, feedback_id, answer.text, caller.user_id)
        return await _view(conn, cafe_id, feedback_id)


@router.get("/cases")
async def list_cases(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    status: cases.CaseFilter = "open",
    limit: PageSize = 50,
    offset: Offset = 0,
) -> list[CaseView]:
    """Follow-up cases, the most urgent first. `overdue` are the open ones past their deadline."""
    async with acting(request, caller, cafe_id) as conn:
        rows = await cases.list_cases(conn, cafe_id, status, now(), limit, offset)
    return [CaseView(**row) for row in rows]


@router.post("/cases/{case_id}/close", status_code=204)
async def close_case(
    request: Request, caller: StaffCaller, cafe_id: UUID, case_id: UUID, resolution: Resolution
) -> None:
    """Closes a case with how it ended."""
    async with acting(request, caller, cafe_id) as conn:
        await handlers.close_case(conn, cafe_id, case_id, resolution.resolution, caller.user_id)


async def _view(conn: db.Connection, cafe_id: UUID, feedback_id: UUID) -> FeedbackView:
    row = await store.get_feedback(conn, cafe_id, feedback_id)
    if row is None:
        raise NotFound("feedback", "این نظر")
    return FeedbackView.of(row, await unit_of(conn, cafe_id))

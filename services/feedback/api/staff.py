"""What staff do with feedback: read, search, answer, follow up, and write down what guests say to them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request

from services.feedback.handlers import answers, cases, series, submissions
from services.feedback.models.http import (
    CaseView,
    FeedbackPage,
    FeedbackView,
    RatedStep,
    Received,
    Resolution,
    ResponseText,
    StaffEntry,
    Summary,
)
from services.feedback.models.values import FeedbackSource, FeedbackTopic, Filter, SeriesStep
from services.feedback.store import cases as case_store
from services.feedback.store import feedback as feedback_store
from shared.clock import now
from shared.database import db
from shared.errors import NotFound
from shared.events.identity import Role
from shared.inputs.fields import Count, Day, Moment, Offset, PageSize, Words
from shared.persian.money import Unit
from shared.security.access import sees_amounts, unit_of
from shared.web.acting import acting, acting_in_role
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}", tags=["feedback"])
Stars = Annotated[int, Count(1, 5)]


@router.get("/feedback")
async def search(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    q: Annotated[str | None, Words(200, line=True)] = None,
    rating_from: Stars = 1,
    rating_to: Stars = 5,
    source: FeedbackSource | None = None,
    category: FeedbackTopic | None = None,
    customer_id: UUID | None = None,
    visit_id: UUID | None = None,
    follow_up: bool | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    before: UUID | None = None,
    limit: PageSize = 50,
) -> FeedbackPage:
    """Feedback of the cafe, for managers with what was paid. `q` finds words by their beginnings in any spelling;
    `follow_up` the ones still to do."""
    wanted = Filter(
        q, rating_from, rating_to, source, category, customer_id, visit_id, follow_up, since, until, before, limit
    )
    async with acting_in_role(request, caller, cafe_id) as (conn, role):
        unit = await unit_of(conn, cafe_id)
        rows = await feedback_store.search_feedback(conn, cafe_id, wanted)
    items = [_seen(row, unit, role) for row in rows]
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
        return Summary(**await feedback_store.summarize(conn, cafe_id, since or until - timedelta(days=30), until))


@router.get("/feedback/series")
async def series_of_ratings(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    since: Day | None = None,
    until: Day | None = None,
    step: SeriesStep = "day",
) -> list[RatedStep]:
    """Ratings by the day on which they came, from `since` to `until`, both inclusive, the last 90 days unless given;
    oldest first, days without any too. The first and the last week or month may be a part of it."""
    async with acting(request, caller, cafe_id) as conn:
        return await series.by_steps(conn, cafe_id, since, until, step, now())


@router.post("/feedback", status_code=201)
async def enter(request: Request, caller: StaffCaller, cafe_id: UUID, entry: StaffEntry) -> Received:
    """Writes down what a guest said to the staff."""
    async with acting(request, caller, cafe_id) as conn:
        feedback_id = await submissions.enter(conn, cafe_id, entry)
    return Received(feedback_id=feedback_id)


@router.get("/feedback/{feedback_id}")
async def show(request: Request, caller: StaffCaller, cafe_id: UUID, feedback_id: UUID) -> FeedbackView:
    """One feedback."""
    async with acting_in_role(request, caller, cafe_id) as (conn, role):
        return await _view(conn, cafe_id, feedback_id, role)


@router.put("/feedback/{feedback_id}/response")
async def respond(
    request: Request, caller: StaffCaller, cafe_id: UUID, feedback_id: UUID, answer: ResponseText
) -> FeedbackView:
    """Writes down what the cafe answered; a second answer replaces the first. It stands on the page behind the visit's
    link, and the guest of the visit gets one message that it does, of the first answer alone."""
    async with acting_in_role(request, caller, cafe_id) as (conn, role):
        await answers.respond(conn, cafe_id, feedback_id, answer.text, caller.user_id)
        return await _view(conn, cafe_id, feedback_id, role)


@router.get("/cases")
async def list_cases(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    status: case_store.CaseFilter = "open",
    feedback_id: UUID | None = None,
    limit: PageSize = 50,
    offset: Offset = 0,
) -> list[CaseView]:
    """Follow-up cases: the most urgent first, then the closed ones, the last first. `overdue` are the open ones past
    their deadline; `feedback_id` asks for the case of one rating."""
    async with acting(request, caller, cafe_id) as conn:
        rows = await case_store.list_cases(conn, cafe_id, status, now(), limit, offset, feedback_id)
    return [CaseView(**row) for row in rows]


@router.post("/cases/{case_id}/close", status_code=204)
async def close_case(
    request: Request, caller: StaffCaller, cafe_id: UUID, case_id: UUID, resolution: Resolution
) -> None:
    """Closes a case with how it ended."""
    async with acting(request, caller, cafe_id) as conn:
        await cases.close_case(conn, cafe_id, case_id, resolution.resolution, caller.user_id)


async def _view(conn: db.Connection, cafe_id: UUID, feedback_id: UUID, role: Role) -> FeedbackView:
    row = await feedback_store.get_feedback(conn, cafe_id, feedback_id)
    if row is None:
        raise NotFound("feedback", "این نظر")
    return _seen(row, await unit_of(conn, cafe_id), role)


def _seen(row: Mapping[str, Any], unit: Unit, role: Role) -> FeedbackView:
    shown = FeedbackView.of(row, unit)
    return shown if sees_amounts(role) else shown.without_amounts()

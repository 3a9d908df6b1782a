"""What people of a cafe do with visits: read, enter by hand, void, and look at the figures."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from services.visit.api import reading
from services.visit.api.till import STATUS, IdempotencyKey, feedback_link
from services.visit.handlers import desk, showing
from services.visit.handlers import statistics as figures_so_far
from services.visit.models.http import (
    ClaimBody,
    DayView,
    DeviceView,
    EnteredVisit,
    HoursView,
    MonthView,
    ShownDeskEntry,
    Taken,
    TodayView,
    VisitLine,
    VisitLines,
    VisitPage,
    VisitView,
    VoidReason,
)
from services.visit.models.values import BillOutcome, DeskEntry, VisitQuery
from services.visit.rules import figures
from services.visit.store import devices, statistics, visits
from shared import clock
from shared.database import db
from shared.errors import NotFound
from shared.events.identity import Role
from shared.inputs.amounts import INSIDE, inside
from shared.inputs.bounds import Rial
from shared.inputs.fields import Count, Day, Identifier, Moment, PageSize
from shared.persian.money import Unit
from shared.security.access import sees_amounts, unit_of
from shared.security.approval import Decide, Waiting
from shared.web.acting import acting, acting_in_role
from shared.web.dependencies import StaffCaller
from shared.web.documents import problems

router = APIRouter(prefix="/cafes/{cafe_id}", tags=["visits"])
LISTED_AT_MOST = 200
FIRST_MOMENT = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
PAST_ALL = (datetime.fromisoformat("9999-01-01T00:00:00+00:00"), UUID(int=2**128 - 1))


@router.get("/visits")
async def list_visits(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    since: Moment = FIRST_MOMENT,
    before: Moment = PAST_ALL[0],
    before_id: UUID = PAST_ALL[1],
    customer_id: UUID | None = None,
    branch_id: UUID | None = None,
    least_amount: Rial | None = None,
    highest_rating: Annotated[int, Count(1, 5)] | None = None,
    with_voided: bool = False,
    receipt_number: Identifier | None = None,
    device_id: Identifier | None = None,
    unknown_guest: bool = False,
    view: Literal["full", "row"] = "full",
    limit: PageSize = 50,
) -> VisitPage | VisitLines:
    """Visits of the cafe; `view=row` in short. `least_amount` is in the cafe's unit of money, whatever unit the till
    sent, and for managers; `highest_rating` finds the unhappy ones, `unknown_guest` the bills of nobody."""
    async with acting_in_role(request, caller, cafe_id, "staff" if least_amount is None else "manager") as (conn, role):
        unit = await unit_of(conn, cafe_id)
        wanted = VisitQuery(
            since=since,
            before=(before, before_id),
            customer_id=customer_id,
            branch_id=branch_id,
            least_amount=None if least_amount is None else inside(least_amount, unit),
            highest_rating=highest_rating,
            with_voided=with_voided,
            limit=limit,
            receipt_number=receipt_number,
            device_id=device_id,
            unknown_guest=unknown_guest,
        )
        rows = await visits.list_visits(conn, cafe_id, wanted)
    following = (rows[-1]["visit_date"], rows[-1]["id"]) if len(rows) == limit else None
    if view == "row":
        return VisitLines(items=[_row(row, unit, role) for row in rows], next=following)
    return VisitPage(items=[_view(request, row, unit, role) for row in rows], next=following)


@router.post(
    "/visits",
    status_code=201,
    openapi_extra=reading.documented(EnteredVisit),
    responses={200: {"model": Taken, "description": "it was there already"}, 202: {"model": ShownDeskEntry}},
    response_model=Taken,
)
async def enter_visit(
    request: Request,
    response: Response,
    caller: StaffCaller,
    cafe_id: UUID,
    idempotency_key: IdempotencyKey = None,
) -> Taken | JSONResponse:
    """Enters a bill by hand, when there is no till or it failed. With an `Idempotency-Key` a repeat has no effect.
    202: with what the caller entered today it is more than one may alone, and waits for a manager."""
    body = await reading.read_one(request, EnteredVisit)
    async with acting_in_role(request, caller, cafe_id) as (conn, role):
        outcome = await desk.enter(
            conn, cafe_id, caller.user_id, role, body, idempotency_key, request.state.correlation_id,
            keys=request.app.state.settings.keys,
        )  # fmt: skip
        unit = await unit_of(conn, cafe_id)
    return _answered(request, response, cafe_id, outcome, unit, role)


@router.get("/approvals")
async def list_approvals(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[Waiting]:
    """What waits for a second person: bills entered, voided and claimed by hand (managers)."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return await desk.list_waiting(
            conn, cafe_id, caller.user_id, LISTED_AT_MOST, keys=request.app.state.settings.keys
        )


@router.post("/entries/{entry_id}/decision")
async def decide_entry(
    request: Request, caller: StaffCaller, cafe_id: UUID, entry_id: UUID, body: Decide
) -> ShownDeskEntry:
    """Approves or declines a bill, a void or a claim that waits (managers other than its author)."""
    state = request.app.state
    async with acting(request, caller, cafe_id, "manager") as conn:
        entry = await desk.decide(
            conn, cafe_id, entry_id, caller.user_id, request.state.correlation_id, approve=body.approve,
            keys=state.settings.keys,
        )  # fmt: skip
        unit = await unit_of(conn, cafe_id)
    return _shown(entry, unit)


@router.get("/visits/{visit_id}")
async def show_visit(request: Request, caller: StaffCaller, cafe_id: UUID, visit_id: UUID) -> VisitView:
    """One visit; for managers with its amounts."""
    async with acting_in_role(request, caller, cafe_id) as (conn, role):
        row, unit = await visits.get_visit(conn, cafe_id, visit_id), await unit_of(conn, cafe_id)
    if row is None:
        raise NotFound("visit", "این بازدید")
    return _view(request, row, unit, role)


@router.post("/visits/{visit_id}/void", responses={202: {"model": VisitView}})
async def void_visit(
    request: Request, response: Response, caller: StaffCaller, cafe_id: UUID, visit_id: UUID, body: VoidReason
) -> VisitView:
    """Voids a visit for good; a manager's right. Its points are taken back. 202: with what the caller voided today it
    is more than one may alone, and waits for another manager."""
    state = request.app.state
    async with acting_in_role(request, caller, cafe_id, "manager") as (conn, role):
        outcome = await desk.void(
            conn, cafe_id, caller.user_id, visit_id, body.reason, request.state.correlation_id,
            keys=state.settings.keys,
        )  # fmt: skip
        response.status_code = 202 if isinstance(outcome, DeskEntry) else 200
        row, unit = await visits.get_visit(conn, cafe_id, visit_id), await unit_of(conn, cafe_id)
    if row is None:
        raise NotFound("visit", "این بازدید")
    return _view(request, row, unit, role)


@router.post(
    "/visits/{visit_id}/claim", response_model=Taken, responses={202: {"model": ShownDeskEntry}, **problems(410)}
)
async def claim_visit(
    request: Request, response: Response, caller: StaffCaller, cafe_id: UUID, visit_id: UUID, body: ClaimBody
) -> Taken | JSONResponse:
    """Gives a bill that named nobody to the guest who paid it, within 7 days of the visit: it counts as if it had named
    the guest from the beginning. The first claim stands. 202: with what the caller entered today it is more than one
    may alone, and waits for a manager."""
    async with acting_in_role(request, caller, cafe_id) as (conn, role):
        outcome = await desk.claim(
            conn, cafe_id, caller.user_id, role, visit_id, body, request.state.correlation_id,
            keys=request.app.state.settings.keys,
        )  # fmt: skip
        unit = await unit_of(conn, cafe_id)
    return _answered(request, response, cafe_id, outcome, unit, role)


@router.get("/devices")
async def list_devices(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[DeviceView]:
    """Devices of the cafe: when each was last heard of, and which of its messages never came."""
    async with acting(request, caller, cafe_id) as conn:
        return [DeviceView(**row) for row in await devices.list_devices(conn, cafe_id)]


@router.get("/statistics/days")
async def daily_statistics(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    branch_id: UUID | None = None,
    first: Annotated[Day | None, Query(alias="from")] = None,
    last: Annotated[Day | None, Query(alias="to")] = None,
) -> list[DayView]:
    """The local days with visits, oldest first, of the whole cafe or of one branch (managers): the last 90 and today,
    or those from `from` to `to`, at most 800. Today is counted as it is asked; a day that has ended a moment after
    its end, and again when one of its visits changes (`refreshed_at`)."""
    moment = clock.now()
    async with acting(request, caller, cafe_id, "manager") as conn:
        days = figures.days_to_show(first, last, moment.date())
        await require_branch(conn, cafe_id, branch_id)
        unit = await unit_of(conn, cafe_id)
        return [DayView.of(row, unit) for row in await statistics.daily(conn, cafe_id, branch_id, days, moment)]


@router.get("/statistics/month")
async def monthly_statistics(
    request: Request, caller: StaffCaller, cafe_id: UUID, day: Day, branch_id: UUID | None = None
) -> MonthView:
    """The month of that (Gregorian) day in the cafe's own calendar, up to this moment (managers). With `branch_id`
    everything is counted over the visits of that branch alone: new is who never came there before."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        await require_branch(conn, cafe_id, branch_id)
        row, unit = await statistics.monthly(conn, cafe_id, branch_id, day), await unit_of(conn, cafe_id)
    if row is None:
        raise NotFound("cafe", "این کافه")
    return MonthView.of(row, unit)


@router.get("/statistics/today")
async def todays_statistics(
    request: Request, caller: StaffCaller, cafe_id: UUID, branch_id: UUID | None = None
) -> TodayView:
    """The day so far against the same part of the same weekday a week ago, counted as it is asked, of the whole cafe or
    of one branch; for managers with revenue."""
    async with acting_in_role(request, caller, cafe_id) as (conn, role):
        await require_branch(conn, cafe_id, branch_id)
        unit = await unit_of(conn, cafe_id)
        return await figures_so_far.today(conn, cafe_id, branch_id, clock.now(), unit, with_amounts=sees_amounts(role))


@router.get("/statistics/hours")
async def hourly_statistics(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    weeks: Annotated[int, Count(1, 104)] = 8,
    branch_id: UUID | None = None,
) -> HoursView:
    """So many weeks until yesterday, by weekday and hour of the local day (managers)."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        await require_branch(conn, cafe_id, branch_id)
        unit = await unit_of(conn, cafe_id)
        return await figures_so_far.hours(conn, cafe_id, branch_id, weeks, clock.now(), unit)


def _answered(
    request: Request, response: Response, cafe_id: UUID, outcome: BillOutcome | DeskEntry, unit: Unit, role: Role
) -> Taken | JSONResponse:
    """The bill that was entered or claimed; or with 202 what waits for a manager."""
    if isinstance(outcome, DeskEntry):
        shown = _shown(outcome, unit)
        # Who enters a bill knows what it says; who claims another's does not.
        seen = shown if outcome.kind == "bill" or sees_amounts(role) else shown.without_amounts()
        return JSONResponse(seen.model_dump(mode="json"), 202)
    response.status_code = STATUS[outcome.status]
    assert outcome.visit_id is not None
    return Taken(
        visit_id=outcome.visit_id,
        customer_id=outcome.customer_id,
        visit_number=outcome.visit_number,
        feedback_link=feedback_link(request, cafe_id, outcome.visit_id),
    )


async def require_branch(conn: db.Connection, cafe_id: UUID, branch_id: UUID | None) -> None:
    """Raises NotFound for a branch that is none of the cafe's. None is the whole cafe."""
    if branch_id and branch_id not in {found for _, found, _ in await devices.branches(conn, {cafe_id})}:
        raise NotFound("branch", "این شعبه")


def _shown(entry: DeskEntry, unit: Unit) -> ShownDeskEntry:
    shown = ShownDeskEntry(
        entry_id=entry.id,
        kind=entry.kind,
        state=entry.state,
        customer_id=entry.customer_id,
        visit_id=entry.visit_id,
        amount=entry.amount,
        currency_unit=INSIDE,
        created_by=entry.created_by,
        created_at=entry.created_at,
        decided_by=entry.decided_by,
        decided_at=entry.decided_at,
    )
    return shown.shown_in(unit)


def _view(request: Request, row: dict[str, Any], unit: Unit, role: Role) -> VisitView:
    shown = VisitView.of(showing.with_lines_in(row, unit, keys=request.app.state.settings.keys), unit)
    if sees_amounts(role):
        return shown
    return shown.without_amounts().model_copy(update={"items_ordered": showing.without_amounts(shown.items_ordered)})


def _row(row: dict[str, Any], unit: Unit, role: Role) -> VisitLine:
    shown = VisitLine.of(row, unit)
    return shown if sees_amounts(role) else shown.without_amounts()

"""What tills send. The cafe comes from the API key, never from the body."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse
from starlette.datastructures import State

from services.visit.api import reading
from services.visit.handlers import tills
from services.visit.handlers.ingest import record_visits
from services.visit.models.http import Asked, BillRedemption, BillResults, BillState, Changed, Taken
from services.visit.models.values import BillCommand, BillOutcome
from services.visit.rules import contents
from services.visit.store import receipts
from shared.database import db
from shared.errors import NotFound, Rejected
from shared.events import pos
from shared.inputs.fields import Identifier, Opaque
from shared.security import ids
from shared.security.auth import Till, require_scope
from shared.security.guest_links import guest_page_address
from shared.web.acting import acting_as_till
from shared.web.coalescing import Gathering
from shared.web.dependencies import TillCaller
from shared.web.documents import problems
from shared.web.http import problem_body

router = APIRouter(prefix="/visits", tags=["tills"])
IdempotencyKey = Annotated[
    Annotated[str, Opaque(200)] | None,
    Header(description="the bill's own id; without it device and receipt number count"),
]
STATUS = {"recorded": 201, "repeated": 200, "corrected": 200, "superseded": 200, "voided": 200, "claimed": 200}


@router.post(
    "",
    status_code=201,
    openapi_extra=reading.documented(pos.PosVisit),
    responses={200: {"model": Asked | Taken, "description": "it was there already"}},
)
async def record(
    request: Request, response: Response, caller: TillCaller, idempotency_key: IdempotencyKey = None
) -> Asked | Taken:
    """Records one bill. Send it again whenever in doubt: a repeat has no effect and gets the same answer."""
    outcome, body = await _take_one(request, caller, pos.PosVisit, idempotency_key)
    response.status_code = STATUS[outcome.status]
    assert outcome.visit_id is not None
    about = {
        "visit_id": outcome.visit_id,
        "customer_id": outcome.customer_id,
        "visit_number": outcome.visit_number,
        "feedback_link": feedback_link(request, caller.cafe_id, outcome.visit_id),
        "guest_link": _guest_link(request, caller.cafe_id, outcome.customer_id, body),
    }
    is_asking = isinstance(body, pos.PosVisit) and body.points_to_redeem > 0
    return Asked(**about, redemption="asked") if is_asking else Taken(**about)


@router.post("/batch", status_code=207, openapi_extra=reading.documented_batch(), response_model=BillResults)
async def record_batch(request: Request, caller: TillCaller) -> JSONResponse:
    """Records up to 1,000 bills, each with a result of its own; a faulty one does not touch the others."""
    require_scope(caller, tills.SCOPE)
    commands: dict[int, BillCommand] = {}
    refused: dict[int, Rejected] = {}
    for index, raw in enumerate(await reading.read_batch(request)):
        try:
            commands[index] = _command(request, caller, reading.parse(pos.PosVisit, raw), None)
        except Rejected as why:
            refused[index] = why
    taken = await write(request.app.state, caller.cafe_id, list(commands.values())) if commands else []
    outcomes = dict(zip(commands, taken, strict=True))
    items = [
        _result(request, caller, index, outcomes.get(index) or BillOutcome("refused", refusal=refused[index]))
        for index in range(len(commands) + len(refused))
    ]
    return JSONResponse({"results": items}, 207)


@router.post("/corrections", openapi_extra=reading.documented(pos.PosCorrection), responses=problems(410))
async def correct(request: Request, caller: TillCaller, idempotency_key: IdempotencyKey = None) -> Changed:
    """Replaces a bill by the whole bill as it should have been. The latest `corrected_at` wins, in any order. One that
    names a guest for a bill of nobody claims it, within 7 days of the visit."""
    outcome, _ = await _take_one(request, caller, pos.PosCorrection, idempotency_key)
    return _changed(outcome)


@router.post("/voids", openapi_extra=reading.documented(pos.PosVoid))
async def void(request: Request, caller: TillCaller, idempotency_key: IdempotencyKey = None) -> Changed:
    """Voids a bill for good, also one that has not come yet."""
    outcome, _ = await _take_one(request, caller, pos.PosVoid, idempotency_key)
    return _changed(outcome)


@router.get("/{device_id}/{receipt_number}")
async def show(request: Request, caller: TillCaller, device_id: Identifier, receipt_number: Identifier) -> BillState:
    """What became of a bill that the cafe's tills sent, over HTTP or Kafka, and of the points that it asks to spend."""
    require_scope(caller, tills.SCOPE)
    async with db.till_transaction(request.app.state.pool, caller.cafe_id) as conn:
        found = await receipts.show(conn, caller.cafe_id, device_id, receipt_number)
    if found is None:
        raise NotFound("visit", "چنین رسیدی")
    asked = 0 if found["voided_at"] else found["points_to_redeem"] or 0
    redeemed = found["points_redeemed"] or 0
    state = contents.redemption_of(asked, redeemed, found["redemption_refusal"])
    return BillState(
        visit_id=found["visit_id"],
        status="voided" if found["voided_at"] else "corrected" if found["corrected_at"] else "recorded",
        points_earned=found["points_earned"] or 0,
        feedback_link=found["visit_id"] and feedback_link(request, caller.cafe_id, found["visit_id"]),
        redemption=BillRedemption(
            state=state,
            points_asked=asked,
            points_redeemed=redeemed,
            reason=found["redemption_refusal"] if state == "refused" else None,
        ),
    )


async def write(state: State, cafe_id: UUID, commands: Sequence[BillCommand]) -> list[BillOutcome]:
    """Takes in what tills of one cafe sent, in a transaction of its own."""
    async with acting_as_till(state, cafe_id) as conn:
        return await record_visits(conn, commands, keys=state.settings.keys)


async def _take_one(
    request: Request, caller: Till, model: type[pos.PosVisit] | type[pos.PosVoid], idempotency_key: str | None
) -> tuple[BillOutcome, pos.PosVisit | pos.PosVoid]:
    require_scope(caller, tills.SCOPE)
    body: pos.PosVisit | pos.PosVoid = await reading.read_one(request, model)
    bills: Gathering[UUID, BillCommand, BillOutcome] = request.app.state.bills
    outcome = await bills.ask(caller.cafe_id, _command(request, caller, body, idempotency_key))
    if outcome.refusal:
        raise outcome.refusal
    return outcome, body


def _command(
    request: Request, caller: Till, body: pos.PosVisit | pos.PosVoid, idempotency_key: str | None
) -> BillCommand:
    event_id = tills.event_id_of(caller.cafe_id, idempotency_key) if idempotency_key else None
    return tills.command_of(caller.cafe_id, body, event_id=event_id, correlation_id=request.state.correlation_id)


def _changed(outcome: BillOutcome) -> Changed:
    assert outcome.status not in ("refused", "claimed")
    return Changed(status=outcome.status, visit_id=outcome.visit_id)


def feedback_link(request: Request, cafe_id: UUID, visit_id: UUID) -> str:
    """Where the guest of that visit may say how it was, marked as found on a receipt."""
    config = request.app.state.settings
    return f"{ids.feedback_address(config.keys, config.public_url, cafe_id, visit_id)}?s=q"


def _guest_link(
    request: Request, cafe_id: UUID, customer_id: UUID | None, body: pos.PosVisit | pos.PosVoid
) -> str | None:
    """The guest's own page, by a link that is as old as the bill: a repeat gets the same."""
    if customer_id is None or not isinstance(body, pos.PosVisit):
        return None
    config = request.app.state.settings
    return guest_page_address(config.keys, config.guest_page_url, cafe_id, customer_id, body.occurred_at)


def _result(request: Request, caller: Till, index: int, outcome: BillOutcome) -> dict[str, object]:
    why = outcome.refusal
    if why:
        problem = problem_body(why.status, why.code, why.en, why.fa, why.problems)
        return {"index": index, "status": why.status, "problem": problem}
    return {
        "index": index,
        "status": STATUS[outcome.status],
        "visit_id": str(outcome.visit_id),
        "customer_id": str(outcome.customer_id) if outcome.customer_id else None,
        "visit_number": outcome.visit_number,
        "feedback_link": outcome.visit_id and feedback_link(request, caller.cafe_id, outcome.visit_id),
    }

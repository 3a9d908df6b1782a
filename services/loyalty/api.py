"""Loyalty over HTTP: what staff see and do, and what a till asks at the counter."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from msgspec.structs import replace

from services.loyalty.handlers import accounts, adjustments, proposals, redemptions
from services.loyalty.models.accounts import Adjustment, Redemption
from services.loyalty.models.http import (
    Adjust,
    LedgerPage,
    LookUp,
    PublishProgram,
    Redeem,
    RedeemAtTill,
    RedeemForCustomer,
    ShownAccount,
    ShownAdjustment,
    ShownProgram,
    ShownProposal,
    ShownRedemption,
    TillAccount,
)
from services.loyalty.store import adjustments as adjustment_store
from services.loyalty.store import redemptions as redemption_store
from shared import clock
from shared.database import db
from shared.database.db import Connection
from shared.events.identity import Role
from shared.inputs.fields import Cursor, PageSize
from shared.security import ids
from shared.security.access import require_role
from shared.security.approval import Decide, Waiting
from shared.security.auth import Staff, Till, require_scope
from shared.settings import Settings
from shared.web import http
from shared.web.dependencies import StaffCaller, TillCaller
from shared.web.serving import run

LOOKUP_SCOPE, REDEEM_SCOPE = "loyalty_lookup", "ingest"
LISTED_AT_MOST = 200

staff = APIRouter(prefix="/cafes/{cafe_id}", tags=["staff"])
till = APIRouter(tags=["till"])


@staff.get("/customers/{customer_id}/loyalty")
async def show_account(request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID) -> ShownAccount:
    """A guest's points, tier and counters as they stand today."""
    async with _as_staff(request, caller, cafe_id) as conn:
        return await accounts.show(conn, cafe_id, customer_id)


@staff.get("/customers/{customer_id}/ledger")
async def list_ledger(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    customer_id: UUID,
    before: Cursor | None = None,
    limit: PageSize = 50,
) -> LedgerPage:
    """Every change of a guest's points, the newest first, a page at a time."""
    async with _as_staff(request, caller, cafe_id) as conn:
        return await accounts.page(conn, cafe_id, customer_id, before, limit)


@staff.post("/customers/{customer_id}/adjustments", status_code=201, responses={202: {"model": ShownAdjustment}})
async def adjust(
    request: Request, response: Response, caller: StaffCaller, cafe_id: UUID, customer_id: UUID, body: Adjust
) -> ShownAdjustment:
    """Gives or takes points (managers). 202: with what the caller gave and took today it is more than one may alone,
    and waits for another manager."""
    wanted = Adjustment(
        cafe_id=cafe_id,
        customer_id=customer_id,
        state="pending",
        created_by=caller.user_id,
        created_at=clock.now(),
        **body.model_dump(),
    )
    async with _as_staff(request, caller, cafe_id, "manager") as conn:
        adjustment = await adjustments.adjust(conn, wanted, request.state.correlation_id)
    request.app.state.waker.wake()
    response.status_code = 202 if adjustment.state == "pending" else 201
    return ShownAdjustment.model_validate(adjustment, from_attributes=True)


@staff.get("/adjustments/pending")
async def list_pending_adjustments(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[ShownAdjustment]:
    """Adjustments that wait for a second manager, the oldest first."""
    async with _as_staff(request, caller, cafe_id, "manager") as conn:
        found = await adjustment_store.list_pending(conn, cafe_id, LISTED_AT_MOST)
    return [ShownAdjustment.model_validate(each, from_attributes=True) for each in found]


@staff.post("/adjustments/{adjustment_id}/decision")
async def decide(
    request: Request, caller: StaffCaller, cafe_id: UUID, adjustment_id: UUID, body: Decide
) -> ShownAdjustment:
    """Approves or declines a large adjustment (managers other than its author)."""
    async with _as_staff(request, caller, cafe_id, "manager") as conn:
        decided = await adjustments.decide(
            conn, cafe_id, adjustment_id, caller.user_id, approve=body.approve,
            correlation_id=request.state.correlation_id,
        )  # fmt: skip
    request.app.state.waker.wake()
    return ShownAdjustment.model_validate(decided, from_attributes=True)


@staff.get("/programs")
async def list_programs(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[ShownProgram]:
    """All versions of the cafe's rules, the oldest first."""
    async with _as_staff(request, caller, cafe_id) as conn:
        return await accounts.list_programs(conn, cafe_id)


@staff.post("/programs", status_code=201, responses={202: {"model": ShownProposal}}, response_model=ShownProgram)
async def publish_program(
    request: Request, caller: StaffCaller, cafe_id: UUID, body: PublishProgram
) -> ShownProgram | JSONResponse:
    """Publishes new rules, in force from now or later (managers). Visits before then keep the rules of their time.
    202: by the cafe's policy they wait for a second person."""
    async with db.staff_transaction(request.app.state.pool, caller.user_id) as conn:
        role = await require_role(conn, cafe_id, caller.user_id, "manager")
        made = await proposals.propose(conn, cafe_id, caller.user_id, role, body)
    return JSONResponse(made.model_dump(mode="json"), 202) if isinstance(made, ShownProposal) else made


@staff.post("/programs/proposals/{proposal_id}/decision")
async def decide_proposal(
    request: Request, caller: StaffCaller, cafe_id: UUID, proposal_id: UUID, body: Decide
) -> ShownProposal:
    """Approves or declines rules that wait (managers other than their author)."""
    async with _as_staff(request, caller, cafe_id, "manager") as conn:
        return await proposals.decide(conn, cafe_id, proposal_id, caller.user_id, approve=body.approve)


@staff.get("/approvals")
async def list_approvals(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[Waiting]:
    """What waits for a second person: points given, taken and given back by hand, and rules (managers)."""
    async with _as_staff(request, caller, cafe_id, "manager") as conn:
        return await proposals.list_waiting(conn, cafe_id, caller.user_id, LISTED_AT_MOST)


@staff.post("/redemptions", status_code=201)
async def redeem_for_customer(
    request: Request, caller: StaffCaller, cafe_id: UUID, body: RedeemForCustomer
) -> ShownRedemption:
    """Spends a guest's points. Send it again whenever in doubt: a repeat has no effect and gets the same answer."""
    wanted = _redemption(cafe_id, body.customer_id, body, created_by=caller.user_id)
    async with _as_staff(request, caller, cafe_id) as conn:
        redemption, balance = await redemptions.redeem(conn, wanted, request.state.correlation_id)
    request.app.state.waker.wake()
    return _shown(redemption, balance)


@staff.get("/redemptions/refused")
async def list_refused_redemptions(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[ShownRedemption]:
    """Redemptions that visits name and that the balance did not cover, the newest first."""
    async with _as_staff(request, caller, cafe_id) as conn:
        found = await redemption_store.list_refused(conn, cafe_id, LISTED_AT_MOST)
    return [_shown(each, None) for each in found]


@staff.post("/redemptions/{redemption_id}/reversal", responses={202: {"model": ShownRedemption}})
async def reverse_redemption(
    request: Request, response: Response, caller: StaffCaller, cafe_id: UUID, redemption_id: UUID
) -> ShownRedemption:
    """Gives the points of a redemption back (managers), as points that the caller gives. 202: it waits for another."""
    async with _as_staff(request, caller, cafe_id, "manager") as conn:
        redemption, balance = await adjustments.give_back(
            conn, cafe_id, redemption_id, caller.user_id, request.state.correlation_id
        )
    request.app.state.waker.wake()
    response.status_code = 202 if balance is None else 200
    return _shown(redemption, balance)


@staff.post("/redemptions/{redemption_id}/cancel")
async def cancel_redemption(
    request: Request, caller: StaffCaller, cafe_id: UUID, redemption_id: UUID
) -> ShownRedemption:
    """Gives back what a till has reserved and no bill has named, once. The guest loses and gains nothing by it."""
    async with _as_staff(request, caller, cafe_id) as conn:
        redemption, balance = await redemptions.cancel(conn, cafe_id, redemption_id, request.state.correlation_id)
    request.app.state.waker.wake()
    return _shown(redemption, balance)


@till.post("/loyalty/lookup")
async def look_up(request: Request, caller: TillCaller, body: LookUp) -> TillAccount:
    """What the guest with that number has; nothing personal comes back (scope `loyalty_lookup`)."""
    require_scope(caller, LOOKUP_SCOPE)
    async with _as_till(request, caller) as conn:
        return await accounts.look_up(conn, caller.cafe_id, _customer_id(request, caller, body.phone))


@till.post("/redemptions", status_code=201)
async def redeem_at_till(request: Request, caller: TillCaller, body: RedeemAtTill) -> ShownRedemption:
    """Reserves a guest's points for a bill (scope `ingest`). Send it again whenever in doubt: once is all it does."""
    require_scope(caller, REDEEM_SCOPE)
    wanted = _redemption(caller.cafe_id, _customer_id(request, caller, body.phone), body, till_key_id=caller.key_id)
    wanted = replace(wanted, reserved_until=wanted.created_at + timedelta(minutes=body.reserve_minutes))
    async with _as_till(request, caller) as conn:
        redemption, balance = await redemptions.redeem(conn, wanted, request.state.correlation_id)
    request.app.state.waker.wake()
    return _shown(redemption, balance)


@till.get("/redemptions/{redemption_id}")
async def show_redemption(request: Request, caller: TillCaller, redemption_id: UUID) -> ShownRedemption:
    """What became of a redemption, or of the points that a bill asks for: by the `redemption_id` that the bill names,
    else by the `visit_id` that it was answered with (scope `ingest`)."""
    require_scope(caller, REDEEM_SCOPE)
    async with _as_till(request, caller) as conn:
        return _shown(await redemptions.show(conn, caller.cafe_id, redemption_id), None)


@till.post("/redemptions/{redemption_id}/cancel")
async def cancel_at_till(request: Request, caller: TillCaller, redemption_id: UUID) -> ShownRedemption:
    """Gives back what this till has reserved and no bill has named, once (scope `ingest`)."""
    require_scope(caller, REDEEM_SCOPE)
    async with _as_till(request, caller) as conn:
        redemption, balance = await redemptions.cancel(
            conn, caller.cafe_id, redemption_id, request.state.correlation_id, till_key_id=caller.key_id
        )
    request.app.state.waker.wake()
    return _shown(redemption, balance)


def make_app(config: Settings | None = None) -> FastAPI:
    """The application, not yet started."""
    return http.make_api("loyalty", staff, till, config=config)


@asynccontextmanager
async def _as_staff(request: Request, caller: Staff, cafe_id: UUID, least: Role = "staff") -> AsyncIterator[Connection]:
    async with db.staff_transaction(
        request.app.state.pool, caller.user_id, caller.generation, caller.session_id
    ) as conn:
        await require_role(conn, cafe_id, caller.user_id, least)
        yield conn


@asynccontextmanager
async def _as_till(request: Request, caller: Till) -> AsyncIterator[Connection]:
    async with db.till_transaction(request.app.state.pool, caller.cafe_id) as conn:
        yield conn


def _customer_id(request: Request, caller: Till, e164: str) -> UUID:
    config: Settings = request.app.state.settings
    return ids.customer_id(config.keys, caller.cafe_id, e164)


def _redemption(
    cafe_id: UUID,
    customer_id: UUID,
    body: Redeem,
    *,
    created_by: UUID | None = None,
    till_key_id: str | None = None,
) -> Redemption:
    return Redemption(
        redemption_id=body.redemption_id,
        cafe_id=cafe_id,
        customer_id=customer_id,
        kind=body.kind,
        points=body.points,
        state="completed",
        order_reference=body.order_reference,
        created_by=created_by,
        till_key_id=till_key_id,
        created_at=clock.now(),
    )


def _shown(redemption: Redemption, balance: int | None) -> ShownRedemption:
    return ShownRedemption(
        redemption_id=redemption.redemption_id,
        points=redemption.points,
        kind=redemption.kind,
        state=redemption.state,
        refusal=redemption.refusal,
        visit_id=redemption.visit_id,
        order_reference=redemption.order_reference,
        created_at=redemption.created_at,
        reserved_until=redemption.reserved_until,
        reversed_at=redemption.reversed_at,
        current_points=balance,
    )


if __name__ == "__main__":
    run(make_app(), "loyalty")

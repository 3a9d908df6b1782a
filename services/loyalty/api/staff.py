"""What staff of a cafe see and do with points."""

from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from services.loyalty.api.shown import occasion_of, redemption_of, shown
from services.loyalty.handlers import accounts, adjustments, club, proposals, redemptions
from services.loyalty.models.accounts import Adjustment, AdjustmentState
from services.loyalty.models.http import (
    Adjust,
    AdjustmentPage,
    AskQuote,
    LedgerPage,
    PublishProgram,
    Quote,
    RedeemForCustomer,
    RefusedRedemption,
    ShownAccount,
    ShownAdjustment,
    ShownProgram,
    ShownProposal,
    ShownRedemption,
)
from services.loyalty.store import adjustments as adjustment_store
from services.loyalty.store import redemptions as redemption_store
from shared import clock
from shared.inputs.fields import Cursor, PageSize
from shared.security.access import sees_amounts
from shared.security.approval import Decide, Waiting
from shared.web.acting import acting, acting_in_role
from shared.web.dependencies import StaffCaller

LISTED_AT_MOST = 200
router = APIRouter(prefix="/cafes/{cafe_id}", tags=["staff"])


@router.get("/customers/{customer_id}/loyalty")
async def show_account(request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID) -> ShownAccount:
    """A guest's points, tier and counters as they stand today; for managers also what the guest spent."""
    async with acting_in_role(request, caller, cafe_id) as (conn, role):
        account = await accounts.show(conn, cafe_id, customer_id)
    return account if sees_amounts(role) else account.without_amounts()


@router.get("/customers/{customer_id}/ledger")
async def list_ledger(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    customer_id: UUID,
    before: Cursor | None = None,
    limit: PageSize = 50,
) -> LedgerPage:
    """Every change of a guest's points, the newest first, a page at a time; for managers with the bills' amounts."""
    async with acting_in_role(request, caller, cafe_id) as (conn, role):
        page = await accounts.page(conn, cafe_id, customer_id, before, limit)
    if sees_amounts(role):
        return page
    return LedgerPage(entries=[each.without_amounts() for each in page.entries], next_before=page.next_before)


@router.post("/customers/{customer_id}/adjustments", status_code=201, responses={202: {"model": ShownAdjustment}})
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
    async with acting(request, caller, cafe_id, "manager") as conn:
        adjustment = await adjustments.adjust(conn, wanted, request.state.correlation_id)
    response.status_code = 202 if adjustment.state == "pending" else 201
    return ShownAdjustment.model_validate(adjustment, from_attributes=True)


@router.get("/adjustments/pending")
async def list_pending_adjustments(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[ShownAdjustment]:
    """Adjustments that wait for a second manager, the oldest first."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        found = await adjustment_store.list_pending(conn, cafe_id, LISTED_AT_MOST)
    return [ShownAdjustment.model_validate(each, from_attributes=True) for each in found]


@router.get("/adjustments")
async def list_adjustments(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    state: AdjustmentState | None = None,
    customer_id: UUID | None = None,
    before: UUID | None = None,
    limit: PageSize = 50,
) -> AdjustmentPage:
    """Points given and taken by hand, the newest first: who asked, who approved or declined, and what waits
    (managers)."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        found = await adjustment_store.list_newest(conn, cafe_id, state, customer_id, before, limit + 1)
    page = [ShownAdjustment.model_validate(each, from_attributes=True) for each in found[:limit]]
    return AdjustmentPage(adjustments=page, next_before=page[-1].adjustment_id if len(found) > limit else None)


@router.post("/adjustments/{adjustment_id}/decision")
async def decide(
    request: Request, caller: StaffCaller, cafe_id: UUID, adjustment_id: UUID, body: Decide
) -> ShownAdjustment:
    """Approves or declines a large adjustment (managers other than its author)."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        decided = await adjustments.decide(
            conn, cafe_id, adjustment_id, caller.user_id, approve=body.approve,
            correlation_id=request.state.correlation_id,
        )  # fmt: skip
    return ShownAdjustment.model_validate(decided, from_attributes=True)


@router.get("/programs")
async def list_programs(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[ShownProgram]:
    """All versions of the cafe's rules, the oldest first: they explain each guest's points, so everybody may read
    them."""
    async with acting(request, caller, cafe_id) as conn:
        return await accounts.list_programs(conn, cafe_id)


@router.post("/programs", status_code=201, responses={202: {"model": ShownProposal}}, response_model=ShownProgram)
async def publish_program(
    request: Request, caller: StaffCaller, cafe_id: UUID, body: PublishProgram
) -> ShownProgram | JSONResponse:
    """Publishes new rules, in force from now or later (managers). Visits before then keep the rules of their time.
    202: by the cafe's policy they wait for a second person."""
    async with acting_in_role(request, caller, cafe_id, "manager") as (conn, role):
        made = await proposals.propose(conn, cafe_id, caller.user_id, role, body, request.app.state.settings.keys)
    return JSONResponse(made.model_dump(mode="json"), 202) if isinstance(made, ShownProposal) else made


@router.post("/programs/proposals/{proposal_id}/decision")
async def decide_proposal(
    request: Request, caller: StaffCaller, cafe_id: UUID, proposal_id: UUID, body: Decide
) -> ShownProposal:
    """Approves or declines rules that wait (managers other than their author)."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return await proposals.decide(
            conn, cafe_id, proposal_id, caller.user_id, request.app.state.settings.keys, approve=body.approve
        )


@router.get("/approvals")
async def list_approvals(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[Waiting]:
    """What waits for a second person: points given, taken and given back by hand, and rules (managers)."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return await proposals.list_waiting(conn, cafe_id, caller.user_id, LISTED_AT_MOST)


@router.post("/redemptions", status_code=201)
async def redeem_for_customer(
    request: Request, caller: StaffCaller, cafe_id: UUID, body: RedeemForCustomer
) -> ShownRedemption:
    """Spends a guest's points, by themselves or for a reward. Send it again whenever in doubt: a repeat has no effect
    and gets the same answer."""
    wanted = redemption_of(cafe_id, body.customer_id, body, created_by=caller.user_id)
    occasion = occasion_of(request.app.state.settings.keys, wanted, body)
    async with acting(request, caller, cafe_id) as conn:
        redemption, balance = await redemptions.redeem(conn, wanted, request.state.correlation_id, occasion)
    return shown(redemption, balance)


@router.post("/redemptions/quote")
async def quote_redemption(request: Request, caller: StaffCaller, cafe_id: UUID, body: AskQuote) -> Quote:
    """What spending a guest's points would mean now: the discount that they are worth and the balance after it. It
    spends and reserves nothing."""
    async with acting(request, caller, cafe_id) as conn:
        return await club.quote(conn, cafe_id, body)


@router.get("/redemptions/refused")
async def list_refused_redemptions(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[RefusedRedemption]:
    """Redemptions that visits name and that the balance did not cover, the newest first."""
    async with acting(request, caller, cafe_id) as conn:
        found = await redemption_store.list_refused(conn, cafe_id, LISTED_AT_MOST)
    return [RefusedRedemption(**dict(shown(each, None)), customer_id=each.customer_id) for each in found]


@router.post("/redemptions/{redemption_id}/reversal", responses={202: {"model": ShownRedemption}})
async def reverse_redemption(
    request: Request, response: Response, caller: StaffCaller, cafe_id: UUID, redemption_id: UUID
) -> ShownRedemption:
    """Gives the points of a redemption back (managers), as points that the caller gives. 202: it waits for another."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        redemption, balance = await adjustments.give_back(
            conn, cafe_id, redemption_id, caller.user_id, request.state.correlation_id
        )
    response.status_code = 202 if balance is None else 200
    return shown(redemption, balance)


@router.post("/redemptions/{redemption_id}/cancel")
async def cancel_redemption(
    request: Request, caller: StaffCaller, cafe_id: UUID, redemption_id: UUID
) -> ShownRedemption:
    """Gives back what a till has reserved and no bill has named, once. The guest loses and gains nothing by it."""
    async with acting(request, caller, cafe_id) as conn:
        redemption, balance = await redemptions.cancel(conn, cafe_id, redemption_id, request.state.correlation_id)
    return shown(redemption, balance)

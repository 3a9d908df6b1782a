"""Guests who bring guests, for tills and for people of the cafe."""

from uuid import UUID

from fastapi import APIRouter, Request

from services.loyalty.api.till import REDEEM_SCOPE
from services.loyalty.handlers import referrals
from services.loyalty.models.http_referrals import (
    ClaimReferral,
    ClaimReferralByStaff,
    ShownClaim,
    ShownReferrals,
    StaffReferral,
)
from services.loyalty.store import referrals as store
from shared.security import ids
from shared.security.auth import require_scope
from shared.web.acting import acting, acting_as_till
from shared.web.dependencies import StaffCaller, TillCaller

LISTED_AT_MOST = 100
router = APIRouter()


@router.post("/loyalty/referrals", status_code=201, tags=["till"])
async def claim_at_till(request: Request, caller: TillCaller, body: ClaimReferral) -> ShownClaim:
    """Notes by whose code a new guest came, before the guest's first bill (scope `ingest`). Both get points once a bill
    of theirs counts. Send it again whenever in doubt; a refusal (409) names its reason."""
    require_scope(caller, REDEEM_SCOPE)
    referee = ids.customer_id(request.app.state.settings.keys, caller.cafe_id, body.phone)
    async with acting_as_till(request.app.state, caller.cafe_id) as conn:
        made = await referrals.claim(
            conn, caller.cafe_id, referee, body.code, device_id=body.device_id, till_key_id=caller.key_id
        )
    return ShownClaim.model_validate(made)


@router.post("/cafes/{cafe_id}/referrals", status_code=201, tags=["staff"])
async def claim(request: Request, caller: StaffCaller, cafe_id: UUID, body: ClaimReferralByStaff) -> StaffReferral:
    """Notes by whose code a new guest came, before the guest's first bill. A repeat has no effect and gets the same
    answer; a refusal (409) names its reason."""
    async with acting(request, caller, cafe_id) as conn:
        made = await referrals.claim(conn, cafe_id, body.customer_id, body.code, created_by=caller.user_id)
    return StaffReferral.model_validate(made)


@router.get("/cafes/{cafe_id}/customers/{customer_id}/referrals", tags=["staff"])
async def show_referrals(request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID) -> ShownReferrals:
    """A guest's code, by whom the guest was brought, and whom the guest has brought."""
    async with acting(request, caller, cafe_id) as conn:
        code = await referrals.code_of(conn, cafe_id, customer_id)
        by = await store.find(conn, cafe_id, customer_id)
        brought = await store.list_newest(conn, cafe_id, customer_id, LISTED_AT_MOST)
    return ShownReferrals(
        code=code,
        brought_by=None if by is None else StaffReferral.model_validate(by),
        brought=[StaffReferral.model_validate(each) for each in brought],
    )

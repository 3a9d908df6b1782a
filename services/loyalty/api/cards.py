"""Stamp cards and vouchers, for tills and for people of the cafe."""

from uuid import UUID

from fastapi import APIRouter, Request

from services.loyalty.api.till import LOOKUP_SCOPE, REDEEM_SCOPE
from services.loyalty.handlers import cards
from services.loyalty.models.cards import VoucherUse
from services.loyalty.models.http import LookUp
from services.loyalty.models.http_cards import OwnCards, ShownVoucher, StaffCards, TakeBackUse, UseVoucher
from shared.database import db
from shared.security import ids
from shared.security.auth import require_scope
from shared.web.acting import acting, acting_as_till
from shared.web.dependencies import StaffCaller, TillCaller

router = APIRouter()


@router.post("/loyalty/cards", tags=["till"])
async def look_up_cards(request: Request, caller: TillCaller, body: LookUp) -> OwnCards:
    """The stamp cards of the guest with that number and the vouchers that can be used; nothing personal comes back
    (scope `loyalty_lookup`)."""
    require_scope(caller, LOOKUP_SCOPE)
    guest = ids.customer_id(request.app.state.settings.keys, caller.cafe_id, body.phone)
    async with db.till_transaction(request.app.state.pool, caller.cafe_id) as conn:
        return await cards.show(conn, caller.cafe_id, guest)


@router.post("/vouchers/{voucher_id}/use", tags=["till"])
async def use_at_till(request: Request, caller: TillCaller, voucher_id: UUID, body: UseVoucher) -> ShownVoucher:
    """Uses a voucher (scope `ingest`). Send it again whenever in doubt: a repeat has no effect and gets the same
    answer; whoever asks under another `request_id` hears that it is used."""
    require_scope(caller, REDEEM_SCOPE)
    wanted = VoucherUse(till_key_id=caller.key_id, **body.model_dump())
    async with acting_as_till(request.app.state, caller.cafe_id) as conn:
        return await cards.use(conn, caller.cafe_id, voucher_id, wanted)


@router.post("/vouchers/{voucher_id}/take-back", tags=["till"])
async def take_back_at_till(request: Request, caller: TillCaller, voucher_id: UUID, body: TakeBackUse) -> ShownVoucher:
    """Takes back what this till used in the last two hours, once (scope `ingest`); later a manager can."""
    require_scope(caller, REDEEM_SCOPE)
    async with acting_as_till(request.app.state, caller.cafe_id) as conn:
        return await cards.take_back_at_till(conn, caller.cafe_id, voucher_id, body.request_id, caller.key_id)


@router.get("/cafes/{cafe_id}/customers/{customer_id}/cards", tags=["staff"])
async def show_cards(request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID) -> StaffCards:
    """A guest's stamp cards, the vouchers that can be used, and the newest hundred of every state."""
    async with acting(request, caller, cafe_id) as conn:
        return await cards.show_to_staff(conn, cafe_id, customer_id)


@router.post("/cafes/{cafe_id}/vouchers/{voucher_id}/use", tags=["staff"])
async def use_voucher(
    request: Request, caller: StaffCaller, cafe_id: UUID, voucher_id: UUID, body: UseVoucher
) -> ShownVoucher:
    """Uses a guest's voucher. Send it again whenever in doubt: a repeat has no effect and gets the same answer."""
    wanted = VoucherUse(used_by=caller.user_id, **body.model_dump())
    async with acting(request, caller, cafe_id) as conn:
        return await cards.use(conn, cafe_id, voucher_id, wanted)


@router.post("/cafes/{cafe_id}/vouchers/{voucher_id}/take-back", tags=["staff"])
async def take_back(request: Request, caller: StaffCaller, cafe_id: UUID, voucher_id: UUID) -> ShownVoucher:
    """Takes the use of a voucher back, whoever used it (managers). One that is not used stays as it is."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return await cards.take_back(conn, cafe_id, voucher_id)

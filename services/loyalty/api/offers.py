"""What staff offer a guest at the counter, without a bill and with one."""

from uuid import UUID

from fastapi import APIRouter, Request

from services.loyalty.handlers import offers, quotes
from services.loyalty.models.http import AskBill, EarningQuote
from services.loyalty.models.http_rewards import GuestOffers
from shared.web.acting import acting
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}/customers/{customer_id}", tags=["staff"])


@router.get("/offers")
async def show_offers(
    request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID, branch_id: UUID | None = None
) -> GuestOffers:
    """What a guest may have now, and what keeps the rest from them. Without `branch_id` what is for some branches only
    is for none."""
    async with acting(request, caller, cafe_id) as conn:
        return await offers.show(conn, cafe_id, customer_id, branch_id)


@router.post("/quotes")
async def quote_bill(
    request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID, body: AskBill
) -> EarningQuote:
    """What a bill would earn the guest if it came now, as a till is told. It keeps nothing."""
    async with acting(request, caller, cafe_id) as conn:
        return await quotes.quote(conn, cafe_id, customer_id, body, request.app.state.settings.keys)

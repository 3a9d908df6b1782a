"""What a guest asks and says about themselves, by the link to their own page."""

from fastapi import APIRouter, Request

from services.customer.handlers import own_page
from services.customer.models.http import OwnAnswer, OwnCard
from services.customer.models.values import Act
from shared import clock
from shared.database import db
from shared.web.acting import acting_as_service
from shared.web.guests import GuestCaller

router = APIRouter(prefix="/guest", tags=["guests"])


@router.get("/card")
async def show_own_card(request: Request, caller: GuestCaller) -> OwnCard:
    """The guest's cafe, and which messages they allow. 401 for a link that is over, or whose guest was erased."""
    async with db.transaction(request.app.state.pool) as conn:
        return await own_page.show(conn, caller)


@router.put("/consents")
async def answer_for_oneself(request: Request, caller: GuestCaller, body: OwnAnswer) -> OwnCard:
    """Keeps the guest's own yes or no, at once."""
    act = Act(caller.customer_id, clock.now(), request.state.correlation_id)
    async with acting_as_service(request) as conn:
        return await own_page.answer(conn, caller, body, act=act)

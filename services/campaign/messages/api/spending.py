"""What messages cost: those of a month, and the one that is being written."""

from uuid import UUID

from fastapi import APIRouter, Request

from services.campaign.messages.handlers import spending, wording
from services.campaign.messages.models.http import AskWording, SpendView, WordingView
from shared.inputs.fields import Day
from shared.web.acting import acting
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}", tags=["providers"])


@router.get("/spend")
async def show_spend(request: Request, caller: StaffCaller, cafe_id: UUID, month: Day | None = None) -> SpendView:
    """What messages cost in the month of that day in the cafe's calendar, this month without it, by day and against
    the budget. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        found = await spending.of_month(conn, cafe_id, month)
    return SpendView.model_validate(found)


@router.post("/texts/preview")
async def preview_text(request: Request, caller: StaffCaller, cafe_id: UUID, body: AskWording) -> WordingView:
    """How a text reads to a guest who is made up, how many parts it has and what one message costs. Nothing is saved
    or sent. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        found = await wording.wording(conn, request.app.state.settings, cafe_id, body)
    return WordingView.model_validate(found)

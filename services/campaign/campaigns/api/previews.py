"""What a campaign would do, before it does."""

from uuid import UUID

from fastapi import APIRouter, Request

from services.campaign.campaigns.handlers import previewing, testing
from services.campaign.campaigns.models.http import DraftCampaign, PreviewView, TryCampaign, TryView
from shared.security.access import ask_alone
from shared.web.acting import acting, acting_as_service
from shared.web.dependencies import StaffCaller
from shared.web.documents import problems

router = APIRouter(prefix="/cafes/{cafe_id}/campaigns", tags=["campaigns"])


@router.post("/{campaign_id}/test", status_code=202, responses=problems(409, 429))
async def try_out(
    request: Request, caller: StaffCaller, cafe_id: UUID, campaign_id: UUID, body: TryCampaign
) -> TryView:
    """Sends the message to a mobile of whoever asks, some times a day; it is paid like any other. For managers."""
    config = request.app.state.settings
    async with acting(request, caller, cafe_id, "manager") as conn:
        allowed = await testing.allow(conn, config, cafe_id, campaign_id, caller.user_id, body.phone)
    # Staff's own rights do not reach messages.
    async with acting_as_service(request) as conn:
        await testing.queue(conn, allowed)
    return TryView(delivery_id=allowed.message.id)


@router.post("/preview", responses=problems(429))
async def preview_draft(request: Request, caller: StaffCaller, cafe_id: UUID, body: DraftCampaign) -> PreviewView:
    """The same of a campaign that is still being written: nothing is saved. What counts guests, one at a time in a
    cafe. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        if body.counts:
            await ask_alone(conn, cafe_id)
        found = await previewing.preview_draft(conn, request.app.state.settings, cafe_id, body, caller.user_id)
    return PreviewView.model_validate(found)


@router.post("/{campaign_id}/preview", responses=problems(409, 429))
async def preview(request: Request, caller: StaffCaller, cafe_id: UUID, campaign_id: UUID) -> PreviewView:
    """Who would be sent it now and who not, what five of them would read, and what it would cost. One at a time in a
    cafe. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        await ask_alone(conn, cafe_id)
        found = await previewing.preview(conn, request.app.state.settings, cafe_id, campaign_id, caller.user_id)
    return PreviewView.model_validate(found)

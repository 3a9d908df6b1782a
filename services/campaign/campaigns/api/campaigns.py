"""One-off campaigns."""

from uuid import UUID

from fastapi import APIRouter, Request

from services.campaign.campaigns.handlers import campaigns
from services.campaign.campaigns.models.http import (
    Approve,
    CampaignView,
    ReplaceCampaign,
    Schedule,
    StepView,
    WriteCampaign,
)
from services.campaign.campaigns.store import trail
from services.campaign.campaigns.store.campaigns import list_campaigns
from shared.database.db import Connection
from shared.inputs.fields import PageSize
from shared.web.acting import acting
from shared.web.dependencies import StaffCaller
from shared.web.documents import problems

router = APIRouter(prefix="/cafes/{cafe_id}/campaigns", tags=["campaigns"])


async def _view(conn: Connection, cafe_id: UUID, campaign_id: UUID) -> CampaignView:
    (row,) = await campaigns.described(conn, cafe_id, [await campaigns.show(conn, cafe_id, campaign_id)])
    return CampaignView.model_validate(row)


@router.get("")
async def list_all(request: Request, caller: StaffCaller, cafe_id: UUID, limit: PageSize = 50) -> list[CampaignView]:
    """The newest campaigns. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return [
            CampaignView.model_validate(row)
            for row in await campaigns.described(conn, cafe_id, await list_campaigns(conn, cafe_id, limit))
        ]


@router.post("", status_code=201)
async def write(request: Request, caller: StaffCaller, cafe_id: UUID, body: WriteCampaign) -> CampaignView:
    """Writes a draft. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        campaign_id = await campaigns.write_draft(conn, cafe_id, caller.user_id, body)
        return await _view(conn, cafe_id, campaign_id)


@router.get("/{campaign_id}")
async def show(request: Request, caller: StaffCaller, cafe_id: UUID, campaign_id: UUID) -> CampaignView:
    """One campaign. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return await _view(conn, cafe_id, campaign_id)


@router.put("/{campaign_id}")
async def replace(
    request: Request, caller: StaffCaller, cafe_id: UUID, campaign_id: UUID, body: ReplaceCampaign
) -> CampaignView:
    """Rewrites a campaign that has not started. For managers; it is a draft again, and an approval ends."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        await campaigns.replace_draft(conn, cafe_id, campaign_id, caller.user_id, body)
        return await _view(conn, cafe_id, campaign_id)


@router.post("/{campaign_id}/schedule")
async def schedule(
    request: Request, caller: StaffCaller, cafe_id: UUID, campaign_id: UUID, body: Schedule
) -> CampaignView:
    """Sets the date and estimates recipients and cost. For managers; an earlier approval ends. Without a date, here or
    in the draft, it begins as soon as it is approved. Where the cafe's policy asks for nobody else, it is approved with
    that."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        await campaigns.schedule(
            conn, cafe_id, campaign_id, caller.user_id, body.scheduled_date, config=request.app.state.settings
        )
        return await _view(conn, cafe_id, campaign_id)


@router.post("/{campaign_id}/approve")
async def approve(
    request: Request, caller: StaffCaller, cafe_id: UUID, campaign_id: UUID, body: Approve | None = None
) -> CampaignView:
    """Lets a scheduled campaign start. For a manager who neither wrote it nor changed it last."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        await campaigns.approve(conn, cafe_id, campaign_id, caller.user_id, body.version if body else None)
        return await _view(conn, cafe_id, campaign_id)


@router.post("/{campaign_id}/cancel")
async def cancel(request: Request, caller: StaffCaller, cafe_id: UUID, campaign_id: UUID) -> CampaignView:
    """Stops a campaign. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        await campaigns.cancel(conn, cafe_id, campaign_id, caller.user_id)
        return await _view(conn, cafe_id, campaign_id)


@router.post("/{campaign_id}/pause", responses=problems(409))
async def pause(request: Request, caller: StaffCaller, cafe_id: UUID, campaign_id: UUID) -> CampaignView:
    """Lets a campaign rest: nothing of it is taken up or sent until it is resumed, but what a provider already has. An
    approval stays. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        await campaigns.pause(conn, cafe_id, campaign_id, caller.user_id)
        return await _view(conn, cafe_id, campaign_id)


@router.post("/{campaign_id}/resume", responses=problems(409))
async def resume(request: Request, caller: StaffCaller, cafe_id: UUID, campaign_id: UUID) -> CampaignView:
    """Lets a campaign that rests go on. What is not sent by `lapses_at` is not sent any more. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        await campaigns.resume(conn, cafe_id, campaign_id, caller.user_id)
        return await _view(conn, cafe_id, campaign_id)


@router.get("/{campaign_id}/trail")
async def list_steps(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    campaign_id: UUID,
    limit: PageSize = 50,
) -> list[StepView]:
    """Who did what with a campaign, or with the standing one of a journey, newest first. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        await campaigns.show(conn, cafe_id, campaign_id)
        return [StepView(**row) for row in await trail.list_steps(conn, cafe_id, campaign_id, limit)]

"""One-off campaigns."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from services.campaign.api.acting import acting
from services.campaign.api.journeys import RemarkView
from services.campaign.handlers import campaigns
from services.campaign.models import CampaignStatus, CampaignType, Purpose, Step
from services.campaign.models.bodies import Approve, Schedule, WriteCampaign
from services.campaign.store import trail
from services.campaign.store.campaigns import list_campaigns
from shared.database.db import Connection
from shared.inputs.amounts import Money, Priced
from shared.inputs.fields import PageSize
from shared.persian.money import Unit
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}/campaigns", tags=["campaigns"])


class EndView(BaseModel):
    """Messages that were not sent, for one reason: a check's name, or a provider's code."""

    model_config = ConfigDict(from_attributes=True)

    outcome: Literal["skipped", "failed"]
    reason: str
    messages: int
    en: str
    fa: str


class ResultsView(BaseModel):
    """Everybody whom the campaign was for: `recipients` is at every moment what was sent, failed, was skipped, and
    waits. `sent` are those that a provider took, whatever became of them there."""

    model_config = ConfigDict(from_attributes=True)

    recipients: int
    sent: int
    failed: int
    skipped: int
    waiting: int
    reasons: list[EndView]


class CampaignView(Priced):
    """A campaign; one with a `journey_id` is the standing one of a journey. Costs in `currency_unit`; `failure` says
    why it failed where no provider is the reason. One from before results were counted has none for some minutes."""

    id: UUID
    journey_id: UUID | None
    name: str
    description: str | None
    campaign_type: CampaignType
    purpose: Purpose
    ignores_quiet_hours: bool
    target_segment: dict[str, Any]
    estimated_recipients: int | None
    template_content: str
    template_variables: dict[str, str]
    scheduled_date: datetime | None
    sent_date: datetime | None
    status: CampaignStatus
    budget: Money | None
    estimated_cost: Money | None
    actual_cost: Money
    cost_per_message: Money | None
    messages_sent: int
    messages_delivered: int
    messages_failed: int
    messages_opened: int
    created_at: datetime
    updated_at: datetime
    created_by: UUID
    approved_by: UUID | None
    approved_at: datetime | None
    version: int
    edited_by: UUID | None
    approved_alone: bool
    results: ResultsView | None
    failure: RemarkView | None
    warnings: list[RemarkView]


class StepView(Priced):
    """Something that was done with a campaign, and what it then said; a budget in `currency_unit`."""

    currency_unit: Unit = "IRR"
    what: Step
    by_user: UUID
    at: datetime
    version: int
    ended_approval: bool
    detail: dict[str, Any]


async def _view(conn: Connection, cafe_id: UUID, campaign_id: UUID) -> CampaignView:
    (row,) = await campaigns.described(conn, cafe_id, [await campaigns.show(conn, cafe_id, campaign_id)])
    return CampaignView.model_validate(row)


@router.get("")
async def list_all(request: Request, caller: StaffCaller, cafe_id: UUID, limit: PageSize = 50) -> list[CampaignView]:
    """The newest campaigns."""
    async with acting(request, caller, cafe_id) as conn:
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
    """One campaign."""
    async with acting(request, caller, cafe_id) as conn:
        return await _view(conn, cafe_id, campaign_id)


@router.put("/{campaign_id}")
async def replace(
    request: Request, caller: StaffCaller, cafe_id: UUID, campaign_id: UUID, body: WriteCampaign
) -> CampaignView:
    """Rewrites a campaign that has not started. For managers; it is a draft again, and an approval ends."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        await campaigns.replace_draft(conn, cafe_id, campaign_id, caller.user_id, body)
        return await _view(conn, cafe_id, campaign_id)


@router.post("/{campaign_id}/schedule")
async def schedule(
    request: Request, caller: StaffCaller, cafe_id: UUID, campaign_id: UUID, body: Schedule
) -> CampaignView:
    """Sets the date and estimates recipients and cost. For managers; an earlier approval ends. Where the cafe's policy
    asks for nobody else, it is approved with that."""
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

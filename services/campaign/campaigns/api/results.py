"""What became of a one-off campaign, and of each of its messages."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request

from services.campaign.campaigns.handlers import resulting
from services.campaign.campaigns.models.http import CampaignResultsView, DeliveriesView, DeliveryView
from services.campaign.campaigns.models.values import DeliveryState
from shared.inputs.fields import Opaque, PageSize
from shared.web.acting import acting, acting_as_service
from shared.web.dependencies import StaffCaller
from shared.web.documents import problems

router = APIRouter(prefix="/cafes/{cafe_id}/campaigns", tags=["campaigns"])
AfterMessage = Annotated[str | None, Opaque(400), Query(description="the `after` of the page before")]
ReasonAsked = Annotated[str | None, Opaque(50), Query(description="one reason of that status, as `results` names it")]


@router.get("/{campaign_id}/results", responses=problems(409))
async def show_results(request: Request, caller: StaffCaller, cafe_id: UUID, campaign_id: UUID) -> CampaignResultsView:
    """From everybody whom it was for to those who came back, in steps that add up at every moment. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        found = await resulting.results_of(conn, cafe_id, campaign_id)
    return CampaignResultsView.model_validate(found)


@router.get("/{campaign_id}/deliveries", responses=problems(409))
async def list_deliveries(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    campaign_id: UUID,
    status: DeliveryState | None = None,
    reason: ReasonAsked = None,
    after: AfterMessage = None,
    limit: PageSize = 50,
) -> DeliveriesView:
    """Its messages, a page at a time: all by guest, or those of one step of the funnel by reason and guest. For
    managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        await resulting.require_deliveries(conn, cafe_id, campaign_id, status, reason)
    async with acting_as_service(request) as conn:
        rows, more = await resulting.list_deliveries(conn, cafe_id, campaign_id, status, reason, after, limit)
    return DeliveriesView(deliveries=[DeliveryView.model_validate(row) for row in rows], after=more)

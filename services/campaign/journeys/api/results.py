"""What journeys did lately, and for whom."""

from uuid import UUID

from fastapi import APIRouter, Request

from services.campaign.journeys.handlers import results
from services.campaign.journeys.models.http import JourneyMessageView, JourneyResultsView
from shared.inputs.fields import Day, PageSize
from shared.web.acting import acting
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}/journeys", tags=["journeys"])


@router.get("/results")
async def list_results(
    request: Request, caller: StaffCaller, cafe_id: UUID, since: Day | None = None, until: Day | None = None
) -> list[JourneyResultsView]:
    """What became of each journey's messages on the days from `since` to `until`, both included, the last 30 without
    them, 366 at most: by when it became so. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        found = await results.of_journeys(conn, cafe_id, since, until)
    return [JourneyResultsView.model_validate(each) for each in found]


@router.get("/{journey_id}/messages")
async def list_newest(
    request: Request, caller: StaffCaller, cafe_id: UUID, journey_id: UUID, limit: PageSize = 50
) -> list[JourneyMessageView]:
    """The journey's newest messages with what became of each and why, among the newest 5,000 of the cafe. For
    managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        found = await results.newest_messages(conn, cafe_id, journey_id, limit)
    return [JourneyMessageView.model_validate(each) for each in found]

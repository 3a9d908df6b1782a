"""Journeys, what guests got and why, and the library of texts."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from services.campaign.journeys.handlers import texts
from services.campaign.journeys.models.http import ChangeJourney, JourneyView, TextView
from shared.inputs.fields import PageSize, Version
from shared.security.approval import Decide
from shared.web.acting import acting
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}", tags=["journeys"])


@router.get("/journeys")
async def list_journeys(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[JourneyView]:
    """What is sent by itself. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return [JourneyView.model_validate(row) for row in await texts.list_journeys(conn, cafe_id)]


@router.patch("/journeys/{journey_id}", responses={202: {"model": JourneyView}})
async def change_journey(
    request: Request, response: Response, caller: StaffCaller, cafe_id: UUID, journey_id: UUID, change: ChangeJourney
) -> JourneyView:
    """Switches a journey on or off, or changes its delay, whether it takes guests again, what starts it, its text,
    quiet hours or budget. For managers. 202: what it says, may spend or starts on waits for a second person
    (`waiting`), and the former holds until then."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        changed = JourneyView.model_validate(
            await texts.change_journey(conn, cafe_id, journey_id, caller.user_id, change)
        )
    asks = change.model_fields_set & {"template", "fallbacks", "ignores_quiet_hours", "budget", "starts_on"}
    response.status_code = 202 if asks and changed.waiting else 200
    return changed


@router.get("/journeys/{journey_id}/versions")
async def list_versions(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    journey_id: UUID,
    limit: PageSize = 50,
) -> list[TextView]:
    """What the journey said, says and may say, newest first. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        found = await texts.list_versions(conn, cafe_id, journey_id, limit)
    return [TextView.model_validate(text) for text in found]


@router.post("/journeys/{journey_id}/versions/{version}/decision")
async def decide_version(
    request: Request, caller: StaffCaller, cafe_id: UUID, journey_id: UUID, version: Version, body: Decide
) -> JourneyView:
    """Approves or declines a version that waits. For managers other than its author."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return JourneyView.model_validate(
            await texts.decide(conn, cafe_id, journey_id, version, caller.user_id, approve=body.approve)
        )

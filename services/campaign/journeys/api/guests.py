"""What guests got and why, and what waits for a second person."""

from uuid import UUID

from fastapi import APIRouter, Request

from services.campaign.journeys.handlers import approvals, explaining
from services.campaign.journeys.models.http import GuestView
from shared.inputs.fields import PageSize
from shared.security.access import sees_amounts
from shared.security.approval import Waiting
from shared.web.acting import acting, acting_in_role
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}", tags=["journeys"])


LISTED_AT_MOST = 200


@router.get("/approvals")
async def list_approvals(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[Waiting]:
    """What waits for a second person: campaigns and journeys' texts. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return await approvals.list_waiting(conn, cafe_id, caller.user_id, LISTED_AT_MOST)


@router.get("/guests/{customer_id}/messages")
async def explain_guest(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    customer_id: UUID,
    limit: PageSize = 50,
) -> GuestView:
    """The guest's messages with every decision about them, newest first; for managers with their texts and costs."""
    async with acting_in_role(request, caller, cafe_id) as (conn, role):
        found = GuestView(**await explaining.explain_guest(conn, cafe_id, customer_id, limit))
    if sees_amounts(role):
        return found
    return found.model_copy(update={"messages": [each.for_staff() for each in found.messages]})

"""Why a guest got a message, and why not."""

from uuid import UUID

from fastapi import APIRouter, Request

from services.campaign.journeys.handlers import tracing
from shared.inputs.explaining import ALWAYS, NEVER, Before, Explanation, Since
from shared.security.access import sees_amounts
from shared.web.acting import acting_in_role
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}/explain", tags=["explain"])


@router.get("/visits/{visit_id}")
async def trace_visit(
    request: Request, caller: StaffCaller, cafe_id: UUID, visit_id: UUID, customer_id: UUID | None = None
) -> Explanation:
    """What a visit led to: journeys that took the guest or did not, messages, and each decision with its checks.
    `customer_id` is the guest whose bill it is; a bill of nobody has no steps. For managers with amounts."""
    async with acting_in_role(request, caller, cafe_id) as (conn, role):
        found = await tracing.explain_visit(conn, cafe_id, visit_id, customer_id)
    return found if sees_amounts(role) else found.without_amounts()


@router.get("/guests/{customer_id}")
async def trace_guest(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    customer_id: UUID,
    since: Since = ALWAYS,
    before: Before = NEVER,
) -> Explanation:
    """The guest's newest journeys and messages with every check, at most fifty moments. For managers with amounts."""
    async with acting_in_role(request, caller, cafe_id) as (conn, role):
        found = await tracing.explain_guest(conn, cafe_id, customer_id, since, before)
    return found if sees_amounts(role) else found.without_amounts()

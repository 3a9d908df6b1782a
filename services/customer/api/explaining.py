"""Why a guest is in these segments and not in others."""

from uuid import UUID

from fastapi import APIRouter, Request

from services.customer.handlers import explaining
from shared import clock
from shared.inputs.explaining import ALWAYS, NEVER, Before, Explanation, Since
from shared.security.access import sees_amounts
from shared.web.acting import acting_in_role
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}/explain", tags=["explain"])


@router.get("/visits/{visit_id}")
async def explain_visit(
    request: Request, caller: StaffCaller, cafe_id: UUID, visit_id: UUID, customer_id: UUID | None = None
) -> Explanation:
    """The segments that a visit moved the guest into and out of, and each segment's conditions as they hold now.
    `customer_id` is the guest whose bill it is; a bill of nobody has no steps. For managers with amounts."""
    async with acting_in_role(request, caller, cafe_id) as (conn, role):
        found = await explaining.explain_visit(conn, cafe_id, visit_id, customer_id, now=clock.now())
    return found if sees_amounts(role) else found.without_amounts()


@router.get("/guests/{customer_id}")
async def explain_guest(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    customer_id: UUID,
    since: Since = ALWAYS,
    before: Before = NEVER,
) -> Explanation:
    """The guest's newest moves with their causes, at most fifty moments; without `before` also each segment's
    conditions as they hold now. For managers with amounts."""
    async with acting_in_role(request, caller, cafe_id) as (conn, role):
        found = await explaining.explain_guest(conn, cafe_id, customer_id, since, before, now=clock.now())
    return found if sees_amounts(role) else found.without_amounts()

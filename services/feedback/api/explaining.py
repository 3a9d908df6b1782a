"""What became of the question how a visit was."""

from uuid import UUID

from fastapi import APIRouter, Request

from services.feedback.handlers import explaining
from shared.inputs.explaining import ALWAYS, NEVER, Before, Explanation, Since
from shared.security.access import sees_amounts
from shared.web.acting import acting_in_role
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}/explain", tags=["explain"])


@router.get("/visits/{visit_id}")
async def explain_visit(request: Request, caller: StaffCaller, cafe_id: UUID, visit_id: UUID) -> Explanation:
    """The link of a visit, whether it was opened and answered, the case and the response; no words of the guest."""
    async with acting_in_role(request, caller, cafe_id) as (conn, role):
        found = await explaining.explain_visit(conn, cafe_id, visit_id)
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
    """The guest's newest links and answers, at most fifty moments. No words of the guest are in it."""
    async with acting_in_role(request, caller, cafe_id) as (conn, role):
        found = await explaining.explain_guest(conn, cafe_id, customer_id, since, before)
    return found if sees_amounts(role) else found.without_amounts()

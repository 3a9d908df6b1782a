"""When a second person must approve, and what waits for one."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from services.identity.api.asking import Caller
from services.identity.handlers import policies
from services.identity.models.http import PolicyStep, SetPolicy, ShownPolicy
from shared.inputs.fields import PageSize
from shared.security.approval import Decide, Waiting
from shared.web.acting import acting_anywhere

router = APIRouter(prefix="/cafes/{cafe_id}", tags=["approvals"])


@router.get("/approval-policy")
async def show_policy(request: Request, caller: Caller, cafe_id: UUID) -> ShownPolicy:
    """When a second person must approve (managers)."""
    async with acting_anywhere(request, caller) as conn:
        return await policies.show(conn, cafe_id, caller.user_id)


@router.put("/approval-policy", responses={202: {"model": ShownPolicy}})
async def set_policy(
    request: Request, response: Response, caller: Caller, cafe_id: UUID, body: SetPolicy
) -> ShownPolicy:
    """Changes when a second person must approve (owners). 202: it lets more pass, and waits for the other owner."""
    async with acting_anywhere(request, caller) as conn:
        shown = await policies.set_policy(conn, cafe_id, body, by=caller.user_id)
    response.status_code = 202 if shown.waiting else 200
    return shown


@router.get("/approval-policy/changes")
async def list_policy_steps(request: Request, caller: Caller, cafe_id: UUID, limit: PageSize = 50) -> list[PolicyStep]:
    """Who changed the policy when, from what to what (owners), newest first."""
    async with acting_anywhere(request, caller) as conn:
        return await policies.list_steps(conn, cafe_id, caller.user_id, limit)


@router.post("/approval-policy/changes/{change_id}/decision")
async def decide_policy(request: Request, caller: Caller, cafe_id: UUID, change_id: UUID, body: Decide) -> ShownPolicy:
    """Approves or declines a change that waits (an owner other than its author)."""
    async with acting_anywhere(request, caller) as conn:
        return await policies.decide(conn, cafe_id, change_id, approve=body.approve, by=caller.user_id)


@router.get("/approvals")
async def list_approvals(request: Request, caller: Caller, cafe_id: UUID) -> list[Waiting]:
    """What waits for a second person here: changes of the approval policy (managers see, owners decide)."""
    async with acting_anywhere(request, caller) as conn:
        return await policies.list_waiting(conn, cafe_id, caller.user_id)

"""Rewards as a cafe keeps and offers them."""

from functools import partial
from uuid import UUID

from fastapi import APIRouter, Request

from services.loyalty.handlers import rewards
from services.loyalty.models.http_rewards import ChangeReward, OfferedReward, OfferReward, ShownReward
from shared.database import db
from shared.security.auth import require_scope
from shared.security.ids import menu_code
from shared.web.acting import acting
from shared.web.dependencies import StaffCaller, TillCaller

LOOKUP_SCOPE = "loyalty_lookup"
router = APIRouter(tags=["rewards"])


@router.get("/cafes/{cafe_id}/rewards")
async def list_rewards(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[ShownReward]:
    """All rewards of the cafe with what is left of each, also those that are offered no more."""
    async with acting(request, caller, cafe_id) as conn:
        return await rewards.list_all(conn, cafe_id)


@router.post("/cafes/{cafe_id}/rewards", status_code=201)
async def offer_reward(request: Request, caller: StaffCaller, cafe_id: UUID, body: OfferReward) -> ShownReward:
    """Offers a new reward (managers). Send it again whenever in doubt: a repeat has no effect."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return await rewards.offer(conn, cafe_id, caller.user_id, body, _code(request, cafe_id))


@router.patch("/cafes/{cafe_id}/rewards/{reward_id}")
async def change_reward(
    request: Request, caller: StaffCaller, cafe_id: UUID, reward_id: UUID, body: ChangeReward
) -> ShownReward:
    """Changes a reward, restocks it, or takes it off the offer (managers). What guests have of it stays theirs."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return await rewards.change(conn, cafe_id, reward_id, caller.user_id, body, _code(request, cafe_id))


@router.get("/loyalty/rewards")
async def list_offered(request: Request, caller: TillCaller, branch_id: UUID | None = None) -> list[OfferedReward]:
    """The rewards that may be offered now for points, the cheapest first: without `branch_id` those of all branches
    (scope `loyalty_lookup`). What one guest may have, the quote says."""
    require_scope(caller, LOOKUP_SCOPE)
    async with db.till_transaction(request.app.state.pool, caller.cafe_id) as conn:
        return await rewards.list_offered(conn, caller.cafe_id, branch_id)


def _code(request: Request, cafe_id: UUID) -> rewards.MenuCoder:
    return partial(menu_code, request.app.state.settings.keys, cafe_id)

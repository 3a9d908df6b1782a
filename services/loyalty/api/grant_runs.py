"""Points for many guests at once, for managers."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from services.loyalty.handlers import grant_runs
from services.loyalty.models.grant_runs import GrantRun
from services.loyalty.models.http_grant_runs import (
    BonusPreview,
    GiveBonus,
    GiveOpenings,
    PreviewBonus,
    ShownGrantRun,
)
from services.loyalty.store import grant_runs as store
from shared.errors import Problem, Rejected
from shared.security import ids
from shared.security.approval import Decide
from shared.web.acting import acting
from shared.web.dependencies import StaffCaller

LISTED_AT_MOST = 100
router = APIRouter(prefix="/cafes/{cafe_id}", tags=["staff"])


@router.post("/bonuses/preview")
async def preview_bonus(request: Request, caller: StaffCaller, cafe_id: UUID, body: PreviewBonus) -> BonusPreview:
    """How many guests of the segments would get how many points now, and what these are worth (managers). It gives
    nothing."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return await grant_runs.preview(conn, cafe_id, body.segment_keys, body.points)


@router.post("/bonuses", status_code=201, responses={202: {"model": ShownGrantRun}})
async def give_bonus(
    request: Request, response: Response, caller: StaffCaller, cafe_id: UUID, body: GiveBonus
) -> ShownGrantRun:
    """Gives the guests who are in the segments now their points, each once, within the budget (managers). 202: with
    what the caller gave and took today it is more than one may alone, and waits for another manager."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        run = await grant_runs.give_bonus(
            conn, cafe_id, caller.user_id, body.run_id, body.segment_keys, body.points, body.reason,
            body.budget_points,
        )  # fmt: skip
    return _shown(run, response)


@router.post("/openings", status_code=201, responses={202: {"model": ShownGrantRun}})
async def give_openings(
    request: Request, response: Response, caller: StaffCaller, cafe_id: UUID, body: GiveOpenings
) -> ShownGrantRun:
    """Gives guests what they had in the program before this one, each guest once however often it is sent (managers).
    202: it is more than the caller may give alone, and waits for another manager."""
    keys = request.app.state.settings.keys
    points: dict[UUID, int] = {}
    for place, each in enumerate(body.balances):
        guest = ids.customer_id(keys, cafe_id, each.phone)
        if guest in points:
            en, fa = "This number stands twice.", "این شماره دو بار آمده است."
            raise Rejected("invalid_input", en, fa, problems=[Problem(f"balances.{place}.phone", "twice", en, fa)])
        points[guest] = each.points
    async with acting(request, caller, cafe_id, "manager") as conn:
        run = await grant_runs.give_openings(conn, cafe_id, caller.user_id, body.run_id, points)
    return _shown(run, response)


@router.get("/grant-runs")
async def list_grant_runs(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[ShownGrantRun]:
    """The newest hundred bonuses and opening balances, and how far each is (managers)."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return [ShownGrantRun.model_validate(each) for each in await store.list_newest(conn, cafe_id, LISTED_AT_MOST)]


@router.post("/grant-runs/{run_id}/decision")
async def decide_grant_run(
    request: Request, caller: StaffCaller, cafe_id: UUID, run_id: UUID, body: Decide
) -> ShownGrantRun:
    """Approves or declines points for many guests (managers other than the author)."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return ShownGrantRun.model_validate(
            await grant_runs.decide(conn, cafe_id, run_id, caller.user_id, approve=body.approve)
        )


def _shown(run: GrantRun, response: Response) -> ShownGrantRun:
    response.status_code = 202 if run.state == "pending" else 201
    return ShownGrantRun.model_validate(run)

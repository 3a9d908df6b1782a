"""A bonus for the guests of a segment: seen before it is given, within a budget, by two people where it is much."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.console.api.forms import FormId, Prose, Typed
from services.console.api.rendering import go, look_of, page, refused
from services.console.api.visiting import Here, upstream
from services.console.handlers import bonuses as handler
from services.console.models.bonuses import BonusSeen
from services.console.rules import roles
from services.console.rules.rewards import number
from services.console.store import bonuses
from services.console.store.upstream import RefusedCall
from shared.clock import new_id
from shared.errors import Rejected

router = APIRouter(prefix="/c/{cafe_id}/segments/{segment_id}/bonus", include_in_schema=False)


@router.get("")
async def ask_bonus(request: Request, here: Here, segment_id: UUID, done: str = "") -> Response:
    """The form. It has the id of the bonus, so that a second tap gives nothing twice."""
    if not roles.may(here.cafe.role, "give_bonus"):
        raise Rejected("forbidden", "Managers and owners give bonuses.", "هدیه را مدیر و مالک می‌دهند.", status=403)
    return await _form(request, here, segment_id, {"run_id": str(new_id())}, done=done)


@router.post("")
async def give_bonus(
    request: Request,
    here: Here,
    segment_id: UUID,
    run_id: FormId,
    points: Typed = "",
    budget_points: Typed = "",
    reason: Prose = "",
    step: Typed = "look",
) -> Response:
    """First who would get how much is shown, and only then it is given."""
    values = {"run_id": str(run_id), "points": points, "budget_points": budget_points, "reason": reason}
    up, access, cafe_id = upstream(request), here.access, here.cafe.cafe_id
    try:
        segment = (await handler.show(up, here, segment_id)).segment
        wanted = handler.asked(segment, number(points))
        if step != "give":
            seen = await bonuses.preview_bonus(up, access, cafe_id, wanted)
            return await _form(request, here, segment_id, values, seen=seen)
        wanted |= {"run_id": run_id, "reason": reason, "budget_points": number(budget_points) or ""}
        made = await bonuses.give_bonus(up, access, cafe_id, wanted)
    except RefusedCall as error:
        if error.status == 404:
            raise
        return await _form(request, here, segment_id, values, error)
    done = "asked" if made.state == "pending" else "given"
    return go(request, f"/c/{cafe_id}/segments/{segment_id}/bonus?done={done}")


async def _form(
    request: Request,
    here: Here,
    segment_id: UUID,
    values: dict[str, str],
    error: RefusedCall | None = None,
    seen: BonusSeen | None = None,
    done: str = "",
) -> Response:
    shown = await handler.show(upstream(request), here, segment_id)
    told = refused(error, look_of(request).language) if error else {}
    data: dict[str, Any] = {"shown": shown, "values": values, "seen": seen, "done": done}
    return page(request, "bonus.html", here, status=error.status if error else 200, nav="segments", **data, **told)

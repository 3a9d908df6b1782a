"""What guests say: the list, the answer, and the cases of unhappy ones."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.console.api.forms import Prose
from services.console.api.rendering import go, is_fragment, look_of, page, refused
from services.console.api.visiting import Here, upstream
from services.console.handlers import ratings
from services.console.store import feedback
from services.console.store.upstream import RefusedCall

router = APIRouter(prefix="/c/{cafe_id}/feedback", include_in_schema=False)

PAGE = 30


@router.get("")
async def show_list(request: Request, here: Here, only: str = "", before: str = "") -> Response:
    """Ratings, the newest first. `only`: low."""
    wanted = {"limit": PAGE, "before": before or None, "rating_to": 3 if only == "low" else None}
    found = await feedback.list_ratings(upstream(request), here.access, here.cafe.cafe_id, wanted)
    template = "feedback_rows.html" if is_fragment(request) else "feedback.html"
    return page(request, template, here, nav="feedback", found=found, only=only)


@router.get("/cases")
async def show_cases(request: Request, here: Here, only: str = "open") -> Response:
    """Cases that are open, overdue or closed."""
    chosen = only if only in ("open", "overdue", "closed") else "open"
    cases = await feedback.list_cases(upstream(request), here.access, here.cafe.cafe_id, chosen, 100)
    return page(request, "cases.html", here, nav="feedback", cases=cases, only=chosen)


@router.get("/{rating_id}")
async def show(request: Request, here: Here, rating_id: UUID) -> Response:
    """One rating, its guest, its answer and its case."""
    shown = await ratings.show(upstream(request), here, rating_id)
    return page(request, "rating.html", here, nav="feedback", shown=shown)


@router.post("/{rating_id}/answer")
async def answer(request: Request, here: Here, rating_id: UUID, text: Prose) -> Response:
    """The cafe's answer."""
    try:
        await feedback.answer(upstream(request), here.access, here.cafe.cafe_id, rating_id, text)
    except RefusedCall as error:
        return await _again(request, here, rating_id, {"text": text}, error)
    return go(request, f"/c/{here.cafe.cafe_id}/feedback/{rating_id}")


@router.post("/{rating_id}/close")
async def close(
    request: Request, here: Here, rating_id: UUID, case_id: Annotated[UUID, Form()], resolution: Prose
) -> Response:
    """Closes the case of a rating with what was done."""
    try:
        await feedback.close_case(upstream(request), here.access, here.cafe.cafe_id, case_id, resolution)
    except RefusedCall as error:
        return await _again(request, here, rating_id, {"resolution": resolution}, error)
    return go(request, f"/c/{here.cafe.cafe_id}/feedback/{rating_id}")


async def _again(request: Request, here: Here, rating_id: UUID, values: dict[str, str], error: RefusedCall) -> Response:
    shown = await ratings.show(upstream(request), here, rating_id)
    told = refused(error, look_of(request).language)
    return page(request, "rating.html", here, status=error.status, nav="feedback", shown=shown, values=values, **told)

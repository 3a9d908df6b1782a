"""What waits for a second person."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.console.api.rendering import go, look_of, page, refused
from services.console.api.visiting import Here, upstream
from services.console.handlers import approvals
from services.console.store.upstream import RefusedCall

router = APIRouter(prefix="/c/{cafe_id}/approvals", include_in_schema=False)


@router.get("")
async def show(request: Request, here: Here) -> Response:
    """All that waits, the oldest first."""
    return page(request, "approvals.html", here, nav="approvals", shown=await approvals.show(upstream(request), here))


@router.post("/{service}/{matter_id}")
async def decide(
    request: Request, here: Here, service: str, matter_id: UUID, answer: Annotated[str, Form(max_length=10)]
) -> Response:
    """Lets it pass, or not."""
    up = upstream(request)
    try:
        await approvals.decide(up, here, service, matter_id, approve=answer == "approve")
    except RefusedCall as error:
        told = refused(error, look_of(request).language)
        shown = await approvals.show(up, here)
        return page(request, "approvals.html", here, status=error.status, nav="approvals", shown=shown, **told)
    return go(request, f"/c/{here.cafe.cafe_id}/approvals")

"""What waits for a second person."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.console.api.rendering import go, look_of, page, refused, speech_of
from services.console.api.visiting import Here, upstream
from services.console.handlers import approvals
from services.console.rules import club_rules
from services.console.rules.club_rules import RulesThatWait
from services.console.store.upstream import RefusedCall

router = APIRouter(prefix="/c/{cafe_id}/approvals", include_in_schema=False)


@router.get("")
async def show(request: Request, here: Here) -> Response:
    """All that waits, the oldest first."""
    shown = await approvals.show(upstream(request), here)
    return page(request, "approvals.html", here, nav="approvals", shown=shown, said=_rules_said(request, here, shown))


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
        said = _rules_said(request, here, shown)
        return page(
            request, "approvals.html", here, status=error.status, nav="approvals", shown=shown, said=said, **told
        )
    return go(request, f"/c/{here.cafe.cafe_id}/approvals")


def _rules_said(request: Request, here: Here, shown: approvals.ApprovalsPage) -> dict[UUID, RulesThatWait]:
    """Rules of a club that wait, in sentences."""
    speech = speech_of(look_of(request), here)
    return {
        each.matter.id: club_rules.rules_that_wait(each.matter.what, each.matter.asked_at, speech)
        for each in shown.matters
        if each.matter.kind == "program"
    }

"""What happened and why: of a visit, of a part of it, and of a guest."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from services.console.api.rendering import catalogue, is_fragment, look_of, page, speech_of
from services.console.api.visiting import Here, upstream
from services.console.handlers import why
from services.console.handlers.why import WhyPage
from services.console.rules.why import TellWhy
from shared.inputs.fields import Moment

router = APIRouter(prefix="/c/{cafe_id}", include_in_schema=False)
WhyPart = Literal["visit", "loyalty", "customer", "campaign", "feedback"]


@router.get("/visits/{visit_id}/why")
async def show_visit(
    request: Request, here: Here, visit_id: UUID, part: WhyPart | None = None, guest: UUID | None = None
) -> Response:
    """Why everything about a bill is as it is, or only what one service did."""
    told = await why.of_visit(upstream(request), here, visit_id, part, guest)
    return _shown(request, here, told, back=f"/c/{here.cafe.cafe_id}/visits/{visit_id}")


@router.get("/guests/{guest_id}/why")
async def show_guest(
    request: Request, here: Here, guest_id: UUID, before: Annotated[Moment | None, Query()] = None
) -> Response:
    """Why everything about a guest is as it is, the newest first."""
    told = await why.of_guest(upstream(request), here, guest_id, before)
    return _shown(request, here, told, back=f"/c/{here.cafe.cafe_id}/guests/{guest_id}")


def _shown(request: Request, here: Here, told: WhyPage, back: str) -> Response:
    wording = TellWhy(catalogue(), speech_of(look_of(request), here))
    said = [wording.step(each) for each in told.steps]
    more: datetime | None = told.before
    template = "why_part.html" if is_fragment(request) else "why.html"
    nav = "visits" if "/visits/" in back else "guests"
    return page(
        request, template, here, nav=nav, said=said, away=told.away, text=wording.text(said), back=back, before=more
    )

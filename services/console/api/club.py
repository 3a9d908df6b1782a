"""The club: its figures, its rules, and what came, went or lapses."""

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.console.api.rendering import look_of, page, speech_of
from services.console.api.visiting import Here, upstream
from services.console.handlers import club
from services.console.handlers.panels import there
from services.console.models.club import RulesVersion
from services.console.rules import club_rules
from services.console.rules.versions import in_force
from services.console.store import club as club_store
from shared import clock

router = APIRouter(prefix="/c/{cafe_id}/club", include_in_schema=False)

STATES = ("pending", "posted", "declined")


@router.get("")
async def show(request: Request, here: Here, done: str = "") -> Response:
    """How the club stands and by which rules."""
    shown = await club.show(upstream(request), here)
    known: tuple[RulesVersion, ...] = there(shown.versions, ())
    now = in_force(known, clock.now())
    said = club_rules.sentences(now, speech_of(look_of(request), here)) if now else ()
    return page(request, "club.html", here, nav="club", shown=shown, now_in_force=now, said=said, done=done)


@router.get("/rules")
async def show_rules(request: Request, here: Here) -> Response:
    """All versions of the rules."""
    versions = await club_store.versions(upstream(request), here.access, here.cafe.cafe_id)
    speech, now = speech_of(look_of(request), here), in_force(versions, clock.now())
    said = {each.version: club_rules.sentences(each, speech) for each in versions}
    begun = now.version if now else 0
    return page(request, "club_rules.html", here, nav="club", versions=versions[::-1], said=said, begun=begun)


@router.get("/given")
async def show_given(request: Request, here: Here, state: str = "", before: UUID | None = None) -> Response:
    """Points given and taken by hand, with who asked and who approved."""
    state = state if state in STATES else ""
    shown = await club.list_by_hand(upstream(request), here, state or None, before)
    return page(request, "club_given.html", here, nav="club", shown=shown, state=state, states=STATES)


@router.get("/lapsing")
async def show_lapsing(request: Request, here: Here) -> Response:
    """The guests whose points lapse soonest."""
    found, cards = await club.list_lapsing(upstream(request), here)
    return page(request, "club_lapsing.html", here, nav="club", found=found, cards=cards)


@router.get("/refused")
async def show_refused(request: Request, here: Here) -> Response:
    """What bills wanted to spend and the balance did not cover."""
    found, cards = await club.list_refused(upstream(request), here)
    return page(request, "club_refused.html", here, nav="club", found=found, cards=cards)

"""Several cafes of one person: side by side, and copying from one to others."""

from functools import partial
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.console.api.rendering import catalogue, look_of, page, speech_of
from services.console.api.visiting import AnyVisitor, Here, upstream
from services.console.handlers import chain
from services.console.models.people import CafeOfPerson
from services.console.models.session import Insider, Visitor
from services.console.rules import roles
from services.console.rules.rule_facts import fact
from services.console.rules.speech import Speech
from services.console.store.upstream import RefusedCall
from shared import clock
from shared.errors import Rejected

router = APIRouter(prefix="/chain", include_in_schema=False)

SORTS: Final = ("visits", "revenue", "return", "rating", "overdue")


@router.get("")
async def show(request: Request, visitor: AnyVisitor, sort: str = "", after: int = 0) -> Response:
    """The cafes side by side. Unsorted, each comes by itself, so that a slow one holds up no other."""
    every = visitor.caller.cafes
    shown = every[max(after, 0) : max(after, 0) + chain.CAFES]
    by = sort if sort in SORTS else ""
    now = clock.now()
    glances = await chain.sorted_glances(upstream(request), visitor, shown, by, now) if by else []
    following = after + chain.CAFES if len(every) > after + chain.CAFES else None
    return page(
        request, "chain.html", visitor, cafes=shown, glances=glances, sort=by, sorts=SORTS, following=following,
        speech=_speech(request), can_copy=len(_managed(visitor)) > 1,
    )  # fmt: skip


@router.get("/copy")
async def ask_copy(request: Request, visitor: AnyVisitor, source: UUID | None = None) -> Response:
    """What of which cafe is copied to which others."""
    cafe = _cafe(visitor, source) if source else _managed(visitor)[0] if _managed(visitor) else None
    if cafe is None:
        raise Rejected("role_too_low", "Only managers copy.", "رونوشت را مدیرها می‌گیرند.", status=403)
    return await _copy_page(request, visitor, cafe, {})


@router.post("/copy")
async def copy(request: Request, visitor: AnyVisitor) -> Response:
    """Shows what would change, or does it."""
    form = await request.form()
    source = _cafe(visitor, _uuid(str(form.get("source", ""))))
    keys = [str(each)[:60] for each in form.getlist("item")]
    wanted = {_uuid(str(each)) for each in form.getlist("target")}
    targets = [each for each in _managed(visitor) if each.cafe_id in wanted and each is not source][: chain.CAFES]
    now, up = clock.now(), upstream(request)
    items = (await chain.source(up, _inside(visitor, source), now)).chosen(keys)
    if not items or not targets:
        missing = catalogue().say(look_of(request).language, "chain.choose_both")
        return await _copy_page(request, visitor, source, {"keys": keys, "targets": wanted}, missing)
    if form.get("do") == "copy":
        ended = await chain.copy(up, visitor, items, targets, now)
        return page(request, "chain_copied.html", visitor, ended=ended, **_words(request))
    planned = await chain.plan(up, visitor, items, targets, now)
    return page(request, "chain_plan.html", visitor, source=source, items=items, planned=planned, **_words(request))


@router.get("/{cafe_id}")
async def show_row(request: Request, here: Here) -> Response:
    """One cafe's row."""
    glance = await chain.glance(upstream(request), here, clock.now())
    return page(request, "chain_row.html", here, glance=glance, speech=_speech(request))


async def _copy_page(
    request: Request, visitor: Visitor, source: CafeOfPerson, chosen: dict[str, Any], missing: str | None = None
) -> Response:
    found = await chain.source(upstream(request), _inside(visitor, source), clock.now())
    return page(
        request, "chain_copy.html", visitor, status=422 if missing else 200, source=source, found=found,
        cafes=visitor.caller.cafes, managed=_managed(visitor), chosen={"keys": (), "targets": ()} | chosen,
        error=missing,
    )  # fmt: skip


def _words(request: Request) -> dict[str, Any]:
    look = look_of(request)
    return {
        "fact": partial(fact, say=partial(catalogue().say, look.language), speech=speech_of(look, None)),
        "is_refused": lambda value: isinstance(value, RefusedCall),
    }


def _speech(request: Request) -> Any:
    """How numbers of a cafe are said: in its own unit."""
    look = look_of(request)
    return lambda cafe: Speech(look.language, cafe.calendar, cafe.time_zone, cafe.currency_unit)


def _managed(visitor: Visitor) -> list[CafeOfPerson]:
    return [each for each in visitor.caller.cafes if roles.may(each.role, "edit_segments")]


def _cafe(visitor: Visitor, cafe_id: UUID | None) -> CafeOfPerson:
    found = next((each for each in _managed(visitor) if each.cafe_id == cafe_id), None)
    if found is None:
        raise Rejected("not_found", "There is nothing at this address.", "در این نشانی چیزی نیست.", status=404)
    return found


def _inside(visitor: Visitor, cafe: CafeOfPerson) -> Insider:
    return Insider(visitor.session, visitor.access, visitor.caller, cafe)


def _uuid(written: str) -> UUID | None:
    try:
        return UUID(written)
    except ValueError:
        return None

"""Visits: the list, one bill, taking it back, and a bill by hand."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from services.console.api.forms import Prose, Typed, typed_moment, visits_wanted
from services.console.api.rendering import go, is_fragment, look_of, page, refused, speech_of
from services.console.api.visiting import Here, upstream
from services.console.handlers.panels import panel
from services.console.models import work
from services.console.models.http import VisitFilter
from services.console.store import identity, visit
from services.console.store.upstream import RefusedCall
from shared import clock
from shared.clock import new_id

router = APIRouter(prefix="/c/{cafe_id}/visits", include_in_schema=False)

PAGE = 30


@router.get("")
async def show_list(request: Request, here: Here, asked: Annotated[VisitFilter, Query()]) -> Response:
    """Visits, the newest first; what is asked for stands in the address, so that it can be kept and sent."""
    up, cafe_id = upstream(request), here.cafe.cafe_id
    data: dict[str, Any] = {"asked": asked, "kept": asked.address(), "values": asked.typed()}
    try:
        wanted = visits_wanted(asked, here.cafe.time_zone) | {"limit": PAGE}
        found = await visit.list_visits(up, here.access, cafe_id, wanted)
    except RefusedCall as error:
        if is_fragment(request) or error.status != 422:
            raise
        found, data = work.VisitRows((), None), data | refused(error, look_of(request).language)
    if is_fragment(request):
        return page(request, "visits_rows.html", here, found=found, **data)
    branches = await panel(identity.list_branches(up, here.access, cafe_id))
    status = 422 if data.get("error") else 200
    return page(request, "visits.html", here, status=status, nav="visits", found=found, branches=branches, **data)


@router.get("/new")
async def ask_to_enter(request: Request, here: Here) -> Response:
    """The form of a bill by hand. Its number makes a second tap the same bill."""
    speech, moment = speech_of(look_of(request), here), clock.now()
    values = {"receipt_number": f"hand-{new_id().hex[-10:]}"}
    values |= {"day": speech.day_typed(moment), "clock": speech.clock(moment)}
    return page(request, "visit_enter.html", here, nav="visits", values=values)


@router.post("/new")
async def enter(
    request: Request,
    here: Here,
    receipt_number: Typed,
    total: Typed,
    day: Typed,
    clock: Typed,
    phone: Typed = "",
    item: Typed = "",
    notes: Prose = "",
) -> Response:
    """A bill in place of a till."""
    written: dict[str, Any] = {
        "receipt_number": receipt_number,
        "total": total,
        "currency_unit": here.cafe.currency_unit,
        "phone": phone.strip() or None,
        "notes": notes.strip() or None,
        "items": [{"name": item.strip(), "amount": total}] if item.strip() else [],
    }
    try:
        written["occurred_at"] = typed_moment("day", day, "clock", clock, here.cafe.time_zone)
        await visit.enter(upstream(request), here.access, here.cafe.cafe_id, written)
    except RefusedCall as error:
        told = refused(error, look_of(request).language)
        values = {"receipt_number": receipt_number, "total": total, "phone": phone, "item": item, "notes": notes}
        values |= {"day": day, "clock": clock}
        return page(request, "visit_enter.html", here, status=error.status, nav="visits", values=values, **told)
    return go(request, f"/c/{here.cafe.cafe_id}/visits")


@router.get("/{visit_id}")
async def show(request: Request, here: Here, visit_id: UUID) -> Response:
    """One bill."""
    shown = await visit.find(upstream(request), here.access, here.cafe.cafe_id, visit_id)
    return page(request, "visit.html", here, nav="visits", shown=shown)


@router.post("/{visit_id}/void")
async def void(request: Request, here: Here, visit_id: UUID, reason: Prose) -> Response:
    """Takes a bill back."""
    up, cafe_id = upstream(request), here.cafe.cafe_id
    try:
        shown = await visit.void(up, here.access, cafe_id, visit_id, reason)
    except RefusedCall as error:
        told = refused(error, look_of(request).language)
        shown = await visit.find(up, here.access, cafe_id, visit_id)
        return page(
            request,
            "visit.html",
            here,
            status=error.status,
            nav="visits",
            shown=shown,
            values={"reason": reason},
            **told,
        )
    return page(request, "visit.html", here, nav="visits", shown=shown, values={"asked": shown.voided_at is None})

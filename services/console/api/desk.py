"""The counter: who is this, and who is new."""

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.console.api.forms import Typed
from services.console.api.rendering import go, is_fragment, look_of, page, refused
from services.console.api.visiting import Here, upstream
from services.console.handlers import guests
from services.console.store import customer
from services.console.store.upstream import RefusedCall

router = APIRouter(prefix="/c/{cafe_id}", include_in_schema=False)


@router.get("/desk")
async def show(request: Request, here: Here) -> Response:
    """One large field."""
    return page(request, "desk.html", here, nav="desk", hits=None, typed="")


@router.post("/desk")
async def search(request: Request, here: Here, typed: Typed = "") -> Response:
    """The guests whom the typed text may mean. A search is no address: a number in one would stay in histories."""
    template = "desk_hits.html" if is_fragment(request) else "desk.html"
    try:
        hits = await guests.search(upstream(request), here, typed)
    except RefusedCall as error:
        told = refused(error, look_of(request).language)
        return page(request, template, here, nav="desk", hits=None, typed=typed, **told)
    if hits is not None and len(hits) == 1 and not is_fragment(request):
        return go(request, f"/c/{here.cafe.cafe_id}/guests/{hits[0].id}")
    return page(request, template, here, nav="desk", hits=hits, typed=typed)


@router.post("/desk/new")
async def begin_to_register(request: Request, here: Here, typed: Typed = "") -> Response:
    """The form of a new guest, with the number that was searched for."""
    asked = guests.wanted(typed) or {}
    values = {"phone": asked.get("phone", ""), "name": asked.get("name", "")}
    return page(request, "register.html", here, nav="desk", values=values)


@router.get("/desk/new")
async def ask_to_register(request: Request, here: Here) -> Response:
    """The empty form of a new guest."""
    return page(request, "register.html", here, nav="desk")


@router.post("/guests/new")
async def register(
    request: Request, here: Here, phone: Typed, name: Typed, consent: Typed = "", birthday: Typed = ""
) -> Response:
    """A new guest. Nobody is taken for having agreed who was not asked."""
    written = {"phone": phone, "name": name, "birthday": birthday.strip() or None}
    if consent in ("yes", "no"):
        written["marketing_consent"] = consent == "yes"  # type: ignore[assignment]
    try:
        made = await customer.register(upstream(request), here.access, here.cafe.cafe_id, written)
    except RefusedCall as error:
        told = refused(error, look_of(request).language)
        values = {"phone": phone, "name": name, "consent": consent, "birthday": birthday}
        return page(request, "register.html", here, status=error.status, nav="desk", values=values, **told)
    return go(request, _guest(here.cafe.cafe_id, made.id))


def _guest(cafe_id: UUID, guest_id: UUID) -> str:
    return f"/c/{cafe_id}/guests/{guest_id}"

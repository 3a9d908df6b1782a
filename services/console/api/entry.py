"""The door: signing in and out, invitations, resets, the choice of a cafe, and how the pages look."""

from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.console.api import wall
from services.console.api.forms import Typed
from services.console.api.rendering import LOOK_COOKIE, THEMES, go, look_of, page, refused
from services.console.api.visiting import AnyVisitor, access_of, entered, upstream
from services.console.handlers import sessions
from services.console.rules import roles
from services.console.rules.words import LANGUAGES
from services.console.store import identity
from services.console.store.upstream import Away, RefusedCall, SignedOut

router = APIRouter(include_in_schema=False)

DEVICE_COOKIE = "device"
YEAR_SECONDS = 365 * 24 * 3600
NextPath = Annotated[str, Form(max_length=300, alias="next")]


@router.get("/")
async def front(request: Request) -> Response:
    """To the first page of a person with one cafe, to the choice of one, or to the sign-in."""
    session = wall.session_of(request)
    if session is None:
        return go(request, "/in")
    return _first_page(request, await entered(request, session))


@router.get("/in")
async def ask_to_sign_in(request: Request, next: str = "") -> Response:  # noqa: A002
    """The sign-in. `next`: the page that was asked for."""
    return page(request, "sign_in.html", values={"next": _own_path(next)})


@router.post("/in")
async def sign_in(request: Request, login: Typed, password: Typed, way: NextPath = "") -> Response:
    """Signs in, or says why not."""
    try:
        session, device = await sessions.sign_in(
            upstream(request), access_of(request), login.strip(), password, _device_token(request), wall.new_csrf()
        )
    except RefusedCall as error:
        told = refused(error, look_of(request).language)
        wait = error.retry_after if error.status == 429 else 0
        values = {"login": login, "next": _own_path(way), "wait": wait}
        return page(request, "sign_in.html", status=error.status, values=values, **told)
    wall.keep(request, session)
    answer = go(request, _own_path(way) or "/")
    if device:
        answer.set_cookie(
            DEVICE_COOKIE,
            device,
            YEAR_SECONDS,
            path="/in",
            secure=not _insecure(request),
            httponly=True,
            samesite="lax",
        )
    return answer


@router.post("/out")
async def sign_out(request: Request) -> Response:
    """Ends the session here and at identity."""
    try:
        if session := wall.session_of(request):
            visitor = await entered(request, session)
            await identity.sign_out(upstream(request), visitor.access)
    except (SignedOut, RefusedCall, Away):
        # It has ended already, or identity can't hear of it now: from this device it is gone in any case.
        pass
    wall.keep(request, None)
    answer = go(request, "/in")
    # What the browser keeps for when there is no line goes too, and the service worker with it.
    answer.headers["clear-site-data"] = '"storage"'
    return answer


@router.get("/cafes")
async def choose_cafe(request: Request, visitor: AnyVisitor) -> Response:
    """The cafes of the person."""
    return page(request, "cafes.html", visitor)


@router.get("/invitation")
async def show_invitation(request: Request) -> Response:
    """Asks for the code of an invitation: the link has it behind its #, which no server sees."""
    return page(request, "invitation.html", found=None)


@router.post("/invitation")
async def answer_invitation(request: Request, code: Typed, password: Typed = "") -> Response:
    """Shows what the invitation says; with a password, accepts it."""
    up, access = upstream(request), access_of(request)
    try:
        if password:
            await identity.accept_invitation(up, access, code.strip(), password)
            return page(request, "sign_in.html", here="/in", values={"login": "", "next": "", "joined": True})
        found = await identity.read_invitation(up, access, code.strip())
    except RefusedCall as error:
        told = refused(error, look_of(request).language)
        seen = await _invitation_again(request, code) if password else None
        return page(request, "invitation.html", status=error.status, found=seen, values={"code": code}, **told)
    return page(request, "invitation.html", found=found, values={"code": code})


@router.get("/reset")
async def show_reset(request: Request) -> Response:
    """Asks for a new password and the code."""
    return page(request, "reset.html")


@router.post("/reset")
async def use_reset(request: Request, code: Typed, password: Typed) -> Response:
    """Chooses a new password with a one-time code."""
    try:
        await identity.use_reset(upstream(request), access_of(request), code.strip(), password)
    except RefusedCall as error:
        told = refused(error, look_of(request).language)
        return page(request, "reset.html", status=error.status, values={"code": code}, **told)
    return page(request, "sign_in.html", here="/in", values={"login": "", "next": "", "changed": True})


@router.post("/look")
async def change_look(request: Request, language: Typed = "", theme: Typed = "", way: NextPath = "/") -> Response:
    """Another language, or light and dark, on this device."""
    look = look_of(request)
    chosen = language if language in LANGUAGES else look.chosen or ""
    shade = theme if theme in THEMES else look.theme
    answer = go(request, _own_path(way) or "/")
    answer.set_cookie(LOOK_COOKIE, f"{chosen}.{shade}", YEAR_SECONDS, secure=not _insecure(request), samesite="lax")
    return answer


async def _invitation_again(request: Request, code: str) -> object:
    try:
        return await identity.read_invitation(upstream(request), access_of(request), code.strip())
    except RefusedCall:
        return None


def _first_page(request: Request, visitor: AnyVisitor) -> Response:
    cafes = visitor.caller.cafes
    if len(cafes) != 1:
        return go(request, "/cafes")
    return go(request, first_page_in(cafes[0].cafe_id, manages=roles.may(cafes[0].role, "see_money")))


def first_page_in(cafe_id: UUID, *, manages: bool) -> str:
    """Who stands at the counter looks for a guest first, a manager at the day."""
    return f"/c/{cafe_id}/today" if manages else f"/c/{cafe_id}/desk"


def _own_path(address: str) -> str:
    """An address of ours, or nothing: nobody is sent elsewhere after the sign-in."""
    parts = urlsplit(address)
    own = address.startswith("/") and not address.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return address if own and parts.path == address and "\\" not in address else ""


def _device_token(request: Request) -> str | None:
    value = request.cookies.get(DEVICE_COOKIE, "")
    return value if 0 < len(value) <= 200 else None


def _insecure(request: Request) -> bool:
    insecure: bool = request.app.state.settings.console_insecure
    return insecure

"""A guest's own page, behind the link of an SMS or a receipt. It belongs to nobody who signs in: it sets no cookie,
reads none, has no script, and its address is the credential."""

from dataclasses import replace
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from services.console.api.rendering import FOLDER, catalogue, filled
from services.console.api.visiting import access_of, upstream
from services.console.handlers import own
from services.console.models.session import Access
from services.console.rules.speech import Speech
from services.console.store import own as store
from services.console.store.upstream import Away, RefusedCall
from shared.clock import now
from shared.consent import Channel, Purpose
from shared.errors import Rejected
from shared.inputs.fields import Opaque
from shared.persian.text import SpokenLanguage
from shared.security.addresses import client_address
from shared.security.guest_links import GuestLink, WrongGuestLink, read_guest_token
from shared.web import guest_page
from shared.web.rate_limits import Tries

router = APIRouter(include_in_schema=False)
# Counters of clicks add parameters of their own.
ADDRESSES: Final = ("/g/{token}",)
LinkSecret = Annotated[str, Opaque(1024)]
LanguageAsked = Annotated[str, Opaque(10)]
# In a minute. Only guesses count for an address: a whole cafe may look from one.
GUESSES_OF_AN_ADDRESS: Final = 20
USES_OF_A_LINK: Final = 60
CSS: Final = guest_page.styles(FOLDER / "templates" / "own.css")
HEADERS: Final = {
    "Content-Security-Policy": guest_page.policy(CSS),
    "Referrer-Policy": "no-referrer",
}
# What an API says of a link, and what the guest reads.
STATES: Final = ("unknown", "over", "gone", "busy", "away")
_ENDS: Final = {"guest_link_over": "over", "guest_link_gone": "gone", "guest_link_unknown": "unknown"}


@router.get("/g/{token}")
async def show_own_page(request: Request, token: LinkSecret, lang: LanguageAsked = "", done: bool = False) -> Response:
    """Points, visits and consents of the guest, or why there is no page."""
    try:
        link = opened(request, token)
        page = await own.show(upstream(request), _access(request, token))
    except (Rejected, RefusedCall, Away) as why:
        return _no_page(why, _language(lang, "fa"))
    language = _language(lang, "fa" if page.card.calendar == "jalali" else "en")
    speech = Speech(language, page.card.calendar, page.card.time_zone)
    return _html("own.html", speech, page=page, ends_at=link.ends_at, done=done)


@router.post("/g/{token}")
async def answer_on_own_page(
    request: Request,
    token: LinkSecret,
    channel: Annotated[Channel, Form()],
    purpose: Annotated[Purpose, Form()],
    granted: Annotated[bool, Form()],
    lang: Annotated[LanguageAsked, Form()] = "fa",
) -> Response:
    """Keeps a yes or no, and sends the browser on, so that going back says nothing twice."""
    try:
        opened(request, token)
        access = _access(request, token)
        await store.answer(upstream(request), access, channel=channel, purpose=purpose, granted=granted)
    except (Rejected, RefusedCall, Away) as why:
        return _no_page(why, _language(lang, "fa"))
    address = f"/g/{quote(token, safe='')}?lang={_language(lang, 'fa')}&done=true"
    return RedirectResponse(address, 303, HEADERS)


def opened(request: Request, token: str) -> GuestLink:
    """Whose link it is. Counts the use of a link, and of what is none, a guess of the address.

    Raises:
        Rejected: status 404, 410 or 429.
    """
    limits, address = _limits(request), client_address(request)
    limits.guesses.refuse_flood(address)
    limits.uses.refuse_flood(token)
    try:
        link = read_guest_token(request.app.state.settings.keys, token)
    except WrongGuestLink:
        limits.guesses.count(address)
        raise Rejected("unknown", "This link is not valid.", "این پیوند درست نیست.", status=404) from None
    limits.uses.count(token)
    if link.is_over(now()):
        raise Rejected("over", "This link has expired.", "زمان این پیوند گذشته است.", status=410)
    return link


class _OwnLimits:
    """What one process lets in."""

    def __init__(self) -> None:
        self.guesses = Tries(GUESSES_OF_AN_ADDRESS)
        self.uses = Tries(USES_OF_A_LINK)


def _limits(request: Request) -> _OwnLimits:
    state = request.app.state
    if not hasattr(state, "own_limits"):
        state.own_limits = _OwnLimits()
    limits: _OwnLimits = state.own_limits
    return limits


def _access(request: Request, token: str) -> Access:
    # The browser's name tells nothing that anybody needs here.
    return replace(access_of(request), device="", guest_link=token)


def _language(asked: str, otherwise: SpokenLanguage) -> SpokenLanguage:
    return "en" if asked == "en" else "fa" if asked == "fa" else otherwise


def _no_page(why: Rejected | RefusedCall | Away, language: SpokenLanguage) -> Response:
    if isinstance(why, Away):
        state, status = "away", 503
    elif isinstance(why, RefusedCall):
        state = _ENDS.get(why.code, "away")
        status = {"away": 503, "unknown": 404}.get(state, 410)
    else:
        state, status = {429: "busy", 410: "over"}.get(why.status, "unknown"), why.status
    return _html("own_gone.html", Speech(language), status, state=state)


def _html(template: str, speech: Speech, status: int = 200, **data: Any) -> Response:
    answer = filled(template, catalogue(), speech, status, css=CSS, **data)
    answer.headers.update(HEADERS)
    return answer

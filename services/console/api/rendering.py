"""Pages from templates: what every one of them is given, and nothing that a person did not ask for."""

import hashlib
import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache, partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import segno
from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from services.console.models.session import Insider, Visitor
from services.console.rules import chart, menu, roles
from services.console.rules.speech import Speech
from services.console.rules.words import LANGUAGES, Catalogue, flattened
from services.console.store.upstream import Away, RefusedCall
from shared import clock
from shared.persian.text import SpokenLanguage

FOLDER: Final = Path(__file__).parents[1]
LOOK_COOKIE: Final = "look"
THEMES: Final = ("auto", "light", "dark")
_COMMENT: Final = re.compile(r"<!--.*?-->\s*", re.S)
_OPENING: Final = re.compile(r"\s*<svg.*?>|</svg>\s*", re.S)


@dataclass(frozen=True)
class Look:
    """How a person sees the pages. `chosen`: the language they asked for; none where it is the cafe's."""

    language: SpokenLanguage = "fa"
    theme: str = "auto"
    chosen: SpokenLanguage | None = None


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """All texts of the console."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted((FOLDER / "words").glob("*.toml")):
        texts = flattened(tomllib.loads(path.read_text()))
        assert not found.keys() & texts.keys(), path
        found |= texts
    return Catalogue(found)


@lru_cache(maxsize=1)
def static_version() -> str:
    """A name for the files of `static/` as they are now: with it they may be kept for ever."""
    digest = hashlib.sha256()
    for path in sorted((FOLDER / "static").rglob("*.*")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


@lru_cache(maxsize=256)
def icon(name: str, size: str = "") -> Markup:
    """A picture beside a word; screen readers pass it over."""
    drawn = _OPENING.sub("", _COMMENT.sub("", (FOLDER / "icons" / f"{name}.svg").read_text()))
    return Markup(f'<svg class="i {size}" viewBox="0 0 24 24" aria-hidden="true">{drawn.strip()}</svg>')  # noqa: S704


def qr_code(text: str) -> Markup:
    """The text as a QR code."""
    drawn = segno.make(text, error="m").svg_inline(scale=4, border=2, omitsize=True, svgclass="qr")
    return Markup(drawn)  # noqa: S704


@lru_cache(maxsize=1)
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.tests["away"] = lambda value: isinstance(value, Away)
    made.globals.update(icon=icon, chart=chart, static=f"/static/{static_version()}")
    return made


def look_of(request: Request) -> Look:
    """The look of the request's cookie, as far as it is one of ours; else the language of the visitor's cafe."""
    language, _, theme = request.cookies.get(LOOK_COOKIE, "").partition(".")
    chosen: SpokenLanguage | None = next((each for each in LANGUAGES if each == language), None)
    return Look(chosen or _own_language(request), theme if theme in THEMES else "auto", chosen)


def _own_language(request: Request) -> SpokenLanguage:
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    if isinstance(visitor, Insider):
        return visitor.cafe.language
    return visitor.caller.cafes[0].language if visitor and visitor.caller.cafes else "fa"


def speech_of(look: Look, visitor: Visitor | None) -> Speech:
    """How the visitor is spoken to: by the cafe's calendar, clock and unit where they are in one."""
    if isinstance(visitor, Insider):
        cafe = visitor.cafe
        return Speech(look.language, cafe.calendar, cafe.time_zone, cafe.currency_unit)
    return Speech(look.language)


def is_fragment(request: Request) -> bool:
    """Whether the page asks for a part of itself only."""
    return request.headers.get("hx-request") == "true"


def page(
    request: Request, template: str, visitor: Visitor | None = None, *, status: int = 200, **data: Any
) -> HTMLResponse:
    """The page, filled. `data` is what the template shows beside what all have."""
    look = look_of(request)
    insider = visitor if isinstance(visitor, Insider) else None
    cafe = insider.cafe if insider else None
    every: dict[str, Any] = {
        "t": partial(catalogue().say, look.language),
        "known": catalogue().has,
        "s": speech_of(look, visitor),
        "look": look,
        "now": clock.now(),
        "visitor": visitor,
        "cafe": cafe,
        "base": f"/c/{cafe.cafe_id}" if cafe else "",
        "may": partial(roles.may, cafe.role) if cafe else (lambda _: False),
        "menu": menu.of_role(cafe.role) if cafe else (),
        "csrf": visitor.session.csrf if visitor else "",
        "exposed": request.app.state.settings.console_insecure and not _is_loopback(request),
        "error": None,
        "values": {},
        "faults": {},
        "nav": "",
        "here": request.url.path,
    }
    return HTMLResponse(_templates().get_template(template).render(every | data), status)


def filled(template: str, words: Catalogue, speech: Speech, status: int = 200, **data: Any) -> HTMLResponse:
    """A page for somebody who is no visitor: only words, numbers and what it is given."""
    every: dict[str, Any] = {"t": partial(words.say, speech.language), "s": speech, "language": speech.language}
    return HTMLResponse(_templates().get_template(template).render(every | data), status)


def refused(error: RefusedCall, language: SpokenLanguage) -> dict[str, Any]:
    """What a form shows of an API's no: the reason, and what to mend in which field."""
    own = {each.field.rpartition(".")[2]: each.fa if language == "fa" else each.en for each in error.faults}
    return {"error": error.fa if language == "fa" else error.en, "faults": own}


def go(request: Request, address: str) -> Response:
    """Has the browser load another page of ours, also when only a part of the page asked."""
    if is_fragment(request):
        return Response(status_code=200, headers={"HX-Redirect": address})
    return RedirectResponse(address, 303)


def _is_loopback(request: Request) -> bool:
    host = request.url.hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

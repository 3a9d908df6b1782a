"""What stands between a browser and the console: the sealed cookie, the proof that a form is ours, and the headers.

Every route that is not GET goes through `guarded`: `app.py` puts it on the router that holds all others.
"""

import secrets
import time
from typing import Any
from urllib.parse import urlsplit

import msgspec
from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.console.models.session import SealedSession
from shared.errors import Rejected
from shared.security.crypto import CannotUnseal, Keys, same, seal, unseal
from shared.settings import Settings

# Of one cookie a browser keeps 4096 bytes.
COOKIE_BYTES = 3800
_PLACE = {"table": "console", "column": "session", "row": "cookie"}
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'; "
    "worker-src 'self'"
)
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "x-robots-tag": "noindex, nofollow",
}
STATIC = "/static/"
# All that there is on a host of guests' own: nobody signs in where their links lead.
OWN_PAGES = "/g/"
_SAFE = ("GET", "HEAD")


def new_csrf() -> str:
    """What the forms of one session carry: 128 random bits."""
    return secrets.token_urlsafe(16)


def cookie_name(config: Settings) -> str:
    """With `__Host-` a browser takes the cookie only by TLS and only from this host (RFC 6265bis, 4.1.3.2)."""
    return "console" if config.console_insecure else "__Host-console"


def sealed(keys: Keys, session: SealedSession) -> str:
    """The cookie's value."""
    value = seal(keys, msgspec.json.encode(session).decode(), **_PLACE)
    assert len(value) <= COOKIE_BYTES
    return value


def session_of(request: Request) -> SealedSession | None:
    """The session of the request's cookie; None without one, or with one that is not ours."""
    config: Settings = request.app.state.settings
    value = request.cookies.get(cookie_name(config), "")
    try:
        return msgspec.json.decode(unseal(config.keys, value, **_PLACE), type=SealedSession)
    except (CannotUnseal, msgspec.MsgspecError):
        return None


def keep(request: Request, session: SealedSession | None) -> None:
    """Has the answer to this request set the cookie; None takes it away."""
    request.state.session_kept = session


async def guarded(request: Request) -> None:
    """Lets a request that changes something pass only when a page of ours made it: the browser says so, and the form
    carries the session's own token.

    Raises:
        Rejected: status 403.
    """
    if request.method in _SAFE:
        return
    session = session_of(request)
    form = await request.form()
    given = form.get("csrf")
    proven = session is None or (isinstance(given, str) and same(given.encode(), session.csrf.encode()))
    if not (_is_from_here(request) and proven):
        raise Rejected(
            "not_from_here",
            "This form did not come from a page of the console; load the page again.",
            "این فرم از صفحهٔ کنسول نیامده است؛ صفحه را دوباره باز کنید.",
            status=403,
        )


def _is_from_here(request: Request) -> bool:
    if site := request.headers.get("sec-fetch-site"):
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == request.headers.get("host")


class Headers:
    """Puts the headers on every answer, and the cookie where `keep` asked for it."""

    def __init__(self, app: ASGIApp, config: Settings) -> None:
        self.app, self.config = app, config
        guests, people = (urlsplit(each or "").netloc for each in (config.guest_url, config.console_url))
        self.guests = guests if guests != people else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self._is_of_guests(scope) and not scope["path"].startswith(OWN_PAGES):
            await PlainTextResponse("Not found", 404, HEADERS)(scope, receive, send)
            return
        state: dict[str, Any] = scope.setdefault("state", {})
        state["session_kept"] = ...

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith(STATIC) and message["status"] == 200:
                    headers["cache-control"] = "public, max-age=31536000, immutable"
                else:
                    headers["cache-control"] = "private, no-store"
                    headers.add_vary_header("HX-Request, Cookie")
                if state["session_kept"] is not ...:
                    headers.append("set-cookie", self._cookie(state["session_kept"]))
            await send(message)

        await self.app(scope, receive, dressed)

    def _is_of_guests(self, scope: Scope) -> bool:
        return bool(self.guests) and Request(scope).headers.get("host") == self.guests

    def _cookie(self, session: SealedSession | None) -> str:
        value = sealed(self.config.keys, session) if session else ""
        age = max(0, round(session.refresh_until - time.time())) if session else 0
        secure = "" if self.config.console_insecure else "; Secure"
        return f"{cookie_name(self.config)}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}{secure}"

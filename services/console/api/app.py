"""The console over HTTP."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette_compress import CompressMiddleware, remove_compress_type

from services.console.api import (
    approvals,
    board,
    bonuses,
    cafe,
    campaigns,
    chain,
    club,
    counter,
    desk,
    drafts,
    entry,
    feedback,
    guests,
    live,
    messages,
    month,
    offline,
    own,
    palette,
    rehearsals,
    reports,
    rewards,
    rules,
    segments,
    sms,
    start,
    today,
    visits,
    wall,
    why,
)
from services.console.api.rendering import FOLDER, go, is_fragment, look_of, page, static_version
from services.console.handlers.panels import panel, there
from services.console.models.people import LeaderOfCafe
from services.console.models.session import Insider
from services.console.store import identity
from services.console.store.upstream import Away, RefusedCall, SignedOut, Upstream
from shared.clock import new_id
from shared.errors import Rejected
from shared.process import telemetry
from shared.process.discreet import bare
from shared.settings import Settings
from shared.web.http import make_api

ROOMS = (
    entry, desk, why, counter, guests, today, visits, feedback, drafts, campaigns, approvals, reports, month, palette,
    start, bonuses, rehearsals, rewards, club, rules, messages, sms, cafe, segments, chain, live, offline, board,
)  # fmt: skip
OUTSIDE = (
    "/", "/in", "/out", "/look", "/cafes", "/invitation", "/reset", "/c/", "/me", "/static/", "/g/", "/healthz",
    "/chain", "/sw.js", "/offline",
)  # fmt: skip


def make_app(config: Settings | None = None) -> FastAPI:
    """The pages. `app.state.upstream` are the six APIs."""
    pages = APIRouter(dependencies=[Depends(wall.guarded)])
    for room in ROOMS:
        pages.include_router(room.router)
    app = make_api(
        "console", pages, own.router, config=config, max_body=64 * 1024, for_outside=OUTSIDE, any_query=own.ADDRESSES
    )
    inner = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.upstream, app.state.underway = Upstream(app.state.settings), Counter[UUID]()
        async with inner(app):
            yield
        await app.state.upstream.close()

    app.router.lifespan_context = lifespan
    app.mount(f"/static/{static_version()}", StaticFiles(directory=FOLDER / "static"), name="static")
    for kind, answer in _ANSWERS.items():
        app.add_exception_handler(kind, answer)
    # A compressor would keep a megabyte for each stream, for a few ids.
    remove_compress_type("text/event-stream")
    app.add_middleware(CompressMiddleware)
    app.add_middleware(wall.Headers, config=app.state.settings)
    return app


async def _signed_out(request: Request, _: Exception) -> Response:
    wall.keep(request, None)
    wanted = request.url.path if request.method == "GET" and not is_fragment(request) else ""
    return go(request, f"/in?next={wanted}" if wanted else "/in")


def _trouble(request: Request, status: int, title: str, **data: Any) -> Response:
    template = "trouble_part.html" if is_fragment(request) else "trouble.html"
    visitor = getattr(request.state, "visitor", None)
    return page(request, template, visitor, status=status, title=title, **({"leaders": ()} | data))


async def _refused(request: Request, error: RefusedCall) -> Response:
    said = error.fa if look_of(request).language == "fa" else error.en
    title = {403: "trouble.forbidden", 404: "trouble.missing", 429: "trouble.busy"}.get(error.status, "trouble.refused")
    leaders = await _leaders(request) if error.status == 403 else ()
    return _trouble(request, error.status, title, said=said, retry=False, leaders=leaders)


async def _leaders(request: Request) -> tuple[LeaderOfCafe, ...]:
    visitor = getattr(request.state, "visitor", None)
    if not isinstance(visitor, Insider):
        return ()
    asked = identity.list_leaders(request.app.state.upstream, visitor.access, visitor.cafe.cafe_id)
    try:
        return there(await panel(asked), ())
    except (RefusedCall, SignedOut):
        return ()


async def _rejected(request: Request, error: Rejected) -> Response:
    return await _refused(request, RefusedCall(error.status, error.code, error.en, error.fa, (), error.retry_after))


async def _away(request: Request, error: Away) -> Response:
    telemetry.logger().warning("upstream.away", service=error.service)
    return _trouble(request, 503, "trouble.away", said="", retry=request.method == "GET")


async def _http_error(request: Request, error: HTTPException) -> Response:
    return _trouble(request, error.status_code, "trouble.missing", said="", retry=False)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    missing = any(each["loc"][0] == "path" for each in error.errors())
    return _trouble(
        request, 404 if missing else 422, "trouble.missing" if missing else "trouble.refused", said="", retry=False
    )


async def _our_fault(request: Request, error: Exception) -> Response:
    incident = new_id()
    telemetry.logger().error("page.failed", incident=str(incident), error=type(error).__name__, exc_info=bare(error))
    return _trouble(request, 500, "trouble.broken", said=str(incident), retry=request.method == "GET")


_ANSWERS: dict[type[Exception], Any] = {
    SignedOut: _signed_out,
    RefusedCall: _refused,
    Rejected: _rejected,
    Away: _away,
    HTTPException: _http_error,
    RequestValidationError: _invalid,
    Exception: _our_fault,
}

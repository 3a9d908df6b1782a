"""The HTTP side of a service as one process: errors people can act on, health, metrics, limits. No Kafka here."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from fastapi.params import Cookie, Header, Path
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import ValidationError
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.clock import new_id
from shared.crashpoints import crashpoint
from shared.database import db
from shared.errors import Problem, Rejected
from shared.messaging.outbox import Waker
from shared.process import telemetry
from shared.process.discreet import bare
from shared.services import service_of
from shared.settings import Settings, settings
from shared.web import documents
from shared.web.validation_errors import problems_of

KIB = 1024
SENTENCES = {
    404: ("There is nothing at this address.", "در این نشانی چیزی نیست."),
    405: ("This address does not take that method; `Allow` names those that it does.", "این نشانی چنین کاری نمی‌پذیرد."),
    415: (
        "Send JSON, with Content-Type: application/json.",
        "بدنه را به شکل JSON و با Content-Type: application/json بفرستید.",
    ),
}
CODES = {404: "not_found", 405: "method_not_allowed"}
DOCS_MAY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
# What requests under way hold together, so that many large bodies at once don't take all memory.
MOST_HELD = 48 * 1024 * KIB
_NO_OBJECT = ("model_attributes_type", "model_type", "dict_type", "missing")
# Asked every few seconds by machines.
PROBES = ("/healthz", "/readyz", "/metrics")
_TRACE = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_PLAIN_NAME = re.compile("[A-Za-z0-9_.-]{1,60}")


def problem_body(status: int, code: str, en: str, fa: str, problems: Sequence[Problem] = ()) -> dict[str, Any]:
    """An RFC 9457 problem with its Persian twin and the list of faulty fields."""
    body: dict[str, Any] = {
        "type": f"urn:servaan:problem:{code}",
        "title": en,
        "title_fa": fa,
        "status": status,
        "code": code,
    }
    if problems:
        body["errors"] = [{"field": p.field, "code": p.code, "en": p.en, "fa": p.fa} for p in problems]
    return body


def problem_response(
    status: int,
    code: str,
    en: str,
    fa: str,
    problems: Sequence[Problem] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """`problem_body` as a response."""
    return JSONResponse(
        problem_body(status, code, en, fa, problems),
        status,
        dict(headers or {}),
        media_type="application/problem+json",
    )


def invalid(errors: Sequence[Mapping[str, Any]]) -> Rejected:
    """What a body that fails its model is answered with."""
    return invalid_fields(problems_of(errors))


def invalid_fields(problems: Sequence[Problem]) -> Rejected:
    """What input is answered with in which these fields are not right."""
    return Rejected("invalid_input", "Some fields are not right.", "برخی فیلدها درست نیستند.", problems=problems)


def make_api(
    service: str,
    *routers: APIRouter,
    config: Settings | None = None,
    max_body: int = 256 * KIB,
    any_query: Collection[str] = (),
    for_outside: Sequence[str] = (),
) -> FastAPI:
    """The service's application.

    `app.state.settings` is there while it runs, and `app.state.pool` and `app.state.waker` when the service has a
    database; `app.state.ends` is set when answers that last must end. `max_body` in bytes. `any_query`:
    paths whose addresses get parameters from others, such as click counters; on all other paths an unknown parameter is
    refused. `for_outside`: the paths that are served, with all below them, on the port for people from outside ("/" is
    itself alone); that port serves nothing else.
    """
    config, has_database = config or settings(), service_of(service).has_database

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        telemetry.configure_logging(f"{service}-api", config.log_level)
        if has_database:
            app.state.pool = await db.open_pool(config.dsn(service), max_size=6, name=f"{service} api")
            app.state.waker = Waker(app.state.pool)
        try:
            yield
        finally:
            crashpoint("api.in_shutdown")
            if has_database:
                await app.state.pool.close()

    app = FastAPI(
        title=f"Servaan CRM: {service}",
        version="1",
        description="Errors are problem+json (RFC 9457), in English and Persian. Amounts are in the `currency_unit`"
        " beside them: the cafe's own, IRT (Toman) or IRR (Rial), and for what SMS cost always IRR.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # A redirect would repeat whatever host the caller names.
        redirect_slashes=False,
        generate_unique_id_function=documents.name_operations,
        dependencies=[Depends(refuse_unknown_query)],
    )
    app.openapi = partial(documents.document, app)  # type: ignore[method-assign]
    app.state.settings = config
    app.state.any_query = frozenset(any_query)
    app.state.known_queries = {}
    app.state.draining = False
    app.state.ends = asyncio.Event()
    for router in routers:
        app.include_router(router)
    _add_health(app, has_database=has_database)
    _add_errors(app)
    app.add_middleware(Limits, max_body=max_body)
    if for_outside:
        app.add_middleware(OutsideOnly, service=service, state=app.state, prefixes=tuple(for_outside))
    app.add_middleware(Measured, service=service, state=app.state)
    return app


async def refuse_unknown_query(request: Request) -> None:
    """Refuses parameters that the route does not know: a filter that is silently ignored would answer something else.

    Raises:
        Rejected: naming each of them.
    """
    if not request.scope["query_string"] or request.scope["route"].path in request.app.state.any_query:
        return
    known = _known_query(request)
    strange = [name for name in dict.fromkeys(request.query_params) if name not in known]
    if strange and not _is_meant(request):
        raise HTTPException(405)
    if strange:
        en = f"There is no such parameter here; there are: {', '.join(sorted(known)) or 'none'}."
        fa = f"چنین پارامتری اینجا نیست؛ این‌ها هست: {'، '.join(sorted(known)) or 'هیچ'}."
        # What is no plain name is not repeated.
        names = [name if _PLAIN_NAME.fullmatch(name) else "?" for name in strange[:20]]
        raise invalid_fields([Problem(name, "unknown_parameter", en, fa) for name in names])


def _known_query(request: Request) -> frozenset[str]:
    known: dict[Any, frozenset[str]] = request.app.state.known_queries
    route = request.scope["route"]
    if route.endpoint not in known:
        declared = get_flat_params(route.dependant)
        # The fields of a model that holds a route's parameters are none of these kinds.
        known[route.endpoint] = frozenset(
            field.alias for field in declared if not isinstance(field.field_info, Path | Header | Cookie)
        )
    return known[route.endpoint]


def _add_health(app: FastAPI, *, has_database: bool) -> None:
    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok")

    @app.get("/readyz", include_in_schema=False)
    async def readyz(request: Request) -> PlainTextResponse:
        if request.app.state.draining:
            return PlainTextResponse("stopping", 503)
        if has_database:
            await request.app.state.pool.fetchval("SELECT 1", timeout=2)
        return PlainTextResponse("ready")

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(documents.page(app.openapi()), headers={"Content-Security-Policy": DOCS_MAY})


async def _rejected(_: Request, error: Rejected) -> JSONResponse:
    headers = {"Retry-After": str(error.retry_after)} if error.status in (429, 503) else None
    return problem_response(error.status, error.code, error.en, error.fa, error.problems, headers)


async def _invalid_input(request: Request, error: RequestValidationError | ValidationError) -> JSONResponse:
    errors = error.errors()
    if any(each["loc"][0] == "path" for each in errors) and not _is_meant(request):
        return await _http_error(request, HTTPException(405))
    no_object = any(each["loc"] == ("body",) and each["type"] in _NO_OBJECT for each in errors)
    if no_object and request.headers.get("content-length") != "0" and not _is_json(request):
        return problem_response(415, "unsupported_media_type", *SENTENCES[415])
    return await _rejected(request, invalid(errors))


async def _http_error(request: Request, error: HTTPException) -> JSONResponse:
    if isinstance(error.__cause__, Rejected):
        return await _rejected(request, error.__cause__)
    if error.status_code == 400:
        # The only one of the framework's own: bytes that are no JSON, or beyond its means.
        return await _rejected(
            request, invalid([{"loc": ("body",), "type": "json_invalid", "msg": "This is not valid JSON."}])
        )
    headers = {"Allow": _methods(request)} if error.status_code == 405 else error.headers
    en, fa = SENTENCES.get(error.status_code, ("The request was refused.", "درخواست پذیرفته نشد."))
    code = CODES.get(error.status_code, "http_error")
    return problem_response(error.status_code, code, en, fa, headers=headers)


async def _our_fault(_: Request, error: Exception) -> JSONResponse:
    incident = new_id()
    telemetry.logger().error("request.failed", incident=str(incident), error=type(error).__name__, exc_info=bare(error))
    return problem_response(
        500,
        "internal",
        f"Something broke on our side (incident {incident}).",
        f"خطایی در سامانه رخ داد ({incident}).",
    )


async def _put_off(request: Request, error: Exception) -> JSONResponse:
    if not db.is_outage(error):
        return await _our_fault(request, error)
    telemetry.logger().warning("request.put_off", error=type(error).__name__)
    return problem_response(
        503, "unavailable", "The database is away; try again.", "پایگاه داده در دسترس نیست؛ دوباره تلاش کنید.",
        headers={"Retry-After": "1"},
    )  # fmt: skip


def _add_errors(app: FastAPI) -> None:
    handlers: dict[type[Exception], Any] = {
        Rejected: _rejected,
        RequestValidationError: _invalid_input,
        ValidationError: _invalid_input,
        HTTPException: _http_error,
        Exception: _our_fault,
        **dict.fromkeys(db.OUTAGES, _put_off),
    }
    for kind, answer in handlers.items():
        app.add_exception_handler(kind, answer)


def _methods(request: Request) -> str:
    """The methods that the request's path takes. Where several routes fit, the one counts that names most of the
    path."""
    routes = [route for route in _routes(request.app) if route.path_regex.match(request.scope["path"])]
    best = min((_looseness(route) for route in routes), default=None)
    chosen = [route for route in routes if _looseness(route) == best]
    return ", ".join(sorted({method for route in chosen for method in route.methods or ()}))


def _looseness(route: APIRoute) -> tuple[int, int]:
    return len(route.param_convertors), -len(re.sub("{[^}]*}", "", route.path))


def _is_meant(request: Request) -> bool:
    """False when the path is that of another route, which does not take this method."""
    return request.method in _methods(request).split(", ")


def _routes(app: FastAPI) -> list[APIRoute]:
    routers = [app.router, *(each.original_router for each in app.routes if hasattr(each, "original_router"))]
    return [each for router in routers for each in router.routes if isinstance(each, APIRoute)]


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


class Limits:
    """Refuses bodies over `max_body` bytes, whether or not their length is announced, and what is too much at once."""

    def __init__(self, app: ASGIApp, max_body: int) -> None:
        self.app, self.max_body, self.held = app, max_body, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self.max_body:
            await self._refuse(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            size = len(message.get("body", b""))
            taken += size
            self.held += size
            if taken > self.max_body:
                raise self._too_large()
            if self.held > MOST_HELD:
                raise Rejected(
                    "busy", "Too much is under way; try again.", "سامانه پرکار است؛ دوباره تلاش کنید.", status=503
                )
            return message

        try:
            await self.app(scope, counted, send)
        finally:
            self.held -= taken

    def _too_large(self) -> Rejected:
        en, fa = f"At most {self.max_body} bytes.", "درخواست بیش از اندازه بزرگ است."
        return Rejected("too_large", en, fa, status=413)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        why = self._too_large()
        await problem_response(why.status, why.code, why.en, why.fa)(scope, receive, send)


class OutsideOnly:
    """On the port for people from outside there is nothing but what they need: no other routes, no documents, no
    metrics."""

    def __init__(self, app: ASGIApp, service: str, state: State, prefixes: tuple[str, ...]) -> None:
        self.app, self.service, self.state = app, service, state
        self.whole = frozenset(prefixes)
        self.beginnings = tuple(f"{each.rstrip('/')}/" for each in prefixes if each != "/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        port = self.state.settings.outside_port(self.service)
        outside = scope["type"] == "http" and port is not None and (scope.get("server") or ("", 0))[1] == port
        if outside and scope["path"] not in self.whole and not scope["path"].startswith(self.beginnings):
            await problem_response(404, "not_found", *SENTENCES[404])(scope, receive, send)
            return
        await self.app(scope, receive, send)


class Measured:
    """Time and one log line of each request by route, under an id for the caller to quote: theirs or a new one."""

    def __init__(self, app: ASGIApp, service: str, state: State) -> None:
        self.app, self.service, self.state = app, service, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500
        trace = correlation_of(dict(scope["headers"]))
        scope.setdefault("state", {})["correlation_id"] = trace

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if scope["method"] == "POST":
                    crashpoint("api.before_answer")
                message["headers"] = [*message["headers"], (b"x-correlation-id", str(trace).encode())]
                if self.state.draining:
                    # The client's next request must not meet the end of this connection.
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            seconds = time.perf_counter() - started
            telemetry.REQUESTS.labels(self.service, scope["method"], route, status).observe(seconds)
            if route not in PROBES:
                telemetry.logger().info(
                    "request.answered", method=scope["method"], route=route, status=status, seconds=round(seconds, 4),
                    correlation_id=str(trace),
                )  # fmt: skip


def correlation_of(headers: Mapping[bytes, bytes]) -> UUID:
    """What a request and all that follows from it is found by, from its headers (names in small letters).

    The trace id of a W3C `traceparent`, or a UUID in `x-correlation-id`, which answers bear too. Anything else could
    hold a name: such a request gets a new id.
    """
    trace = _TRACE.fullmatch(headers.get(b"traceparent", b""))
    for given in (trace[1] if trace else b"", headers.get(b"x-correlation-id", b"")):
        with contextlib.suppress(ValueError):
            return UUID(given.decode("latin-1"))
    return new_id()

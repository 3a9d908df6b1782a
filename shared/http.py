"""The HTTP side of a service as one process: errors people can act on, health, metrics, limits. No Kafka here."""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from types import FrameType
from typing import Any
from uuid import UUID

import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import make_asgi_app
from pydantic import ValidationError
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import db, telemetry
from shared.clock import new_id
from shared.crashpoints import crashpoint
from shared.discreet import bare
from shared.errors import Problem, Rejected
from shared.memory import rarely_collect
from shared.outbox import Waker
from shared.problems import problems_of
from shared.settings import Settings, settings

KIB = 1024
# A request that takes longer is cut when the process stops.
LONGEST_REQUEST_SECONDS = 15
# Whoever ends an idle connection may meet a request that is on its way. So the client does: most give one up after 5 s,
# balancers after 60 s, and one that is used while we drain is ended by its answer.
IDLE_CONNECTION_SECONDS = 75


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
    return Rejected(
        "invalid_input",
        "Some fields are not right.",
        "برخی فیلدها درست نیستند.",
        problems=problems_of(errors),
    )


def make_api(service: str, *routers: APIRouter, config: Settings | None = None, max_body: int = 256 * KIB) -> FastAPI:
    """The service's application.

    `app.state.pool`, `app.state.settings` and `app.state.waker` are there while it runs. `max_body` in bytes.
    """
    config = config or settings()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        telemetry.configure_logging(f"{service}-api", config.log_level)
        app.state.pool = await db.open_pool(config.dsn(service), max_size=6, name=f"{service} api")
        app.state.waker = Waker(app.state.pool)
        try:
            yield
        finally:
            crashpoint("api.in_shutdown")
            await app.state.pool.close()

    app = FastAPI(title=f"Servaan CRM: {service}", version="1", lifespan=lifespan, redoc_url=None)
    app.state.settings = config
    app.state.draining = False
    for router in routers:
        app.include_router(router)
    _add_health(app)
    _add_errors(app)
    app.add_middleware(Limits, max_body=max_body)
    app.add_middleware(Measured, service=service, state=app.state)
    return app


def run(app: FastAPI, service: str) -> None:
    """Serves the application until SIGTERM, and a little longer. Exit code 3 when it could not start."""
    config: Settings = app.state.settings
    server = Server(
        uvicorn.Config(
            app,
            host=config.host,
            port=config.http_port(service),
            log_config=None,
            access_log=False,
            loop="uvloop",
            # Whose word about addresses is believed is settled in `client_address`.
            proxy_headers=False,
            timeout_keep_alive=IDLE_CONNECTION_SECONDS,
            timeout_graceful_shutdown=LONGEST_REQUEST_SECONDS,
        ),
        app.state,
    )
    rarely_collect()
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(3)


class Server(uvicorn.Server):
    """On SIGTERM it says that it is not ready, and serves on until every balancer has noticed; only then it stops."""

    def __init__(self, config: uvicorn.Config, state: State) -> None:
        super().__init__(config)
        self.state = state

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by the signal."""
        seconds = self.state.settings.drain_seconds
        if sig != signal.SIGTERM or not self.started or not seconds or self.state.draining:
            super().handle_exit(sig, frame)
            return
        self.state.draining = True
        loop, stop = asyncio.get_running_loop(), super().handle_exit
        # From a signal handler the loop must be woken.
        loop.call_soon_threadsafe(loop.call_later, seconds, stop, sig, frame)


def _add_health(app: FastAPI) -> None:
    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok")

    @app.get("/readyz", include_in_schema=False)
    async def readyz(request: Request) -> PlainTextResponse:
        if request.app.state.draining:
            return PlainTextResponse("stopping", 503)
        await request.app.state.pool.fetchval("SELECT 1", timeout=2)
        return PlainTextResponse("ready")

    app.mount("/metrics", make_asgi_app())


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(Rejected)
    async def rejected(_: Request, error: Rejected) -> JSONResponse:
        headers = {"Retry-After": "1"} if error.status in (429, 503) else None
        return problem_response(error.status, error.code, error.en, error.fa, error.problems, headers)

    @app.exception_handler(RequestValidationError)
    @app.exception_handler(ValidationError)
    async def invalid_input(_: Request, error: RequestValidationError | ValidationError) -> JSONResponse:
        refused = invalid(error.errors())
        return problem_response(refused.status, refused.code, refused.en, refused.fa, refused.problems)

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> JSONResponse:
        return problem_response(
            error.status_code, "http_error", str(error.detail), "درخواست پذیرفته نشد.", headers=error.headers
        )

    @app.exception_handler(Exception)
    async def our_fault(_: Request, error: Exception) -> JSONResponse:
        incident = new_id()
        telemetry.logger().error(
            "request.failed", incident=str(incident), error=type(error).__name__, exc_info=bare(error)
        )
        return problem_response(
            500,
            "internal",
            f"Something broke on our side (incident {incident}).",
            f"خطایی در سامانه رخ داد ({incident}).",
        )

    async def put_off(request: Request, error: Exception) -> JSONResponse:
        if not db.is_outage(error):
            return await our_fault(request, error)
        telemetry.logger().warning("request.put_off", error=type(error).__name__)
        return problem_response(
            503, "unavailable", "The database is away; try again.", "پایگاه داده در دسترس نیست؛ دوباره تلاش کنید.",
            headers={"Retry-After": "1"},
        )  # fmt: skip

    for outage in db.OUTAGES:
        app.add_exception_handler(outage, put_off)


class Limits:
    """Refuses bodies over `max_body` bytes, whether or not their length is announced."""

    def __init__(self, app: ASGIApp, max_body: int) -> None:
        self.app, self.max_body = app, max_body

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
            taken += len(message.get("body", b""))
            if taken > self.max_body:
                raise Rejected(
                    "too_large",
                    f"At most {self.max_body} bytes.",
                    "درخواست بیش از اندازه بزرگ است.",
                    status=413,
                )
            return message

        await self.app(scope, counted, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = problem_response(
            413, "too_large", f"At most {self.max_body} bytes.", "درخواست بیش از اندازه بزرگ است."
        )
        await answer(scope, receive, send)


class Measured:
    """Time of each request by route, and an id for the caller to quote: the trace id, theirs or a new one."""

    def __init__(self, app: ASGIApp, service: str, state: State) -> None:
        self.app, self.service, self.state = app, service, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500
        trace = trace_of(dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1"))
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
            telemetry.REQUESTS.labels(self.service, scope["method"], route, status).observe(
                time.perf_counter() - started
            )


def trace_of(traceparent: str | None) -> UUID:
    """The trace id of a W3C traceparent as a UUID; a new one when it is missing or malformed."""
    parts = (traceparent or "").split("-")
    if len(parts) == 4 and len(parts[1]) == 32:
        with contextlib.suppress(ValueError):
            return UUID(hex=parts[1])
    return new_id()

"""The live stream as a process: follows the topics, and serves `GET /live/{cafe_id}` inside of the installation.

It takes nothing in and keeps nothing, so it has no database, no inbox and no group. Only the console's API is meant to
call it, but it believes nobody: whose token it is and which role they have, it finds out by itself.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import uvicorn
import uvloop
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from services.console.handlers.live import Hub, Seat
from services.console.rules import live
from services.console.store.upstream import Upstream
from shared.errors import Rejected
from shared.messaging import library_patches
from shared.messaging.library_patches import LibraryChanged
from shared.messaging.tail import Tail
from shared.process import telemetry
from shared.process.memory import rarely_collect
from shared.process.priority import give_way, niceness_of
from shared.security.auth import published_keys, verify_staff
from shared.settings import Settings, settings

SINCE_SECONDS = 600.0
HEARTBEAT_SECONDS = 15.0
# For a last word to a reader that still reads.
LAST_WORD_SECONDS = 1.0
STOP_SECONDS = 5
SEATS = Gauge("crm_live_seats", "Streams that are open")
SIGNS = Gauge("crm_live_signs", "Signs that are kept for who comes again")
HEAD = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"private, no-store"),
    (b"x-accel-buffering", b"no"),
]


class LiveApp(Starlette):
    """The worker's application; `hub` and `tail` are its parts."""

    def __init__(self, config: Settings) -> None:
        self.hub = Hub(
            Upstream(config),
            partial(verify_staff, keys=published_keys(config.identity_url), issuer=config.identity_url),
        )
        self.tail = Tail(
            "console", config, live.TOPICS, frozenset((*live.SHOWN, *live.ENDING)), self.hub.hear, self.hub.say_live,
            SINCE_SECONDS,
        )  # fmt: skip
        SEATS.set_function(lambda: self.hub.count)
        SIGNS.set_function(lambda: self.hub.rings.total)
        routes = [
            Route("/live/{cafe_id:uuid}", Streams(self.hub)),
            Route("/healthz", _healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", _metrics),
        ]
        super().__init__(routes=routes, lifespan=self._lifespan)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Any) -> AsyncIterator[None]:
        following = asyncio.create_task(self.tail.run())
        try:
            yield
        finally:
            following.cancel()
            await asyncio.wait([following], timeout=STOP_SECONDS)
            await self.hub.up.close()

    async def _readyz(self, _: Request) -> Response:
        ready = self.tail.live and not self.hub.closed
        return PlainTextResponse("ready" if ready else "not ready", 200 if ready else 503)


async def _healthz(_: Request) -> Response:
    return PlainTextResponse("ok")


async def _metrics(_: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


class Streams:
    """The stream of one cafe to one person."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            if request.method != "GET":
                raise Rejected("method_not_allowed", "Only GET.", "فقط GET.", status=405)
            given = token if kind.lower() == "bearer" else ""
            place = request.headers.get("last-event-id", "")
            seat = await self.hub.enter(given, request.path_params["cafe_id"], place)
        except Rejected as error:
            await _refusal(error)(scope, receive, send)
            return
        try:
            await self._serve(seat, receive, send)
        finally:
            self.hub.leave(seat)
            telemetry.logger().info("stream.ended", reason=seat.over or "left")

    async def _serve(self, seat: Seat, receive: Receive, send: Send) -> None:
        telling = asyncio.create_task(_tell(seat, send))
        watching = asyncio.create_task(self.hub.watch(seat))
        leaving = asyncio.create_task(_left(receive))
        ending = asyncio.create_task(seat.ended.wait())
        tasks = (telling, watching, leaving, ending)
        try:
            await asyncio.wait((telling, leaving, ending), return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                await asyncio.wait((telling, leaving), timeout=LAST_WORD_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _tell(seat: Seat, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": HEAD})
    while True:
        said = await seat.told(HEARTBEAT_SECONDS) if seat.over is None or seat.waiting else b""
        await send({"type": "http.response.body", "body": said, "more_body": bool(said)})
        if not said:
            return


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _refusal(error: Rejected) -> Response:
    body = {"status": error.status, "code": error.code, "title": error.en, "title_fa": error.fa}
    headers = {"retry-after": str(error.retry_after)} if error.status in (429, 503) else None
    content = json.dumps({"type": f"urn:servaan:problem:{error.code}", **body}, ensure_ascii=False)
    return Response(content, error.status, headers, "application/problem+json")


class LiveServer(uvicorn.Server):
    """Ends the streams when it is told to stop: it would wait for them."""

    async def shutdown(self, sockets: Any = None) -> None:
        """Called once nothing new is accepted."""
        app: Any = self.config.app
        app.hub.close()
        await super().shutdown(sockets)


def serving(app: LiveApp, host: str, port: int) -> uvicorn.Config:
    """How the application is served."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        lifespan="on",
        ws="none",
        timeout_graceful_shutdown=STOP_SECONDS,
    )


def run() -> None:
    """Runs the worker until SIGTERM. Exit code 1 when it must not start."""
    config = settings()
    telemetry.configure_logging("console-worker", config.log_level)
    give_way(niceness_of(takes_in=False, gathers=False))
    try:
        library_patches.install()
    except LibraryChanged as error:
        telemetry.logger().critical("start.refused", reason=str(error))
        sys.exit(1)
    rarely_collect()
    uvloop.install()
    LiveServer(serving(LiveApp(config), config.host, config.worker_port("console"))).run()


if __name__ == "__main__":
    run()

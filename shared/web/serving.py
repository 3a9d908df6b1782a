"""An API as a process: its ports, how it ends, and what a connection may cost before anybody knows whose it is."""

import asyncio
import signal
import socket
import sys
from types import FrameType
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from starlette.datastructures import State
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from shared.process import telemetry
from shared.process.facts import require_secret_or_exit
from shared.process.memory import rarely_collect
from shared.services import service_of
from shared.settings import Settings
from shared.web.http import KIB, problem_response

# A request that takes longer is cut when the process stops.
LONGEST_REQUEST_SECONDS = 15
# Closing an idle connection may cross a request that is on its way, so we let the client close it first: most do after
# 5 s, balancers after 60 s. A connection that is used while we drain is closed by its answer.
IDLE_CONNECTION_SECONDS = 75
MOST_CONNECTIONS = 1000
HEAD_BYTES = 32 * KIB
HEAD_SECONDS = 10
MOST_HEADERS = 100
# A full batch of a till over a slow line.
BODY_SECONDS = 60


def run(app: FastAPI, service: str) -> None:
    """Serves the application until SIGTERM, and a little longer. Exit code 3 when it could not start, 1 when the secret
    is not that of the database."""
    config: Settings = app.state.settings
    telemetry.configure_logging(f"{service}-api", config.log_level)
    if service_of(service).has_database:
        require_secret_or_exit(config, service)
    server = Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            loop="uvloop",
            http=BoundedProtocol,
            ws="none",
            # Whose word about addresses is believed is settled in `client_address`.
            proxy_headers=False,
            timeout_keep_alive=IDLE_CONNECTION_SECONDS,
            timeout_graceful_shutdown=LONGEST_REQUEST_SECONDS,
        ),
        app.state,
    )
    ports = [config.http_port(service)]
    if outside := config.outside_port(service):
        ports.append(outside)
    rarely_collect()
    try:
        server.run([listening(config.host, port) for port in ports])
    except OSError as error:
        telemetry.logger().error("api.no_port", host=config.host, ports=ports, reason=error.strerror)
    except KeyboardInterrupt:
        return
    if not server.started:
        sys.exit(3)


def listening(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=MOST_CONNECTIONS)


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

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends what lasts, and waits for the rest."""
        self.state.ends.set()
        await super().shutdown(sockets)


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with bounds: of connections, of the head's bytes, headers and seconds, of the body's seconds.

    uvicorn's own parser keeps an unfinished header whatever its length, and waits for the rest without end.
    """

    clock: asyncio.TimerHandle | None = None
    # What is waited for, in seconds from when it began; nothing while a request is answered.
    waits: float | None = None
    in_head = True
    refused = False
    head_bytes = 0
    # Bytes of a body's frame, which are not the body's own: sizes of chunks, and headers after the last.
    frame_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes the connection, or ends it at once when there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._wait(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
        self._wait(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parses what came. What is left unfinished of a head or a frame counts, and has its time."""
        if self.refused:
            return
        self.head_bytes += len(data)
        self.frame_bytes += len(data)
        super().data_received(data)
        if self.refused:
            return
        if (self.in_head and self.head_bytes > HEAD_BYTES) or self.frame_bytes > HEAD_BYTES:
            self._refuse(431, "header_too_large", "The headers are too large.", "سرآیندها بیش از اندازه بزرگ‌اند.")
        elif not self.in_head:
            self._wait(BODY_SECONDS)
        else:
            self._wait(None if self._is_answering() else HEAD_SECONDS)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keeps a header; those after the body are of no use to anybody."""
        if self.in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The body begins."""
        if self.refused:
            return
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if len(self.headers) > MOST_HEADERS or size > HEAD_BYTES:
            self._refuse(431, "header_too_large", "The headers are too large.", "سرآیندها بیش از اندازه بزرگ‌اند.")
            return
        self.in_head, self.frame_bytes = False, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body. Small chunks have frames of several times their size."""
        if not self.refused:
            self.frame_bytes = max(0, self.frame_bytes - 8 * len(body))
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Nothing is awaited from the client until the answer is out."""
        if not self.refused:
            self.in_head, self.head_bytes, self.frame_bytes = True, 0, 0
            super().on_message_complete()

    def _is_answering(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _wait(self, seconds: float | None) -> None:
        # Most requests come whole: they touch no clock.
        if seconds == self.waits:
            return
        if self.clock is not None:
            self.clock.cancel()
        self.waits = seconds
        self.clock = None if seconds is None else self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        self._refuse(408, "too_slow", "The request took too long to arrive.", "درخواست بیش از اندازه کند رسید.")

    def _refuse(self, status: int, code: str, en: str, fa: str) -> None:
        self.refused = True
        self._wait(None)
        # Beside an answer that is under way this one would be taken for a part of it.
        if self.in_head and not self._is_answering() and not self.transport.is_closing():
            self.transport.write(_written(problem_response(status, code, en, fa)))
        self.transport.close()


def _written(answer: Any) -> bytes:
    head = b"".join(b"%s: %s\r\n" % header for header in answer.raw_headers)
    return b"HTTP/1.1 %d\r\n%sconnection: close\r\n\r\n%s" % (answer.status_code, head, answer.body)

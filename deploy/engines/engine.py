"""What every way of getting a database server or a broker has in common."""

import asyncio
import random
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy import pids
from shared.messaging.clients import opened

EngineKind = Literal["postgres", "kafka"]


class EngineError(Exception):
    """A server could not be found or started; the message says what to do about it."""


@dataclass(frozen=True)
class Engine:
    """One running PostgreSQL server or Kafka broker.

    `url` is the administrator's DSN, or the bootstrap servers. Exactly one of `process` and `container` is set when we
    started it; neither when somebody else runs it (then it is never stopped by us).
    """

    kind: EngineKind
    url: str
    process: pids.Process | None = None
    container: str | None = None


# Of servers that live, not of those of tests, where each test has databases of its own and visiting them all is work.
LIVE = {
    # Plans made while a table was empty are bad for its first thousands of rows, and stay until it is analyzed; a tenth
    # more rows change none of them.
    "autovacuum_naptime": "10s",
    "autovacuum_analyze_scale_factor": "0.5",
    # A new file of the write-ahead log is filled with zeros first, and for 50 to 150 ms every commit waits: used ones
    # are kept to be used again, as many as 300 bills a second fill in three minutes.
    "min_wal_size": "1GB",
    # After a checkpoint each page is logged whole once more, and among a million guests a visit's pages are rarely the
    # last one's: an eighth of its cost. The price is a longer recovery after a crash, up to some minutes.
    "checkpoint_timeout": "30min",
    "max_wal_size": "16GB",
}


def postgres_settings(fsync: bool, max_connections: int, shared_buffers: str) -> dict[str, str]:
    """What every PostgreSQL server of ours is told, wherever it runs."""
    durable = "on" if fsync else "off"
    return {
        "max_connections": str(max_connections),
        "shared_buffers": shared_buffers,
        "random_page_cost": "1.1",
        "fsync": durable,
        "synchronous_commit": durable,
        "full_page_writes": durable,
        **(LIVE if fsync else {"max_wal_size": "4GB"}),
    }


def as_options(settings: dict[str, str]) -> list[str]:
    """Server settings as arguments of `postgres`."""
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]


def free_port(*, but: int | None = None) -> int:
    """A port nobody listens on, and not `but`, below the range the kernel hands to outgoing connections.

    A server that is stopped and started again must find its port unused; from the kernel's range any client could
    have taken it meanwhile.
    """
    for port in random.sample(range(20000, 32000), 50):
        if port != but and port_is_free(port):
            return port
    raise EngineError("no free port between 20000 and 32000")


def port_is_free(port: int) -> bool:
    """True when a server could listen on this port of the loopback address now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def wait_ready(engine: Engine, log: Path, *, seconds: float) -> None:
    """Wait until the server of a process we just started answers.

    Waits with an event loop of its own: from async code call it through `asyncio.to_thread`.
    Raises EngineError, with the last lines of the log, when the process ends first or `seconds` pass.
    """
    process = engine.process
    if process is None:
        raise ValueError("only a process of ours is waited for here")
    until = time.monotonic() + seconds
    while not answers(engine):
        if not pids.is_running(process):
            raise EngineError(f"{engine.kind} ended while starting:\n{last_lines(log)}")
        if time.monotonic() > until:
            pids.kill(process)
            raise EngineError(f"{engine.kind} was not ready after {seconds:.0f} s:\n{last_lines(log)}")
        time.sleep(0.05)


def answers(engine: Engine) -> bool:
    """True when the server can be worked with: a login succeeds, or the broker describes its cluster."""
    host, port = address(engine.url)
    # A closed port is told apart first: the Kafka client would log an error for every refused attempt.
    with socket.socket() as probe:
        if probe.connect_ex((host, port)) != 0:
            return False
    return asyncio.run(_logs_in(engine.url) if engine.kind == "postgres" else _describes_cluster(engine.url))


def address(url: str) -> tuple[str, int]:
    """Host and port of a DSN, or of the first of several bootstrap servers."""
    parts = urlsplit(url if "://" in url else f"kafka://{url.split(',', maxsplit=1)[0]}")
    return parts.hostname or "127.0.0.1", parts.port or (5432 if "://" in url else 9092)


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a log file, for an error message."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:])


async def _logs_in(dsn: str) -> bool:
    try:
        connection = await asyncpg.connect(dsn, timeout=5)
    except (asyncpg.CannotConnectNowError, OSError):
        return False
    await connection.close()
    return True


async def _describes_cluster(servers: str) -> bool:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers, request_timeout_ms=5000)
    try:
        async with opened(admin):
            return bool((await admin.describe_cluster())["brokers"])
    except (KafkaError, OSError):
        return False

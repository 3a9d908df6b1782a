"""A broker and a database of a scenario's own, that it may stop, kill and start again where they were."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import httpx2

from deploy import pids
from deploy.engines import local_kafka, local_postgres
from deploy.engines.engine import Engine, EngineKind
from deploy.engines.local_kafka import ByWay
from shared.database.db import Pool
from tests.chaos.scenario import World
from tests.chaos.system import System

How = Literal["stopped", "killed"]

CONNECTIONS: Final = 400
# Each service that reads what others publish; a row of its inbox says that all before it on the way works.
READERS: Final = ("loyalty", "customer", "campaign", "feedback")
ARRIVED: Final = "SELECT true FROM crm.inbox WHERE received_at > $1 LIMIT 1"


@dataclass
class Servers:
    """Where the scenario's own servers keep their data, and what runs now."""

    postgres_folder: Path
    kafka_folder: Path
    postgres: Engine
    kafka: Engine
    by_way: ByWay | None = None

    async def end(self, kind: EngineKind, how: How) -> None:
        """Stops a server as an operator does, or kills it and everything it started."""
        engine = self.postgres if kind == "postgres" else self.kafka
        if how == "killed":
            await asyncio.to_thread(_kill, engine)
        elif kind == "postgres":
            await asyncio.to_thread(local_postgres.stop, engine)
        else:
            await asyncio.to_thread(local_kafka.stop, engine)

    async def start(self, kind: EngineKind) -> None:
        """Starts a server on its data and its port, and waits until it answers."""
        if kind == "postgres":
            before = self.postgres.url
            self.postgres = await asyncio.to_thread(_start_postgres, self.postgres_folder)
            assert self.postgres.url == before, "PostgreSQL came back at another port"
        else:
            before = self.kafka.url
            self.kafka = await asyncio.to_thread(_start_kafka, self.kafka_folder, self.by_way)
            assert self.kafka.url == before, "Kafka came back at another port"

    def is_running(self, kind: EngineKind) -> bool:
        """Whether the server's process lives."""
        process = (self.postgres if kind == "postgres" else self.kafka).process
        return process is not None and pids.is_running(process)


@asynccontextmanager
async def own_servers(
    world: World, *, postgres_folder: Path | None = None, kafka_folder: Path | None = None, by_way: ByWay | None = None
) -> AsyncIterator[tuple[World, Servers]]:
    """The world with servers of its own that write through to the disk, in its folder unless told where."""
    folders = (postgres_folder or world.folder / "postgres", kafka_folder or world.folder / "kafka")
    starting = await asyncio.gather(
        asyncio.to_thread(_start_postgres, folders[0]),
        asyncio.to_thread(_start_kafka, folders[1], by_way),
        return_exceptions=True,
    )
    started = [each for each in starting if isinstance(each, Engine)]
    try:
        for each in starting:
            if isinstance(each, BaseException):
                raise each
        servers = Servers(folders[0], folders[1], started[0], started[1], by_way)
        try:
            yield replace(world, postgres=servers.postgres, kafka=servers.kafka), servers
        finally:
            # Those that run now, also when the scenario broke after it had started them again.
            started = [servers.postgres, servers.kafka]
    finally:
        for engine in started:
            await asyncio.to_thread(_kill, engine)


def _start_postgres(folder: Path) -> Engine:
    return local_postgres.start(folder, fsync=True, max_connections=CONNECTIONS)


def _start_kafka(folder: Path, by_way: ByWay | None) -> Engine:
    return local_kafka.start(folder, by_way=by_way)


def _kill(engine: Engine) -> None:
    if engine.process is None or not pids.is_running(engine.process):
        return
    children = _children_of(engine.process.pid)
    pids.kill(engine.process)
    # PostgreSQL's sessions notice the end of their parent, but not all at once; a machine that dies takes all with it.
    for child in children:
        pids.kill(child)


def _children_of(pid: int) -> list[pids.Process]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = []
    for child in listed:
        try:
            found.append(pids.identify(int(child)))
        except ProcessLookupError:
            continue
    return found


async def moment_of(pool: Pool) -> datetime:
    """The database's own clock."""
    moment: datetime = await pool.fetchval("SELECT clock_timestamp()")
    return moment


async def flowing(pools: Mapping[str, Pool], since: datetime, within: float) -> float:
    """Seconds until every service has taken a new event since a moment, which takes the visit service's consumer or
    API, its relay, the broker, and each reader.

    Raises AssertionError naming the services that took none.
    """
    started, waiting = time.monotonic(), list(READERS)
    while waiting := [service for service in waiting if not await pools[service].fetchval(ARRIVED, since)]:
        took = time.monotonic() - started
        assert took < within, f"nothing arrives at {', '.join(waiting)} {took:.0f} s after everything was there again"
        await asyncio.sleep(0.05)
    return time.monotonic() - started


async def ready_again(system: System, within: float) -> float:
    """Seconds until every part says that it can do its work. All are asked at once: one that is late hides no other.

    Raises AssertionError naming those that are late.
    """
    started, took = time.monotonic(), dict[str, float]()

    async def ask(client: httpx2.AsyncClient, name: str) -> None:
        url = system.url(name) + system.parts[name].health
        while name not in took and time.monotonic() - started < within:
            with contextlib.suppress(httpx2.HTTPError):
                if (await client.get(url)).is_success:
                    took[name] = time.monotonic() - started
            await asyncio.sleep(0.1)

    async with httpx2.AsyncClient(timeout=within, trust_env=False) as client:
        await asyncio.gather(*(ask(client, name) for name in system.started))
    late = sorted(system.started.keys() - {name for name, seconds in took.items() if seconds <= within})
    assert not late, f"not ready {within:.0f} s after everything was there again: {', '.join(late)}"
    return max(took.values())


def processes_of(system: System) -> dict[str, int]:
    """The process ids of a system's parts, to see that none was started anew."""
    dead = [name for name in system.started if not system.is_running(name)]
    assert not dead, f"{dead[0]} ended ({system.end_of(dead[0])}):\n{system.log_of(dead[0])}"
    return {name: started.process.pid for name, started in system.started.items()}

"""A whole system of processes that a scenario may hurt: any part killed, stopped, armed to die, or started once more.

`async with stay(world) as scene:` gives a running system with a cafe of the scenario's own. Systems are kept for the
next scenario as long as nothing went wrong in them; what is proven in the end is in `tests.chaos.proof`.
"""

import asyncio
import contextlib
import os
import random
import re
import signal
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import httpx2

from deploy import pids
from deploy.crm import processes
from deploy.crm.migrate import migrate
from deploy.crm.processes import Part, Started
from deploy.demo import run as demo
from deploy.engines.engine import free_port, last_lines, port_is_free
from shared.crashpoints import CRASH_AT, CrashPoint
from shared.database.db import Pool
from shared.messaging import topics
from shared.services import WITH_DATABASE, WITH_INBOX
from shared.settings import Settings, settings
from tests.support import SECRET

if TYPE_CHECKING:
    from tests.chaos.scenario import World

# The console commits nothing of its own, so it has no place to die at.
WORKERS = tuple(f"{service}-worker" for service in WITH_INBOX)
APIS = tuple(f"{service}-api" for service in WITH_DATABASE)
READY_WITHIN_SECONDS = 180.0
GONE_WITHIN_SECONDS = 25.0


@dataclass
class System:
    """The processes of one system. `config` reaches the engines as an administrator, past any proxy; `environment` is
    what every part is given, `parts` what may run, `started` what was started last under each name."""

    folder: Path
    config: Settings
    environment: Mapping[str, str]
    parts: dict[str, Part]
    started: dict[str, Started] = field(default_factory=dict)
    ends: dict[pids.Process, int] = field(default_factory=dict)

    async def start(self, *names: str, **environment: str) -> None:
        """Starts parts, with `environment` beside what all are given. Does not wait until they are ready."""
        for name in names:
            assert not self.is_running(name), f"{name} runs already"
            given = {**self.environment, **environment}
            self.started[name] = processes.start_part(self.folder, self.parts[name], given)

    async def mend(self) -> list[str]:
        """Starts the parts that are down and waits until all are ready; returns which were down."""
        dead = [name for name in self.started if not self.is_running(name)]
        await self.start(*dead)
        await self.ready()
        return dead

    async def ready(self, *names: str, within: float = READY_WITHIN_SECONDS) -> None:
        """Waits until these parts, or all that were started, can do their work.

        Raises AssertionError with the end of the log of one that ended or is late.
        """
        waiting, until = list(names or self.started), time.monotonic() + within
        async with httpx2.AsyncClient(timeout=5, trust_env=False) as client:
            while waiting := [name for name in waiting if not await _is_ready(client, self.parts[name])]:
                for name in waiting:
                    assert self.is_running(name), f"{name} ended ({self.end_of(name)}):\n{self.log_of(name)}"
                assert time.monotonic() < until, f"not ready after {within:.0f} s: {waiting}\n{self.log_of(waiting[0])}"
                await asyncio.sleep(0.1)

    async def restart_armed(self, name: str, point: CrashPoint, time: int = 1) -> None:
        """Kills a part and starts it again, to die the `time`-th time it comes by a crash point."""
        await self.kill(name)
        await self.start(name, **{CRASH_AT: f"{point}:{time}"})

    async def death_of(self, name: str, within: float) -> bool:
        """Waits until a part is dead and says whether kill -9 was its end; False also when it lives on.

        Raises AssertionError with the end of its log when it ended in another way.
        """
        until = time.monotonic() + within
        while self.is_running(name):
            if time.monotonic() > until:
                return False
            await asyncio.sleep(0.05)
        assert self.end_of(name) == -signal.SIGKILL, f"{name} ended with {self.end_of(name)}:\n{self.log_of(name)}"
        return True

    async def kill(self, name: str) -> None:
        """kill -9, unless it is dead already."""
        self.signal(name, signal.SIGKILL)
        await self.gone(name)

    async def stop(self, name: str) -> int:
        """Stops a part as an operator does and returns its exit code.

        Raises AssertionError when it does not end in time.
        """
        self.signal(name, signal.SIGTERM)
        return await self.gone(name)

    async def gone(self, name: str) -> int:
        """Waits until a part has ended; returns its exit code, or the number of its signal below zero."""
        until = time.monotonic() + GONE_WITHIN_SECONDS
        while self.is_running(name):
            assert time.monotonic() < until, f"{name} did not end:\n{self.log_of(name)}"
            await asyncio.sleep(0.02)
        return self.end_of(name)

    async def frozen(self, name: str, within: float) -> None:
        """Waits until a part that was told to pause has done so.

        Raises AssertionError when it does not.
        """
        pid, until = self.started[name].process.pid, time.monotonic() + within
        while pids.state(pid) != "T":
            assert time.monotonic() < until, f"{name} did not freeze in {within:.0f} s:\n{self.log_of(name)}"
            await asyncio.sleep(0.02)

    def signal(self, name: str, which: signal.Signals) -> None:
        """Sends a signal to a part that runs."""
        if self.is_running(name):
            os.kill(self.started[name].process.pid, which)

    def is_running(self, name: str) -> bool:
        """Whether the process that was started last under this name lives."""
        if name not in self.started:
            return False
        process = self.started[name].process
        if process not in self.ends and not pids.is_running(process):
            self.ends[process] = os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])
        return process not in self.ends

    def end_of(self, name: str) -> int:
        """How a part that does not run ended."""
        return self.ends[self.started[name].process]

    def log_of(self, name: str) -> str:
        """The end of a part's log."""
        return last_lines(processes.log_of(self.folder, name))

    def add_replica(self, name: str) -> str:
        """One more process of a part, not started yet; returns its name, as in `visit-worker-2`."""
        number = next(n for n in range(2, 100) if f"{name}-{n}" not in self.parts)
        replica = replace(self.parts[name], name=f"{name}-{number}", port=free_port())
        self.parts[replica.name] = replica
        return replica.name

    async def forget(self, name: str) -> None:
        """Ends a replica for good."""
        await self.kill(name)
        del self.started[name], self.parts[name]

    def url(self, name: str) -> str:
        """Where a part listens."""
        return self.parts[name].url

    async def close(self) -> None:
        """Ends everything at once: what a scenario left must not hold the next one up."""
        for name in self.started:
            self.signal(name, signal.SIGCONT)
            self.signal(name, signal.SIGKILL)
        for name in self.started:
            await self.gone(name)

    @contextlib.contextmanager
    def as_environment(self) -> Iterator[None]:
        """Lets `crm` commands, and code that reads the settings, reach this system."""
        with mock.patch.dict(os.environ, dict(self.environment)):
            settings.cache_clear()
            yield
        settings.cache_clear()


@dataclass(frozen=True)
class Scene:
    """A scenario's stay in a system: a cafe of its own, a pool on each database, dice, and what was there before:
    parked records by service, messages at the provider."""

    system: System
    cafe: demo.DemoCafe
    pools: Mapping[str, Pool]
    dice: random.Random
    parked_before: Mapping[str, int]
    messages_before: int


@dataclass
class Systems:
    """Keeps a running system from one scenario to the next."""

    kept: System | None = None
    count: int = 0

    async def lend(self, world: "World") -> System:
        """The kept system, mended, or a new one."""
        if self.kept is not None:
            await self.kept.mend()
        else:
            self.count += 1
            self.kept = await open_system(world, f"shared{self.count}")
        return self.kept

    async def drop(self) -> None:
        """Ends the kept system, because something went wrong in it or nobody needs it any more."""
        if self.kept is not None:
            await self.kept.close()
            self.kept = None


async def open_system(
    world: "World", name: str, *, postgres: str | None = None, kafka: str | None = None, **environment: str
) -> System:
    """Migrates, makes the topics, starts every part and waits until all are ready. The caller closes it.

    `name` tells it apart from others on the same servers. Parts reach the engines at `postgres` (host:port) and
    `kafka` (bootstrap servers) if given, as proxies are.
    """
    folder = world.folder / name
    (folder / "logs").mkdir(parents=True)
    base, word = _free_ports(), re.sub(r"\W", "_", f"{world.folder.name}_{name}".lower())
    own = {
        # The servers' logins are made from it: everybody who works on them has the same.
        "CRM_SECRET": os.environ.get("CRM_SECRET", SECRET),
        "CRM_POSTGRES_URL": world.postgres.url,
        "CRM_KAFKA_SERVERS": world.kafka.url,
        "CRM_DATABASE_PREFIX": f"{word}_",
        "CRM_TOPIC_PREFIX": f"{word.replace('_', '.')}.",
        **processes.addresses(base),
        "CRM_SMS_ENDPOINT": f"http://127.0.0.1:{base + processes.SIMULATOR_OFFSET}",
        "CRM_SMS_API_KEY": "simulated",
        "CRM_SMS_SENDER": "10004346",
    }
    config = processes.settings_of(own)
    await migrate(config)
    await topics.create(config)
    login, _, address = own["CRM_POSTGRES_URL"].rpartition("@")
    given = own | {
        "CRM_POSTGRES_URL": f"{login}@{postgres}/{address.partition('/')[2]}" if postgres else own["CRM_POSTGRES_URL"],
        "CRM_KAFKA_SERVERS": kafka or own["CRM_KAFKA_SERVERS"],
    }
    parts = {part.name: part for part in processes.parts(base, simulator=True)}
    system = System(folder, config, given | environment, parts)
    try:
        await system.start(*parts)
        await system.ready()
    except BaseException:
        await system.close()
        raise
    return system


@contextlib.asynccontextmanager
async def stay(world: "World", system: System | None = None) -> AsyncIterator[Scene]:
    """A scene in the given system, or in the one that scenarios share, which does not outlive a failure."""
    shared = system is None
    system = system or await world.systems.lend(world)
    try:
        with system.as_environment():
            cafe = await asyncio.to_thread(demo.make_cafe, lambda _: None)
            async with demo.opened(system.config) as pools:
                await demo.known_everywhere(pools, cafe)
                await demo.thank_at_once(system.config, cafe)
                parked = {service: await count_parked(pool) for service, pool in pools.items()}
                messages = len(await messages_of(system))
                yield Scene(system, cafe, pools, world.dice, parked, messages)
    except BaseException:
        if shared:
            await world.systems.drop()
        raise


async def count_parked(pool: Pool) -> int:
    """Records that wait for a person in one service."""
    return int(await pool.fetchval("SELECT count(*) FROM crm.parked WHERE status = 'parked'"))


async def messages_of(system: System) -> Sequence[Mapping[str, object]]:
    """Everything the provider took, in its order."""
    async with httpx2.AsyncClient(timeout=10, trust_env=False) as client:
        answer = (await client.get(f"{system.config.sms_endpoint}/control/messages")).raise_for_status()
        found: list[Mapping[str, object]] = answer.json()
        return found


async def _is_ready(client: httpx2.AsyncClient, part: Part) -> bool:
    try:
        return (await client.get(part.url + part.health)).is_success
    except httpx2.HTTPError:
        return False


def _free_ports() -> int:
    while True:
        base = free_port()
        if all(port_is_free(part.port) for part in processes.parts(base, simulator=True)):
            return base

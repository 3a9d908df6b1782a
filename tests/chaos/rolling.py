"""A new version rolls out under load: every process is stopped and started again, and no request fails."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import httpx2

from shared.services import SERVICES
from tests.chaos.load import Load, load_on
from tests.chaos.proof import prove
from tests.chaos.scenario import Scenario, World
from tests.chaos.staff import Staff, staff_at_work
from tests.chaos.system import APIS, WORKERS, System, open_system, stay

PER_SECOND = 30.0
LOOKS_EVERY_SECONDS = 0.25
PATIENCE_SECONDS = 10.0
STOPS_WITHIN_SECONDS = 10.0


@dataclass
class Balancer:
    """One address for the replicas of a part. A new connection goes to the next that was ready when last looked at,
    as behind any balancer that asks `/readyz`; a replica that is only slow to answer that stays what it was."""

    replicas: Sequence[str] = ()
    ready: list[int] = field(default_factory=list)
    turn: "itertools.count[int]" = field(default_factory=itertools.count)
    server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where clients go."""
        assert self.server is not None
        return f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def run(self, system: System) -> None:
        """Looks again and again which replicas are ready, until cancelled."""
        async with httpx2.AsyncClient(timeout=2, trust_env=False) as client:
            while True:
                for port in [system.parts[name].port for name in self.replicas]:
                    ready = await _is_ready(client, port, was=port in self.ready)
                    self.ready = [*(each for each in self.ready if each != port), *([port] if ready else [])]
                await asyncio.sleep(LOOKS_EVERY_SECONDS)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Joins a client's connection to a replica, when there is one."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not self.ready:
                    await asyncio.sleep(LOOKS_EVERY_SECONDS)
            up, down = await asyncio.open_connection("127.0.0.1", self.ready[next(self.turn) % len(self.ready)])
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(_pass_on(reader, down), _pass_on(up, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    # A half that ends ends the whole, as the balancers of the trade have it.
    writer.close()


async def _is_ready(client: httpx2.AsyncClient, port: int, *, was: bool) -> bool:
    try:
        return (await client.get(f"http://127.0.0.1:{port}/readyz")).is_success
    except httpx2.TimeoutException:
        return was
    except httpx2.HTTPError:
        return False


@contextlib.asynccontextmanager
async def balanced(world: World, name: str, twice: Sequence[str]) -> AsyncIterator[tuple[System, dict[str, Balancer]]]:
    """A system of its own with two replicas of the parts in `twice`, and a balancer before each API. Its processes
    find the identity service behind its balancer, too."""
    balancers = {service: Balancer() for service in SERVICES}
    looking: list[asyncio.Task[None]] = []
    system = None
    try:
        for balancer in balancers.values():
            balancer.server = await asyncio.start_server(balancer.take, "127.0.0.1", 0)
        system = await open_system(world, name, CRM_IDENTITY_URL=balancers["identity"].url)
        await system.start(*[system.add_replica(part) for part in twice])
        await system.ready()
        for service, balancer in balancers.items():
            balancer.replicas = [part for part in system.parts if part.startswith(f"{service}-api")]
            looking.append(asyncio.create_task(balancer.run(system)))
        async with asyncio.timeout(30):
            while any(len(balancer.ready) < len(balancer.replicas) for balancer in balancers.values()):
                await asyncio.sleep(0.05)
        yield system, balancers
    finally:
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)
        if system is not None:
            await system.close()
        for balancer in balancers.values():
            if balancer.server is not None:
                balancer.server.close()


async def roll(world: World) -> str:
    """One process after the other gets SIGTERM, ends by itself, is started and ready again: all, or in the quick
    version those of visits."""
    parts = ("visit-api", "visit-worker") if world.quick else (*APIS, *WORKERS)
    async with balanced(world, "rolling", parts) as (system, balancers), stay(world, system) as scene:
        urls = [balancers["visit"].url]
        async with (
            load_on(scene, per_second=PER_SECOND, over_http=0.7, urls=urls) as load,
            staff_at_work(scene, lambda service: balancers[service].url) as staff,
        ):
            await load.more(50)
            names = [name for name in system.started if name.startswith(parts)]
            for name in names:
                await restart(system, name)
                _assert_none_failed(load, staff, name)
        _assert_none_failed(load, staff, "the end")
        await prove(scene, load.acknowledged)
        asked = load.over_http_answered + staff.answered
    return f"{len(names)} processes restarted, 0 of {asked:,} requests failed"


async def restart(system: System, name: str) -> None:
    """As an operator does: stop, wait, start, wait."""
    started = time.monotonic()
    await system.stop(name)
    took = time.monotonic() - started
    assert took < STOPS_WITHIN_SECONDS, f"{name} took {took:.0f} s to stop"
    await system.start(name)
    await system.ready(name)


def _assert_none_failed(load: Load, staff: Staff, when: str) -> None:
    failed = [*load.failed, *staff.failed]
    assert not failed, f"{len(failed)} requests failed by the restart of {when}: {failed[:10]}"


SCENARIOS = [Scenario("rolling restart", roll)]

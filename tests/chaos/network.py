"""The way between the services and their broker or database: cut, one-way, slow, narrow, chopped, reset, half-open."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from deploy.engines.engine import EngineKind, address, free_port
from deploy.engines.local_kafka import ByWay
from tests.chaos.load import Load, load_on, supply
from tests.chaos.proof import prove
from tests.chaos.proxy import Proxy
from tests.chaos.scenario import Scenario, World
from tests.chaos.servers import flowing, moment_of, own_servers, processes_of, ready_again
from tests.chaos.system import Scene, open_system, stay
from tests.chaos.toxics import Bandwidth, Direction, Latency, LimitData, ResetPeer, Slicer, SlowClose, Timeout, Toxic

PER_SECOND: Final = 30
CUTS_QUICK: Final = 2
TOXICS_QUICK: Final = 2
FLOWING_WITHIN_SECONDS: Final = 15.0
# Two batches, the one in hand and the next, of some thirty statements, each of which is answered after 0.3 s.
WORSE_WITHIN_SECONDS: Final = 30.0
BOTH: Final[Sequence[Direction]] = ("upstream", "downstream")
CUTS: Final[Mapping[str, Sequence[Direction]]] = {
    "both ways": BOTH,
    "to the server": ("upstream",),
    "from the server": ("downstream",),
}
UNREACHABLE: Final = "unreachable"
TOXICS: Final[Sequence[tuple[str, Callable[[], Toxic]]]] = (
    ("latency", lambda: Latency(150, 100)),
    ("bandwidth", lambda: Bandwidth(64)),
    ("slow_close", lambda: SlowClose(2000)),
    ("timeout", lambda: Timeout(1500)),
    ("reset_peer", lambda: ResetPeer(700)),
    ("slicer", lambda: Slicer(200, 100, 200)),
    ("limit_data", lambda: LimitData(20_000)),
)
# Answers still get through these, only worse: what is handed in meanwhile must arrive meanwhile.
ONLY_WORSE: Final = frozenset({"latency", "slow_close", "slicer"})


@dataclass(frozen=True)
class Ways:
    """A running system, its tills at work, and the proxy before each server."""

    scene: Scene
    load: Load
    proxies: Mapping[EngineKind, Proxy]


@asynccontextmanager
async def proxied(world: World) -> AsyncIterator[Ways]:
    """A system that reaches its servers only through proxies, under load; tills and the proof go past them.

    At the end the books are proven, and that no process was started anew.
    """
    # Now and elsewhere: while they are read nothing else moves, the proxies least of all.
    await asyncio.to_thread(supply)
    kafka = Proxy(free_port(), free_port(), world.dice)
    async with own_servers(world, by_way=ByWay(kafka.target, kafka.port)) as (own, _):
        proxies: dict[EngineKind, Proxy] = {
            "kafka": kafka,
            "postgres": Proxy(address(own.postgres.url)[1], dice=world.dice),
        }
        for proxy in proxies.values():
            await proxy.enable()
        ports = {kind: f"127.0.0.1:{proxy.port}" for kind, proxy in proxies.items()}
        system = await open_system(own, "system", postgres=ports["postgres"], kafka=ports["kafka"])
        try:
            async with stay(own, system) as scene:
                before = processes_of(system)
                async with load_on(scene, per_second=PER_SECOND) as load:
                    yield Ways(scene, load, proxies)
                assert processes_of(system) == before, "a process was started anew"
                await prove(scene, load.acknowledged)
        finally:
            await system.close()
            for proxy in proxies.values():
                await proxy.disable()


async def _healed(ways: Ways, what: str, say: Callable[[str], None]) -> float:
    """Seconds from the healing until every part is ready and every service takes events."""
    started, since = time.monotonic(), await moment_of(ways.scene.pools["visit"])
    await asyncio.gather(
        ready_again(ways.scene.system, FLOWING_WITHIN_SECONDS),
        flowing(ways.scene.pools, since, FLOWING_WITHIN_SECONDS),
    )
    took = time.monotonic() - started
    say(f"{what}: flowing {took:.1f} s after healing")
    return took


async def _network(world: World) -> str:
    """Every cut and every toxic before both servers; in the quick version some of them, by the dice."""
    took: list[float] = []
    cuts, toxics = 0, 0
    async with proxied(world) as ways:
        for kind in ways.proxies:
            some = world.dice.sample([*CUTS, UNREACHABLE], CUTS_QUICK if world.quick else len(CUTS) + 1)
            await _cut(ways, kind, some, 3.0 if world.quick else 30.0, took, world.say)
            spoiling = world.dice.sample(TOXICS, TOXICS_QUICK if world.quick else len(TOXICS))
            await _spoil(ways, kind, spoiling, 2.0 if world.quick else 60.0, took, world.say)
            cuts, toxics = cuts + len(some), toxics + len(spoiling)
    return (
        f"{cuts} cuts, {toxics} times toxic, {len(ways.load.acknowledged):,} visits, "
        f"{ways.load.sent_again} sent again; flowing at most {max(took):.1f} s after healing"
    )


async def _cut(
    ways: Ways, kind: EngineKind, cuts: Sequence[str], seconds: float, took: list[float], say: Callable[[str], None]
) -> None:
    proxy = ways.proxies[kind]
    for name in cuts:
        if name == UNREACHABLE:
            await proxy.disable()
        for direction in CUTS.get(name, ()):
            proxy.add(f"cut {direction}", Timeout(), direction)
        await asyncio.sleep(seconds)
        proxy.clear()
        if name == UNREACHABLE:
            await proxy.enable()
        took.append(await _healed(ways, f"{kind} cut: {name}", say))


async def _spoil(
    ways: Ways,
    kind: EngineKind,
    toxics: Sequence[tuple[str, Callable[[], Toxic]]],
    seconds: float,
    took: list[float],
    say: Callable[[str], None],
) -> None:
    proxy = ways.proxies[kind]
    for name, make in toxics:
        since = await moment_of(ways.scene.pools["visit"])
        for direction in BOTH:
            proxy.add(f"{name} {direction}", make(), direction)
        await asyncio.sleep(seconds)
        if name in ONLY_WORSE:
            await flowing(ways.scene.pools, since, WORSE_WITHIN_SECONDS)
        proxy.clear()
        took.append(await _healed(ways, f"{kind} {name}", say))


SCENARIOS = [Scenario("network", _network)]

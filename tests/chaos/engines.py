"""The broker and the database stopped and killed under load, one at a time and both at once."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final

from deploy.engines.engine import EngineKind
from shared.database.db import Pool
from tests.chaos.load import Load, load_on
from tests.chaos.proof import prove
from tests.chaos.scenario import Scenario, World
from tests.chaos.servers import How, Servers, flowing, moment_of, own_servers, processes_of, ready_again
from tests.chaos.system import Scene, open_system, stay

PER_SECOND: Final = 40
OUTAGES_QUICK: Final = 3
BETWEEN: Final = 40
# What the other road takes while one server is away: tills on Kafka without the database, over HTTP without Kafka.
MEANWHILE: Final = 15
MEANWHILE_WITHIN_SECONDS: Final = 15.0
# Without a restart of their process. A worker is ready when it also reaches the broker.
READY_WITHIN_SECONDS: Final[Mapping[EngineKind, float]] = {"postgres": 5.0, "kafka": 10.0}
FLOWING_WITHIN_SECONDS: Final = 10.0
LONGEST_AWAY_SECONDS: Final = 8.0
LONGEST_AWAY_QUICK_SECONDS: Final = 3.0
HOWS: Final[Sequence[How]] = ("stopped", "killed")
KINDS: Final[Sequence[Sequence[EngineKind]]] = (("kafka",), ("postgres",), ("postgres", "kafka"))
WAYS: Final = [(kinds, how) for kinds in KINDS for how in HOWS]


async def _away(world: World) -> str:
    """Each kind of outage ten times; in the quick version some of them, by the dice."""
    times, longest = (1, LONGEST_AWAY_QUICK_SECONDS) if world.quick else (10, LONGEST_AWAY_SECONDS)
    took: dict[str, list[tuple[float, float]]] = {}
    async with own_servers(world) as (own, servers):
        system = await open_system(own, "system")
        try:
            async with stay(own, system) as scene:
                before = processes_of(system)
                async with load_on(scene, per_second=PER_SECOND) as load:
                    outages = scene.dice.sample(WAYS * times, OUTAGES_QUICK if world.quick else len(WAYS) * times)
                    for kinds, how in outages:
                        await load.more(BETWEEN)
                        what = f"{' and '.join(kinds)} {how}"
                        took.setdefault(what, []).append(await _one(scene, servers, load, kinds, how, longest))
                        ready, flow = took[what][-1]
                        world.say(f"{what}: ready in {ready:.1f} s, flowing in {flow:.1f} s")
                assert processes_of(system) == before, "a process was started anew"
                await prove(scene, load.acknowledged)
        finally:
            await system.close()
    all_of_them = [each for seconds in took.values() for each in seconds]
    return (
        f"{len(all_of_them)} times away ({', '.join(sorted(took))}), {len(load.acknowledged):,} visits, "
        f"{load.sent_again} sent again; ready in at most {max(ready for ready, _ in all_of_them):.1f} s, flowing in "
        f"{max(flow for _, flow in all_of_them):.1f} s"
    )


async def _one(
    scene: Scene, servers: Servers, load: Load, kinds: Sequence[EngineKind], how: How, longest: float
) -> tuple[float, float]:  # fmt: skip
    """Seconds after the servers answer again until every part is ready, and until every service takes events. They are
    away for up to `longest` seconds."""
    await asyncio.gather(*(servers.end(kind, how) for kind in kinds))
    if len(kinds) == 1:
        await load.more(MEANWHILE, within=MEANWHILE_WITHIN_SECONDS)
    await asyncio.sleep(scene.dice.uniform(0.5, longest))
    await asyncio.gather(*(servers.start(kind) for kind in kinds))
    started = time.monotonic()
    since = await moment_of(_any(scene))
    ready, _ = await asyncio.gather(
        ready_again(scene.system, max(READY_WITHIN_SECONDS[kind] for kind in kinds)),
        flowing(scene.pools, since, FLOWING_WITHIN_SECONDS),
    )
    return ready, time.monotonic() - started


def _any(scene: Scene) -> Pool:
    return scene.pools["visit"]


SCENARIOS = [Scenario("servers away", _away)]

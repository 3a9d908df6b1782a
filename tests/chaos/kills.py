"""kill -9, at every named crash point of every part and at any moment, while visits come in."""

import asyncio
import itertools
import os
import random
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from deploy.crm.migrate import migrate
from shared.crashpoints import CRASH_AT, CrashPoint
from shared.services import WITH_DATABASE
from tests.chaos.load import Load, load_on
from tests.chaos.proof import prove
from tests.chaos.scenario import Scenario, World, assert_sound
from tests.chaos.staff import staff_at_work
from tests.chaos.system import APIS, WORKERS, Scene, stay

OF_RELAY: Sequence[CrashPoint] = ("relay.before_publish", "relay.before_delete", "relay.after_delete")
OF_CONSUMER: Sequence[CrashPoint] = ("consumer.before_commit", "consumer.before_offsets", "worker.in_rebalance")
OF_API: Sequence[CrashPoint] = ("api.before_commit", "api.before_answer", "api.in_shutdown")
# Comes first where it comes: what became of a call to the provider that is cut off is asked after 45 s, which pass
# meanwhile.
CUT_OFF: CrashPoint = "messages.before_settling"
# The only service that sends has one more, the identity service reads nothing.
POINTS: dict[str, Sequence[CrashPoint]] = {
    **dict.fromkeys(APIS, OF_API),
    **dict.fromkeys(WORKERS, (*OF_CONSUMER, *OF_RELAY, "worker.in_shutdown")),
    "identity-worker": (*OF_RELAY, "worker.in_shutdown"),
    "campaign-worker": (CUT_OFF, *OF_CONSUMER, *OF_RELAY, "worker.in_shutdown"),
}
AT_ONCE = 3
# A worker that was killed before is missed by its group for some seconds, and everything waits so long.
REACHED_WITHIN_SECONDS = 180.0
KILLS_IN_A_RUN = 220
RANDOM_KILLS_QUICK = 3
PER_SECOND = 40.0


@dataclass
class Toll:
    """What was killed so far: how often in all, and where."""

    kills: int = 0
    points: set[tuple[str, CrashPoint]] = field(default_factory=set)


async def kill_at_every_point(world: World) -> str:
    """Every part dies at every crash point it has (in the quick version: every point in one part), then parts die at
    random moments, one to three at once."""
    toll = Toll()
    async with stay(world) as scene:
        async with load_on(scene, per_second=PER_SECOND) as load, staff_at_work(scene):
            await die_at(scene, one_part_each(scene.dice) if world.quick else POINTS, toll, world.say)
            wanted = toll.kills + RANDOM_KILLS_QUICK if world.quick else KILLS_IN_A_RUN
            while toll.kills < wanted:
                await kill_some(scene, load, toll)
        await prove(scene, load.acknowledged)
    points = len({point for _, point in toll.points})
    return (
        f"{toll.kills} kills, {points} crash points in {len({name for name, _ in toll.points})} parts, "
        f"{len(load.acknowledged):,} visits"
    )


def one_part_each(dice: random.Random) -> dict[str, Sequence[CrashPoint]]:
    """Each crash point in one part of the dice's choice."""
    chosen: dict[str, list[CrashPoint]] = {}
    for point in dict.fromkeys((CUT_OFF, *(point for points in POINTS.values() for point in points))):
        part = dice.choice([name for name, points in POINTS.items() if point in points])
        chosen.setdefault(part, []).append(point)
    return dict(chosen)


async def die_at(
    scene: Scene, points: Mapping[str, Sequence[CrashPoint]], toll: Toll, say: Callable[[str], None]
) -> None:
    """Lets each part die at each of its points, a few parts at a time, and starts it again."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one_part(name: str) -> None:
        async with room:
            for point in points[name]:
                await die_at_point(scene, name, point, toll)
            await scene.system.start(name)
            await scene.system.ready(name)
            say(f"  {name} died at {', '.join(points[name])}; {toll.kills} kills so far")

    async with asyncio.TaskGroup() as parts:
        # Those with the most points first, or the last of them would be waited for alone.
        shuffled = scene.dice.sample(list(points), len(points))
        for name in sorted(shuffled, key=lambda name: (CUT_OFF not in points[name], -len(points[name]))):
            parts.create_task(one_part(name))


async def die_at_point(scene: Scene, name: str, point: CrashPoint, toll: Toll) -> None:
    """Arms a part, brings it to the point and sees it die there. It is down afterwards.

    Raises AssertionError when it never comes by.
    """
    system = scene.system
    toll.kills += system.is_running(name)
    reached_by_itself = point not in ("worker.in_rebalance", "worker.in_shutdown", "api.in_shutdown")
    await system.restart_armed(name, point, scene.dice.randint(1, 3) if reached_by_itself else 1)
    if point == "worker.in_rebalance":
        died = await _die_in_rebalance(scene, name)
    else:
        if not reached_by_itself:
            await system.ready(name)
            system.signal(name, signal.SIGTERM)
        died = await system.death_of(name, REACHED_WITHIN_SECONDS)
    assert died, f"{name} did not come by {point} in {REACHED_WITHIN_SECONDS:.0f} s:\n{system.log_of(name)}"
    toll.kills += 1
    toll.points.add((name, point))


async def _die_in_rebalance(scene: Scene, name: str) -> bool:
    # Members that come and go take partitions from those who have them; one that has none yet is not asked.
    system = scene.system
    await system.ready(name)
    for _ in range(3):
        replica = system.add_replica(name)
        await system.start(replica)
        await system.ready(replica)
        died = await system.death_of(name, within=30)
        await system.stop(replica)
        died = died or await system.death_of(name, within=30)
        await system.forget(replica)
        if died:
            return True
    return False


async def kill_some(scene: Scene, load: Load, toll: Toll) -> None:
    """Kills one to three parts at a moment of the dice and starts them again."""
    victims = scene.dice.sample(WORKERS + APIS, scene.dice.randint(1, 3))
    await load.more(scene.dice.randint(1, 40))
    await asyncio.sleep(scene.dice.random() / 2)
    for victim in victims:
        await scene.system.kill(victim)
    toll.kills += len(victims)
    await scene.system.mend()


async def kill_migrations(world: World) -> str:
    """`crm migrate` dies between two databases, each time at another one, and at random moments inside; repeated, it
    ends with what an undisturbed one makes."""
    dice, kills = world.dice, 0
    async with stay(world) as scene:
        environment = {**os.environ, **scene.system.environment}
        prefixes = [f"killed_{world.seed}_{number}_" for number in range(2 if world.quick else 8)]
        for time in range(1, len(WITH_DATABASE) + 1):
            armed = {"CRM_DATABASE_PREFIX": prefixes[0], CRASH_AT: f"migration.between_databases:{time}"}
            assert await _migrate(environment | armed) == -signal.SIGKILL
            kills += 1
        for prefix in prefixes[1:]:
            own = {"CRM_DATABASE_PREFIX": prefix}
            # Later each time, or a slow machine would never come to the end.
            for seconds in itertools.count(2):
                if await _migrate(environment | own, kill_after=dice.uniform(0.3, seconds)) == 0:
                    break
                kills += 1
        for prefix in prefixes:
            config = scene.system.config.model_copy(update={"database_prefix": prefix})
            await migrate(config)
            await assert_sound(config)
    return f"{kills} kills, {len(prefixes) * len(WITH_DATABASE)} databases whole"


async def _migrate(environment: dict[str, str], kill_after: float | None = None) -> int:
    command = [sys.executable, "-m", "deploy.crm.main", "migrate"]
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
    said = asyncio.create_task(process.communicate())
    try:
        await asyncio.wait_for(asyncio.shield(said), kill_after)
    except TimeoutError:
        process.kill()
    words = (await said)[1].decode()
    assert process.returncode in (0, -signal.SIGKILL), f"crm migrate failed after it was killed:\n{words}"
    return process.returncode or 0


SCENARIOS = [Scenario("kills", kill_at_every_point), Scenario("migration", kill_migrations)]

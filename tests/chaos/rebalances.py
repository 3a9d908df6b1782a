"""Workers that come, go and freeze: partitions and relays change hands, nothing is lost or doubled."""

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from shared.crashpoints import PAUSE_AT, CrashPoint
from shared.messaging.topics import TOPICS
from shared.services import WITH_INBOX
from shared.settings import Settings
from tests.chaos.load import load_on
from tests.chaos.proof import prove, topics_of
from tests.chaos.scenario import Scenario, World
from tests.chaos.system import Scene, stay

# Identity's worker reads nothing.
READERS = tuple(service for service in WITH_INBOX if service != "identity")
# A worker that was killed is missed after 8 s, and then the group has to agree, once more if another came meanwhile.
MOVES_WITHIN_SECONDS = 20.0
STOPS_WITHIN_SECONDS = 10.0
# A transaction that froze keeps its rows locked until the database gives it up.
HELD_UP_SECONDS = 15.0
REPLICAS = 4
PER_SECOND = 40.0


@dataclass(frozen=True)
class Progress:
    """How far the groups of an installation have read."""

    config: Settings
    reader: AIOKafkaConsumer
    admin: AIOKafkaAdminClient

    async def moves_again(self, service: str, within: float = MOVES_WITHIN_SECONDS) -> float:
        """Waits until each partition that had something waiting has moved; returns how long that took.

        Raises AssertionError naming the partitions that stood still too long.
        """
        started, still = time.monotonic(), dict(await self.behind(service))
        while still:
            await asyncio.sleep(0.2)
            now = await self.behind(service)
            waited = sorted(still)
            still = {each: at for each, at in still.items() if now.get(each) == at}
            took = time.monotonic() - started
            assert took < within, f"{service} stood still for {took:.0f} s in {waited}"
        return time.monotonic() - started

    async def behind(self, service: str) -> Mapping[TopicPartition, int]:
        """The committed offset of every partition in which something waits."""
        numbers = range(self.config.partitions)
        partitions = [TopicPartition(topic, each) for topic in topics_of(self.config, service) for each in numbers]
        ends = await self.reader.end_offsets(partitions)
        committed = await self.admin.list_consumer_group_offsets(self.config.topic_prefix + service)
        at = {each: committed[each].offset if each in committed else 0 for each in partitions}
        return {each: at[each] for each in partitions if ends[each] > at[each]}


@contextlib.asynccontextmanager
async def watching(config: Settings) -> AsyncIterator[Progress]:
    """Connections to ask the broker with."""
    async with AIOKafkaConsumer(bootstrap_servers=config.kafka_servers) as reader:
        admin = AIOKafkaAdminClient(bootstrap_servers=config.kafka_servers)
        await admin.start()
        try:
            yield Progress(config, reader, admin)
        finally:
            await admin.close()


async def come_and_go(world: World) -> str:
    """For each service in turn, up to four replicas of its worker are started, stopped and killed at random; whenever
    it stays calm, every partition moves again soon."""
    changes, longest = Counter[str](), 0.0
    async with stay(world) as scene:
        services = scene.dice.sample(READERS, 1 if world.quick else len(READERS))
        async with load_on(scene, per_second=PER_SECOND) as load, watching(scene.system.config) as progress:
            for service in services:
                for _ in range(1 if world.quick else 4):
                    changes += await shuffle_replicas(scene, service, 4 if world.quick else 12)
                    longest = max(longest, await progress.moves_again(service))
                await leave_one(scene, f"{service}-worker")
        await prove(scene, load.acknowledged)
    return (
        f"{changes['started']} replicas started, {changes['stopped']} stopped, {changes['killed']} killed, "
        f"all partitions moving again after {longest:.1f} s at most, {len(load.acknowledged):,} visits"
    )


async def shuffle_replicas(scene: Scene, service: str, times: int) -> Counter[str]:
    """Starts, stops and kills replicas of a worker at random, one change every moment or two."""
    system, first, did = scene.system, f"{service}-worker", Counter[str]()
    for _ in range(times):
        alive = [name for name in system.started if name.startswith(first) and system.is_running(name)]
        dead = [name for name in system.parts if name.startswith(first) and name not in alive]
        if not alive or (len(alive) < REPLICAS and scene.dice.random() < 0.5):
            name = dead[0] if dead else system.add_replica(first)
            await system.start(name)
            await system.ready(name)
            did["started"] += 1
        elif scene.dice.random() < 0.5:
            started = time.monotonic()
            await system.stop(scene.dice.choice(alive))
            assert time.monotonic() - started < STOPS_WITHIN_SECONDS, f"{service} took too long to stop"
            did["stopped"] += 1
        else:
            await system.kill(scene.dice.choice(alive))
            did["killed"] += 1
        await asyncio.sleep(scene.dice.uniform(0, 2))
    if not any(system.is_running(name) for name in system.started if name.startswith(first)):
        await system.start(first)
        await system.ready(first)
    return did


async def leave_one(scene: Scene, first: str) -> None:
    """Only the worker itself stays."""
    system = scene.system
    for name in [name for name in system.parts if name.startswith(first) and name != first]:
        if name in system.started:
            await system.stop(name)
            await system.forget(name)
    await system.mend()


async def freeze(world: World) -> str:
    """A worker freezes in the middle of a batch, before or after its commit, until its group has given it up and
    another has done its work; then it goes on where it was."""
    points: Sequence[CrashPoint] = ("consumer.before_commit", "consumer.before_offsets")
    rounds = [(service, point) for service in READERS for point in points]
    dice, longest = world.dice, 0.0
    async with stay(world) as scene:
        async with load_on(scene, per_second=PER_SECOND) as load, watching(scene.system.config) as progress:
            for service, point in dice.sample(rounds, 1) if world.quick else rounds:
                longest = max(longest, await freeze_once(scene, progress, service, point))
        await prove(scene, load.acknowledged)
    count = 1 if world.quick else len(rounds)
    return (
        f"{count} workers frozen and continued, their partitions taken over within {longest:.1f} s, "
        f"{len(load.acknowledged):,} visits"
    )


async def freeze_once(scene: Scene, progress: Progress, service: str, point: CrashPoint) -> float:
    """Returns how long the partitions of the frozen worker stood still after another worker was there."""
    system, first = scene.system, f"{service}-worker"
    await system.kill(first)
    await system.start(first, **{PAUSE_AT: f"{point}:{scene.dice.randint(1, 5)}"})
    await system.frozen(first, within=60)
    other = system.add_replica(first)
    await system.start(other)
    await system.ready(other)
    took_over = await progress.moves_again(service, within=MOVES_WITHIN_SECONDS + HELD_UP_SECONDS)
    system.signal(first, signal.SIGCONT)
    await system.ready(first)
    await system.stop(other)
    await system.forget(other)
    return took_over


async def two_relays(world: World) -> str:
    """A relay freezes with events in its hands and loses its lock; another publishes the same and goes on; then the
    first goes on too. Whoever reads drops what comes twice, and what comes too late."""
    points: Sequence[CrashPoint] = ("relay.before_publish", "relay.before_delete")
    services = ("visit", "loyalty", "customer")
    rounds = [(service, point) for service in services for point in points]
    dice = world.dice
    async with stay(world) as scene:
        async with load_on(scene, per_second=PER_SECOND) as load:
            for service, point in [(dice.choice(services), points[-1])] if world.quick else rounds:
                await two_at_once(scene, service, point)
        await prove(scene, load.acknowledged)
        written = [topic.name for topic in TOPICS if topic.name.partition(".")[0] in services]
        twice = sum([await count_twice(scene.system.config, topic) for topic in written])
    assert twice, "no event was published twice: there never were two relays"
    count = 1 if world.quick else len(rounds)
    return f"{count} changes of the relay, {twice} events published twice, {len(load.acknowledged):,} visits"


async def two_at_once(scene: Scene, service: str, point: CrashPoint) -> None:
    """Freezes the relay with rows in its hands, waits until the other has taken over, lets it go on."""
    system, first = scene.system, f"{service}-worker"
    await system.kill(first)
    await system.start(first, **{PAUSE_AT: f"{point}:{scene.dice.randint(2, 6)}"})
    await system.frozen(first, within=60)
    other = system.add_replica(first)
    await system.start(other)
    await system.ready(other)
    await _outbox_moves(scene, service)
    system.signal(first, signal.SIGCONT)
    await system.ready(first)
    await system.stop(other)
    await system.forget(other)


async def _outbox_moves(scene: Scene, service: str) -> None:
    oldest = await scene.pools[service].fetchval("SELECT max(id) FROM crm.outbox")
    async with asyncio.timeout(60):
        while await scene.pools[service].fetchval("SELECT count(*) FROM crm.outbox WHERE id <= $1", oldest or 0):
            await asyncio.sleep(0.1)


async def count_twice(config: Settings, topic: str) -> int:
    """Events of a topic that were published more than once."""
    partitions = [TopicPartition(config.topic_prefix + topic, number) for number in range(config.partitions)]
    seen = Counter[bytes]()
    # Left to itself the client begins at the end, at times after it was sent to the beginning.
    async with AIOKafkaConsumer(bootstrap_servers=config.kafka_servers, auto_offset_reset="earliest") as reader:
        reader.assign(partitions)
        ends = await reader.end_offsets(partitions)
        await reader.seek_to_beginning(*partitions)
        while any([await reader.position(each) < ends[each] for each in partitions]):
            for records in (await reader.getmany(timeout_ms=1000)).values():
                seen.update(value for record in records for name, value in record.headers if name == "ce_id")
    return sum(1 for times in seen.values() if times > 1)


SCENARIOS = [
    Scenario("rebalances", come_and_go),
    Scenario("frozen workers", freeze),
    Scenario("two relays", two_relays),
]

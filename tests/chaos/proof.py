"""What must be true of a system after a scenario: everything acknowledged is there, once, and nothing else."""

import asyncio
import importlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy.demo import run as demo
from deploy.demo.dataset import Basket
from shared.database.db import Pool
from shared.messaging.consumer import Reactions
from shared.services import WITH_INBOX
from shared.settings import Settings
from tests.chaos.scenario import assert_sound
from tests.chaos.system import Scene, count_parked, messages_of

# The longest way to rest: a message whose sending was cut is asked about after 45 s.
REST_WITHIN_SECONDS = 180.0
BOOKS_WITHIN_SECONDS = 20.0
SHOWN = 20

UNDER_WAY = """
SELECT (SELECT count(*) FROM campaign_deliveries
        WHERE delivery_status = 'sending' OR (delivery_status = 'queued' AND due_at <= now()))
     + (SELECT count(*) FROM journey_runs WHERE state = 'waiting' AND due_at <= now())
"""
STORED = "SELECT device_id, receipt_number, count(*) AS times FROM customer_visits WHERE cafe_id = $1 GROUP BY 1, 2"


@dataclass(frozen=True)
class Look:
    """What is under way at a moment: `waiting` by place, and how far the log of every topic has come."""

    waiting: Mapping[str, int]
    ends: Mapping[TopicPartition, int]


async def prove(
    scene: Scene, baskets: Sequence[Basket], *, parked: Mapping[str, int] | None = None, within: float | None = None
) -> None:
    """Waits until nothing moves, then holds everything against the visits that were acknowledged.

    `parked` says how many records of the scenario each service must have parked; none when not given. `within` is how
    long the system may take to come to rest.
    Raises AssertionError naming what is wrong.
    """
    await come_to_rest(scene.system.config, scene.pools, within or REST_WITHIN_SECONDS)
    await _assert_stored_once(scene, baskets)
    found = await demo.settled_books(
        scene.system.config, dict(scene.pools), scene.cafe, list(baskets), within=BOOKS_WITHIN_SECONDS
    )
    assert not found, f"{len(found)} differences in the books:\n" + "\n".join(found[:SHOWN])
    await assert_sound(scene.system.config)
    await _assert_parked(scene, parked or {})
    await _assert_no_message_twice(scene)


async def come_to_rest(config: Settings, pools: Mapping[str, Pool], within: float = REST_WITHIN_SECONDS) -> None:
    """Waits until every record is taken, every event published and every message settled.

    Raises AssertionError that says where something still waits.
    """
    until, last = time.monotonic() + within, None
    async with AIOKafkaConsumer(bootstrap_servers=config.kafka_servers) as reader:
        admin = AIOKafkaAdminClient(bootstrap_servers=config.kafka_servers)
        await admin.start()
        try:
            while True:
                look = await _look(config, pools, reader, admin)
                # Twice the same, or something may have slipped from one place to the other between two questions.
                if not look.waiting and last is not None and not last.waiting and last.ends == look.ends:
                    return
                assert time.monotonic() < until, f"not at rest after {within:.0f} s: {dict(look.waiting)}"
                last = look
                await asyncio.sleep(0.2)
        finally:
            await admin.close()


def topics_of(config: Settings, service: str) -> list[str]:
    """Full names of what a service reads."""
    reactions: Reactions = importlib.import_module(f"services.{service}.worker").REACTIONS
    return [config.topic_prefix + topic for topic in reactions.topics]


async def _look(
    config: Settings, pools: Mapping[str, Pool], reader: AIOKafkaConsumer, admin: AIOKafkaAdminClient
) -> Look:
    waiting = {
        f"outbox of {service}": int(await pool.fetchval("SELECT count(*) FROM crm.outbox"))
        for service, pool in pools.items()
    }
    read = {service: topics_of(config, service) for service in WITH_INBOX}
    partitions = {
        topic: [TopicPartition(topic, number) for number in range(config.partitions)]
        for topic in {topic for topics in read.values() for topic in topics}
    }
    everything = [partition for each in partitions.values() for partition in each]
    ends = await reader.end_offsets(everything)
    starts = await reader.beginning_offsets(everything)
    for service, topics in read.items():
        if not topics:
            continue
        committed = await admin.list_consumer_group_offsets(config.topic_prefix + service)
        for topic in topics:
            lag = sum(
                ends[each] - (committed[each].offset if each in committed else starts[each])
                for each in partitions[topic]
            )
            waiting[f"{service} reading {topic.removeprefix(config.topic_prefix)}"] = lag
    waiting["messages"] = int(await pools["campaign"].fetchval(UNDER_WAY))
    return Look({place: count for place, count in waiting.items() if count}, ends)


async def _assert_stored_once(scene: Scene, baskets: Sequence[Basket]) -> None:
    rows = await scene.pools["visit"].fetch(STORED, scene.cafe.cafe_id)
    stored = {(row["device_id"], row["receipt_number"]): row["times"] for row in rows}
    wanted = {(f"till-{basket.store_id}", str(basket.basket_id)) for basket in baskets}
    lost, strange = sorted(wanted - stored.keys()), sorted(stored.keys() - wanted)
    twice = sorted(receipt for receipt, times in stored.items() if times > 1)
    assert not lost, f"{len(lost)} of {len(wanted)} acknowledged visits are lost: {lost[:SHOWN]}"
    assert not twice, f"{len(twice)} visits are there more than once: {twice[:SHOWN]}"
    assert not strange, f"{len(strange)} visits were never handed in: {strange[:SHOWN]}"


async def _assert_parked(scene: Scene, wanted: Mapping[str, int]) -> None:
    for service, pool in scene.pools.items():
        new = await count_parked(pool) - scene.parked_before[service]
        if new != wanted.get(service, 0):
            last = await pool.fetch(
                "SELECT topic, reason, detail FROM crm.parked WHERE status = 'parked' ORDER BY parked_at DESC LIMIT 5"
            )
            raise AssertionError(
                f"{service} parked {new} records, must be {wanted.get(service, 0)}: {[tuple(row) for row in last]}"
            )


async def _assert_no_message_twice(scene: Scene) -> None:
    # By number and text: one with a known local id never arrives twice, the provider itself sees to that.
    sent = (await messages_of(scene.system))[scene.messages_before :]
    arrived = Counter(f"{message['receptor']} {message['message']}" for message in sent)
    twice = {each: times for each, times in arrived.items() if times > 1}
    assert not twice, f"{len(twice)} messages went out more than once: {list(twice.items())[:SHOWN]}"

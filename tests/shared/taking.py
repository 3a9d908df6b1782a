"""Records on real topics, taken in by a service's own consumer with offsets of its group, without a whole worker."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from deploy.crm.rebuild_commands import projection_of
from shared.database.db import Pool
from shared.events.base import Event
from shared.messaging.consumer import Consumer, Reactions
from shared.messaging.relay import Relay
from shared.messaging.topics import TOPICS
from shared.rebuild.rebuild import Rebuilt, rebuild
from tests.conftest import Kafka
from tests.shared.records import record_of
from tests.support import Databases

WITHIN_SECONDS = 60


async def publish(kafka: Kafka, events: Sequence[Event]) -> None:
    """What the relay would publish for these events."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka.servers, enable_idempotence=True)
    await producer.start()
    try:
        for event in events:
            record = record_of(event, kafka.prefix)
            await producer.send(record.topic, record.value, key=record.key, headers=list(record.headers))
        await producer.flush()
    finally:
        await producer.stop()


async def take_in(
    kafka: Kafka, service: str, pool: Pool, reactions: Reactions, *, batch: int = 50, commit: bool = True
) -> None:
    """Everything that waits for the service, in batches, as its worker does; `commit` the offsets afterwards or not."""
    applying = Consumer(service, pool, reactions, kafka.config.keys, kafka.prefix)
    async with _consumer(kafka, kafka.prefix + service) as consumer:
        partitions = _partitions(kafka, reactions.topics)
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        async with asyncio.timeout(WITHIN_SECONDS):
            while any([await consumer.position(each) < ends[each] for each in partitions]):
                found = await consumer.getmany(timeout_ms=200, max_records=batch)
                records = [record for portion in found.values() for record in portion]
                if records:
                    await applying.handle(records)
                    if commit:
                        await consumer.commit()


async def relay(kafka: Kafka, databases: Databases, service: str, pool: Pool) -> None:
    """The service's outbox leaves for its topics."""
    running = Relay(service, await databases.create(service), kafka.servers, kafka.config.keys, kafka.prefix)
    task = asyncio.create_task(running.run())
    try:
        async with asyncio.timeout(WITHIN_SECONDS):
            while await pool.fetchval("SELECT EXISTS (SELECT FROM crm.outbox)"):
                await asyncio.sleep(0.02)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ends(kafka: Kafka) -> dict[TopicPartition, int]:
    """The end of every partition of every topic."""
    async with _consumer(kafka, None) as consumer:
        return dict(await consumer.end_offsets(_partitions(kafka, [topic.name for topic in TOPICS])))


async def rebuilt(kafka: Kafka, databases: Databases, service: str, *, check: bool = False) -> Rebuilt:
    """What `crm rebuild` does for the service."""
    return await rebuild(
        service,
        projection_of(service),
        dsn=await databases.owner_dsn(service),
        config=kafka.config,
        check=check,
        say=lambda _: None,
    )


def _partitions(kafka: Kafka, topics: Sequence[str]) -> list[TopicPartition]:
    return [
        TopicPartition(kafka.prefix + topic, number) for topic in topics for number in range(kafka.config.partitions)
    ]


@contextlib.asynccontextmanager
async def _consumer(kafka: Kafka, group: str | None) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.servers, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()

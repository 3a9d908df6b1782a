"""A worker process of a service with few reactions, on real Kafka, inside of the test's process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import httpx2
import uvicorn
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from deploy.engines.engine import free_port
from shared.database.db import Connection
from shared.events.base import Event, caused_by
from shared.events.feedback import FeedbackReceived
from shared.events.visit import VisitRecorded
from shared.jobs.periodic import Job
from shared.messaging import outbox
from shared.messaging.consumer import Consumer, Reactions
from shared.messaging.fetching import IMMEDIATE, FetchPolicy
from shared.messaging.worker import Worker
from tests.conftest import Kafka
from tests.shared.records import record_of

SERVICE = "feedback"


async def rate(conn: Connection, events: Sequence[VisitRecorded]) -> None:
    """A reaction that answers each visit with an event of its own."""
    answers = [
        FeedbackReceived(
            cafe_id=event.cafe_id, occurred_at=event.occurred_at, customer_id=event.customer_id,
            visit_id=event.visit_id,
            feedback_id=event.visit_id, visit_at=event.occurred_at, source="website", overall_rating=5,
            **caused_by(event),
        )
        for event in events
    ]  # fmt: skip
    await outbox.emit(conn, answers)


REACTIONS = Reactions({VisitRecorded: rate})


@contextlib.asynccontextmanager
async def working(
    kafka: Kafka,
    *jobs: Job,
    reactions: Reactions = REACTIONS,
    fetch: FetchPolicy = IMMEDIATE,
) -> AsyncIterator[tuple[Worker, str]]:
    worker = Worker(SERVICE, kafka.config, reactions, jobs, fetch)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(worker.build(), port=port, log_config=None, lifespan="on"))
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(30):
            while not server.started:
                await asyncio.sleep(0.02)
        yield worker, f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


async def publish(kafka: Kafka, events: Sequence[Event]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.servers)
    await producer.start()
    for event in events:
        record = record_of(event, kafka.prefix)
        await producer.send_and_wait(record.topic, record.value, key=record.key, headers=list(record.headers))
    await producer.stop()


async def answers(kafka: Kafka, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(
        f"{kafka.prefix}feedback.events", bootstrap_servers=kafka.servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


def counting(handled: asyncio.Queue[int]) -> Callable[[Consumer, Sequence[Any]], Awaitable[None]]:
    """`Consumer.handle` that also tells of how many records each batch was."""
    handle = Consumer.handle

    async def counted(consumer: Consumer, records: Sequence[Any]) -> None:
        await handle(consumer, records)
        handled.put_nowait(len(records))

    return counted


async def until_ready(url: str) -> None:
    """A busy broker can be slow to answer once; who asks for readiness asks again."""
    async with httpx2.AsyncClient() as client:
        while (await client.get(f"{url}/readyz")).status_code != 200:
            await asyncio.sleep(0.05)

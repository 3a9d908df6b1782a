"""What a client library fails at in the loop of consuming costs nothing but time."""

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError

from shared.database.db import Pool
from shared.messaging import polling, standing
from shared.messaging.consumer import Consumer
from tests.conftest import Kafka
from tests.shared.records import record_of, visit
from tests.shared.working import SERVICE, answers, counting, publish, working
from tests.support import Databases


@pytest.fixture
async def pool(database: Databases) -> Pool:
    return await database(SERVICE)


async def test_batch_whose_commit_the_client_gave_up_is_taken_again_by_the_same_loop(
    pool: Pool, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working(kafka) as (worker, _), asyncio.timeout(30):
        await publish(kafka, [visit()])
        await answers(kafka, 1)
        client = worker.subscriber.consumer
        commit, handled = client.commit, asyncio.Queue[int]()

        async def gives_up_once() -> None:
            monkeypatch.setattr(client, "commit", commit)
            raise asyncio.CancelledError

        monkeypatch.setattr(client, "commit", gives_up_once)
        monkeypatch.setattr(Consumer, "handle", counting(handled))
        await publish(kafka, [visit()])
        await answers(kafka, 2)
        assert [await handled.get() for _ in range(2)] == [1, 1]
        await publish(kafka, [visit()])
        await answers(kafka, 3)
    assert await pool.fetchval("SELECT count(*) FROM crm.inbox") == 3


async def test_records_that_were_polled_before_their_positions_could_be_read_are_polled_again(
    pool: Pool, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, gone = polling.take, asyncio.Event()

    async def away(*_: object) -> None:
        gone.set()
        raise ConnectionResetError

    async def take_and_lose(client: Any, *limits: int) -> list[Any]:
        records = await take(client, *limits)
        if records and not gone.is_set():
            worker.rebalances.unknown |= client.assignment()
            monkeypatch.setattr("shared.messaging.standing.require", away)
        return records

    require = standing.require
    monkeypatch.setattr("shared.messaging.worker.take", take_and_lose)
    async with working(kafka) as (worker, _):
        await publish(kafka, [visit()])
        await gone.wait()
        monkeypatch.setattr("shared.messaging.standing.require", require)
        await answers(kafka, 1)
    assert await pool.fetchval("SELECT count(*) FROM crm.inbox") == 1


@pytest.mark.parametrize(
    "error", [KafkaConnectionError(), asyncio.CancelledError(), AttributeError()], ids=lambda e: type(e).__name__
)
async def test_poll_that_the_client_gave_up_is_made_again_by_the_same_loop(
    pool: Pool, kafka: Kafka, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    async with working(kafka) as (worker, _):
        await publish(kafka, [visit()])
        await answers(kafka, 1)
        client, gave_up = worker.subscriber.consumer, asyncio.Event()
        poll = client.getmany

        async def gives_up_once(**options: object) -> object:
            if gave_up.is_set():
                return await poll(**options)
            gave_up.set()
            raise error

        monkeypatch.setattr(client, "getmany", gives_up_once)
        await publish(kafka, [visit()])
        await answers(kafka, 2)
    assert gave_up.is_set()


async def test_record_with_an_undecodable_header_loses_nothing_around_it(pool: Pool, kafka: Kafka) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.servers)
    await producer.start()
    topic = f"{kafka.prefix}visit.events"
    for event in (visit(), visit()):
        await producer.send(topic, b"{}", partition=0, headers=[("ce_type", b"\xff\xfe")])
        record = record_of(event)
        await producer.send(topic, record.value, key=record.key, partition=0, headers=list(record.headers))
    await producer.flush()
    await producer.stop()
    async with working(kafka):
        assert len(await answers(kafka, 2)) == 2
    assert await pool.fetchval("SELECT count(*) FROM crm.parked") == 0  # an unknown type is passed over

"""What waits in several partitions of a real topic, taken about in the order in which it was published."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import KafkaConnectionError

from shared.messaging.fetching import ANSWER_WITHIN_MS
from shared.messaging.polling import SLICE, take
from tests.conftest import Kafka

PARTITIONS, MOST, POLL_MS = 3, 100, 10_000
START = 1_764_000_000_000
FAR_AHEAD = START + 10**9


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, a partition of which there is more has its turn."""
    monkeypatch.setattr("shared.messaging.polling.REFILL_MS", 10_000)


async def publish(kafka: Kafka, moments: Iterable[tuple[int, int]], topic: str = "pos.visits") -> None:
    """A record for each partition and moment; only on a topic of others does its producer choose it."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka.servers)
    await producer.start()
    for partition, moment in moments:
        await producer.send(kafka.prefix + topic, b"x" * 100, partition=partition, timestamp_ms=moment)
    await producer.stop()


@contextlib.asynccontextmanager
async def consumer(kafka: Kafka, *topics: str) -> AsyncIterator[Any]:
    """A client that holds some 60 records of a partition at once."""
    client = AIOKafkaConsumer(
        *(kafka.prefix + topic for topic in topics or ("pos.visits",)), bootstrap_servers=kafka.servers,
        auto_offset_reset="earliest", fetch_max_wait_ms=ANSWER_WITHIN_MS, max_partition_fetch_bytes=8 * 1024,
    )  # fmt: skip
    await client.start()
    try:
        # The broker has answered about each partition.
        while any(client.highwater(partition) is None for partition in client.assignment()):
            await asyncio.sleep(0.01)
        yield client
    finally:
        await client.stop()


async def take_all(client: Any, count: int) -> list[list[ConsumerRecord]]:
    batches: list[list[ConsumerRecord]] = []
    while sum(map(len, batches)) < count:
        batches.append(await take(client, MOST, POLL_MS))
    return batches


async def test_backlog_of_several_partitions_is_taken_in_the_order_of_its_time(kafka: Kafka) -> None:
    # First most lies in one partition, later in another.
    busy = [0, 0, 0, 1, 0, 2] * 75 + [1, 2, 1, 1, 1, 0] * 75
    await publish(kafka, ((partition, START + number) for number, partition in enumerate(busy)))
    async with consumer(kafka) as client:
        batches = await take_all(client, len(busy))
    numbers = [record.timestamp - START for batch in batches for record in batch]
    assert sorted(numbers) == list(range(len(busy)))
    # Taken partition by partition it would be 500 and more.
    assert max(abs(place - number) for place, number in enumerate(numbers)) < MOST + PARTITIONS * SLICE
    for partition in range(PARTITIONS):
        offsets = [record.offset for batch in batches for record in batch if record.partition == partition]
        assert offsets == sorted(offsets)
    assert {len(batch) for batch in batches} == {MOST}


async def test_partition_whose_clock_is_ahead_has_its_turn_in_every_batch(kafka: Kafka) -> None:
    await publish(kafka, [(0, START + number) for number in range(200)] + [(1, FAR_AHEAD)] * 30)
    async with consumer(kafka) as client:
        batches = await take_all(client, 230)
    assert [sum(record.partition for record in batch) for batch in batches] == [SLICE, SLICE, SLICE]


async def test_nothing_that_was_taken_is_lost_when_the_client_stumbles_over_the_rest(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(kafka, [(number % 2, START + number) for number in range(200)])
    async with consumer(kafka) as client:
        getmany, answers = client.getmany, []

        async def stumbling(*partitions: Any, **arguments: Any) -> Any:
            if len(answers) == 4:
                answers.clear()
                raise KafkaConnectionError
            answers.append(partitions)
            return await getmany(*partitions, **arguments)

        monkeypatch.setattr(client, "getmany", stumbling)
        batches = await take_all(client, 200)
    assert sorted(record.timestamp - START for batch in batches for record in batch) == list(range(200))
    assert {len(batch) for batch in batches} == {4 * SLICE}


async def test_topics_take_turns_however_old_what_waits_in_one_is(kafka: Kafka) -> None:
    await publish(kafka, [(0, START + number) for number in range(200)])
    await publish(kafka, [(0, FAR_AHEAD)] * 100, topic="loyalty.events")
    async with consumer(kafka, "pos.visits", "loyalty.events") as client:
        batches = await take_all(client, 300)
    later = [sum(record.topic.endswith("loyalty.events") for record in batch) for batch in batches]
    assert all(abs(count - MOST // 2) <= SLICE for count in later[:2]), later

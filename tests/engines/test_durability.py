"""What the engines keep when they are killed. These start servers of their own, with durability on."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy import pids
from deploy.engines import local_kafka, local_postgres
from tests.support import throwaway_folder

RECORDS = 600


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of this test's own servers."""
    with throwaway_folder("servaan-durability-") as made:
        yield made


async def test_killed_kafka_keeps_acknowledged_records_once_and_in_order(folder: Path) -> None:
    broker = await asyncio.to_thread(local_kafka.start, folder / "kafka")
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.url)
    await admin.start()
    await admin.create_topics([NewTopic("kept", 1, 1)])
    await admin.close()
    halfway = asyncio.Event()
    producer = AIOKafkaProducer(bootstrap_servers=broker.url, enable_idempotence=True)
    await producer.start()

    async def publish() -> None:
        for number in range(RECORDS):
            await producer.send_and_wait("kept", str(number).encode(), key=b"one guest")
            if number == RECORDS // 2:
                halfway.set()

    publishing = asyncio.create_task(publish())
    await halfway.wait()
    assert broker.process is not None
    pids.kill(broker.process)
    again = await asyncio.to_thread(local_kafka.start, folder / "kafka")
    try:
        assert again.url == broker.url
        await publishing
        assert await _all_values(again.url, "kept") == [str(number).encode() for number in range(RECORDS)]
    finally:
        await producer.stop()
        await asyncio.to_thread(local_kafka.stop, again)


async def _all_values(servers: str, topic: str) -> list[bytes | None]:
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        values: list[bytes | None] = []
        while await consumer.position(partition) < end:
            values += [record.value for record in (await consumer.getmany(timeout_ms=1000)).get(partition, [])]
        return values
    finally:
        await consumer.stop()


async def test_killed_postgres_keeps_committed_rows(folder: Path) -> None:
    server = await asyncio.to_thread(local_postgres.start, folder / "postgres", fsync=True)
    connection = await asyncpg.connect(server.url)
    await connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS number")
    assert server.process is not None
    pids.kill(server.process)
    connection.terminate()
    again = await asyncio.to_thread(local_postgres.start, folder / "postgres", fsync=True)
    try:
        assert again.url == server.url
        connection = await asyncpg.connect(again.url)
        assert await connection.fetchval("SELECT sum(number) FROM kept") == 500_500
        assert await connection.fetchval("SHOW fsync") == "on"
        await connection.close()
    finally:
        await asyncio.to_thread(local_postgres.stop, again)


async def test_postgres_with_a_password_refuses_others_and_stops_although_a_client_stays(folder: Path) -> None:
    server = await asyncio.to_thread(local_postgres.start, folder / "postgres", fsync=False, password="a:b@c/d")
    connection = await asyncpg.connect(server.url)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.url.replace("a%3Ab%40c%2Fd", "wrong"))
    async with asyncio.timeout(10):
        await asyncio.to_thread(local_postgres.stop, server)
    assert server.process is not None
    assert not pids.is_running(server.process)
    connection.terminate()

"""What we do to client libraries: that it works, and on which day it is no longer needed.

A test that begins with `test_still_needed` fails when the library can do by itself what we do for it:
then the patch goes.
"""

import asyncio
import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import AsyncMock

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.codec import gzip_encode
from aiokafka.producer import message_accumulator
from aiokafka.record.default_records import DefaultRecordBase, DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage
from faststream.kafka.parser import AioKafkaBatchParser

from shared.clock import new_id
from shared.database.db import Pool
from shared.messaging import library_patches
from shared.messaging.library_patches import ForgivingRecords, LibraryChanged, Subscription
from shared.messaging.rebalances import Rebalances
from shared.messaging.subscriber import Broker
from tests.shared.records import FakeRecord
from tests.support import Databases, Kafka

PLAIN, GZIP = 0, 1
NAME, SPOILED = "ZZZZ", b"\xd3\xe1\xc7\xe3"


@pytest.fixture
async def pool(database: Databases) -> Pool:
    return await database("visit")


def spoiled(batch: bytes) -> bytes:
    """The batch with another name in its headers and the sum that belongs to it."""
    found = bytearray(batch.replace(NAME.encode(), SPOILED))
    at = DefaultRecordBase.CRC_OFFSET
    found[at : at + 4] = calc_crc32c(bytes(found[DefaultRecordBase.ATTRIBUTES_OFFSET :])).to_bytes(4)
    return bytes(found)


def batch_of(*names: str, codec: int = PLAIN, base: int = 0) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=codec, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1,
        batch_size=1 << 20,
    )  # fmt: skip
    for number, name in enumerate(names):
        builder.append(
            number, None, key=None, value=f"{base + number}".encode(), headers=[(name, b"v"), ("none", None)]
        )
    whole = bytearray(builder.build())
    whole[:8] = base.to_bytes(8)
    return bytes(whole)


def read(data: bytes) -> list[tuple[int, bytes, list[tuple[str, bytes]]]]:
    records, found = ForgivingRecords(data), []
    while records.has_next():
        batch = records.next_batch()
        assert batch.validate_crc()
        assert not batch.is_control_batch
        found += [(record.offset, record.value, list(record.headers)) for record in batch]
    assert records.next_batch() is None
    return found


def test_spoiled_name_is_replaced_and_everything_else_is_as_it_was() -> None:
    data = batch_of("a", "b") + spoiled(batch_of("a", NAME, "é", base=2)) + batch_of("a", base=5)
    assert read(data) == [
        (number, str(number).encode(), [(name, b"v"), ("none", None)])
        for number, name in enumerate(["a", "b", "a", "????", "é", "a"])
    ]


def test_spoiled_name_in_a_packed_batch_is_replaced() -> None:
    names = ["a", NAME, "b"]
    plain = batch_of(*names)
    packed = bytearray(plain[: library_patches.RECORDS])
    body = gzip_encode(plain[library_patches.RECORDS :].replace(NAME.encode(), SPOILED))
    packed[library_patches.ATTRIBUTES + 1] |= GZIP
    packed[library_patches.LENGTH : library_patches.UP_TO_LENGTH] = (
        library_patches.RECORDS + len(body) - library_patches.UP_TO_LENGTH
    ).to_bytes(4)
    assert [headers[0][0] for _, _, headers in read(spoiled(bytes(packed) + body))] == ["a", "????", "b"]


def test_still_needed_aiokafka_can_not_read_past_a_spoiled_name() -> None:
    batch = MemoryRecords(spoiled(batch_of(NAME))).next_batch()
    with pytest.raises(UnicodeDecodeError):
        list(batch)


async def test_still_needed_framework_loses_a_batch_with_an_unreadable_header() -> None:
    parser = AioKafkaBatchParser(msg_class=KafkaAckableMessage, regex=None)
    with pytest.raises(UnicodeDecodeError):
        await parser.parse_batch((FakeRecord("visit.events", b"{}", [("ce_type", b"\xff\xfe")]),))


async def test_still_needed_framework_sleeps_after_an_empty_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("anyio.sleep", sleep)
    subscriber = KafkaBroker().subscriber("visit.events", batch=True, batch_timeout_ms=500)
    assert await subscriber.get_msg(AsyncMock(getmany=AsyncMock(return_value={}))) == ()
    assert slept == [0.5]


async def test_still_needed_framework_ends_when_its_client_cancels_a_future_of_its_own() -> None:
    subscriber = KafkaBroker().subscriber("visit.events", batch=True)
    subscriber.running = True
    with pytest.raises(asyncio.CancelledError):
        await subscriber._run_consume_loop(AsyncMock(getmany=AsyncMock(side_effect=asyncio.CancelledError)))


def test_subscriber_of_our_class_asks_its_client_for_what_the_framework_would() -> None:
    options: dict[str, Any] = {"auto_offset_reset": "earliest"}
    theirs = KafkaBroker().subscriber("visit.events", batch=True, group_id="visit", **options)
    defaults = inspect.signature(AIOKafkaConsumer).parameters
    broker = Broker()
    subscription = Subscription(["visit.events"], "visit", AckPolicy.NACK_ON_ERROR, Rebalances(), options)
    ours = broker.steady_subscriber(subscription, AsyncMock())
    assert broker.subscribers == [ours]
    assert (ours.topic_names, ours.group_id, ours.ack_policy) == (["visit.events"], "visit", AckPolicy.NACK_ON_ERROR)
    asked = ours._connection_args | {"enable_auto_commit": True}  # theirs acknowledges first
    differ = {
        name: value
        for name, value in theirs._connection_args.items()
        if value != asked.get(name, defaults[name].default)
    }
    assert differ == {}


@pytest.mark.parametrize("do", [library_patches.install, library_patches.require])
def test_library_that_lacks_a_name_is_said_in_one_sentence(
    do: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_patches, "GONE", "cannot import name 'X' from 'aiokafka.y'")
    with pytest.raises(LibraryChanged, match=r"upgraded past what this version can use: .*aiokafka\.y"):
        do()


def test_process_refuses_to_start_on_a_library_that_lacks_a_name() -> None:
    program = (
        "import aiokafka.record.util; del aiokafka.record.util.decode_varint\n"
        "import aiokafka.record.util as util\n"
        "from shared.messaging import worker, consumer\n"
        "worker.facts.require_secret_or_exit = lambda *_, **__: None\n"
        "worker.run('feedback', consumer.Reactions({}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    (line,) = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, line["event"]) == (1, "start.refused")
    assert "decode_varint" in line["reason"]


async def test_ids_of_our_own_are_of_the_class_in_which_the_driver_gives_them(pool: Pool) -> None:
    assert type(new_id()) is type(await pool.fetchval("SELECT gen_random_uuid()"))


async def test_consumer_on_real_kafka_gets_past_it(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiokafka.consumer.fetcher.MemoryRecords", None)
    library_patches.install()
    build, topic = message_accumulator.BatchBuilder._build, f"{kafka.prefix}pos.visits"

    def building(self: message_accumulator.BatchBuilder) -> bytes:
        self._buffer = bytearray(spoiled(bytes(build(self))))
        return self._buffer

    async with AIOKafkaProducer(bootstrap_servers=kafka.servers) as producer:
        await producer.send_and_wait(topic, b"before", partition=0)
        with monkeypatch.context() as patched:
            patched.setattr(message_accumulator.BatchBuilder, "_build", building)
            await producer.send_and_wait(topic, b"spoiled", partition=0, headers=[(NAME, b"v")])
        await producer.send_and_wait(topic, b"after", partition=0)
    async with AIOKafkaConsumer(topic, bootstrap_servers=kafka.servers, auto_offset_reset="earliest") as consumer:
        found = [await consumer.getone() for _ in range(3)]
    assert [(record.value, record.headers) for record in found] == [
        (b"before", ()), (b"spoiled", (("????", b"v"),)), (b"after", ()),
    ]  # fmt: skip


async def test_broker_unpacks_what_tills_packed(kafka: Kafka) -> None:
    packed: list[int] = []

    class Watching(ForgivingRecords):
        def next_batch(self) -> object:
            batch = super().next_batch()
            packed.append(int(batch.compression_type))
            return batch

    topic = f"{kafka.prefix}pos.visits"
    async with AIOKafkaProducer(bootstrap_servers=kafka.servers, compression_type="gzip") as producer:
        await producer.send_and_wait(topic, b"x" * 1000, partition=0)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("aiokafka.consumer.fetcher.MemoryRecords", Watching)
        async with AIOKafkaConsumer(topic, bootstrap_servers=kafka.servers, auto_offset_reset="earliest") as consumer:
            assert (await consumer.getone()).value == b"x" * 1000
    assert packed == [PLAIN]

"""A header's name that is no UTF-8 holds up neither its own record nor those around it."""

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.codec import gzip_encode
from aiokafka.producer import message_accumulator
from aiokafka.record.default_records import DefaultRecordBase, DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from shared.messaging import aiokafka_patches
from shared.messaging.aiokafka_patches import ForgivingRecords
from tests.support import Kafka

PLAIN, GZIP = 0, 1
NAME, SPOILED = "ZZZZ", b"\xd3\xe1\xc7\xe3"


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
    packed = bytearray(plain[: aiokafka_patches.RECORDS])
    body = gzip_encode(plain[aiokafka_patches.RECORDS :].replace(NAME.encode(), SPOILED))
    packed[aiokafka_patches.ATTRIBUTES + 1] |= GZIP
    packed[aiokafka_patches.LENGTH : aiokafka_patches.UP_TO_LENGTH] = (
        aiokafka_patches.RECORDS + len(body) - aiokafka_patches.UP_TO_LENGTH
    ).to_bytes(4)
    assert [headers[0][0] for _, _, headers in read(spoiled(bytes(packed) + body))] == ["a", "????", "b"]


async def test_consumer_on_real_kafka_gets_past_it(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiokafka.consumer.fetcher.MemoryRecords", None)
    aiokafka_patches.install()
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

"""What we do to client libraries by names that these do not promise to keep. All of it stands here, with the version it
was seen in; `docs/how-to.md` says what to look at when one of them is upgraded.

Headers with a spoiled name (aiokafka 0.14.0, `aiokafka.consumer.fetcher.MemoryRecords`): aiokafka decodes the names of
headers while it iterates, so that one that is no UTF-8, as a till that is not written in Python may send, would hold up
its partition for ever. `ForgivingRecords` replaces what can't be read and gives the record on; whoever takes it in
decides about it. Not reported upstream; to be filed as "Consumer stops for ever at a record with a header name that is
not UTF-8".

A subscriber of our own class (FastStream 0.7.8, the constructors behind `KafkaBroker.subscriber`): the framework has
hooks for parsers, decoders and middlewares, but its factory decides which class a subscriber is. `register_subscriber`
does what that factory does, for a class that is given. Not reported upstream; to be filed as "Let
`KafkaBroker.subscriber` take the class of the subscriber".
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from aiokafka import ConsumerRebalanceListener
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.subscriber.usecase import BatchSubscriber

# A name that is gone must not end the process here: `require` says it in one sentence.
try:
    from aiokafka.codec import gzip_decode
    from aiokafka.consumer import fetcher
    from aiokafka.record.default_records import DefaultRecordBatch
    from aiokafka.record.memory_records import MemoryRecords
    from aiokafka.record.util import decode_varint
    from faststream._internal.endpoint.subscriber.call_item import CallsCollection
    from faststream.kafka.broker.registrator import KafkaRegistrator
    from faststream.kafka.configs import KafkaBrokerConfig
    from faststream.kafka.schemas import Topic
    from faststream.kafka.subscriber.config import KafkaSubscriberConfig, KafkaSubscriberSpecificationConfig
    from faststream.kafka.subscriber.specification import KafkaSubscriberSpecification
except ImportError as error:
    GONE: str | None = str(error)
else:
    GONE = None if hasattr(fetcher, "MemoryRecords") else "aiokafka.consumer.fetcher has no MemoryRecords"

S = TypeVar("S", bound=BatchSubscriber)

# Kafka's record batch, version 2: where its length, its attributes and its records are.
LENGTH, ATTRIBUTES, COUNT, RECORDS = 8, 21, 57, 61
UP_TO_LENGTH = 12
CODEC, GZIP = 0x07, 0x01


class LibraryChanged(Exception):
    """A library has no longer what stands here."""


def require() -> None:
    """Raises `LibraryChanged`, with one sentence for the operator, when a name is gone that this module needs."""
    if GONE is not None:
        raise LibraryChanged(f"a library was upgraded past what this version can use: {GONE}")


def install() -> None:
    """Lets every consumer of this process read through `ForgivingRecords`. Raises `LibraryChanged`."""
    require()
    fetcher.MemoryRecords = ForgivingRecords


@dataclass(frozen=True)
class Subscription:
    """What a subscriber reads, and how. `client_options`: of `AIOKafkaConsumer`, beside those named here."""

    topics: Sequence[str]
    group_id: str
    ack_policy: AckPolicy
    listener: ConsumerRebalanceListener
    client_options: dict[str, Any]


def register_subscriber(broker: KafkaBroker, subscription: Subscription, make: Callable[[Any, Any, Any], S]) -> S:
    """A batch subscriber made by `make(config, specification, calls)`, the arguments of `BatchSubscriber`, that the
    broker starts and stops as if its own `subscriber` had made it."""
    topics = [Topic.validate(topic) for topic in subscription.topics]
    calls, outer = CallsCollection[Any](), cast("KafkaBrokerConfig", broker.config)
    config = KafkaSubscriberConfig(
        topics=topics,
        group_id=subscription.group_id,
        listener=subscription.listener,
        connection_args=dict(subscription.client_options),
        _outer_config=outer,
        _ack_policy=subscription.ack_policy,
    )
    specification = KafkaSubscriberSpecification(
        _outer_config=outer,
        calls=calls,
        specification_config=KafkaSubscriberSpecificationConfig(
            topics=topics, title_=None, description_=None, include_in_schema=True
        ),
    )
    subscriber = make(config, specification, calls)
    super(KafkaRegistrator, broker).subscriber(subscriber)
    return subscriber


class ForgivingRecords:
    """What aiokafka's fetcher uses of `MemoryRecords`."""

    def __init__(self, data: bytes) -> None:
        self._records, self._data, self._at = MemoryRecords(data), data, 0

    def size_in_bytes(self) -> int:
        """Of all batches, a last incomplete one included."""
        size: int = self._records.size_in_bytes()
        return size

    def has_next(self) -> bool:
        """Whether another whole batch follows."""
        found: bool = self._records.has_next()
        return found

    def next_batch(self) -> Any:
        """The next batch; None after the last."""
        batch, start = self._records.next_batch(), self._at
        if batch is None:
            return None
        self._at += UP_TO_LENGTH + int.from_bytes(self._data[start + LENGTH : start + UP_TO_LENGTH])
        return _Batch(batch, self._data[start : self._at])


class _Batch:
    def __init__(self, batch: Any, data: bytes) -> None:
        self._batch, self._data = batch, data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        given = 0
        try:
            for record in self._batch:
                yield record
                given += 1
        except UnicodeDecodeError:
            records = list(DefaultRecordBatch(with_readable_names(self._data)))
            yield from records[given:]


def with_readable_names(batch: bytes) -> bytes:
    """The batch, unpacked, with every byte that spoils a header's name replaced by a question mark."""
    attributes, count = (struct.unpack_from(form, batch, at)[0] for form, at in ((">h", ATTRIBUTES), (">i", COUNT)))
    packed = attributes & CODEC == GZIP
    records = bytearray(gzip_decode(batch[RECORDS:]) if packed else batch[RECORDS:])
    at = 0
    for _ in range(count):
        at = _mend_record(records, at)
    head = bytearray(batch[:RECORDS])
    struct.pack_into(">i", head, LENGTH, RECORDS + len(records) - UP_TO_LENGTH)
    struct.pack_into(">h", head, ATTRIBUTES, attributes & ~CODEC)
    return bytes(head + records)


def _mend_record(records: bytearray, at: int) -> int:
    """Mends the names of the record that begins at `at`; returns where the next begins."""
    length, at = decode_varint(records, at)
    end = at + length
    at += 1  # attributes
    for _ in ("timestamp", "offset"):
        _, at = decode_varint(records, at)
    for _ in ("key", "value"):
        at = _after_bytes(records, at)
    headers, at = decode_varint(records, at)
    for _ in range(headers):
        length, at = decode_varint(records, at)
        records[at : at + length] = _readable(bytes(records[at : at + length]))
        at = _after_bytes(records, at + length)
    return int(end)


def _after_bytes(records: bytearray, at: int) -> int:
    # A length of -1 is null.
    length, at = decode_varint(records, at)
    return int(at + max(0, length))


def _readable(name: bytes) -> bytes:
    try:
        name.decode()
    except UnicodeDecodeError:
        return bytes(byte if byte < 0x80 else ord("?") for byte in name)
    return name

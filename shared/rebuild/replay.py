"""Reading topics again from their beginning, as far as a service has taken them in."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition

from shared.messaging.clients import opened
from shared.messaging.topics import TOPICS

# Many, so that one statement per table carries much; few enough to hold in memory.
RECORDS_AT_ONCE = 20_000
# Unpacking yields to the event loop after this many records; otherwise the database would wait for its next statement.
RECORDS_OF_A_TURN = 1_000
NOTHING_CAME_SECONDS = 30
COMPACTED = {topic.name for topic in TOPICS if topic.compacted}

Offsets = Mapping[TopicPartition, int]


class CannotReplay(Exception):
    """Kafka no longer has events that a replay needs."""


@dataclass
class TopicReader:
    """Reads partitions onwards from where it stands. `positions` may be set back; records then come again."""

    group: str
    consumer: Any
    admin: Any
    partitions: Mapping[str, list[TopicPartition]]
    positions: dict[TopicPartition, int] = field(default_factory=dict)

    async def committed(self, topics: Iterable[str]) -> dict[TopicPartition, int]:
        """Where the consumer group stands in each partition of the topics."""
        wanted = [partition for topic in topics for partition in self.partitions[topic]]
        if not wanted:
            return {}
        found = await self.admin.list_consumer_group_offsets(self.group, partitions=wanted)
        known = {partition: offset.offset for partition, offset in found.items()}
        return {partition: max(0, known.get(partition, 0)) for partition in wanted}

    async def ends(self, topics: Iterable[str]) -> dict[TopicPartition, int]:
        """The end of each partition of the topics at this moment."""
        wanted = [partition for topic in topics for partition in self.partitions[topic]]
        return dict(await self.consumer.end_offsets(wanted)) if wanted else {}

    async def read(self, topic: str, upto: Offsets) -> AsyncIterator[list[ConsumerRecord]]:
        """The records of the topic below the given offsets, in large portions, the partitions side by side."""
        behind = [each for each in self.partitions[topic] if self.positions[each] < upto.get(each, 0)]
        if not behind:
            return
        self.consumer.assign(behind)
        for partition in behind:
            self.consumer.seek(partition, self.positions[partition])
        portion: list[ConsumerRecord] = []
        while behind:
            found = await self.consumer.getmany(
                *behind, timeout_ms=NOTHING_CAME_SECONDS * 1000, max_records=RECORDS_OF_A_TURN
            )
            await asyncio.sleep(0)
            if not found:
                raise CannotReplay(f"{topic}: no record came for {NOTHING_CAME_SECONDS} s")
            for partition, records in found.items():
                end = upto[partition]
                self.positions[partition] = min(records[-1].offset + 1, end)
                portion += records if records[-1].offset < end else [each for each in records if each.offset < end]
                if self.positions[partition] >= end:
                    behind.remove(partition)
                    self.consumer.pause(partition)
            if len(portion) >= RECORDS_AT_ONCE:
                yield portion
                portion = []
        if portion:
            yield portion


@contextlib.asynccontextmanager
async def reading(kafka_servers: str, group: str, topics: Iterable[str], prefix: str) -> AsyncIterator[TopicReader]:
    """A reader at the beginning of the topics (full names), which joins no group.

    Raises `CannotReplay` when records were removed from a topic that should keep all.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka_servers, enable_auto_commit=False, auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 * 1024 * 1024, fetch_max_wait_ms=100,
    )  # fmt: skip
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_servers)
    async with opened(consumer), opened(admin):
        partitions = await _partitions(admin, topics)
        reader = TopicReader(group, consumer, admin, partitions)
        await _begin(reader, prefix)
        yield reader


async def _partitions(admin: Any, topics: Iterable[str]) -> dict[str, list[TopicPartition]]:
    found = {}
    for topic in await admin.describe_topics(list(topics)):
        name = topic["topic"]
        if topic["error_code"]:
            raise CannotReplay(f"{name}: there is no such topic")
        numbers = sorted(partition["partition"] for partition in topic["partitions"])
        found[name] = [TopicPartition(name, number) for number in numbers]
    return found


async def _begin(reader: TopicReader, prefix: str) -> None:
    every = [partition for partitions in reader.partitions.values() for partition in partitions]
    # Before the ends: a live worker goes on taking in what comes.
    taken_in = await reader.committed(reader.partitions)
    begins, ends = await asyncio.gather(reader.consumer.beginning_offsets(every), reader.consumer.end_offsets(every))
    for partition in every:
        if begins[partition] > 0 and partition.topic.removeprefix(prefix) not in COMPACTED:
            raise CannotReplay(
                f"{partition.topic}[{partition.partition}] begins at {begins[partition]}: older are gone"
            )
    for partition, committed in taken_in.items():
        if committed > ends[partition]:
            raise CannotReplay(
                f"{partition.topic}[{partition.partition}] ends at {ends[partition]}, but {committed} were taken in"
            )
    reader.positions.update(begins)

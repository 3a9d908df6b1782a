"""Following topics from a moment on, for showing and not for acting: no consumer group, no position that is kept, every
process reads every record. What nobody vouches for is left out.

aiokafka's own consumer, not a subscriber of FastStream: that one takes its partitions and its beginning when it is
declared, and here both are asked of the broker (`offsets_for_times`), anew after each outage.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from shared.database.db import heed_cancellation
from shared.events import registry
from shared.messaging.clients import opened
from shared.messaging.records import Record
from shared.messaging.signing import Doorkeeper
from shared.process import telemetry
from shared.process.discreet import bare
from shared.settings import Settings

POLL_MS = 500
RECORDS_AT_ONCE = 500
# So often the broker is asked whether it is there: nothing may come for hours.
ASK_SECONDS = 2.0
ANSWER_SECONDS = 4.0
AGAIN_SECONDS = 1.0
# What is fetched of one partition, and of all at once: ten minutes of a busy installation are read in portions.
PARTITION_BYTES = 256 * 1024
FETCH_BYTES = 4 * 1024 * 1024

Take = Callable[[str, Record], None]


class _Moved(Exception):
    """Partitions were added."""


@dataclass
class Tail:
    """Hands each record of the topics (plain names) with one of the `kinds` to `take`, in each partition's order.

    It begins `since_seconds` ago. `on_change` is told whenever `live` changes: False while the broker is away. After an
    outage it goes on where it was.
    """

    service: str
    config: Settings
    topics: Collection[str]
    kinds: Collection[str]
    take: Take
    on_change: Callable[[bool], None]
    since_seconds: float
    live: bool = False
    reached: dict[TopicPartition, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._doorkeeper = Doorkeeper(self.config.keys, self.config.unsigned_events_until)
        self._plain = {self.config.topic_prefix + topic: topic for topic in self.topics}

    async def run(self) -> None:
        """Follows until it is cancelled."""
        while True:
            try:
                async with opened(self._client()) as client:
                    await self._follow(client)
            except (KafkaError, OSError, TimeoutError, _Moved, asyncio.CancelledError) as error:
                # A connection that is torn while its metadata is asked for cancels who asks (aiokafka 0.14).
                heed_cancellation()
                telemetry.logger().warning("tail.broken", error=type(error).__name__)
            except Exception as error:
                # A torn connection can make a client library stumble over itself; this loop must outlive that.
                heed_cancellation()
                telemetry.logger().error("tail.failed", error=type(error).__name__, exc_info=bare(error))
            self._say(live=False)
            await asyncio.sleep(AGAIN_SECONDS)

    def _client(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            *self._plain, bootstrap_servers=self.config.kafka_servers, client_id=f"{self.service}-tail", group_id=None,
            enable_auto_commit=False, auto_offset_reset="latest", max_partition_fetch_bytes=PARTITION_BYTES,
            fetch_max_bytes=FETCH_BYTES,
        )  # fmt: skip

    async def _follow(self, client: Any) -> None:
        # Without a group the client gives itself all partitions.
        partitions = client.assignment()
        await self._begin(client, partitions)
        asked = 0.0
        while True:
            if time.monotonic() - asked > ASK_SECONDS:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await client.end_offsets(list(partitions))
                if client.assignment() != partitions:
                    raise _Moved
                asked = time.monotonic()
                self._say(live=True)
            found = await client.getmany(timeout_ms=POLL_MS, max_records=RECORDS_AT_ONCE)
            for partition, records in found.items():
                for record in records:
                    self.reached[partition] = record.offset + 1
                    self._look_at(self._plain[partition.topic], record)
            if found:
                # Whoever is shown them waits on the same loop.
                await asyncio.sleep(0)

    async def _begin(self, client: Any, partitions: Collection[TopicPartition]) -> None:
        since = round((time.time() - self.since_seconds) * 1000)
        async with asyncio.timeout(ANSWER_SECONDS):
            starts = await client.offsets_for_times(dict.fromkeys(partitions, since))
            ends = await client.end_offsets(list(partitions))
        for partition in partitions:
            start = starts[partition].offset if starts[partition] else ends[partition]
            # A topic that was made anew ends before what was reached in the old one.
            reached = self.reached.get(partition, 0)
            client.seek(partition, max(start, reached) if reached <= ends[partition] else start)

    def _look_at(self, topic: str, record: Any) -> None:
        headers = dict(record.headers)
        kind = str(headers.get("ce_type") or b"", "utf-8", "replace")
        if kind not in self.kinds or record.value is None:
            return
        if fault := self._doorkeeper.fault(topic, record, headers, registry.BY_TYPE[kind]):
            telemetry.FORGED.labels(self.service, topic, fault.code).inc()
            return
        self.take(kind, record)

    def _say(self, *, live: bool) -> None:
        if live != self.live:
            self.live = live
            if live:
                telemetry.logger().info("tail.joined")
            else:
                telemetry.logger().warning("tail.lost")
            self.on_change(live)

"""Reads several partitions roughly in the order in which their records were published."""

import asyncio
import heapq
from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from shared.database.db import heed_cancellation

# How many records are taken from one partition before we look again which one is furthest behind.
SLICE = 10
# More of a partition whose records in hand have come to an end is mostly there after this long: once the broker has
# answered about the others (`fetching.ANSWER_WITHIN_MS`) and is asked anew. A worker that waited for the rest would be
# idle for longer than late visits cost.
REFILL_MS = 150


async def take(client: Any, most: int, timeout_ms: int) -> list[ConsumerRecord]:
    """At most `most` records, waiting up to `timeout_ms` for the first; those of one partition in their order.

    The client itself empties one partition after the other. A worker that has been away would then see what a guest did
    at one till long before what the same guest did, earlier, at another; and late visits cost much more than others.
    Here the topics take turns, and within a topic the next slice comes from the partition that is furthest behind. At
    first each partition gives one.

    Raises:
        aiokafka.errors.KafkaError: only when nothing was taken. What was taken is always returned, because the client
            counts it as consumed.
    """
    first = await client.getmany(timeout_ms=timeout_ms, max_records=min(most, SLICE))
    taken = [record for records in first.values() for record in records]
    if len(taken) < min(most, SLICE):
        return taken
    turns = _turns(client, {partition: records[-1].timestamp for partition, records in first.items()})
    try:
        while turns and len(taken) < most:
            partitions = turns.popleft()
            _, partition = heapq.heappop(partitions)
            if records := await _slice(client, partition, min(SLICE, most - len(taken))):
                taken += records
                heapq.heappush(partitions, (records[-1].timestamp, partition))
            if partitions:
                turns.append(partitions)
    except (KafkaError, asyncio.CancelledError):
        # The client cancels futures of its own when it loses the broker, which is not our end.
        heed_cancellation()
    return taken


def _turns(client: Any, reached: Mapping[TopicPartition, int]) -> deque[list[tuple[int, TopicPartition]]]:
    """A heap of partitions for each topic, the one that is furthest behind first."""
    topics = defaultdict[str, list[tuple[int, TopicPartition]]](list)
    for partition in client.assignment() - client.paused():
        heapq.heappush(topics[partition.topic], (reached.get(partition, 0), partition))
    return deque(topics.values())


async def _slice(client: Any, partition: TopicPartition, most: int) -> list[ConsumerRecord]:
    # Partitions may be given away while another one is waited for.
    end = client.highwater(partition) if partition in client.assignment() else None
    if end is None or await client.position(partition) >= end:
        return []
    found = await client.getmany(partition, timeout_ms=REFILL_MS, max_records=most)
    records: list[ConsumerRecord] = found.get(partition, [])
    return records

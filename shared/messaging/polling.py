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
# When a partition's fetched records are used up, more of it is mostly there after this long: the broker answers about
# the others (`fetching.ANSWER_WITHIN_MS`) and is asked anew. Waiting for the rest would cost more time than late visits
# do.
REFILL_MS = 150


async def take(client: Any, limit: int, timeout_ms: int) -> list[ConsumerRecord]:
    """Up to `limit` records, round-robin over topics; within a topic, the next `SLICE` of the partition that is
    furthest behind.

    The client itself empties one partition after the other. A worker that has been away would then see a guest's visits
    at one till long before earlier ones of that guest at another, and late visits cost much more than others.

    Waits up to `timeout_ms` for the first record. Records of one partition keep their order. At first each partition
    gives one slice.

    Raises:
        aiokafka.errors.KafkaError: only when nothing was taken. What was taken is always returned, because the client
            counts it as consumed.
    """
    first = await client.getmany(timeout_ms=timeout_ms, max_records=min(limit, SLICE))
    taken = [record for records in first.values() for record in records]
    if len(taken) < min(limit, SLICE):
        return taken
    turns = _turns(client, {partition: records[-1].timestamp for partition, records in first.items()})
    try:
        while turns and len(taken) < limit:
            partitions = turns.popleft()
            _, partition = heapq.heappop(partitions)
            if records := await _slice(client, partition, min(SLICE, limit - len(taken))):
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


async def _slice(client: Any, partition: TopicPartition, limit: int) -> list[ConsumerRecord]:
    # Partitions may be given away while another one is waited for.
    end = client.highwater(partition) if partition in client.assignment() else None
    if end is None or await client.position(partition) >= end:
        return []
    found = await client.getmany(partition, timeout_ms=REFILL_MS, max_records=limit)
    records: list[ConsumerRecord] = found.get(partition, [])
    return records

"""What waits in several partitions is taken about in the order in which it was published."""

import asyncio
import heapq
from typing import Any

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from shared.db import heed_cancellation

# So many records are taken from one partition before it is asked again which of them is furthest behind.
SLICE = 10
# A client asks a broker one thing at a time, and the answer about partitions where nothing new comes takes this long.
REFILL_MS = 300


async def take(client: Any, most: int, timeout_ms: int) -> list[ConsumerRecord]:
    """At most `most` records, waiting up to `timeout_ms` for the first; those of one partition in their order.

    The client itself empties one partition after the other. A worker that has been away would then see what a guest did
    at one till long before what the same guest did, earlier, at another; and late visits cost much more than others.
    Every partition where something waits gives one slice; after that the one whose last record is the oldest is next.

    Raises:
        aiokafka.errors.KafkaError: only when nothing was taken. What was taken is always returned, because the client
            counts it as consumed.
    """
    first = await client.getmany(timeout_ms=timeout_ms, max_records=min(most, SLICE))
    taken = [record for records in first.values() for record in records]
    if len(taken) < min(most, SLICE):
        return taken
    reached = {partition: records[-1].timestamp for partition, records in first.items()}
    ahead = [(reached.get(each, 0), place, each) for place, each in enumerate(client.assignment() - client.paused())]
    heapq.heapify(ahead)
    try:
        while ahead and len(taken) < most:
            _, place, partition = heapq.heappop(ahead)
            records = await _slice(client, partition, min(SLICE, most - len(taken)))
            if records:
                taken += records
                heapq.heappush(ahead, (records[-1].timestamp, place, partition))
    except (KafkaError, asyncio.CancelledError):
        # The client cancels futures of its own when it loses the broker, which is not our end.
        heed_cancellation()
    return taken


async def _slice(client: Any, partition: TopicPartition, most: int) -> list[ConsumerRecord]:
    # Partitions may be given away while another one is waited for.
    end = client.highwater(partition) if partition in client.assignment() else None
    if end is None or await client.position(partition) >= end:
        return []
    found = await client.getmany(partition, timeout_ms=REFILL_MS, max_records=most)
    records: list[ConsumerRecord] = found.get(partition, [])
    return records

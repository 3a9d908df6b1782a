"""What the broker knows of a service: the offsets of its consumer group, and the last events it published."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import replace
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition

from shared.database.db import Connection, Pool, transaction
from shared.messaging.clients import opened
from shared.messaging.positions import OUTBOX, Partition, PartitionState, PutBack, adopt, fault_of, has_taken_in, put
from shared.messaging.positions import read as read_positions
from shared.messaging.signing import number_of, publisher_of
from shared.messaging.topics import TOPICS
from shared.process import telemetry
from shared.security.crypto import Keys
from shared.settings import Settings

# How many of the last records of each partition are looked at: others may have written there too.
LAST_RECORDS = 200
WITHIN_SECONDS = 20
WAITED_FOR_MS = 2_000
OF_OUTBOX = "SELECT id, headers FROM crm.outbox WHERE id = any($1::bigint[])"

_headers = msgspec.json.Decoder(list[tuple[str, str]])


async def require(
    client: Any, pool: Pool, partitions: Collection[TopicPartition], config: Settings
) -> dict[Partition, int]:
    """The positions that the database has noted for these partitions, after checking that the broker says the same.

    Where nothing is noted, as in a database from before positions, the broker is believed once. `client` is a consumer
    to which they are assigned. Raises `PutBack`; then nothing was changed.
    """
    prefix = config.topic_prefix
    # The broker is asked first. Others go on meanwhile: the database may then only know more, and the topic more than
    # both.
    committed = {each: await client.committed(each) for each in partitions}
    async with transaction(pool) as conn:
        noted, taken = await read_positions(conn), await has_taken_in(conn)
    _require_partitions(client, noted, {each.topic for each in partitions}, prefix)
    found = await places(client, noted, committed, prefix)
    # A database that never took anything in is not one from before positions: it is empty, perhaps in place of another.
    found = [replace(place, noted=0) if place.noted is None and not taken else place for place in found]
    for place in await with_waiting(config.kafka_servers, prefix, found):
        if place.noted is not None and (fault := fault_of(place)):
            raise PutBack(fault)
    gone = {
        (place.topic, place.partition): place.begin
        for place in found
        if (place.topic, place.partition) in noted and place.lost
    }
    for (topic, partition), begin in gone.items():
        # Nobody worked here for as long as the topic kept these records. They are lost, and that is logged once.
        telemetry.logger().critical("records.lost", topic=topic, partition=partition, offset=begin)
    new = {
        (place.topic, place.partition): place.begin if place.committed is None else place.committed
        for place in found
        if (place.topic, place.partition) not in noted
    }
    async with transaction(pool) as conn:
        await adopt(conn, new)
        await put(conn, gone)
    # From now on the broker remembers an offset for each partition, so that a missing one means something.
    unplaced = {
        TopicPartition(prefix + each.topic, each.partition): each.begin for each in found if each.committed is None
    }
    if unplaced:
        await client.commit(unplaced)
    mine = {(place.topic, place.partition) for place in found}
    return {each: reached for each, reached in (noted | new).items() if each in mine}


def _require_partitions(client: Any, noted: Mapping[Partition, int], topics: Collection[str], prefix: str) -> None:
    for full in topics:
        topic, count = full.removeprefix(prefix), len(client.partitions_for_topic(full))
        known = [partition for name, partition in noted if name == topic]
        if known and max(known) >= count:
            raise PutBack(f"{topic} has {count} partitions and had {max(known) + 1}: the topic was made anew")


async def places(
    client: Any, noted: Mapping[Partition, int], committed: Mapping[TopicPartition, int | None], prefix: str
) -> list[PartitionState]:
    """Where these partitions stand. `client` is a consumer of the service's group; its positions stay as they are."""
    found, wanted = [], list(committed)
    begins, ends = await client.beginning_offsets(wanted), await client.end_offsets(wanted)
    for each in wanted:
        topic = each.topic.removeprefix(prefix)
        place = PartitionState(
            topic, each.partition, noted.get((topic, each.partition)), committed[each], begins[each], ends[each]
        )
        found.append(place)
    return found


async def with_waiting(servers: str, prefix: str, found: Collection[PartitionState]) -> list[PartitionState]:
    """The same states; where the broker is ahead, `waiting` is the first record at or after what the database noted.

    Offsets without a record, as compacting leaves them, are nothing that could be lost.
    """
    if not any(place.ahead and place.noted is not None for place in found):
        return list(found)
    async with reader(servers) as client:
        return [await _with_waiting(client, prefix, place) for place in found]


async def _with_waiting(client: Any, prefix: str, place: PartitionState) -> PartitionState:
    start = max(place.noted or 0, place.begin)
    if not place.ahead or place.noted is None or start >= place.end:
        return place
    partition = TopicPartition(prefix + place.topic, place.partition)
    client.assign([partition])
    client.seek(partition, start)
    records = (await client.getmany(partition, timeout_ms=WAITED_FOR_MS, max_records=1)).get(partition, ())
    return replace(place, waiting=records[0].offset if records else None)


@contextlib.asynccontextmanager
async def reader(servers: str, group: str | None = None) -> AsyncIterator[Any]:
    """A consumer that joins nothing; with a group it may read and commit that group's offsets."""
    client = AIOKafkaConsumer(
        bootstrap_servers=servers, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
    )  # fmt: skip
    async with opened(client):
        yield client


async def partitions_of(servers: str, names: Collection[str]) -> list[TopicPartition]:
    """The partitions of these topics (full names), as far as the broker has the topics."""
    async with opened(AIOKafkaAdminClient(bootstrap_servers=servers)) as admin:
        described = await admin.describe_topics(list(names)) if names else []
    return [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in described
        if not topic["error_code"]
        for partition in topic["partitions"]
    ]


async def published(servers: str, prefix: str, keys: Keys, service: str) -> dict[int, str]:
    """The last events that the service has published: number in its outbox -> event id.

    Only records with its own signature count, whoever wrote them there.
    """
    own = [prefix + topic.name for topic in TOPICS if publisher_of(topic.name) == service]
    partitions = await partitions_of(servers, own)
    if not partitions:
        return {}
    found: dict[int, str] = {}
    async with reader(servers) as client:
        client.assign(partitions)
        begins, ends = await client.beginning_offsets(partitions), await client.end_offsets(partitions)
        for each in partitions:
            client.seek(each, max(begins[each], ends[each] - LAST_RECORDS))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WITHIN_SECONDS):
                while any([await client.position(each) < ends[each] for each in partitions]):
                    for each, records in (await client.getmany(timeout_ms=WAITED_FOR_MS)).items():
                        for record in records:
                            number = number_of(keys, each.topic.removeprefix(prefix), record)
                            if number is not None:
                                found[number] = (dict(record.headers).get("ce_id") or b"").decode()
    return found


async def unknown(conn: Connection, found: dict[int, str]) -> list[int]:
    """Those of the numbers that this database does not know, neither as published nor as still waiting."""
    gone = (await read_positions(conn)).get((OUTBOX, 0), 0)
    later = [number for number in found if number >= gone]
    waiting = {row["id"]: dict(_headers.decode(row["headers"])) for row in await conn.fetch(OF_OUTBOX, later)}
    return sorted(number for number in later if waiting.get(number, {"ce_id": None}).get("ce_id", "") != found[number])

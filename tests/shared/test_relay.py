"""Outbox rows reach real Kafka: every one, in each key's order, and again after any fault in between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import OutOfOrderSequenceNumber
from aiokafka.partitioner import DefaultPartitioner
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat

from shared.clock import new_id
from shared.database import db
from shared.database.db import Pool, transaction
from shared.events.base import Event
from shared.events.registry import decode, encode
from shared.messaging import outbox, relay
from shared.messaging.outbox import Waker
from shared.messaging.relay import Parcels, Relay, Watermark
from shared.settings import Settings
from tests.conftest import Kafka
from tests.shared.records import visit
from tests.support import Databases

# By statement, whether the disk is waited for.
WATCH_COMMITS = """
CREATE TABLE commits (place integer GENERATED ALWAYS AS IDENTITY, statement text, waits text);
CREATE FUNCTION note_commit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO commits (statement, waits) VALUES (tg_op, current_setting('synchronous_commit'));
    RETURN NULL;
END $$;
CREATE TRIGGER note_commit AFTER INSERT OR DELETE ON crm.outbox FOR EACH STATEMENT EXECUTE FUNCTION note_commit();
"""
TERMINATE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'visit relay' AND datname = $1
"""


@contextlib.asynccontextmanager
async def reading(kafka: Kafka, topic: str = "visit.events") -> AsyncIterator[Callable[[int], Awaitable[list[Any]]]]:
    """`await read(n)` gives the next n records."""
    consumer = AIOKafkaConsumer(
        kafka.prefix + topic, bootstrap_servers=kafka.servers, auto_offset_reset="earliest", group_id=None
    )
    await consumer.start()

    async def read(count: int) -> list[Any]:
        async with asyncio.timeout(30):
            return [await consumer.getone() for _ in range(count)]

    try:
        yield read
    finally:
        await consumer.stop()


@contextlib.asynccontextmanager
async def relaying(config: Settings, dsn: str) -> AsyncIterator[Relay]:
    running = Relay("visit", dsn, config.kafka_servers, config.keys, config.topic_prefix, batch_size=100)
    task = asyncio.create_task(running.run())
    try:
        yield running
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def emptied(pool: Pool) -> None:
    async with asyncio.timeout(30):
        while await pool.fetchval("SELECT count(*) FROM crm.outbox"):
            await asyncio.sleep(0.01)


@pytest.fixture
async def pool(database: Databases) -> Pool:
    return await database("visit")


async def test_events_arrive_as_cloudevents_keyed_by_guest(pool: Pool, kafka: Kafka) -> None:
    event = visit()
    async with transaction(pool) as conn:
        await outbox.emit(conn, [event])
    async with relaying(kafka.config, kafka.config.dsn("visit")), reading(kafka) as read:
        [record] = await read(1)
    headers = {name: value.decode() for name, value in record.headers}
    assert record.key == str(event.customer_id).encode()
    assert headers["ce_id"] == str(event.event_id)
    assert headers["ce_specversion"] == "1.0"
    assert headers["ce_source"] == "urn:servaan:visit"
    assert headers["ce_partitionkey"] == str(event.customer_id)
    assert headers["traceparent"].split("-")[1] == event.correlation_id.hex
    as_others_read = from_binary(KafkaMessage(dict(record.headers), record.key, record.value), JSONFormat())
    assert as_others_read.get_source() == "urn:servaan:visit"
    assert as_others_read.get_dataschema() == "urn:servaan:event:visit.recorded"
    assert (as_others_read.get_id(), as_others_read.get_time()) == (str(event.event_id), event.occurred_at)
    assert as_others_read.get_data()["visit_id"] == str(event.visit_id)
    assert decode(headers["ce_type"], record.value) == event


async def test_events_are_safe_on_disk_before_they_leave_but_nobody_waits_for_that_of_their_removal(
    database: Databases, kafka: Kafka
) -> None:
    owner = await asyncpg.connect(await database.owner_dsn("visit"))
    await owner.execute(f"ALTER DATABASE {kafka.config.database_name('visit')} SET synchronous_commit = on")
    await owner.execute(WATCH_COMMITS)
    pool = await database("visit")
    async with transaction(pool) as conn:
        await outbox.emit(conn, [visit()])
    async with relaying(kafka.config, kafka.config.dsn("visit")):
        await emptied(pool)
    rows = await owner.fetch("SELECT statement, waits FROM commits ORDER BY place")
    await owner.close()
    assert [tuple(row) for row in rows] == [("INSERT", "on"), ("DELETE", "off")]


async def test_each_keys_order_is_kept_over_many_batches(pool: Pool, kafka: Kafka) -> None:
    guests = [visit().customer_id for _ in range(7)]
    events = [visit(customer_id=guests[n % 7], receipt_number=str(n)) for n in range(1000)]
    async with transaction(pool) as conn:
        await outbox.emit(conn, events)
    async with relaying(kafka.config, kafka.config.dsn("visit")), reading(kafka) as read:
        arrived = [decode("visit.recorded", record.value) for record in await read(1000)]
        await emptied(pool)
    for guest in guests:
        assert [e for e in arrived if e.key == guest] == [e for e in events if e.key == guest]


async def test_slower_transaction_with_a_lower_id_is_not_skipped(pool: Pool, kafka: Kafka) -> None:
    early, late = visit(receipt_number="early id, late commit"), visit(receipt_number="late id")
    async with relaying(kafka.config, kafka.config.dsn("visit")), reading(kafka) as read:
        async with pool.acquire() as slow:
            open_transaction = slow.transaction()
            await open_transaction.start()
            await outbox.emit(slow, [early])
            async with transaction(pool) as conn:
                await outbox.emit(conn, [late])
            first = await read(1)
            for _ in range(3):  # let the relay move its watermark as far as it dares
                async with transaction(pool) as conn:
                    await outbox.emit(conn, [visit()])
                await read(1)
            await open_transaction.commit()
        second = await read(1)
    assert decode("visit.recorded", first[0].value) == late
    assert decode("visit.recorded", second[0].value) == early


async def test_transaction_that_commits_between_two_statements_of_the_relay_is_not_skipped(
    pool: Pool, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = visit(receipt_number="committed while the relay publishes others")
    fetched: list[Callable[[], Awaitable[None]]] = []
    publish = Relay._publish

    async def publish_when_committed(running: Relay, *given: Any) -> int:
        while fetched:
            await fetched.pop()()
        return await publish(running, *given)

    monkeypatch.setattr(Relay, "_publish", publish_when_committed)
    async with relaying(kafka.config, kafka.config.dsn("visit")), reading(kafka) as read, pool.acquire() as slow:
        open_transaction = slow.transaction()
        await open_transaction.start()
        await outbox.emit(slow, [early])
        await emit_and_read(pool, read)
        fetched.append(open_transaction.commit)
        await emit_and_read(pool, read)
        assert early in [await emit_and_read(pool, read), await next_event(read)]


async def test_younger_transaction_with_the_lowest_id_is_not_skipped(pool: Pool, kafka: Kafka) -> None:
    lowest = visit(receipt_number="lowest id, highest transaction")
    async with (
        relaying(kafka.config, kafka.config.dsn("visit")),
        reading(kafka) as read,
        pool.acquire() as older,
        pool.acquire() as younger,
    ):
        first, second = older.transaction(), younger.transaction()
        await first.start()
        await older.execute("SELECT pg_current_xact_id()")
        await second.start()
        await outbox.emit(younger, [lowest])
        await outbox.emit(older, [visit()])
        await first.commit()
        await read(1)
        for _ in range(2):
            await emit_and_read(pool, read)
        await second.commit()
        assert await next_event(read) == lowest


async def emit_and_read(pool: Pool, read: Callable[[int], Awaitable[list[Any]]]) -> Event:
    async with transaction(pool) as conn:
        await outbox.emit(conn, [visit()])
    return await next_event(read)


async def next_event(read: Callable[[int], Awaitable[list[Any]]]) -> Event:
    [record] = await read(1)
    return decode("visit.recorded", record.value)


def test_watermark_waits_for_transactions_that_were_open() -> None:
    mark = Watermark()
    mark.published(10, oldest_open=100, deleted_by=105)
    mark.published(20, oldest_open=101, deleted_by=110)
    assert mark.id == 0
    mark.published(30, oldest_open=105, deleted_by=120)
    assert mark.id == 10


def test_watermark_does_not_pass_the_end_of_a_full_batch() -> None:
    mark = Watermark()
    mark.published(10, oldest_open=100, deleted_by=105)
    mark.published(7, oldest_open=105, deleted_by=110)
    assert mark.id == 7


async def test_second_relay_waits_until_the_first_is_gone(
    pool: Pool, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "STANDBY_SECONDS", 0.02)
    dsn = kafka.config.dsn("visit")
    async with reading(kafka) as read:
        async with relaying(kafka.config, dsn):
            async with transaction(pool) as conn:
                await outbox.emit(conn, [visit()])
            await read(1)
            # Other tests on the same server hold advisory locks in their own databases.
            here = "(SELECT oid FROM pg_database WHERE datname = current_database())"
            locks = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = {here}"
            async with relaying(kafka.config, dsn):
                assert await pool.fetchval(locks) == 1
        async with relaying(kafka.config, dsn):
            async with transaction(pool) as conn:
                await outbox.emit(conn, [visit()])
            await read(1)
            await emptied(pool)


async def test_relay_that_froze_with_events_in_its_hands_loses_its_lock_and_what_it_sends_later_are_repeats(
    pool: Pool, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "LOCK_SETTINGS", {"idle_session_timeout": "1s"})
    monkeypatch.setattr(relay, "STANDBY_SECONDS", 0.05)
    frozen, thawed, send = asyncio.Event(), asyncio.Event(), Parcels.send

    async def freeze_once(parcels: Parcels) -> None:
        if not frozen.is_set():
            frozen.set()
            await thawed.wait()
        await send(parcels)

    monkeypatch.setattr(Parcels, "send", freeze_once)
    event = visit()
    dsn = kafka.config.dsn("visit")
    async with reading(kafka) as read, relaying(kafka.config, dsn):
        async with transaction(pool) as conn:
            await outbox.emit(conn, [event])
        await frozen.wait()
        async with relaying(kafka.config, dsn):
            records = await read(1)
            await emptied(pool)
            thawed.set()
            records += await read(1)
    assert {decode("visit.recorded", record.value).event_id for record in records} == {event.event_id}


async def test_lost_database_connection_is_rebuilt(pool: Pool, kafka: Kafka) -> None:
    async with relaying(kafka.config, kafka.config.dsn("visit")), reading(kafka) as read:
        async with transaction(pool) as conn:
            await outbox.emit(conn, [visit()])
        await read(1)
        await emptied(pool)
        admin = await asyncpg.connect(kafka.config.postgres_url)
        await admin.execute(TERMINATE, kafka.config.database_name("visit"))
        await admin.close()
        async with transaction(pool) as conn:
            await outbox.emit(conn, [visit()])
        await read(1)


async def test_producer_is_replaced_when_the_broker_forgets_it(
    pool: Pool, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    producers: list[object] = []
    original = relay.AIOKafkaProducer

    class Forgotten(original):  # type: ignore[misc, valid-type]
        async def start(self) -> None:
            producers.append(self)
            await super().start()

        async def send_batch(self, *args: Any, **more: Any) -> Any:
            if len(producers) == 1:
                raise OutOfOrderSequenceNumber
            return await super().send_batch(*args, **more)

    monkeypatch.setattr(relay, "AIOKafkaProducer", Forgotten)
    async with transaction(pool) as conn:
        await outbox.emit(conn, [visit()])
    async with relaying(kafka.config, kafka.config.dsn("visit")), reading(kafka) as read:
        await read(1)
    assert len(producers) == 2


async def test_event_no_broker_takes_is_parked_and_the_rest_flows(pool: Pool, kafka: Kafka) -> None:
    async with transaction(pool) as conn:
        await outbox.emit(conn, [visit(receipt_number="x" * 2_000_000), visit(receipt_number="small")])
    async with relaying(kafka.config, kafka.config.dsn("visit")), reading(kafka) as read:
        [record] = await read(1)
        await emptied(pool)
    assert decode("visit.recorded", record.value).receipt_number == "small"  # type: ignore[attr-defined]
    assert await pool.fetchval("SELECT reason FROM crm.parked") == "too_large"


def test_key_goes_to_the_partition_where_every_client_of_kafka_puts_it() -> None:
    for partitions in (1, 6, 50):
        for key in (str(new_id()).encode() for _ in range(200)):
            assert relay.partition_of(key, partitions) == DefaultPartitioner()(key, list(range(partitions)), [])


async def test_rows_beyond_one_parcel_keep_their_order(pool: Pool, kafka: Kafka) -> None:
    first = visit(receipt_number="0" * 100_000)
    rows = [first, *(visit(customer_id=first.customer_id, receipt_number=str(n) * 100_000) for n in range(1, 10))]
    async with transaction(pool) as conn:
        await outbox.emit(conn, rows)
    async with relaying(kafka.config, kafka.config.dsn("visit")), reading(kafka) as read:
        records = await read(len(rows))
    assert [record.value for record in records] == [encode(row) for row in rows]


async def test_commit_in_another_process_wakes_the_relay(
    pool: Pool, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "IDLE_SECONDS", 3600)
    async with relaying(kafka.config, kafka.config.dsn("visit")), reading(kafka) as read:
        async with transaction(pool) as conn:
            await outbox.emit(conn, [visit()])
        Waker(pool).wake()
        await read(1)
        async with transaction(pool) as conn:
            await outbox.emit(conn, [visit()])
        Waker(pool).wake()
        await read(1)


async def test_batches_begin_a_pace_apart_and_what_comes_meanwhile_goes_together(
    pool: Pool, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "PACE_SECONDS", 3.0)
    publish, sizes = Relay._publish, list[int]()

    async def noted(self: Relay, conn: Any, producer: Any, rows: Sequence[Any]) -> int:
        sizes.append(len(rows))
        return await publish(self, conn, producer, rows)

    monkeypatch.setattr(Relay, "_publish", noted)
    async with relaying(kafka.config, kafka.config.dsn("visit")) as running, reading(kafka) as read:
        for awaited in (1, 0, 2):
            async with transaction(pool) as conn:
                await outbox.emit(conn, [visit()])
            running.wake()
            await read(awaited)
    assert sizes == [1, 2]


async def test_tombstone_has_a_key_and_no_body(pool: Pool, kafka: Kafka) -> None:
    event = visit()
    async with transaction(pool) as conn:
        await outbox.emit_tombstones(conn, "customer.profiles", [(event.cafe_id, event.key)])
    async with relaying(kafka.config, kafka.config.dsn("visit")), reading(kafka, "customer.profiles") as read:
        [record] = await read(1)
    assert (record.key, record.value) == (str(event.key).encode(), None)


async def test_stumble_of_a_client_library_does_not_end_the_relay(
    pool: Pool, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    stumbles, publish = iter([RuntimeError("unexpected"), AttributeError("torn connection")]), Relay._publish

    async def stumbling(self: Relay, *arguments: Any) -> int:
        for stumble in stumbles:
            raise stumble
        return await publish(self, *arguments)

    monkeypatch.setattr(Relay, "_publish", stumbling)
    async with transaction(pool) as conn:
        await outbox.emit(conn, [visit()])
    async with relaying(kafka.config, kafka.config.dsn("visit")) as running:
        await emptied(pool)
        # A later fault is met without delay again.
        assert running.failures == 0

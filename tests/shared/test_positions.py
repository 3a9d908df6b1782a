"""A database that was put back in time is noticed, at start and while at work, and goes on only after `crm recover`."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer
from typer.testing import CliRunner

from deploy.crm.main import app
from services.loyalty.worker import REACTIONS
from shared.clock import now
from shared.database.db import Connection, Pool, transaction
from shared.events.visit import VisitRecorded
from shared.messaging import outbox, positions, standing
from shared.messaging.consumer import Consumer, Reactions
from shared.messaging.positions import PartitionState, PutBack, fault_of
from shared.messaging.relay import Relay
from tests.conftest import Kafka
from tests.shared.records import FakeRecord, record_of, visit
from tests.shared.taking import publish, relay, take_in
from tests.support import Databases, admin_connection

SERVICE = "loyalty"
OK = PartitionState("visit.events", 0, noted=50, committed=50, begin=0, end=80)


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        (OK, None),
        (replace(OK, committed=30), None),
        (replace(OK, noted=0, committed=None, end=0), None),
        (replace(OK, noted=None, committed=None), None),
        # Between them there is no record any more: the topic was compacted.
        (replace(OK, committed=60, waiting=60), None),
        (replace(OK, committed=60, waiting=None), None),
        (replace(OK, committed=60, waiting=60, begin=40), None),
        (replace(OK, committed=60, waiting=50), "the database was put back in time"),
        (replace(OK, committed=60, begin=60), "the database was put back in time"),
        (replace(OK, end=20, committed=None), "was made anew"),
        (replace(OK, end=20, committed=20), "was made anew"),
        (replace(OK, committed=None), "has forgotten the group"),
        # Longer away than the topic keeps: nobody was put back, and it is said elsewhere.
        (replace(OK, begin=60), None),
    ],
)
def test_place_is_judged(place: PartitionState, fault: str | None) -> None:
    found = fault_of(place)
    assert (found is None) if fault is None else fault in (found or "")


def test_place_after_some_records_is_that_of_the_next() -> None:
    plain = {"t.visit.events": "visit.events"}
    records = [
        FakeRecord("t.visit.events", None, partition=partition, offset=offset)
        for partition, offset in ((0, 7), (1, 3), (0, 9))
    ]
    assert positions.reached_by(records, plain) == {("visit.events", 0): 10, ("visit.events", 1): 4}


async def keep(conn: Connection, events: Sequence[VisitRecorded]) -> None:
    """An effect of no importance."""


NOTHING = Reactions({VisitRecorded: keep})


@pytest.fixture
async def pool(database: Databases) -> Pool:
    return await database(SERVICE)


async def test_positions_are_noted_with_the_effects_and_never_go_back(pool: Pool, kafka: Kafka) -> None:
    consumer = Consumer(SERVICE, pool, NOTHING, kafka.config.keys)
    records = [replace(record_of(visit()), offset=number, partition=number % 2) for number in range(10)]
    await consumer.handle(records)
    await consumer.handle(records[:4])
    noted = await pool.fetch("SELECT * FROM crm.positions ORDER BY 1, 2")
    assert [tuple(row) for row in noted] == [("visit.events", 0, 9), ("visit.events", 1, 10)]


async def test_database_put_back_under_a_running_worker_stops_it_before_any_effect(pool: Pool, kafka: Kafka) -> None:
    calls: list[int] = []

    async def count(conn: Connection, events: Sequence[VisitRecorded]) -> None:
        calls.append(len(events))

    consumer = Consumer(SERVICE, pool, Reactions({VisitRecorded: count}), kafka.config.keys)
    await consumer.handle([replace(record_of(visit()), offset=51)])
    await pool.execute("UPDATE crm.positions SET next_offset = 31")
    with pytest.raises(PutBack):
        await consumer.handle([replace(record_of(visit()), offset=number) for number in (52, 53)])
    assert calls == [1]
    assert await pool.fetchval("SELECT next_offset FROM crm.positions") == 31
    assert await pool.fetchval("SELECT count(*) FROM crm.parked") == 0


@asynccontextmanager
async def member(kafka: Kafka, pool: Pool) -> AsyncIterator[dict[positions.Partition, int]]:
    """What a worker of the service is told before it takes anything."""
    async with standing.reader(kafka.servers, kafka.prefix + SERVICE) as client:
        partitions = await standing.partitions_of(kafka.servers, [f"{kafka.prefix}visit.events"])
        client.assign(partitions)
        yield await standing.require(client, pool, partitions, kafka.config)


async def put_back(kafka: Kafka, service: str) -> None:
    """The database becomes again what `remember` kept of it."""
    name = kafka.config.database_name(service)
    async with admin_connection(kafka.config) as admin:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.execute(f"CREATE DATABASE {name} OWNER crm_owner TEMPLATE {name}_then")
        await admin.execute(f"GRANT CONNECT ON DATABASE {name} TO crm_{service}")
        await admin.execute(f"DROP DATABASE {name}_then")


async def remember(kafka: Kafka, service: str) -> None:
    """Keeps a copy of the database as it is; its pools lose their connections."""
    name = kafka.config.database_name(service)
    async with admin_connection(kafka.config) as admin:
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        await admin.execute(f"CREATE DATABASE {name}_then OWNER crm_owner TEMPLATE {name}")


def crm(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


async def test_restored_reader_is_refused_until_recover_and_then_takes_in_all_it_lacks(
    pool: Pool, kafka: Kafka, database: Databases
) -> None:
    visits = [visit(receipt_number=str(number), occurred_at=now()) for number in range(30)]
    await publish(kafka, visits[:12])
    async with member(kafka, pool) as noted:
        assert set(noted.values()) == {0}
    await take_in(kafka, SERVICE, pool, REACTIONS)
    async with member(kafka, pool) as noted:
        assert sum(noted.values()) == 12
    await remember(kafka, SERVICE)
    await publish(kafka, visits[12:])
    await take_in(kafka, SERVICE, await database(SERVICE), REACTIONS)
    await put_back(kafka, SERVICE)
    pool = await database(SERVICE)
    with pytest.raises(PutBack, match="the database was put back in time"):
        async with member(kafka, pool):
            raise AssertionError
    assert await pool.fetchval("SELECT sum(next_offset) FROM crm.positions WHERE topic = 'visit.events'") == 12
    code, told = await asyncio.to_thread(crm, "recover", SERVICE, "--check")
    assert code == 1
    assert "put back in time" in told
    assert (await asyncio.to_thread(crm, "recover", SERVICE, "--yes"))[0] == 0
    assert (await asyncio.to_thread(crm, "recover", SERVICE, "--check"))[0] == 0
    async with member(kafka, pool):
        await take_in(kafka, SERVICE, pool, REACTIONS)
    assert await pool.fetchval("SELECT count(DISTINCT visit_id) FROM visit_earnings") == 30


async def forget(databases: Databases, tables: str) -> None:
    owner = await asyncpg.connect(await databases.owner_dsn(SERVICE))
    await owner.execute(f"TRUNCATE {tables}")
    await owner.close()


async def test_database_from_before_positions_adopts_what_the_broker_says_once(
    pool: Pool, kafka: Kafka, database: Databases
) -> None:
    await publish(kafka, [visit() for _ in range(8)])
    await take_in(kafka, SERVICE, pool, NOTHING)
    await forget(database, "crm.positions")
    async with member(kafka, pool) as noted:
        assert sum(noted.values()) == 8
    await pool.execute("UPDATE crm.positions SET next_offset = greatest(0, next_offset - 1)")
    with pytest.raises(PutBack):
        async with member(kafka, pool):
            raise AssertionError


async def test_empty_database_in_the_place_of_another_is_refused(pool: Pool, kafka: Kafka, database: Databases) -> None:
    await publish(kafka, [visit() for _ in range(8)])
    await take_in(kafka, SERVICE, pool, NOTHING)
    await forget(database, "crm.positions, crm.inbox")
    with pytest.raises(PutBack):
        async with member(kafka, pool):
            raise AssertionError


async def test_restored_publisher_publishes_nothing_until_recover_and_then_under_new_numbers(
    pool: Pool, kafka: Kafka, database: Databases
) -> None:
    visits = await database("visit")
    async with transaction(visits) as conn:
        await outbox.emit(conn, [visit() for _ in range(5)])
    await relay(kafka, database, "visit", visits)
    await remember(kafka, "visit")
    visits = await database("visit")
    async with transaction(visits) as conn:
        await outbox.emit(conn, [visit() for _ in range(7)])
    await relay(kafka, database, "visit", visits)
    await put_back(kafka, "visit")
    visits = await database("visit")
    # What happens now gets numbers that others have had.
    async with transaction(visits) as conn:
        await outbox.emit(conn, [visit() for _ in range(9)])
    running = Relay("visit", kafka.config.dsn("visit"), kafka.servers, kafka.config.keys, kafka.prefix)
    with pytest.raises(PutBack, match="up to number 12"):
        async with asyncio.timeout(30):
            await running.run()
    assert await visits.fetchval("SELECT count(*) FROM crm.outbox") == 9
    code, told = await asyncio.to_thread(crm, "recover", "visit", "--yes")
    assert code == 0
    assert "bills that came over HTTP" in told
    await relay(kafka, database, "visit", visits)
    async with transaction(visits) as conn:
        await outbox.emit(conn, [visit()])
    assert await visits.fetchval("SELECT id FROM crm.outbox") == 15
    await relay(kafka, database, "visit", visits)


async def test_topic_made_anew_is_refused_and_read_from_its_beginning_after_recover(pool: Pool, kafka: Kafka) -> None:
    await publish(kafka, [visit() for _ in range(8)])
    await take_in(kafka, SERVICE, pool, NOTHING)
    await pool.execute("UPDATE crm.positions SET next_offset = next_offset + 100")
    with pytest.raises(PutBack, match="the topic was made anew"):
        async with member(kafka, pool):
            raise AssertionError
    assert (await asyncio.to_thread(crm, "recover", SERVICE, "--yes"))[0] == 0
    async with member(kafka, pool) as noted:
        assert set(noted.values()) == {0}
    await pool.execute("INSERT INTO crm.positions VALUES ('visit.events', 99, 1)")
    with pytest.raises(PutBack, match="has 6 partitions and had 100"):
        async with member(kafka, pool):
            raise AssertionError
    assert (await asyncio.to_thread(crm, "recover", SERVICE, "--yes"))[0] == 0
    async with member(kafka, pool) as noted:
        assert len(noted) == 6


async def test_recover_is_refused_while_a_worker_runs(pool: Pool, kafka: Kafka) -> None:
    await publish(kafka, [visit()])
    await take_in(kafka, SERVICE, pool, NOTHING)
    await pool.execute("UPDATE crm.positions SET next_offset = 0")
    topic, group = f"{kafka.prefix}visit.events", kafka.prefix + SERVICE
    client = AIOKafkaConsumer(topic, bootstrap_servers=kafka.servers, group_id=group)
    await client.start()
    try:
        code, told = await asyncio.to_thread(crm, "recover", SERVICE, "--yes")
    finally:
        await client.stop()
    assert code == 1
    assert "stop them first" in told


def test_recover_takes_only_services_and_rebuild_says_what_to_do_instead() -> None:
    assert crm("recover", "everything")[0] == 2
    code, told = crm("rebuild", "loyalty")
    assert code == 2
    assert "crm recover" in " ".join(told.replace("│", " ").split())

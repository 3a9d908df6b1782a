"""One worker process of a real service on real Kafka: takes, publishes, shows its health, stops cleanly."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx2
import pytest
import uvicorn
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError
from faststream.kafka import KafkaBroker

from deploy.engines.engine import free_port
from shared import clock
from shared.clock import new_id
from shared.database.db import Connection, Pool
from shared.events.base import Event, caused_by
from shared.events.customer import CustomerErased
from shared.events.feedback import FeedbackReceived
from shared.events.visit import VisitRecorded
from shared.jobs.periodic import Job
from shared.messaging import outbox
from shared.messaging.consumer import Consumer, Reactions
from shared.messaging.fetching import IMMEDIATE, FetchPolicy, gather, immediate
from shared.messaging.worker import Worker
from tests.conftest import Kafka
from tests.shared.records import CAFE, record_of, visit
from tests.support import Databases

SERVICE = "feedback"


async def rate(conn: Connection, events: Sequence[VisitRecorded]) -> None:
    """A reaction that answers each visit with an event of its own."""
    answers = [
        FeedbackReceived(
            cafe_id=event.cafe_id, occurred_at=event.occurred_at, customer_id=event.customer_id,
            visit_id=event.visit_id,
            feedback_id=event.visit_id, visit_at=event.occurred_at, source="website", overall_rating=5,
            **caused_by(event),
        )
        for event in events
    ]  # fmt: skip
    await outbox.emit(conn, answers)


REACTIONS = Reactions({VisitRecorded: rate})


@contextlib.asynccontextmanager
async def working(
    kafka: Kafka,
    *jobs: Job,
    reactions: Reactions = REACTIONS,
    fetch: FetchPolicy = IMMEDIATE,
) -> AsyncIterator[tuple[Worker, str]]:
    worker = Worker(SERVICE, kafka.config, reactions, jobs, fetch)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(worker.build(), port=port, log_config=None, lifespan="on"))
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(30):
            while not server.started:
                await asyncio.sleep(0.02)
        yield worker, f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


async def until_ready(url: str) -> None:
    """A busy broker can be slow to answer once; who asks for readiness asks again."""
    async with httpx2.AsyncClient() as client:
        while (await client.get(f"{url}/readyz")).status_code != 200:
            await asyncio.sleep(0.05)


@pytest.fixture
async def pool(database: Databases) -> Pool:
    return await database(SERVICE)


async def publish(kafka: Kafka, events: Sequence[Event]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.servers)
    await producer.start()
    for event in events:
        record = record_of(event, kafka.prefix)
        await producer.send_and_wait(record.topic, record.value, key=record.key, headers=list(record.headers))
    await producer.stop()


async def answers(kafka: Kafka, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(
        f"{kafka.prefix}feedback.events", bootstrap_servers=kafka.servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


async def test_visit_goes_in_and_its_answer_comes_out(pool: Pool, kafka: Kafka) -> None:
    events = [visit() for _ in range(3)]
    async with working(kafka) as (_, url), httpx2.AsyncClient() as client:
        await publish(kafka, events)
        assert len(await answers(kafka, 3)) == 3
        assert (await client.get(f"{url}/healthz")).status_code == 200
        async with asyncio.timeout(20):
            await until_ready(url)
        metrics = (await client.get(f"{url}/metrics", follow_redirects=True)).text
    assert 'crm_records_total{outcome="applied",service="feedback",topic="visit.events"}' in metrics


async def test_offsets_are_committed_so_that_a_second_life_takes_nothing_again(pool: Pool, kafka: Kafka) -> None:
    async with working(kafka):
        await publish(kafka, [visit()])
        await answers(kafka, 1)
    async with working(kafka) as (worker, _):
        await publish(kafka, [visit()])
        await answers(kafka, 2)
        assert worker.consumer is not None
    assert await pool.fetchval("SELECT count(*) FROM crm.inbox") == 2


async def test_consume_loop_that_ended_by_itself_begins_again_where_it_was(
    pool: Pool, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.messaging.worker.REVIVING_SECONDS", 0.1)
    async with working(kafka) as (worker, _):
        await publish(kafka, [visit()])
        await answers(kafka, 1)
        start, refused = worker.subscriber.start, [KafkaConnectionError()]

        async def start_at_the_second_try() -> None:
            if refused:
                raise refused.pop()
            await start()

        monkeypatch.setattr(worker.subscriber, "start", start_at_the_second_try)
        for task in worker.subscriber.tasks:
            task.cancel()
        await publish(kafka, [visit()])
        await answers(kafka, 2)
    assert refused == []
    assert await pool.fetchval("SELECT count(*) FROM crm.inbox") == 2


@pytest.mark.parametrize("error", [KafkaConnectionError(), asyncio.CancelledError()], ids=lambda e: type(e).__name__)
async def test_poll_that_the_client_gave_up_is_made_again_by_the_same_loop(
    pool: Pool, kafka: Kafka, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr("shared.messaging.worker.REVIVING_SECONDS", 3600)
    async with working(kafka) as (worker, _):
        await publish(kafka, [visit()])
        await answers(kafka, 1)
        client, gave_up = worker.subscriber.consumer, asyncio.Event()
        poll = client.getmany

        async def gives_up_once(**options: object) -> object:
            if gave_up.is_set():
                return await poll(**options)
            gave_up.set()
            raise error

        monkeypatch.setattr(client, "getmany", gives_up_once)
        await publish(kafka, [visit()])
        await answers(kafka, 2)
    assert gave_up.is_set()


async def test_worker_ends_in_time_though_its_broker_is_silent(
    pool: Pool, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.messaging.worker.LEAVE_WITHIN_SECONDS", 0.5)
    asked = asyncio.Event()

    async def silent() -> None:
        if not asked.is_set():
            asked.set()
            await asyncio.Event().wait()

    async with asyncio.timeout(60):
        async with working(kafka) as (worker, _):
            await publish(kafka, [visit()])
            await answers(kafka, 1)
            monkeypatch.setattr(worker.subscriber.consumer._coordinator, "_maybe_leave_group", silent)
    assert asked.is_set()
    await put_away(worker)


async def test_worker_ends_in_time_though_a_batch_and_a_job_do_not(
    pool: Pool, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.messaging.worker.LEAVE_WITHIN_SECONDS", 0.1)
    monkeypatch.setattr("shared.messaging.worker.CLOSE_WITHIN_SECONDS", 0.1)
    batch, job, answer = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def held_up(begun: asyncio.Event) -> int:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            # As a rollback does that the database does not answer.
            await answer.wait()
        return 0

    async def react(*_: object) -> None:
        await held_up(batch)

    async with asyncio.timeout(60):
        reactions, jobs = Reactions({VisitRecorded: react}), [Job("held up", 3600, lambda _: held_up(job))]
        async with working(kafka, *jobs, reactions=reactions) as (worker, _):
            await publish(kafka, [visit()])
            await batch.wait()
            await job.wait()
    answer.set()
    await put_away(worker)


async def put_away(worker: Worker) -> None:
    """Ends what was cut off in the middle; a process would have ended."""
    assert worker.broker is not None
    for task in worker.subscriber.tasks:
        task.cancel()
    worker.subscriber.consumer._closed = False
    await KafkaBroker.stop(worker.broker)


async def test_events_that_come_one_by_one_gather_into_one_batch(
    pool: Pool, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    handle = Consumer.handle

    async def counted(consumer: Consumer, records: Sequence[Any]) -> None:
        batches.append(len(records))
        await handle(consumer, records)

    monkeypatch.setattr(Consumer, "handle", counted)
    async with working(kafka, fetch=gather(seconds=4.0)):
        await publish(kafka, [visit()])
        await answers(kafka, 1)
        # The next question to the broker has just begun.
        await publish(kafka, [visit() for _ in range(5)])
        await answers(kafka, 6)
    assert batches == [1, 5]


async def test_what_nobody_waits_for_gathers_while_visits_are_taken_as_they_come(pool: Pool, kafka: Kafka) -> None:
    batches: list[list[CustomerErased]] = []
    taken = asyncio.Event()

    async def forget(_: Connection, events: Sequence[CustomerErased]) -> None:
        batches.append(list(events))
        taken.set()

    def erased() -> CustomerErased:
        return CustomerErased(cafe_id=CAFE, occurred_at=clock.now(), customer_id=new_id())

    reactions = Reactions({VisitRecorded: rate, CustomerErased: forget})
    async with (
        working(kafka, reactions=reactions, fetch=immediate("visit.events", others_seconds=4.0)),
        asyncio.timeout(30),
    ):
        await publish(kafka, [erased()])
        await taken.wait()
        taken.clear()
        for number in range(1, 4):
            await publish(kafka, [erased(), visit()])
            await answers(kafka, number)
        assert [len(batch) for batch in batches] == [1]
        await taken.wait()
    assert [len(batch) for batch in batches] == [1, 3]


async def test_what_comes_while_a_batch_is_worked_on_is_altogether_in_the_next_one(pool: Pool, kafka: Kafka) -> None:
    batches: list[int] = []
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def work_slowly(conn: Connection, events: Sequence[VisitRecorded]) -> None:
        batches.append(len(events))
        begun.set()
        await go_on.wait()
        await rate(conn, events)

    reactions = Reactions({VisitRecorded: work_slowly})
    async with (
        working(kafka, reactions=reactions, fetch=immediate("visit.events", pace_seconds=0.0)),
        asyncio.timeout(30),
    ):
        await publish(kafka, [visit()])
        await begun.wait()
        # Each by a producer of its own: a client that asks all the time has the first long before the last is there.
        for _ in range(4):
            await publish(kafka, [visit()])
        go_on.set()
        await answers(kafka, 5)
    assert batches == [1, 4]


async def test_small_batches_begin_a_pace_apart(pool: Pool, kafka: Kafka) -> None:
    batches: list[int] = []

    async def count(conn: Connection, events: Sequence[VisitRecorded]) -> None:
        batches.append(len(events))
        await rate(conn, events)

    reactions = Reactions({VisitRecorded: count})
    async with (
        working(kafka, reactions=reactions, fetch=immediate("visit.events", pace_seconds=6.0)),
        asyncio.timeout(30),
    ):
        await publish(kafka, [visit()])
        await answers(kafka, 1)
        await publish(kafka, [visit() for _ in range(3)])
        await answers(kafka, 4)
    assert batches == [1, 3]


def test_only_what_a_service_reads_can_be_taken_immediately(kafka: Kafka) -> None:
    with pytest.raises(ValueError, match=r"does not read loyalty\.events"):
        Worker(SERVICE, kafka.config, REACTIONS, fetch=immediate("loyalty.events")).build()


async def test_record_with_an_undecodable_header_loses_nothing_around_it(pool: Pool, kafka: Kafka) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.servers)
    await producer.start()
    topic = f"{kafka.prefix}visit.events"
    for event in (visit(), visit()):
        await producer.send(topic, b"{}", partition=0, headers=[("ce_type", b"\xff\xfe")])
        record = record_of(event)
        await producer.send(topic, record.value, key=record.key, partition=0, headers=list(record.headers))
    await producer.flush()
    await producer.stop()
    async with working(kafka):
        assert len(await answers(kafka, 2)) == 2
    assert await pool.fetchval("SELECT count(*) FROM crm.parked") == 0  # an unknown type is passed over


async def test_job_runs_until_nothing_is_left_and_in_one_process_at_a_time(pool: Pool, kafka: Kafka) -> None:
    left, done = [3, 2, 1, 0], asyncio.Event()

    async def work(_: Pool) -> int:
        rest = left.pop(0)
        if not rest:
            done.set()
        return rest

    async with working(kafka, Job("countdown", 3600, work)), asyncio.timeout(10):
        await done.wait()
    assert left == []


async def test_eager_job_runs_again_once_a_batch_is_committed_and_once_another_job_did_something(
    pool: Pool, kafka: Kafka
) -> None:
    ran: asyncio.Queue[str] = asyncio.Queue()
    left = [1, 0]

    async def follow(_: Pool) -> int:
        ran.put_nowait("eager")
        return 0

    async def act(_: Pool) -> int:
        return left.pop() if left else 0

    jobs = Job("eager", 3600, follow, eager=True), Job("other", 0.1, act)
    async with working(kafka, *jobs), asyncio.timeout(30):
        await ran.get()
        await ran.get()  # the other job did something
        await publish(kafka, [visit()])
        await ran.get()


async def test_more_jobs_than_connections_do_not_starve_the_worker(pool: Pool, kafka: Kafka) -> None:
    together, waiting = asyncio.Barrier(12), asyncio.Event()

    async def work(own: Pool) -> int:
        if not waiting.is_set():
            await together.wait()
            waiting.set()
        await own.fetchval("SELECT 1")
        return 0

    jobs = [Job(f"job-{number}", 3600, work) for number in range(12)]
    async with working(kafka, *jobs) as (_, url), asyncio.timeout(20):
        await waiting.wait()
        await until_ready(url)


async def test_jobs_move_to_the_other_process_when_theirs_dies(
    pool: Pool, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.jobs.periodic.STANDBY_SECONDS", 0.05)
    ran: asyncio.Queue[str] = asyncio.Queue()

    def job(name: str) -> Job:
        async def work(_: Pool) -> int:
            ran.put_nowait(name)
            return 0

        return Job("same", 0.02, work)

    async with asyncio.timeout(60):
        async with working(kafka, job("first")):
            assert await ran.get() == "first"
            async with working(kafka, job("second")):
                assert {await ran.get() for _ in range(5)} == {"first"}
        async with working(kafka, job("second")):
            while await ran.get() != "second":
                pass


async def test_jobs_of_a_process_that_gives_no_sign_of_life_move_to_another(
    pool: Pool, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.database.db.LOCK_SETTINGS", {"idle_session_timeout": "1s"})
    monkeypatch.setattr("shared.jobs.periodic.STANDBY_SECONDS", 0.05)
    monkeypatch.setattr("shared.jobs.periodic.SIGN_OF_LIFE_SECONDS", 3600.0)
    ran = {name: asyncio.Event() for name in ("frozen", "other")}

    def job(name: str) -> Job:
        async def work(_: Pool) -> int:
            ran[name].set()
            return 0

        return Job("same", 0.02, work)

    async with asyncio.timeout(60), working(kafka, job("frozen")):
        await ran["frozen"].wait()
        async with working(kafka, job("other")):
            await ran["other"].wait()

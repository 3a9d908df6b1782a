"""One worker process of a real service on real Kafka: takes, publishes, shows its health, stops cleanly."""

import asyncio

import httpx2
import pytest
from faststream.kafka import KafkaBroker

from shared.database.db import Pool
from shared.events.visit import VisitRecorded
from shared.jobs.periodic import Job
from shared.messaging.consumer import Reactions
from shared.messaging.worker import Worker
from tests.conftest import Kafka
from tests.shared.records import visit
from tests.shared.working import SERVICE, answers, publish, until_ready, working
from tests.support import Databases


@pytest.fixture
async def pool(database: Databases) -> Pool:
    return await database(SERVICE)


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


async def test_worker_ends_in_time_though_its_broker_is_silent(
    pool: Pool, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.messaging.subscriber.LEAVE_WITHIN_SECONDS", 0.5)
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
    monkeypatch.setattr("shared.messaging.subscriber.LEAVE_WITHIN_SECONDS", 0.1)
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

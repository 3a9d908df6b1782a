"""Periodic jobs of a worker process: one process at a time runs them, and nothing starves."""

import asyncio

import pytest

from shared.database.db import Pool
from shared.jobs.periodic import Job
from tests.conftest import Kafka
from tests.shared.records import visit
from tests.shared.working import SERVICE, publish, until_ready, working
from tests.support import Databases


@pytest.fixture
async def pool(database: Databases) -> Pool:
    return await database(SERVICE)


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

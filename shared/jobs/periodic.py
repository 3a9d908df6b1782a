"""What a service does by the clock: jobs, each in one process of the service at a time."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import asyncpg

from shared.database import db
from shared.database.db import OUTAGES, Pool, heed_cancellation
from shared.process import telemetry
from shared.process.discreet import bare

LOCK = "SELECT pg_try_advisory_lock(hashtext('crm.jobs'))"
STANDBY_SECONDS = 2.0
SIGN_OF_LIFE_SECONDS = 5.0
# An eager job waits so long for the next batch: run after each one, jobs would cost more than the batches.
EAGER_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Job:
    """Runs `run(pool)` every `every_seconds`, in one process of the service at a time.

    `run` returns how much it did; as long as that is not 0 it is called again at once. An `eager` job also runs as soon
    as its process has committed a batch or another job of it has done something: there may be work for it. `stirred` is
    for a job that knows by itself when it should run again: it sets it.
    """

    name: str
    every_seconds: float
    run: Callable[[Pool], Awaitable[int]]
    eager: bool = False
    stirred: asyncio.Event | None = None


@dataclass
class Jobs:
    """The jobs of one process. `on_work` is called whenever one of them has done something."""

    service: str
    dsn: str
    jobs: Sequence[Job]
    on_work: Callable[[], None] = lambda: None
    _eager: dict[str, asyncio.Event] = field(default_factory=dict)

    def stir(self) -> None:
        """Wakes the eager jobs: there may be work for them."""
        for stirred in self._eager.values():
            stirred.set()

    async def lead(self, pool: Pool) -> None:
        """Runs all jobs, for ever, while this process is the one of its service that holds the lock.

        The lock is on a connection apart from the pool: a lock per job would keep one of the pool's for each, and the
        jobs would starve for their own.
        """
        while True:
            try:
                conn = await asyncpg.connect(self.dsn, command_timeout=30, server_settings=db.LOCK_SETTINGS)
                try:
                    while not await conn.fetchval(LOCK):
                        await asyncio.sleep(STANDBY_SECONDS)
                    await self._run_until_lost(conn, pool)
                finally:
                    conn.terminate()
            except OUTAGES as error:
                heed_cancellation()
                telemetry.logger().warning("jobs.put_off", error=type(error).__name__)
            except Exception as error:
                # A torn connection can make a client library stumble over itself; this loop must outlive that.
                heed_cancellation()
                telemetry.logger().error("jobs.failed", error=type(error).__name__, exc_info=bare(error))
            await asyncio.sleep(STANDBY_SECONDS)

    async def _run_until_lost(self, conn: "asyncpg.Connection[asyncpg.Record]", pool: Pool) -> None:
        lost = asyncio.Event()
        conn.add_termination_listener(lambda _: lost.set())
        loops = [asyncio.create_task(self.repeat(job, pool)) for job in self.jobs]
        try:
            while not lost.is_set():
                # Without a sign of life the server takes this process for frozen, and ends the session.
                await conn.execute("SELECT 1")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(lost.wait(), SIGN_OF_LIFE_SECONDS)
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)

    async def repeat(self, job: Job, pool: Pool) -> None:
        """Runs one job for ever, whoever holds the lock. A run that fails is logged, and tried again later."""
        stirred = job.stirred or asyncio.Event()
        if job.eager:
            self._eager[job.name] = stirred
        while True:
            stirred.clear()
            try:
                with telemetry.JOB_SECONDS.labels(self.service, job.name).time():
                    while await job.run(pool):
                        self.on_work()
            except OUTAGES as error:
                heed_cancellation()
                telemetry.logger().warning("job.put_off", job=job.name, error=type(error).__name__)
            except Exception as error:
                heed_cancellation()
                telemetry.JOB_FAILURES.labels(self.service, job.name).inc()
                telemetry.logger().error("job.failed", job=job.name, error=type(error).__name__, exc_info=bare(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stirred.wait(), job.every_seconds)
                await asyncio.sleep(EAGER_PAUSE_SECONDS)

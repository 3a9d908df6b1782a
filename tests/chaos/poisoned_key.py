"""One guest whose every record fails, and everybody else, who must not notice: lag and CPU of a real worker."""

import asyncio
import contextlib
import os
import statistics
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaProducer

from deploy import pids
from deploy.crm import processes
from deploy.crm.migrate import migrate, owner_dsn
from deploy.engines.engine import free_port
from shared.clock import new_id, now
from shared.database import db
from shared.events.visit import VisitRecorded
from shared.messaging import topics
from shared.settings import Settings, settings
from tests.chaos.scenario import Scenario, World
from tests.shared.records import record_of, visit

SERVICE: Final = "feedback"
POISONED: Final = UUID("00000000-0000-7000-8000-00000000dead")
# The fault is in the database, where no decoder and no rule can see it coming.
FORBID: Final = f"ALTER TABLE feedback_links ADD CONSTRAINT poisoned CHECK (customer_id <> '{POISONED}')"
GOOD_PER_SECOND: Final = 20
BAD_PER_SECOND: Final = 2
LAG_GOAL_SECONDS: Final = 1.0
CPU_GOAL: Final = 0.05
ARRIVED_WITHIN_SECONDS: Final = 30.0
LOOK_EVERY_SECONDS: Final = 0.02
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass
class Measured:
    """What a while of work looked like: seconds from each good visit's confirmation to its effect, and the worker's
    share of a core."""

    lags: list[float] = field(default_factory=list)
    poison: int = 0
    cpu: float = 0.0

    @property
    def median(self) -> float:
        """Half of all were faster."""
        return statistics.median(self.lags)

    @property
    def p99(self) -> float:
        """All but one in a hundred were faster."""
        return statistics.quantiles(self.lags, n=100)[-1]


@contextlib.asynccontextmanager
async def worker_process(folder: Path, config: Settings) -> AsyncIterator[pids.Process]:
    """The service's own worker as a process; `config` names its migrated database and its topics."""
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    part = processes.Part(f"{SERVICE}-worker", f"services.{SERVICE}.worker", free_port())
    environment = {
        "CRM_SECRET": config.secret.get_secret_value(), "CRM_POSTGRES_URL": config.postgres_url,
        "CRM_DATABASE_PREFIX": config.database_prefix, "CRM_KAFKA_SERVERS": config.kafka_servers,
        "CRM_TOPIC_PREFIX": config.topic_prefix,
    }  # fmt: skip
    started = processes.start_part(folder, part, environment)
    try:
        await asyncio.to_thread(processes.wait_ready, folder, (started,))
        yield started.process
    finally:
        await asyncio.to_thread(pids.stop, started.process, deadline=20)


async def work(
    config: Settings, pool: db.Pool, process: pids.Process, seconds: float, *, bad_per_second: float
) -> Measured:
    """Publishes good visits, and poison if asked to, evenly over so many seconds; measures until all have arrived."""
    measured, confirmed, arrived = Measured(), dict[UUID, float](), dict[UUID, float]()
    publishing = asyncio.Event()
    async with AIOKafkaProducer(bootstrap_servers=config.kafka_servers) as producer:
        watching = asyncio.create_task(_watch(pool, confirmed, arrived, publishing))
        before, started = cpu_seconds(process), time.monotonic()
        good = asyncio.create_task(_publish(producer, config.topic_prefix, seconds, GOOD_PER_SECOND, None, confirmed))
        bad = asyncio.create_task(_publish(producer, config.topic_prefix, seconds, bad_per_second, POISONED, {}))
        _, measured.poison = await asyncio.gather(good, bad)
        measured.cpu = (cpu_seconds(process) - before) / (time.monotonic() - started)
        publishing.set()
        await asyncio.wait_for(watching, ARRIVED_WITHIN_SECONDS)
    measured.lags = [arrived[visit_id] - moment for visit_id, moment in confirmed.items()]
    return measured


async def _publish(
    producer: AIOKafkaProducer, prefix: str, seconds: float, per_second: float, guest: UUID | None,
    confirmed: dict[UUID, float],
) -> int:  # fmt: skip
    count, started = int(seconds * per_second), time.monotonic()
    for number in range(count):
        await asyncio.sleep(max(0.0, started + number / per_second - time.monotonic()))
        record = record_of(event := _fresh(guest), prefix)
        # Confirmed before the answer is here, never after: the lag is rather too long than too short.
        confirmed[event.visit_id] = time.monotonic()
        await producer.send_and_wait(record.topic, record.value, key=record.key, headers=list(record.headers))
    return count


def _fresh(guest: UUID | None) -> VisitRecorded:
    return visit(occurred_at=now(), customer_id=guest or new_id(), receipt_number=str(new_id()))


async def _watch(
    pool: db.Pool, confirmed: dict[UUID, float], arrived: dict[UUID, float], publishing: asyncio.Event
) -> None:
    while not (publishing.is_set() and arrived.keys() >= confirmed.keys()):
        waiting = [visit_id for visit_id in confirmed if visit_id not in arrived]
        rows = await pool.fetch("SELECT visit_id FROM feedback_links WHERE visit_id = any($1)", waiting)
        arrived.update({row["visit_id"]: time.monotonic() for row in rows})
        await asyncio.sleep(LOOK_EVERY_SECONDS)


def cpu_seconds(process: pids.Process) -> float:
    """What a process has used of all cores since it began."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def forbid_the_guest(config: Settings) -> None:
    """From now on the database refuses everything of the poisoned guest."""
    owner = await asyncpg.connect(owner_dsn(config, config.database_name(SERVICE)))
    try:
        await owner.execute(FORBID)
    finally:
        await owner.close()


async def measure(
    folder: Path, config: Settings, pool: db.Pool, seconds: float, *, tries: int = 1
) -> tuple[Measured, Measured]:
    """A while without poison and a while with it, in one life of the worker.

    Where others use the machine too, several `tries` may be made: what they do only adds, so the best one counts.
    Raises AssertionError when not every poisoned record is parked, each once.
    """
    await forbid_the_guest(config)
    async with worker_process(folder, config) as process:
        await work(config, pool, process, 1.0, bad_per_second=0)  # warm
        clean = await work(config, pool, process, seconds, bad_per_second=0)
        found: list[Measured] = []
        while len(found) < tries and not (found and found[-1].median - clean.median < LAG_GOAL_SECONDS):
            found.append(await work(config, pool, process, seconds, bad_per_second=BAD_PER_SECOND))
        poison = sum(each.poison for each in found)
        async with asyncio.timeout(ARRIVED_WITHIN_SECONDS):
            while await pool.fetchval("SELECT count(*) FROM crm.parked") < poison:
                await asyncio.sleep(LOOK_EVERY_SECONDS)
    rows = await pool.fetch("SELECT key, reason, detail FROM crm.parked")
    assert len(rows) == poison, f"{len(rows)} parked of {poison}"
    wrong = [tuple(row) for row in rows if row["key"] != str(POISONED) or "poisoned" not in row["detail"]]
    assert not wrong, f"parked for another reason: {wrong[:3]}"
    return clean, min(found, key=lambda each: each.median)


def told(clean: Measured, spoiled: Measured) -> str:
    """The figures in words."""
    return (
        f"{spoiled.poison} poisoned records; {len(spoiled.lags)} others at most {max(spoiled.lags) * 1000:.0f} ms late "
        f"(p99 {spoiled.p99 * 1000:.0f}, without poison {clean.p99 * 1000:.0f}); the poison took "
        f"{(spoiled.cpu - clean.cpu) * 100:.1f} % of a core (worker: {spoiled.cpu * 100:.1f} %)"
    )


async def _poisoned_key(world: World) -> str:
    config = settings().model_copy(
        update={
            "postgres_url": world.postgres.url, "kafka_servers": world.kafka.url,
            "database_prefix": "key_", "topic_prefix": "key.",
        }
    )  # fmt: skip
    await migrate(config, [SERVICE])
    await topics.create(config)
    pool = await db.open_pool(config.dsn(SERVICE), name="poisoned key")
    try:
        clean, spoiled = await measure(world.folder, config, pool, 10 if world.quick else 120)
    finally:
        await pool.close()
    words = told(clean, spoiled)
    assert max(spoiled.lags) < LAG_GOAL_SECONDS, words
    assert spoiled.cpu - clean.cpu < CPU_GOAL, words
    return words


SCENARIOS = [Scenario("one poisoned key", _poisoned_key)]

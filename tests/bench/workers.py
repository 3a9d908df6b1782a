"""The workers of all services as processes on given servers, and what the machine spends on each of them."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock
from uuid import UUID

from deploy import pids
from deploy.crm import processes
from deploy.crm.migrate import migrate
from deploy.crm.processes import Part, Started
from deploy.demo import run as demo
from deploy.demo import till
from deploy.demo.dataset import Basket
from deploy.engines.engine import free_port
from shared.database import db
from shared.messaging import topics
from shared.services import WITH_DATABASE
from shared.settings import Settings
from tests.bench.figure import Bench
from tests.support import SECRET, delete_topics, drop_databases

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
RESTED_WITHIN_SECONDS = 600
# One guest's visit leaves these behind; when each has as many as there were visits, the books are complete. Counting
# takes from what is measured, so first those are awaited that are counted by the guest.
COMPLETE = {
    "loyalty": "SELECT coalesce(sum(total_visits), 0) FROM customer_loyalty WHERE cafe_id = $1",
    "customer": "SELECT coalesce(sum(total_visits), 0) FROM customer_activity WHERE cafe_id = $1",
    "feedback": "SELECT count(*) FROM feedback_links WHERE cafe_id = $1",
    "campaign": "SELECT count(*) FROM journey_runs r JOIN journeys j ON j.cafe_id = r.cafe_id AND j.id = r.journey_id"
    " WHERE r.cafe_id = $1 AND j.trigger = 'visit.recorded'",
    "visit": "SELECT count(*) FROM customer_visits WHERE cafe_id = $1 AND (points_earned > 0 OR final_amount < 1000)",
}


@dataclass(frozen=True)
class Running:
    """Workers that run, and a cafe with a till that all of them know."""

    folder: Path
    environment: Mapping[str, str]
    parts: Mapping[str, Started]
    spenders: Mapping[str, int]
    pools: Mapping[str, db.Pool]
    cafe: demo.DemoCafe

    @property
    def config(self) -> Settings:
        """The settings of its processes."""
        return processes.settings_of(self.environment)


@dataclass(frozen=True)
class Drained:
    """How fast waiting visits were taken in, and what each process spent on one."""

    per_second: float
    cpu_us: Mapping[str, float]
    peak_mib: Mapping[str, float]


@contextlib.asynccontextmanager
async def running(bench: Bench, name: str, module: str | None = None) -> AsyncIterator[Running]:
    """Fresh databases and topics, and a worker of each service on them; all of it is gone afterwards.

    `module` runs instead of `services.<name>.worker`, with the service's name as its argument.
    """
    folder = bench.folder / name
    (folder / "logs").mkdir(parents=True)
    environment = {
        "CRM_SECRET": SECRET,
        "CRM_POSTGRES_URL": bench.postgres.url,
        "CRM_KAFKA_SERVERS": bench.kafka.url,
        "CRM_DATABASE_PREFIX": f"{name}_",
        "CRM_TOPIC_PREFIX": f"{name}.",
    }
    config = processes.settings_of(environment)
    await migrate(config)
    await topics.create(config)
    parts: dict[str, Started] = {}
    try:
        for service in WITH_DATABASE:
            parts[service] = start_worker(folder, environment, service, module)
        await asyncio.to_thread(processes.wait_ready, folder, tuple(parts.values()))
        with mock.patch.dict(os.environ, environment):
            cafe = await asyncio.to_thread(demo.make_cafe, lambda _: None)
        async with demo.opened(config) as pools:
            await demo.known_everywhere(pools, cafe)
            spenders = {service: each.process.pid for service, each in parts.items()}
            for engine in (bench.postgres, bench.kafka):
                if engine.process is not None:
                    spenders[engine.kind] = engine.process.pid
            yield Running(folder, environment, parts, spenders, pools, cafe)
    finally:
        await asyncio.gather(*(asyncio.to_thread(pids.stop, each.process, deadline=20) for each in parts.values()))
        await drop_databases(config)
        await delete_topics(config.kafka_servers, lambda topic: topic.startswith(config.topic_prefix))


def start_worker(folder: Path, environment: Mapping[str, str], service: str, module: str | None = None) -> Started:
    """One worker as a process."""
    part = Part(f"{service}-worker", f"services.{service}.worker", free_port())
    if module is not None:
        part = Part(part.name, module, part.port, (service,))
    return processes.start_part(folder, part, environment)


async def publish(system: Running, baskets: Sequence[Basket], per_second: float | None = None) -> None:
    """The till at work."""
    async with till.producer(system.config.kafka_servers) as producer:
        topic = f"{system.config.topic_prefix}pos.visits"
        async for _ in till.publish(producer, topic, system.cafe.api_key, baskets, per_second=per_second):
            pass


async def drain(system: Running, baskets: Sequence[Basket], module: str | None = None) -> Drained:
    """Lets the workers take in visits that wait, and checks the books.

    Measured from the first visit that is taken until the books of all services are complete. Publishing has a
    process's worth of work of its own, so the visits are published while no visit worker runs.
    """
    await asyncio.to_thread(pids.stop, system.parts["visit"].process, deadline=20)
    await publish(system, baskets)
    worker = start_worker(system.folder, system.environment, "visit", module)
    spenders = {**system.spenders, "visit": worker.process.pid}
    try:
        taken = await _first_taken(system.pools["visit"], system.cafe.cafe_id)
        before = {name: cpu_seconds(pid) for name, pid in spenders.items()}
        for service in COMPLETE:
            await _complete(system, service, len(baskets), taken)
        took = time.monotonic() - taken
        spent = {name: (cpu_seconds(pid) - before[name]) * 1e6 / len(baskets) for name, pid in spenders.items()}
        memory = {name: peak_mib(pid) for name, pid in spenders.items() if name in WITH_DATABASE}
    finally:
        await asyncio.to_thread(pids.stop, worker.process, deadline=20)
    found = await demo.settled_books(system.config, dict(system.pools), system.cafe, list(baskets), within=60)
    if found:
        raise AssertionError(f"the books do not balance: {found[:5]}")
    return Drained(len(baskets) / took, spent, memory)


async def _first_taken(pool: db.Pool, cafe_id: UUID) -> float:
    async with asyncio.timeout(60):
        while not await pool.fetchval("SELECT EXISTS (SELECT FROM customer_visits WHERE cafe_id = $1)", cafe_id):
            await asyncio.sleep(0.01)
    return time.monotonic()


async def _complete(system: Running, service: str, visits: int, since: float) -> None:
    async with asyncio.timeout(RESTED_WITHIN_SECONDS):
        while (there := int(await system.pools[service].fetchval(COMPLETE[service], system.cafe.cafe_id))) < visits:
            # Look again when a quarter of what is missing can have come.
            pace = (time.monotonic() - since) / max(1, there)
            await asyncio.sleep(min(1.0, max(0.05, (visits - there) * pace / 4)))


def cpu_seconds(pid: int) -> float:
    """What a process and its children, those that ended included, have used so far."""
    own = _stat(pid)
    return sum(own[11:15]) / TICKS_PER_SECOND + sum(cpu_seconds(child) for child in _children(pid))


def peak_mib(pid: int) -> float:
    """The most memory that a process itself has had at once."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def _stat(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return [0] * 50
    return [int(word) if word.lstrip("-").isdigit() else 0 for word in text.rpartition(")")[2].split()]


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += [int(child) for child in task.read_text().split()]
    return found

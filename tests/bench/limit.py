"""What PostgreSQL alone does with the same writes: the statements of the services' handlers, recorded and run again.

Recorded once, in one process, in batches of 1,000 visits: every statement that writes, with its arguments. Run again on
fresh databases by two connections, each with the guests of one half, with no Kafka, no decisions and no reads.
"""

import asyncio
import random
import re
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from pydantic import SecretStr

from deploy.crm.migrate import migrate
from deploy.demo import till
from deploy.demo.dataset import Basket
from shared.database import db
from shared.messaging.consumer import Consumer
from shared.services import WITH_DATABASE
from shared.settings import Settings
from tests.bench.figure import Bench
from tests.chaos.house import House, reactions_of
from tests.shared.records import FakeRecord
from tests.support import SECRET, drop_databases

BATCH = 1000
HALVES = 2
# Writing statements, also behind WITH, and the settings that some of them need for their plan.
WRITES = re.compile(
    r"\s*((INSERT|UPDATE|DELETE) |WITH .*\b(INSERT INTO|UPDATE|DELETE FROM) |SELECT set_config)", re.DOTALL
)
Statement = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Transaction:
    """The writing statements of one transaction of a service."""

    service: str
    statements: list[Statement] = field(default_factory=list)


@dataclass(frozen=True)
class Recording:
    """What a cafe's creation wrote, and what the visits of each half of the guests wrote."""

    first: Sequence[Transaction]
    halves: Sequence[Sequence[Transaction]]
    visits: int


_tape: list[Statement] = []


class Recorder(asyncpg.Connection):  # type: ignore[type-arg]  # asyncpg's classes take no parameters at run time
    """A connection that notes each statement that writes."""

    async def execute(self, query: str, *args: Any, **how: Any) -> Any:
        """Notes it and does it."""
        _note(query, args)
        return await super().execute(query, *args, **how)

    async def fetch(self, query: str, *args: Any, **how: Any) -> Any:
        """Notes it and does it."""
        _note(query, args)
        return await super().fetch(query, *args, **how)

    async def fetchval(self, query: str, *args: Any, **how: Any) -> Any:
        """Notes it and does it."""
        _note(query, args)
        return await super().fetchval(query, *args, **how)

    async def fetchrow(self, query: str, *args: Any, **how: Any) -> Any:
        """Notes it and does it."""
        _note(query, args)
        return await super().fetchrow(query, *args, **how)


def _note(query: str, args: tuple[Any, ...]) -> None:
    if WRITES.match(query):
        _tape.append((query, args))


@dataclass
class Recorded(House):
    """A house that hands over full batches in a fixed order and keeps what each of its transactions wrote."""

    written: list[Transaction] = field(default_factory=list)

    async def settle(self) -> None:
        """Lets everything that waits happen, the oldest topic of each service first."""
        while await self.relay() or any(self.queues.values()):
            for queue in [each for each, waiting in self.queues.items() if waiting]:
                await self.deliver(queue)

    async def deliver(self, queue: tuple[str, str, int]) -> None:
        """Gives a service a full batch, once."""
        waiting: deque[FakeRecord] = self.queues[queue]
        batch = [waiting.popleft() for _ in range(min(len(waiting), BATCH))]
        await self.consumers[queue[0]].handle(batch)
        self._cut(queue[0])

    async def relay(self) -> int:
        """Moves what is in the outboxes to those who read it."""
        count = 0
        for service in WITH_DATABASE:
            count += await self.relay_of(service)
            self._cut(service)
        return count

    def publish(self, topic: str, record: FakeRecord, key: str) -> None:  # noqa: ARG002
        """One partition is enough: a batch is a batch."""
        for service, consumer in self.consumers.items():
            if topic in consumer.reactions.topics:
                self.queues.setdefault((service, topic, 0), deque()).append(record)

    def _cut(self, service: str) -> None:
        if _tape:
            self.written.append(Transaction(service, list(_tape)))
            _tape.clear()

    def take(self) -> list[Transaction]:
        """What was written since it was last asked."""
        taken = list(self.written)
        self.written.clear()
        return taken


async def record(bench: Bench, baskets: Sequence[Basket]) -> Recording:
    """The writes of these visits by the services' own handlers."""
    config = _config(bench, "record_")
    await migrate(config)
    pools = {service: await _pool(config, service, Recorder) for service in WITH_DATABASE}
    try:
        consumers = {
            service: Consumer(service, pools[service], reactions_of(service), config.keys) for service in WITH_DATABASE
        }
        house = Recorded(config, pools, consumers, random.Random(0))
        _, api_key = await house.make_cafe()
        first, halves = house.take(), []
        for half in range(HALVES):
            for basket in baskets:
                if basket.household_id % HALVES == half:
                    house.hand_in(api_key, "pos.visit_recorded", _body(basket, half))
            await house.settle()
            halves.append(house.take())
        return Recording(first, halves, len(baskets))
    finally:
        for pool in pools.values():
            await pool.close()
        await drop_databases(config)


def _config(bench: Bench, prefix: str) -> Settings:
    return Settings(postgres_url=bench.postgres.url, database_prefix=prefix, secret=SecretStr(SECRET))


def _body(basket: Basket, half: int) -> dict[str, Any]:
    # A device's visits queue at its row, so the halves have devices of their own.
    body = till.visit_body(basket)
    return body | {"device_id": f"{body['device_id']}-{half}"}


async def replay(bench: Bench, recording: Recording) -> float:
    """Visits a second when both halves are written at once, each by one connection per database."""
    config = _config(bench, "replay_")
    await migrate(config)
    halves = [{service: await _pool(config, service) for service in WITH_DATABASE} for _ in range(HALVES)]
    try:
        await _write(halves[0], recording.first)
        started = time.monotonic()
        await asyncio.gather(*(_write(pools, half) for pools, half in zip(halves, recording.halves, strict=True)))
        return recording.visits / (time.monotonic() - started)
    finally:
        for pools in halves:
            for pool in pools.values():
                await pool.close()
        await drop_databases(config)


async def _write(pools: dict[str, db.Pool], transactions: Sequence[Transaction]) -> None:
    for each in transactions:
        async with db.transaction(pools[each.service]) as conn:
            for query, args in each.statements:
                await conn.execute(query, *args)


async def _pool(config: Settings, service: str, kind: Any = asyncpg.Connection) -> db.Pool:
    return await db.open_pool(config.dsn(service), max_size=1, name="bench", connection_class=kind)

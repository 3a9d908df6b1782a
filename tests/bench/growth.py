"""Growth: what a visit costs with ten times the guests and ten times the history."""

import contextlib
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from statistics import median
from typing import Any, Final

from deploy.demo import till
from shared.clock import new_id, now
from shared.services import WITH_DATABASE
from shared.settings import Settings
from tests.bench.figure import Bench, Figure, Part
from tests.bench.history import CAFES, History, Size, Statements, open_history, phone_of
from tests.chaos.house import TAKE_OUTBOX, House
from tests.shared.records import FakeRecord, relayed

MOST: Final = 1.2
BATCH: Final = 1000
# How many of the statements that cost more in the large history are named.
CULPRITS: Final = 8
SEGMENTS: Final = {"frequent": {"visit_count": {"min": 4}}, "spenders": {"lifetime_spent": {"min": 300_000}}}
TAKING_PART: Final = ("visit", "loyalty", "customer", "campaign", "feedback")


@dataclass(frozen=True)
class Sizes:
    """Two histories, and the new visits of each of the alternating runs."""

    small: Size
    large: Size
    warm_ups: int
    runs: int
    visits: int


FULL: Final = Sizes(Size(100_000, 500_000), Size(1_000_000, 5_000_000), warm_ups=4, runs=9, visits=8_000)
QUICK: Final = Sizes(Size(20_000, 100_000), Size(200_000, 1_000_000), warm_ups=2, runs=5, visits=4_000)


@dataclass
class Spent:
    """Seconds that each service took for some visits: by the clock, waiting for its SQL, and of the server's
    processor."""

    wall: dict[str, float] = field(default_factory=lambda: dict.fromkeys(WITH_DATABASE, 0.0))
    sql: dict[str, float] = field(default_factory=lambda: dict.fromkeys(WITH_DATABASE, 0.0))
    cpu: dict[str, float] = field(default_factory=lambda: dict.fromkeys(WITH_DATABASE, 0.0))


@dataclass
class Driver:
    """Hands records to the services of one history in whole batches, and times each service."""

    history: History
    statements: Mapping[str, Statements]
    by_statement: dict[tuple[str, str], float] = field(default_factory=dict)

    async def take(self, records: Sequence[FakeRecord]) -> Spent:
        """Publishes the records and lets everything follow that follows from them."""
        waiting: dict[str, list[FakeRecord]] = {service: [] for service in WITH_DATABASE}
        spent = Spent()
        _publish(self.history.house, waiting, records)
        while any(waiting.values()):
            for service in WITH_DATABASE:
                batch, waiting[service] = waiting[service][:BATCH], waiting[service][BATCH:]
                if batch:
                    await self._handle(service, batch, spent)
            _publish(self.history.house, waiting, await self._emitted())
        return spent

    async def _handle(self, service: str, batch: Sequence[FakeRecord], spent: Spent) -> None:
        statements = self.statements[service]
        statements.seconds.clear()
        cpu, started = statements.server_cpu, time.perf_counter()
        await self.history.house.consumers[service].handle(batch)
        spent.wall[service] += time.perf_counter() - started
        spent.cpu[service] += statements.server_cpu - cpu
        spent.sql[service] += sum(statements.seconds.values())
        for statement, seconds in statements.seconds.items():
            self.by_statement[service, statement] = self.by_statement.get((service, statement), 0.0) + seconds

    async def _emitted(self) -> list[FakeRecord]:
        found = []
        for service in WITH_DATABASE:
            rows = await self.history.house.pools[service].fetch(TAKE_OUTBOX)
            for row in sorted(rows, key=lambda row: int(row["id"])):
                found.append(relayed(row))
        return found


def _publish(house: House, waiting: dict[str, list[FakeRecord]], records: Sequence[FakeRecord]) -> None:
    for record in records:
        for service, consumer in house.consumers.items():
            if record.topic in consumer.reactions.topics:
                waiting[service].append(record)


def visits_of_run(history: History, run: int, count: int) -> list[FakeRecord]:
    """The new visits of a run, by known and new guests in turn: as near to the same in every history as can be."""
    dice = random.Random(run)
    moment = now() - timedelta(minutes=1)
    return [_record(history, run, place, dice, moment + place * timedelta(milliseconds=5)) for place in range(count)]


def _record(history: History, run: int, place: int, dice: random.Random, at: datetime) -> FakeRecord:
    share, amount = dice.random(), 40_000 + 1000 * dice.randrange(200)
    known = int(share * history.size.guests)
    cafe = known % CAFES if place % 2 else place // 2 % CAFES
    body: dict[str, Any] = {
        "device_id": f"till-{place % 20}",
        "receipt_number": f"n{run}-{place}",
        "phone": phone_of(known) if place % 2 else f"+98935{run:03d}{place:04d}",
        "occurred_at": at.isoformat(),
        "items": [{"name": "قهوه", "quantity": 2, "amount": str(amount)}, {"name": "کیک", "quantity": 1}],
        "total": str(amount),
        "currency_unit": "IRT",
        "payment_method": "card",
        "marketing_consent": True,
    }
    if place % 2 == 0:
        body["guest_name"] = f"مهمان {dice.choice('ابپتجچحخد')} {place}"
    raw, visit_id = json.dumps(body, ensure_ascii=False).encode(), str(new_id())
    headers = till.signed_headers(history.api_keys[cafe], visit_id, "pos.visit_recorded", raw)
    return FakeRecord("pos.visits", raw, headers, body["device_id"].encode())


async def measure(bench: Bench) -> list[Figure]:
    """Cost per visit at two sizes of everything."""
    config = Settings().model_copy(update={"postgres_url": bench.postgres.url, "database_prefix": "bench_growth_"})
    return await compare(bench, config, QUICK if bench.quick else FULL)


async def compare(bench: Bench, config: Settings, sizes: Sizes) -> list[Figure]:
    """The same visits into a small and a large history, in turn."""
    async with contextlib.AsyncExitStack() as stack:
        drivers = []
        for name, size in (("small", sizes.small), ("large", sizes.large)):
            own = config.model_copy(update={"database_prefix": f"{config.database_prefix}{name}_"})
            drivers.append(await _driver(await stack.enter_async_context(open_history(own, size, SEGMENTS, bench.say))))
        # Plans and caches first; until the pages of a million guests are in memory takes more than one run.
        for warm_up in range(1, sizes.warm_ups + 1):
            for driver in drivers:
                await driver.take(visits_of_run(driver.history, sizes.runs + warm_up, sizes.visits))
        for driver in drivers:
            driver.by_statement.clear()
        spent: list[list[Spent]] = [[], []]
        for run in range(1, sizes.runs + 1):
            for which in (0, 1) if run % 2 else (1, 0):
                spent[which].append(await drivers[which].take(visits_of_run(drivers[which].history, run, sizes.visits)))
            bench.say(f"growth run {run}: {_each(spent[0][-1], sizes)} µs a visit, then {_each(spent[1][-1], sizes)}")
        for driver in drivers:
            await _assert_taken(driver.history, (sizes.warm_ups + sizes.runs) * sizes.visits)
        _say_what_grew(bench, *drivers)
    return _figures(sizes, spent[0], spent[1])


async def _driver(history: History) -> Driver:
    statements = {service: Statements() for service in WITH_DATABASE}
    for service, pool in history.house.pools.items():
        await statements[service].watch(pool)
    return Driver(history, statements)


async def _assert_taken(history: History, new: int) -> None:
    expected = history.size.visits + new
    for service, table in (("visit", "visit_receipts"), ("loyalty", "visit_earnings"), ("feedback", "visits"),
                           ("campaign", "journey_runs")):  # fmt: skip
        found = await history.house.pools[service].fetchval(f"SELECT count(*) FROM {table}")
        assert found == expected, f"{service}.{table} holds {found} visits instead of {expected}"
    seen = await history.house.pools["customer"].fetchval("SELECT sum(total_visits) FROM customer_activity")
    assert seen == expected, f"the customer service counted {seen} visits instead of {expected}"


def _say_what_grew(bench: Bench, small: Driver, large: Driver) -> None:
    grown = {each: seconds - small.by_statement.get(each, 0.0) for each, seconds in large.by_statement.items()}
    for (service, statement), more in sorted(grown.items(), key=lambda each: -each[1])[:CULPRITS]:
        before, after = small.by_statement.get((service, statement), 0.0), large.by_statement[service, statement]
        words = " ".join(statement.split())
        bench.say(f"grew by {more:.2f} s, from {before:.2f} to {after:.2f}: {service}: {words[:150]}")


def _figures(sizes: Sizes, small: Sequence[Spent], large: Sequence[Spent]) -> list[Figure]:
    scale = sizes.large.guests // sizes.small.guests
    about = f"{sizes.large.guests:,} guests and {sizes.large.visits:,} visits against a {scale}th of both"
    kinds: list[tuple[str, Callable[[Spent], float], str]] = [
        ("", lambda each: sum(each.wall.values()), about),
        (", waiting for SQL", lambda each: sum(each.sql.values()), about),
        *((f", {service}", partial(_of_service, service=service), "") for service in TAKING_PART),
    ]
    if all(each.cpu["visit"] for each in (*small, *large)):
        kinds.insert(2, (", PostgreSQL's processor time", lambda each: sum(each.cpu.values()), about))
    figures = []
    for kind, cost, note in kinds:
        before, after = [cost(each) for each in small], [cost(each) for each in large]
        per_visit = " to ".join(f"{median(each) / sizes.visits * 1e6:.0f}" for each in (before, after))
        runs = [each / other for each, other in zip(after, before, strict=True)]
        said = "; ".join(filter(None, (f"{per_visit} µs a visit", note)))
        # The goal is the whole's; its parts say where it grew.
        goal = None if kind else ("at most", MOST)
        figures.append(Figure("growth", f"cost per visit at {scale}x{kind}", runs, "x", goal, said))
    return figures


def _of_service(spent: Spent, service: str) -> float:
    return spent.wall[service]


def _each(spent: Spent, sizes: Sizes) -> str:
    return ", ".join(
        f"{each} {spent.cpu[each] / sizes.visits * 1e6:.0f}/{spent.wall[each] / sizes.visits * 1e6:.0f}"
        for each in TAKING_PART
    )


PART = Part("growth", measure)

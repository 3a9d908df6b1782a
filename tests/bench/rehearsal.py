"""Rehearsal: new rules on all bills of a cafe, and what live bills feel of it.

Every guest came forty times over a year, three in ten spent points over HTTP, and two in ten were given some. Nobody
has left bronze, so that the rows can be made set by set as loyalty would have written them.
"""

import asyncio
import contextlib
import os
import random
import resource
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final
from unittest import mock
from uuid import UUID

import asyncpg

from deploy.crm.migrate import admin_dsn, migrate
from services.loyalty.handlers import rehearsal_runs
from services.loyalty.handlers.cafes import on_cafe_changed
from services.loyalty.handlers.visits import on_visit_recorded
from services.loyalty.models.rehearsals import Rehearsal
from services.loyalty.rules.programs import default_rules
from services.loyalty.store import rehearsals
from shared.clock import new_id, now
from shared.database import db
from shared.database.db import Connection, Pool
from shared.events.identity import CafeChanged
from shared.settings import Settings
from tests.bench.figure import Bench, Figure, Part
from tests.shared.records import visit
from tests.support import SECRET, admin_connection

CAFE, OTHER = UUID(int=7), UUID(int=8)
SERVICE: Final = "loyalty"
ROUNDS: Final = 40
GOAL_SECONDS: Final = 8.0
GOAL_LIVE: Final = 1.2
# A bill of a guest is of so many thousand Toman: forty of the largest stay below silver.
POINTS = "(5 + (g.n * 7 + r.n * 3) % 8)"
AT = "timestamptz '{starts}' + ((r.n - 1) * {guests}::bigint + g.n) * interval '{step} microseconds'"
GUESTS = (
    "CREATE UNLOGGED TABLE bench_guests AS SELECT n, gen_random_uuid() AS id FROM generate_series(1, {guests}) AS n"
)
FILL = (
    f"""
INSERT INTO visit_earnings (cafe_id, customer_id, visit_id, state, occurred_at, device_id, receipt_number, final_amount,
    currency_unit, points, multiplier, program_version, points_to_redeem, facts)
SELECT '{CAFE}', g.id, gen_random_uuid(), 'recorded', {AT}, 'till-' || g.n % 20, 'h' || g.n || '-' || r.n,
       {POINTS} * 1000, 'IRT', {POINTS}, 1, 1, 0, decode('93c0c090', 'hex')
FROM generate_series(1, {ROUNDS}) AS r (n) CROSS JOIN bench_guests AS g ORDER BY r.n, g.n""",
    f"""
INSERT INTO loyalty_transactions (id, cafe_id, customer_id, account_version, transaction_type, points_change, visit_id,
    description, notes, related_amount, currency_unit, occurred_at, created_at, balance_after)
SELECT gen_random_uuid(), cafe_id, customer_id,
       row_number() OVER (PARTITION BY customer_id ORDER BY occurred_at), 'earned_purchase', points, visit_id,
       'امتیاز خرید', 'v1 x1', final_amount, currency_unit, occurred_at, occurred_at,
       sum(points) OVER (PARTITION BY customer_id ORDER BY occurred_at)
FROM visit_earnings WHERE cafe_id = '{CAFE}'""",
    f"""
INSERT INTO redemptions (cafe_id, id, customer_id, kind, points, state, created_by, created_at)
SELECT '{CAFE}', gen_random_uuid(), id, 'discount', 50, 'completed', '{CAFE}', '{{moment}}'
FROM bench_guests WHERE n % 10 < 3""",
    f"""
INSERT INTO loyalty_transactions (id, cafe_id, customer_id, account_version, transaction_type, points_change,
    description, occurred_at, created_at, balance_after)
SELECT gen_random_uuid(), '{CAFE}', id, {ROUNDS + 1}, 'earned_bonus', 20, 'امتیاز هدیه', '{{moment}}', '{{moment}}', 20
FROM bench_guests WHERE n % 10 < 2""",
    f"""
INSERT INTO customer_loyalty (cafe_id, customer_id, points_earned, points_redeemed, total_visits, account_version)
SELECT e.cafe_id, e.customer_id, sum(e.points) + CASE WHEN g.n % 10 < 2 THEN 20 ELSE 0 END,
       CASE WHEN g.n % 10 < 3 THEN 50 ELSE 0 END, {ROUNDS}, {ROUNDS + 1}
FROM visit_earnings AS e JOIN bench_guests AS g ON g.id = e.customer_id WHERE e.cafe_id = '{CAFE}'
GROUP BY e.cafe_id, e.customer_id, g.n""",
    "DROP TABLE bench_guests",
)


@dataclass(frozen=True)
class Sizes:
    """How many guests, how many rehearsals, and how many live bills beside them and without them."""

    guests: int
    runs: int
    live: int


FULL, QUICK = Sizes(25_000, 5, 400), Sizes(2_500, 3, 100)


async def measure(bench: Bench) -> list[Figure]:
    """Rehearsals one after the other, then live bills with and without one beside them."""
    config = Settings(postgres_url=bench.postgres.url, database_prefix="rehearsal_")
    # The process that rehearses reads its settings from there.
    names = {"CRM_SECRET": SECRET, "CRM_POSTGRES_URL": bench.postgres.url, "CRM_DATABASE_PREFIX": "rehearsal_"}
    with mock.patch.dict(os.environ, names):
        return await rehearse(bench, config, QUICK if bench.quick else FULL)


async def rehearse(bench: Bench, config: Settings, sizes: Sizes) -> list[Figure]:
    """The figures of a cafe of that size."""
    async with filled(config, sizes.guests) as pool:
        empty = await processor_seconds(pool, OTHER)
        seconds, micros, visits = [], [], sizes.guests * ROUNDS
        for _ in range(sizes.runs):
            spent = await processor_seconds(pool, CAFE)
            seconds.append(await last_seconds(pool, visits))
            micros.append((spent - empty) / visits * 1_000_000)
            bench.say(f"rehearsal: {seconds[-1]:.1f} s, {micros[-1]:.1f} µs a visit of the processes' own")
        alone, beside = await live(pool, sizes.live)
        bench.say(
            f"rehearsal: live bills {p99(alone) * 1000:.1f} ms alone, {p99(beside) * 1000:.1f} ms beside it (p99)"
        )
    # Fewer visits take their part of the time.
    goal = GOAL_SECONDS * visits / 1_000_000
    return [
        Figure("rehearsal", f"{visits:,} visits", seconds, "s", ("at most", goal), f"{sizes.guests:,} guests"),
        Figure("rehearsal", "processor time of a visit, without the server's", micros, "µs"),
        Figure(
            "rehearsal", "a live bill beside it against alone (p99)", [p99(beside) / p99(alone)], "x",
            ("at most", GOAL_LIVE),
        ),
    ]  # fmt: skip


PART = Part("rehearsal", measure)


@contextlib.asynccontextmanager
async def filled(config: Settings, guests: int) -> AsyncIterator[Pool]:
    """A database with that cafe and an empty one, gone afterwards. The rehearsals' processes find it by the
    environment."""
    await migrate(config, [SERVICE])
    admin: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(admin_dsn(config, config.database_name(SERVICE)))
    pool = await db.open_pool(config.dsn(SERVICE), name="bench")
    try:
        moment = now()
        told = [
            CafeChanged(
                cafe_id=cafe_id, occurred_at=moment, version=1, name="Bench", time_zone="Asia/Tehran",
                calendar="jalali", currency_unit="IRT",
            )
            for cafe_id in (CAFE, OTHER)
        ]  # fmt: skip
        async with db.transaction(pool) as conn:
            await on_cafe_changed(conn, told)
        await fill(admin, guests, moment - timedelta(days=365), moment)
        yield pool
    finally:
        await pool.close()
        await admin.close()
        async with admin_connection(config) as server:
            await server.execute(f"DROP DATABASE {config.database_name(SERVICE)} WITH (FORCE)")


async def fill(admin: Connection, guests: int, starts: object, moment: object) -> None:
    """The rows of a year."""
    step = int(timedelta(days=365) / timedelta(microseconds=1)) // (guests * ROUNDS)
    words = {"guests": guests, "starts": starts, "moment": moment, "step": step}
    await admin.execute(GUESTS.format(**words))
    for statement in FILL:
        await admin.execute(statement.format(**words))
    await admin.execute("VACUUM ANALYZE visit_earnings, loyalty_transactions, customer_loyalty, redemptions")


async def processor_seconds(pool: Pool, cafe_id: UUID) -> float:
    """Processor time of a rehearsal's processes, as the worker has them done."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    await ask(pool, cafe_id)
    await rehearsal_runs.run(pool)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


async def ask(pool: Pool, cafe_id: UUID) -> None:
    """A draft that earns twice as much."""
    rules = default_rules("jalali").model_copy(update={"earn_per_toman": 500}).model_dump(mode="json")
    wanted = Rehearsal(
        rehearsal_id=new_id(), rules=rules, menu_codes=None, mode="always", valid_from=None, asked_by=cafe_id,
        asked_at=now(),
    )  # fmt: skip
    async with db.transaction(pool) as conn:
        assert await rehearsals.ask(conn, cafe_id, wanted, 1)


async def last_seconds(pool: Pool, visits: int) -> float:
    """How long the last one took. It has counted all visits, and as the books do."""
    async with db.transaction(pool) as conn:
        found = (await rehearsals.list_all(conn, CAFE))[0].report
    assert found is not None
    assert found["check"]["holds"], found["check"]
    assert found["check"]["visits"] == visits
    seconds: float = found["seconds"]
    return seconds


async def live(pool: Pool, bills: int) -> tuple[list[float], list[float]]:
    """Seconds that each bill of another cafe takes in loyalty: alone, and while rehearsals run."""
    alone = [await live_bill(pool) for _ in range(bills)]
    beside: list[float] = []
    while len(beside) < bills:
        await ask(pool, CAFE)
        running = asyncio.create_task(rehearsal_runs.run(pool))
        while not running.done() and len(beside) < bills:
            beside.append(await live_bill(pool))
        await running
    return alone, beside


async def live_bill(pool: Pool) -> float:
    """One bill, in a transaction of its own, some milliseconds after the one before."""
    await asyncio.sleep(random.uniform(0, 0.02))
    event = visit(cafe_id=OTHER, occurred_at=now(), final_amount=Decimal(90_000))
    started = time.perf_counter()
    async with db.keyed_transaction(pool) as conn:
        await on_visit_recorded(conn, [event])
    return time.perf_counter() - started


def p99(seconds: list[float]) -> float:
    """The time within which 99 of 100 are done."""
    return sorted(seconds)[int(len(seconds) * 0.99)]

"""Segments: a million guests under ten rules, when a definition, a thousand guests or only the date changes."""

import contextlib
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal
from unittest import mock
from uuid import UUID

from deploy.crm.migrate import migrate
from services.customer.handlers import evaluating, periodic, segments
from services.customer.models.http import ChangeSegment
from services.customer.models.values import Cause, GuestKey, Sums
from services.customer.store import activity
from shared import clock
from shared.clock import new_id, now
from shared.database import db
from shared.events.identity import CafeChanged
from shared.messaging.worker import POOL_SIZE
from shared.settings import Settings
from tests.bench import rows
from tests.bench.figure import Bench, Figure, Part
from tests.bench.history import (
    Size,
    Statements,
    admin_of,
    assert_evaluated,
    drop_databases,
    fill_customers,
    make_segments,
    values_of,
    write_guests,
)

FULL: Final = 1_000_000
QUICK: Final = 100_000
CHANGED: Final = 1000
RUNS: Final = 5
# Beside the three of the system.
CRITERIA: Final[dict[str, dict[str, Any]]] = {
    "faithful": {"visit_count": {"min": 10}},
    "fading": {"last_visit_days": {"min": 30, "max": 60}},
    "spenders": {"lifetime_spent": {"min": 1_000_000}},
    "busy_month": {"monthly_visits": {"min": 3}},
    "climbers": {"tier_level": ["silver", "gold"], "points": {"min": 500}},
    "unhappy": {"avg_rating": {"max": 2.5}},
    "new_in_tehran": {"city": ["تهران"], "created_within_days": 150},
}
# A twentieth of the guests came exactly ten times.
CHANGED_CRITERIA: Final = {"visit_count": {"min": 11}}
EMPTY_OUTBOX: Final = "DELETE FROM crm.outbox"


@dataclass(frozen=True)
class Evaluated:
    """A customer database with one cafe of many guests; the statements of `pool`'s one connection are watched."""

    config: Settings
    pool: db.Pool
    cafe_id: UUID
    moment: datetime
    statements: Statements


async def measure(bench: Bench) -> list[Figure]:
    """The three occasions on which guests are evaluated."""
    config = Settings().model_copy(update={"postgres_url": bench.postgres.url, "database_prefix": "bench_segments_"})
    return await evaluate(bench, config, QUICK if bench.quick else FULL)


async def evaluate(bench: Bench, config: Settings, guests: int) -> list[Figure]:
    """All figures, of that many guests."""
    async with many_guests(config, guests, bench) as evaluated:
        await bench.use_log_files_again()
        figures = await _definition_changes(evaluated, guests, bench)
        figures += await _guests_change(evaluated, guests)
        await bench.use_log_files_again()
        return figures + await _a_day_passes(evaluated, guests)


@contextlib.asynccontextmanager
async def many_guests(config: Settings, count: int, bench: Bench) -> AsyncIterator[Evaluated]:
    """A customer database with that many guests of one cafe, gone afterwards."""
    started, moment, cafe_id = time.perf_counter(), now(), new_id()
    pool = None
    try:
        await migrate(config, ["customer"])
        pool = await db.open_pool(config.dsn("customer"), max_size=1, name="bench of segments")
        cafe = CafeChanged(
            cafe_id=cafe_id, occurred_at=moment, version=1, name="کافهٔ بزرگ", time_zone="Asia/Tehran",
            calendar="jalali", currency_unit="IRT", quiet_from="22:00", quiet_until="08:00", is_active=True,
        )  # fmt: skip
        async with db.transaction(pool) as conn:
            await segments.on_cafe_changed(conn, [cafe])
        await make_segments(pool, [cafe_id], CRITERIA)
        admin = await admin_of(config, "customer")
        try:
            await write_guests(admin, config, [cafe_id], count)
            values = values_of(config, Size(count, count), moment)
            await fill_customers(admin, pool, [cafe_id], rows.VARIED_ACTIVITY, values, moment)
            await admin.execute("DROP TABLE bench_guests")
            await admin.execute("VACUUM (FREEZE, ANALYZE)")
        finally:
            await admin.close()
        await assert_evaluated(pool, [cafe_id], moment)
        evaluated = Evaluated(config, pool, cafe_id, moment, Statements())
        await evaluated.statements.watch(pool)
        bench.say(f"{count:,} guests loaded in {time.perf_counter() - started:.0f} s")
        yield evaluated
    finally:
        if pool is not None:
            await pool.close()
        await drop_databases(config)


async def _definition_changes(evaluated: Evaluated, guests: int, bench: Bench) -> list[Figure]:

    finding, writing, moved = [], [], guests // 20
    for run in range(RUNS):
        await _redefine(evaluated, CRITERIA["faithful"] if run % 2 else CHANGED_CRITERIA)
        found, seconds = await _find(evaluated)
        assert found == min(moved, evaluating.STALE_AT_ONCE), f"{found} guests found stale instead of {moved}"
        started = time.perf_counter()
        # Of a million guests some become stale in any second, just because it passes.
        async with _workers(evaluated, evaluated.moment) as pool:
            while await periodic.recalculate(pool):
                pass
        finding.append(seconds)
        writing.append(time.perf_counter() - started)
        left = (await _find(evaluated))[0]
        assert left == 0, f"{left} guests are still stale"
        assert await evaluated.pool.fetchval("SELECT count(*) FROM crm.outbox") >= moved
        await evaluated.pool.execute(EMPTY_OUTBOX)
        bench.say(f"segments run {run + 1}: found in {finding[-1]:.2f} s, found and written in {writing[-1]:.1f} s")
    about = f"{guests:,} guests, ten rules, {moved:,} of them stale"
    return [
        Figure("segments", "finding stale memberships", finding, "s", _at_most(2.0, guests), about),
        Figure("segments", "recalculation with all that follows", writing, "s", None, about),
    ]


@contextlib.asynccontextmanager
async def _workers(evaluated: Evaluated, moment: datetime) -> AsyncIterator[db.Pool]:
    """The pool of a worker at that moment."""
    with mock.patch.object(clock, "now", return_value=moment):
        async with await db.open_pool(evaluated.config.dsn("customer"), max_size=POOL_SIZE) as pool:
            yield pool


async def _redefine(evaluated: Evaluated, criteria: dict[str, Any]) -> None:
    async with db.transaction(evaluated.pool) as conn:
        stored = next(
            each for each in await segments.list_segments(conn, evaluated.cafe_id) if each.segment_key == "faithful"
        )
        command = ChangeSegment(criteria=criteria)
        await segments.change_segment(conn, evaluated.cafe_id, stored.id, command, now=now())


async def _find(evaluated: Evaluated) -> tuple[int, float]:
    started = time.perf_counter()
    async with db.transaction(evaluated.pool) as conn:
        found = await evaluating.find_stale_memberships(conn, evaluated.cafe_id, now=evaluated.moment)
    return len(found), time.perf_counter() - started


async def _guests_change(evaluated: Evaluated, guests: int) -> list[Figure]:
    everybody = [
        GuestKey(evaluated.cafe_id, row["customer_id"])
        for row in await evaluated.pool.fetch("SELECT customer_id FROM customer_activity")
    ]
    dice, evaluating_alone, whole, moves = random.Random(4), [], [], 0
    for _ in range(RUNS + 2):
        some = dice.sample(everybody, min(CHANGED, guests))
        visits = [Sums(guest, evaluated.moment, Decimal(150_000)) for guest in some]
        async with db.transaction(evaluated.pool) as conn:
            await activity.add_visits(conn, visits, evaluated.moment)
            evaluated.statements.seconds.clear()
            started = time.perf_counter()
            verdicts = await evaluating.reevaluate(conn, dict.fromkeys(some, Cause("visit")), now=evaluated.moment)
        whole.append((time.perf_counter() - started) * 1000)
        evaluate = [spent for sql, spent in evaluated.statements.seconds.items() if "AS MATERIALIZED" in sql]
        evaluating_alone.append(sum(evaluate) * 1000)
        moves = sum(verdict.old_mask != verdict.new_mask for verdict in verdicts)
        assert moves > 0
        await evaluated.pool.execute(EMPTY_OUTBOX)
    about = f"of {guests:,}; each came once more, which moved {moves}"
    # The first two make plans.
    return [
        Figure("segments", "1,000 changed guests evaluated", evaluating_alone[2:], "ms", ("at most", 20.0), about),
        Figure("segments", "1,000 changed guests with all that follows", whole[2:], "ms", None, about),
    ]


async def _a_day_passes(evaluated: Evaluated, guests: int) -> list[Figure]:

    seconds, counts = [], []
    for day in range(1, RUNS + 1):
        moment, count = evaluated.moment + timedelta(days=day), 0
        started = time.perf_counter()
        async with _workers(evaluated, moment) as pool:
            while done := await periodic.reevaluate_due(pool):
                count += done
        seconds.append(time.perf_counter() - started)
        counts.append(count)
        await evaluated.pool.execute(EMPTY_OUTBOX)
    about = f"{sorted(counts)[len(counts) // 2]:,} of {guests:,} guests were due"
    return [Figure("segments", "a day passing without visits", seconds, "s", _at_most(2.0, guests), about)]


def _at_most(seconds: float, guests: int) -> tuple[Literal["at most"], float] | None:
    """The goals are for a million."""
    return ("at most", seconds) if guests == FULL else None


PART = Part("segments", measure)

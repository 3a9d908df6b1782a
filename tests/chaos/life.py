"""A guest's whole life against the model: whatever is asked for in whatever order, after each step the books agree.

Hypothesis makes up the lives and shortens one that fails. Each run is a new cafe in one database of loyalty.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from services.loyalty.handlers import accounts, adjustments, cafes, cards, periodic, redemptions, rewards, visits
from services.loyalty.store.audit import audit
from shared.database import db
from tests.chaos.databases import databases_on
from tests.chaos.desk import Clock, Desk
from tests.chaos.lives import Life
from tests.chaos.scenario import Scenario, World

RUNS, STEPS = 2_000, 50
QUICK_SECONDS = 15.0
RUNS_AT_ONCE = 20


async def run(world: World) -> str:
    """All runs, or as many as fit into half a minute."""
    async with databases_on(world, "life", ["loyalty"]) as databases:
        dsn = await databases.create("loyalty")
        seconds = QUICK_SECONDS if world.quick else None
        told = await asyncio.to_thread(live, dsn, world.seed, RUNS, STEPS, seconds)
    world.say(told)
    return told


def live(dsn: str, first_seed: int, runs: int, steps: int, seconds: float | None = None) -> str:
    """Plays up to `runs` lives of `steps` steps, no new ones begun after `seconds`; says how many.

    Raises AssertionError with the shortest life found that ends in a difference.
    """
    started, done = time.monotonic(), 0
    clock = Clock()
    with asyncio.Runner() as loop, loyalty_at(clock):
        pool = loop.run(db.open_pool(dsn, name="life"))
        desk = Desk(loop.run, pool, clock)
        try:
            while done < runs and (seconds is None or time.monotonic() - started < seconds):
                play(desk, first_seed + done, min(RUNS_AT_ONCE, runs - done), steps)
                done += RUNS_AT_ONCE
            breaches = loop.run(_audited(pool))
            assert not breaches, breaches
        finally:
            loop.run(pool.close())
    counts = ", ".join(f"{count:,} {what}" for what, count in sorted(desk.counts.items()))
    return f"{min(done, runs):,} lives of {steps} steps ({counts})"


def play(desk: Desk, number: int, runs: int, steps: int) -> None:
    """Some lives, the same ones for the same number."""
    life = type("Life", (Life,), {"desk": desk})
    rules = settings(
        max_examples=runs,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    try:
        run_state_machine_as_test(seed(number)(life), settings=rules)
    except Exception as error:
        steps_told = "\n".join(getattr(error, "__notes__", []))
        raise AssertionError(f"seed {number}: {error}\n{steps_told}") from error


@contextmanager
def loyalty_at(clock: Clock) -> Iterator[None]:
    """Loyalty goes by this clock."""
    with ExitStack() as stack:
        for module in (accounts, adjustments, cafes, cards, periodic, redemptions, rewards, visits):
            stack.enter_context(patch.object(module, "now", clock))
        yield


async def _audited(pool: db.Pool) -> Sequence[object]:
    async with db.transaction(pool) as conn:
        return await audit(conn)


SCENARIOS = [Scenario("life_against_a_model", run)]

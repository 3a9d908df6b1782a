"""Guests: a cafe with a million of them, when a page is shown in some order, and when one of them is looked for."""

import itertools
import random
import time
from collections.abc import Mapping
from typing import Any, Final

from services.customer.handlers import customers, lists
from services.customer.models.http import FindCustomers, ListCustomers
from shared.clock import now
from shared.database import db
from shared.settings import Settings
from tests.bench.figure import Bench, Figure, Part
from tests.bench.segments import Evaluated, many_guests

FULL: Final = 1_000_000
QUICK: Final = 100_000
LIST_MS, SEARCH_MS = 150, 100
SORTS: Final = ("last_visit", "points", "visits", "created")
# As the tabs above the console's list.
FILTERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "all": {},
    "reachable": {"reachable": True},
    "not seen for 30 days": {"not_seen_for_days": 30},
    "birthday within a week": {"birthday_within_days": 7},
    "platinum": {"tier": "platinum"},
}
# A guest in two hundred has told a birthday.
BORN: Final = """
UPDATE customers
SET birthday = date '1960-01-01' + (get_byte(uuid_send(id), 14) * 256 + get_byte(uuid_send(id), 15)) % 18000
WHERE get_byte(uuid_send(id), 13) < 2
"""


async def measure(bench: Bench) -> list[Figure]:
    """The pages of every order and filter, and every kind of search."""
    config = Settings().model_copy(update={"postgres_url": bench.postgres.url, "database_prefix": "bench_guests_"})
    return await look(bench, config, QUICK if bench.quick else FULL, rounds=20 if bench.quick else 40)


async def look(bench: Bench, config: Settings, guests: int, *, rounds: int) -> list[Figure]:
    """All figures, of that many guests; each the 95th percentile of `rounds` pages or searches."""
    async with many_guests(config, guests, bench) as made:
        await made.pool.execute(BORN)
        started = time.perf_counter()
        while await lists.list_changed(made.pool):
            pass
        bench.say(f"{guests:,} guests listed in {time.perf_counter() - started:.0f} s")
        await made.pool.execute("ANALYZE")
        figures = [
            Figure("guests", f"{name}, by {sort}", [await _pages(made, {"sort": sort, **asked}, rounds)], "ms",
                   ("at most", LIST_MS), "a page of fifty, p95")
            for (name, asked), sort in itertools.product(FILTERS.items(), SORTS)
        ]  # fmt: skip
        return figures + [
            Figure("guests", f"search by {name}", [await _searches(made, config, of, rounds)], "ms",
                   ("at most", SEARCH_MS), "eight of them, p95")
            for name, of in SEARCHES.items()
        ]  # fmt: skip


async def _pages(made: Evaluated, asked: Mapping[str, Any], rounds: int) -> float:
    taken, after = [], None
    for _ in range(rounds):
        started = time.perf_counter()
        async with db.transaction(made.pool) as conn:
            _, after = await lists.list_customers(
                conn, made.cafe_id, ListCustomers(**asked, after=after, limit=50), now()
            )
        taken.append(time.perf_counter() - started)
    return _p95(taken)


SEARCHES: Final[Mapping[str, Any]] = {
    "last four digits": lambda dice: {"last_four": f"{dice.randrange(10_000):04}"},
    "number": lambda dice: {"phone": f"0912{dice.randrange(10_000_000):07}"},
    "a frequent name": lambda dice: {"name": dice.choice(("سارا", "علی", "مریم احمدی", "رضا کریمی"))},
    "a name of nobody": lambda dice: {"name": dice.choice(("فرنگیس", "کیقباد", "سارا فرنگیس"))},
}


async def _searches(made: Evaluated, config: Settings, of: Any, rounds: int) -> float:
    dice, taken = random.Random(5), []
    for _ in range(rounds):
        search = FindCustomers(**of(dice), limit=8)
        started = time.perf_counter()
        async with db.transaction(made.pool) as conn:
            await customers.find_customers(conn, made.cafe_id, search, keys=config.keys)
        taken.append(time.perf_counter() - started)
    return _p95(taken)


def _p95(taken: list[float]) -> float:
    return sorted(taken)[int(len(taken) * 0.95)] * 1000


PART = Part("guests", measure)

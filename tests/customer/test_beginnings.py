"""Since when a guest is a guest: by the bills that stand, whatever came first."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from services.customer.handlers import activity
from shared.database.db import Pool, transaction
from shared.events.visit import VisitCorrected, VisitVoided
from tests.customer.given import (
    DAY,
    NOON,
    cafe,
    corrected,
    guests,
    learned,
    recorded,
    segment_of,
    visits,
    voided,
)  # fmt: skip

FIRST, MOVED = NOON - 40 * DAY, NOON - 10 * DAY


@pytest.fixture
async def pool(database: Any) -> Pool:
    pool: Pool = await database("customer")
    await cafe(pool)
    return pool


async def correct(pool: Pool, event: VisitCorrected) -> None:
    async with transaction(pool) as conn:
        await activity.on_visit_corrected(conn, [event], now=NOON)


async def void(pool: Pool, event: VisitVoided) -> None:
    async with transaction(pool) as conn:
        await activity.on_visit_voided(conn, [event], now=NOON)


async def begins(pool: Pool) -> datetime:
    """Both tables say the same."""
    row = await pool.fetchrow(
        "SELECT c.created_at, a.registered_at FROM customers c JOIN customer_activity a ON a.customer_id = c.id"
    )
    assert row is not None
    assert row["created_at"] == row["registered_at"]
    moment: datetime = row["created_at"]
    return moment


@pytest.mark.parametrize("known_when", [0, 1, 2])
async def test_bill_that_is_moved_moves_its_guest_s_beginning_whatever_came_first(pool: Pool, known_when: int) -> None:
    visit = recorded(at=FIRST)
    steps: list[Callable[[], Awaitable[None]]] = [
        lambda: visits(pool, [visit]),
        lambda: correct(pool, corrected(visit, occurred_at=MOVED)),
    ]
    steps.insert(known_when, lambda: guests(pool, learned(occurred_at=FIRST)))
    for step in steps:
        await step()
    assert await begins(pool) == MOVED
    assert await segment_of(pool) == "new"
    await correct(pool, corrected(visit, occurred_at=FIRST, previous_occurred_at=MOVED))
    assert await begins(pool) == FIRST
    assert await segment_of(pool) == "occasional"


@pytest.mark.parametrize("order", list(permutations(["contact", "old", "young"])), ids=" ".join)
async def test_guest_begins_with_the_first_of_the_bills_whatever_comes_first(
    pool: Pool, order: tuple[str, ...]
) -> None:
    steps = {
        "contact": lambda: guests(pool, learned(occurred_at=MOVED)),
        "old": lambda: visits(pool, [recorded(at=FIRST)]),
        "young": lambda: visits(pool, [recorded(at=MOVED)]),
    }
    for name in order:
        await steps[name]()
    assert await begins(pool) == FIRST


async def test_guest_whose_bills_are_all_void_is_known_since_we_heard_of_them(pool: Pool) -> None:
    heard_at = NOON - timedelta(hours=1)
    visit = recorded(at=FIRST)
    await visits(pool, [visit])
    await guests(pool, learned(occurred_at=FIRST), now=heard_at)
    assert await begins(pool) == FIRST
    await void(pool, voided(visit))
    assert await begins(pool) == heard_at
    assert await segment_of(pool) == "new"
    await visits(pool, [recorded(at=MOVED), recorded(at=MOVED + DAY)])
    assert await begins(pool) == MOVED


async def test_guest_whom_staff_registered_keeps_the_moment_of_that(pool: Pool) -> None:
    await guests(pool, learned(occurred_at=NOON))
    await pool.execute("UPDATE customers SET known_since = NULL")
    await visits(pool, [recorded(at=FIRST)])
    assert await begins(pool) == NOON

"""Guests are told that their points have come to what a reward costs: once, whatever the job does."""

import asyncio
from datetime import timedelta

import pytest

from services.loyalty.handlers import reached
from services.loyalty.handlers.visits import on_visit_recorded
from shared.database import db
from shared.events.loyalty import RewardReached
from tests.loyalty import books
from tests.loyalty.examples import GUEST, NOON, guest_number, recorded, voided
from tests.loyalty.offers import change, offer
from tests.loyalty.test_time_terms import until_done

OTHER = guest_number(2)


@pytest.fixture
def soon(clock, monkeypatch):
    """What is written just now is looked through at once: the tests have committed it."""
    monkeypatch.setattr(reached, "now", clock)
    monkeypatch.setattr(reached, "_SETTLED", timedelta())
    return clock


async def told(pool) -> list[tuple]:
    await until_done(reached.tell, pool)
    return [(e.customer_id, e.reward_id, e.cost_points, e.balance) for e in await books.sent(pool, RewardReached)]


async def test_guest_is_told_of_each_reward_whose_cost_is_reached_from_below(pool, soon) -> None:
    coffee, cake = await offer(pool), await offer(pool, cost_points=150)
    await offer(pool, cost_points=500)
    await books.take_in(pool, recorded(1, 99_000))
    assert await told(pool) == []
    await books.take_in(pool, recorded(2, 60_000, NOON + timedelta(hours=1)), recorded(3, 100_000, guest=OTHER))
    assert sorted(await told(pool)) == sorted(
        [(GUEST, coffee.reward_id, 100, 159), (GUEST, cake.reward_id, 150, 159), (OTHER, coffee.reward_id, 100, 100)]
    )
    await books.take_in(pool, recorded(4, 10_000, NOON + timedelta(hours=2)))
    assert len(await told(pool)) == 3


async def test_reward_that_is_not_offered_is_not_told(pool, soon) -> None:
    gone = await offer(pool)
    await change(pool, gone, is_active=False)
    await books.take_in(pool, recorded(1, 200_000))
    assert await told(pool) == []


async def test_one_who_falls_and_rises_again_is_told_once_a_day(pool, soon) -> None:
    await offer(pool)
    await books.take_in(pool, recorded(1, 120_000))
    assert len(await told(pool)) == 1
    await books.take_in(pool, voided(1))
    await books.take_in(pool, recorded(2, 130_000, NOON + timedelta(hours=1)))
    assert len(await told(pool)) == 1
    soon.moment += timedelta(days=1)
    await books.take_in(pool, voided(2, at=NOON + timedelta(hours=1)))
    assert len(await told(pool)) == 1
    await books.take_in(pool, recorded(3, 140_000, NOON + timedelta(hours=2)))
    assert len(await told(pool)) == 2


async def test_job_that_is_killed_and_runs_three_times_at_once_tells_once(pool, soon, monkeypatch) -> None:
    await offer(pool)
    guests = [guest_number(number) for number in range(30)]
    await books.take_in(pool, *(recorded(number, 150_000, guest=guest) for number, guest in enumerate(guests)))
    monkeypatch.setattr(reached, "REACHED_AT_ONCE", 4)

    async def killed(*_):
        raise asyncio.CancelledError

    with monkeypatch.context() as broken:
        broken.setattr(reached.outbox, "emit", killed)
        with pytest.raises(asyncio.CancelledError):
            await reached.tell(pool)
    await asyncio.gather(*(until_done(reached.tell, pool) for _ in range(3)))
    found = await told(pool)
    assert sorted(customer for customer, *_ in found) == sorted(guests)
    assert await pool.fetchval("SELECT count(*) FROM reached_rewards") == 0


async def test_what_an_open_transaction_has_written_is_seen_once_it_ends(pool, soon) -> None:
    await offer(pool)
    await until_done(reached.tell, pool)
    async with db.transaction(pool) as conn:
        await on_visit_recorded(conn, [recorded(1, 150_000)])
        assert await told(pool) == []
    assert len(await told(pool)) == 1

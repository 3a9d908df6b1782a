"""Guests are told in time what ends: once, whatever the job does."""

import asyncio
from datetime import date, timedelta
from uuid import uuid4

import pytest
from pydantic import ValidationError

from services.loyalty.handlers import notices, periodic
from services.loyalty.handlers.cafes import publish_program
from services.loyalty.models.http import PublishProgram
from services.loyalty.models.programs import ProgramRules
from services.loyalty.rules.notices import next_turn
from shared.database import db
from shared.events.loyalty import PointsExpiring, TierExpiring
from tests.loyalty import books
from tests.loyalty.examples import CAFE, GUEST, NOON, guest_number, plan_of, recorded
from tests.loyalty.schemes import KEYS
from tests.loyalty.test_time_terms import at, rules_of, until_done, wall

DAY = timedelta(days=1)
OTHER = guest_number(2)
WARNING = {"expiry": {"kind": "days", "days": 30}, "warn": {"points_days": [14, 3], "tier_days": [7]}}


async def publish(pool, **changes) -> ProgramRules:
    rules = rules_of(**changes)
    async with db.transaction(pool) as conn:
        await publish_program(conn, CAFE, uuid4(), PublishProgram(rules=rules), KEYS)
    return rules


async def told(pool) -> list[tuple]:
    """Who was told of points, of which day, how many and how many days before."""
    return [(e.customer_id, e.expires_on, e.points, e.days) for e in await books.sent(pool, PointsExpiring)]


async def pass_days(pool, clock, days: int) -> None:
    """A morning after the other, with the jobs of each."""
    for _ in range(days):
        clock.moment += DAY
        await until_done(periodic.expire_points, pool)
        await until_done(notices.tell, pool)


async def test_each_day_of_lapse_is_told_once_a_step(pool, clock) -> None:
    await publish(pool, **WARNING)
    await books.take_in(pool, recorded(1, 100_000), recorded(2, 50_000, NOON + timedelta(hours=1)))
    await books.take_in(pool, recorded(3, 20_000, NOON + DAY, guest=OTHER))
    first, second = date(2026, 6, 9), date(2026, 6, 10)
    await pass_days(pool, clock, 15)
    assert await told(pool) == []
    await pass_days(pool, clock, 2)
    assert await told(pool) == [(GUEST, first, 150, 14), (OTHER, second, 20, 14)]
    await pass_days(pool, clock, 30)
    assert await told(pool) == [
        (GUEST, first, 150, 14), (OTHER, second, 20, 14), (GUEST, first, 150, 3), (OTHER, second, 20, 3),
    ]  # fmt: skip
    assert await pool.fetchval("SELECT count(*) FROM notices") == 0


async def test_only_points_that_are_still_there_are_told_of(pool, clock) -> None:
    await publish(pool, **WARNING)
    await books.take_in(pool, recorded(1, 100_000), recorded(2, 50_000, NOON + DAY, points_to_redeem=100))
    await pass_days(pool, clock, 31)
    assert [(points, days) for _, _, points, days in await told(pool)] == [(50, 14), (50, 3)]


async def test_end_of_a_month_is_told_as_its_last_day(pool, clock) -> None:
    await publish(pool, expiry={"kind": "month_end"}, warn={"points_days": [5]})
    await books.take_in(pool, recorded(1, 100_000))
    await pass_days(pool, clock, 20)
    assert await told(pool) == [(GUEST, date(2026, 5, 21), 100, 5)]


async def test_tier_is_told_of_before_it_ends_with_what_is_missing(pool, clock) -> None:
    await publish(pool, **WARNING)
    await books.take_in(pool, recorded(1, 600_000))
    clock.moment = at(date(2027, 5, 1))
    await books.take_in(pool, recorded(2, 100_000, clock.moment))
    clock.moment = at(date(2028, 3, 10))
    await pass_days(pool, clock, 15)
    [event] = await books.sent(pool, TierExpiring)
    # A silver guest's hundred thousand Toman are 120 points.
    assert (event.tier, event.expires_on, event.days, event.points_to_keep) == ("silver", date(2028, 3, 19), 7, 380)


async def test_job_that_runs_three_times_at_once_and_is_killed_tells_once(pool, clock, monkeypatch) -> None:
    await publish(pool, **WARNING)
    guests = [guest_number(number) for number in range(40)]
    await books.take_in(pool, *(recorded(number, 10_000, guest=guest) for number, guest in enumerate(guests)))
    clock.moment = NOON + 17 * DAY
    monkeypatch.setattr(notices, "NOTICES_AT_ONCE", 7)

    async def killed(*_):
        raise asyncio.CancelledError

    with monkeypatch.context() as broken:
        broken.setattr(notices.outbox, "emit", killed)
        with pytest.raises(asyncio.CancelledError):
            await notices.tell(pool)
    assert await pool.fetchval("SELECT count(*) FROM notices") == 0
    await asyncio.gather(*(until_done(notices.tell, pool) for _ in range(3)))
    await pool.execute("INSERT INTO notice_turns VALUES ($1, $2)", CAFE, NOON)
    await until_done(notices.tell, pool)
    events = await books.sent(pool, PointsExpiring)
    assert sorted(event.customer_id for event in events) == sorted(guests)
    assert len({event.event_id for event in events}) == len(guests)


async def test_occasion_has_one_id_for_ever(pool, clock) -> None:
    await publish(pool, **WARNING)
    await books.take_in(pool, recorded(1, 10_000))
    clock.moment = NOON + 17 * DAY
    await until_done(notices.tell, pool)
    await pool.execute("DELETE FROM notices")
    await pool.execute("INSERT INTO notice_turns VALUES ($1, $2)", CAFE, NOON)
    await until_done(notices.tell, pool)
    first, second = await books.sent(pool, PointsExpiring)
    assert first.event_id == second.event_id


async def test_cafe_whose_rules_tell_nobody_has_no_turn(pool, clock) -> None:
    await publish(pool, expiry={"kind": "days", "days": 30})
    assert await pool.fetchval("SELECT count(*) FROM notice_turns") == 0
    clock.moment += DAY
    await publish(pool, **WARNING)
    assert await pool.fetchval("SELECT count(*) FROM notice_turns") == 1
    clock.moment += DAY
    await publish(pool, warn={"points_days": [], "tier_days": []})
    clock.moment += DAY
    await until_done(notices.tell, pool)
    assert await pool.fetchval("SELECT count(*) FROM notice_turns") == 0


def test_turn_comes_in_the_morning_of_the_cafe() -> None:
    assert next_turn(plan_of(), NOON) == wall("Asia/Tehran", 2026, 5, 11, 9)


@pytest.mark.parametrize("days", [[0], [91], [1, 2, 3, 4, 5, 6]])
def test_warning_too_early_or_too_often_is_refused(days) -> None:
    with pytest.raises(ValidationError):
        rules_of(warn={"points_days": days})

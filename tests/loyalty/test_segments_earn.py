"""A multiplier for a segment holds for the bills after a guest entered and until they left, whatever comes first."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import uuid4

import pytest

from services.loyalty.handlers import backfilling
from services.loyalty.handlers.explaining import explain_visit
from services.loyalty.handlers.members import on_segment_entered, on_segment_left
from services.loyalty.handlers.rehearsal_work import Wanted, rehearse_here
from services.loyalty.models.programs import ProgramRules
from services.loyalty.rules.programs import program
from services.loyalty.store import programs
from shared.clock import new_id
from shared.database.db import Pool, transaction
from shared.events.base import Event
from shared.events.customer import SegmentEntered, SegmentLeft
from tests.loyalty import books
from tests.loyalty.conftest import Clock
from tests.loyalty.examples import CAFE, GUEST, NOON, corrected, recorded, visit_number, voided

DAY = timedelta(days=1)
RULES = ProgramRules.model_validate(
    {
        "tier_period": "jalali_year",
        "tiers": [{"tier": "bronze", "threshold": 0, "multiplier": 1}],
        "multiply": [{"key": "regulars", "factor": 3, "segments": ["regulars", "vip_customers"]}],
    }
)
# In and out of a segment, by the day.
MOVES = ((2, True), (5, False), (8, True), (9, False), (11, True))


def move(day: float, *, enters: bool, key: str = "regulars") -> Any:
    kind = SegmentEntered if enters else SegmentLeft
    at = NOON + day * DAY
    return kind(cafe_id=CAFE, customer_id=GUEST, occurred_at=at, segment_id=new_id(), segment_key=key)


async def publish(pool: Pool) -> None:
    async with transaction(pool) as conn:
        rules = RULES.model_dump(mode="json")
        await programs.publish(conn, CAFE, 2, datetime(2020, 1, 1, tzinfo=UTC), rules, uuid4(), {})


async def take_in(pool: Pool, event: Any) -> None:
    if isinstance(event, SegmentEntered):
        async with transaction(pool) as conn:
            await on_segment_entered(conn, [event])
    elif isinstance(event, SegmentLeft):
        async with transaction(pool) as conn:
            await on_segment_left(conn, [event])
    else:
        await books.take_in(pool, event)


def factor_on(day: float) -> int:
    inside = False
    for at, enters in MOVES:
        if at < day:
            inside = enters
    return 3 if inside else 1


@pytest.mark.parametrize("seed", range(6))
async def test_bills_and_moves_in_any_order_end_the_same(seed: int, pool: Pool, clock: Clock) -> None:
    clock.moment = NOON + 40 * DAY
    await publish(pool)
    random, stories, points = Random(seed), list[list[Event]](), 0
    for number in range(14):
        day, amount = random.choice((number, number + 0.5)), 10_000 * (1 + number)
        story: list[Event] = [recorded(number, Decimal(amount), NOON + day * DAY)]
        if number % 5 == 1:
            amount += 5_000
            story.append(corrected(number, Decimal(amount), NOON + day * DAY, corrected_at=clock.moment))
        if number % 7 == 3:
            amount = 0
            story.append(voided(number, at=NOON + day * DAY))
        points += amount // 1000 * factor_on(day)
        stories.append(story)
    stories += [[move(day, enters=enters)] for day, enters in MOVES]
    # Of a segment that no rule names.
    stories.append([move(0, enters=True, key="quiet")])
    while stories:
        story = random.choice(stories)
        await take_in(pool, story.pop(0))
        stories = [each for each in stories if each]
    assert (await books.ending(pool)).balance == points


async def test_the_bill_that_brings_a_guest_in_is_before_and_a_reason_is_given(pool: Pool, clock: Clock) -> None:
    clock.moment = NOON + 2 * DAY
    await publish(pool)
    await take_in(pool, recorded(1, Decimal(10_000), NOON))
    await take_in(pool, move(0, enters=True))
    await take_in(pool, recorded(2, Decimal(10_000), NOON + DAY))
    assert (await books.ending(pool)).balance == 40
    async with transaction(pool) as conn:
        first, second = [await explain_visit(conn, CAFE, visit_number(number), GUEST) for number in (1, 2)]
    held = [
        [each.held for step in told.steps for each in step.conditions if each.rule == "in_segment"]
        for told in (first, second)
    ]
    assert held == [[False], [True]]


async def test_a_rehearsal_knows_who_was_in_a_segment(pool: Pool, clock: Clock) -> None:
    clock.moment = NOON + 2 * DAY
    await take_in(pool, recorded(1, Decimal(10_000), NOON))
    await take_in(pool, move(0, enters=True))
    await take_in(pool, recorded(2, Decimal(10_000), NOON + DAY))
    draft = program(1, clock.moment, RULES)
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        made = await rehearse_here(conn, Wanted(CAFE, draft, None, "always", None, clock.moment))
    assert made.report.check.holds
    assert (made.report.points_before, made.report.points_after) == (20, 40)


async def test_moves_from_before_they_were_kept_come_back_with_the_events(pool: Pool, clock: Clock) -> None:
    clock.moment = NOON + 2 * DAY
    await publish(pool)
    await take_in(pool, recorded(1, Decimal(10_000), NOON))
    moves = [move(-1, enters=True)]
    async with transaction(pool) as conn:
        assert await backfilling.fill(conn, moves) == 1
        assert await backfilling.fill(conn, moves) == 0
        assert await conn.fetchval("SELECT count(*) FROM recounts WHERE cafe_id = $1", CAFE) == 1

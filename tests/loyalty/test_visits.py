"""Visits on a real database: points, ledger, lots, tiers, events."""

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from services.loyalty.handlers.cafes import on_customer_registered
from services.loyalty.handlers.visits import on_visit_recorded
from services.loyalty.models.programs import ProgramRules
from services.loyalty.store import programs
from shared.database import db
from shared.events.customer import CustomerRegistered
from shared.events.loyalty import (
    PointsChanged,
    PointsEarned,
    RedemptionCompleted,
    RedemptionRefused,
    RedemptionReversed,
    TierChanged,
)
from tests.loyalty import books
from tests.loyalty.examples import CAFE, GUEST, NOON, corrected, guest_number, recorded, visit_number, voided

DAY = timedelta(days=1)


async def test_visit_earns_points_and_says_so(pool) -> None:
    visit = recorded(1, 185_400)
    await books.take_in(pool, visit)
    assert await books.ledger(pool) == [("earned_purchase", 185, 185)]
    [event] = await books.sent(pool, PointsEarned)
    assert (event.points, event.points_change, event.balance_after, event.multiplier) == (185, 185, 185, "1")
    assert (event.visit_id, event.visit_at, event.program_version) == (visit.visit_id, NOON, 1)
    assert (event.correlation_id, event.causation_id) == (visit.correlation_id, visit.event_id)


async def test_row_of_a_purchase_explains_itself(pool) -> None:
    await books.take_in(pool, recorded(1, 600_000))
    await books.take_in(pool, recorded(2, "1850000.50", NOON + DAY, currency_unit="IRR"))
    row = await pool.fetchrow("SELECT * FROM loyalty_transactions ORDER BY account_version DESC LIMIT 1")
    assert (row["points_change"], row["notes"], row["order_reference"]) == (222, "v1 x1.2", "00002")
    assert (row["related_amount"], row["currency_unit"]) == (Decimal("1850000.50"), "IRR")
    assert (row["occurred_at"], row["description"], row["created_by"]) == (NOON + DAY, "امتیاز خرید", None)


async def test_unknown_guest_earns_nothing(pool) -> None:
    await books.take_in(pool, recorded(1, 185_000, guest=None), msgspec.structs.replace(voided(2), customer_id=None))
    assert await pool.fetchval("SELECT count(*) FROM customer_loyalty") == 0
    assert await pool.fetchval("SELECT count(*) FROM visit_earnings") == 0


async def test_visit_that_earns_nothing_still_counts(pool) -> None:
    await books.take_in(pool, recorded(1, 999))
    ending = await books.ending(pool)
    assert (ending.balance, ending.standing.total_visits, ending.standing.lifetime_spent) == (0, 1, 99_900)
    assert await books.ledger(pool) == []
    assert await books.sent(pool, PointsEarned) == []


async def test_statements_of_a_batch_do_not_grow_with_its_guests(pool) -> None:
    statements: list[str] = []
    guests = [guest_number(number) for number in range(300)]
    for day in (0, 1):
        batch = [recorded(300 * day + n, 70_000, NOON + day * DAY, guest=guest) for n, guest in enumerate(guests)]
        async with db.transaction(pool) as conn:
            with conn.query_logger(lambda record: statements.append(record.query)):
                await on_visit_recorded(conn, batch)
        # Beside what asyncpg asks about types that it meets for the first time.
        assert len([each for each in statements if "typeinfo_tree" not in each and "'jit'" not in each]) <= 6
        statements.clear()
    assert await pool.fetchval("SELECT count(*) FROM customer_loyalty WHERE current_points = 140") == 300


async def test_several_visits_of_a_guest_in_one_batch_count_in_their_own_order(pool) -> None:
    await books.take_in(
        pool, recorded(2, 10_000, NOON + DAY), recorded(1, 500_000), recorded(3, 10_000, NOON + 2 * DAY)
    )
    assert await books.ledger(pool) == [
        ("earned_purchase", 500, 500),
        ("earned_purchase", 12, 512),
        ("earned_purchase", 12, 524),
    ]


async def test_late_visit_posts_what_it_changes_as_new_rows(pool) -> None:
    await books.take_in(pool, recorded(2, 100_000, NOON + DAY))
    await books.take_in(pool, recorded(1, 500_000))
    assert await books.ledger(pool) == [
        ("earned_purchase", 100, 100),
        ("earned_purchase", 500, 600),
        ("adjustment_add", 20, 620),
    ]
    events = {event.visit_id: event for event in await books.sent(pool, PointsEarned)}
    later = events[visit_number(2)]
    assert (later.points, later.points_change, later.balance_after, later.multiplier) == (120, 20, 620, "1.2")


async def test_correction_replaces_and_void_takes_back(pool) -> None:
    await books.take_in(pool, recorded(1, 600_000), recorded(2, 100_000, NOON + DAY))
    await books.take_in(pool, corrected(1, 400_000))
    await books.take_in(pool, voided(2, at=NOON + DAY))
    assert await books.ledger(pool) == [
        ("earned_purchase", 600, 600),
        ("earned_purchase", 120, 720),
        ("adjustment_subtract", -200, 520),
        ("adjustment_subtract", -20, 500),
        ("adjustment_subtract", -100, 400),
    ]
    described = await pool.fetch("SELECT description FROM loyalty_transactions ORDER BY account_version OFFSET 2")
    assert [row["description"] for row in described] == ["اصلاح امتیاز خرید", "بازشماری امتیاز خرید", "ابطال خرید"]
    states = await pool.fetch("SELECT state, points FROM visit_earnings ORDER BY receipt_number")
    assert [tuple(row) for row in states] == [("corrected", 400), ("voided", 0)]
    ending = await books.ending(pool)
    assert (ending.standing.total_visits, ending.standing.lifetime_spent) == (1, 40_000_000)
    assert [event.points for event in await books.sent(pool, PointsEarned)] == [600, 120, 400, 100, 0]


async def test_last_correction_wins_whenever_it_arrives(pool) -> None:
    later = corrected(1, 300_000, corrected_at=NOON + 2 * DAY)
    await books.take_in(pool, later)
    await books.take_in(pool, corrected(1, 200_000, corrected_at=NOON + DAY), recorded(1, 100_000))
    assert (await books.ending(pool)).balance == 300


@pytest.mark.parametrize("batched", [True, False])
async def test_of_two_corrections_at_one_moment_the_last_said_stands(pool, batched: bool) -> None:
    first, last = corrected(1, 300_000), corrected(1, 200_000)
    await books.take_in(pool, recorded(1, 100_000))
    for batch in [[first, last]] if batched else [[first], [last]]:
        await books.take_in(pool, *batch)
    assert (await books.ending(pool)).balance == 200


async def test_void_is_final_even_before_the_visit(pool) -> None:
    await books.take_in(pool, voided(1, 185_000))
    await books.take_in(pool, recorded(1, 185_000), corrected(1, 200_000))
    assert (await books.ending(pool)).balance == 0
    assert await books.ledger(pool) == []


async def test_correction_may_move_a_visit_to_another_month(pool) -> None:
    await books.take_in(pool, recorded(1, 50_000), recorded(2, 70_000, NOON + DAY))
    await books.take_in(pool, corrected(2, 70_000, NOON + 30 * DAY))
    ending = await books.ending(pool)
    assert (ending.standing.month_visits, ending.standing.month_spent) == (1, 7_000_000)
    assert ending.standing.last_day == date(2026, 6, 9)


async def test_tier_goes_up_and_comes_down_with_the_visit_that_made_it(pool) -> None:
    visit = recorded(1, 600_000)
    await books.take_in(pool, visit)
    await books.take_in(pool, voided(1))
    up, down = await books.sent(pool, TierChanged)
    assert (up.previous_tier, up.tier, up.starts_on, up.expires_on) == (
        "bronze", "silver", date(2026, 5, 10), date(2028, 3, 19),
    )  # fmt: skip
    assert (down.previous_tier, down.tier, down.expires_on) == ("silver", "bronze", None)
    assert up.account_version < down.account_version
    assert up.causation_id == visit.event_id
    assert (up.visit_at, down.visit_at) == (visit.occurred_at, None)


async def test_tier_is_the_doing_of_new_visits_only_if_nothing_else_had_a_part(pool) -> None:
    await books.take_in(pool, recorded(1, 300_000))
    # The older of two that come together, a correction among them, and rules that changed meanwhile.
    await books.take_in(pool, recorded(2, 250_000, NOON + DAY), recorded(3, 50_000, NOON - DAY))
    await books.take_in(pool, corrected(2, 10_000, NOON + DAY))
    await books.take_in(pool, recorded(4, 1_000_000, NOON + 2 * DAY), voided(3))
    assert [each.visit_at for each in await books.sent(pool, TierChanged)][:2] == [NOON - DAY, None]
    earned = await books.sent(pool, PointsEarned)
    assert {each.is_new for each in earned if each.points_change == each.points} == {True}
    assert not any(each.is_new for each in earned if each.points_change != each.points)


async def test_visits_of_long_ago_do_not_place_a_guest_in_today_s_tier(pool) -> None:
    await books.take_in(pool, recorded(1, 600_000, NOON - 900 * DAY))
    await books.take_in(pool, recorded(2, 10_000, NOON - 899 * DAY))
    assert await books.ledger(pool) == [("earned_purchase", 600, 600), ("earned_purchase", 12, 612)]
    assert (await books.ending(pool)).rank.tier == "bronze"
    assert await books.sent(pool, TierChanged) == []


# --- points that visits spend


async def spend_at_visit(pool, number: int, points: int, at=NOON + DAY, **more) -> None:
    await books.take_in(pool, recorded(number, 50_000, at, points_to_redeem=points, **more))


async def test_visit_redeems_the_points_it_names(pool) -> None:
    await books.take_in(pool, recorded(1, 100_000))
    redemption_id = uuid4()
    await spend_at_visit(pool, 2, 80, redemption_id=redemption_id)
    assert await books.ledger(pool) == [
        ("earned_purchase", 100, 100),
        ("earned_purchase", 50, 150),
        ("redeemed_discount", -80, 70),
    ]
    [event] = await books.sent(pool, RedemptionCompleted)
    assert (event.redemption_id, event.points) == (redemption_id, 80)
    assert (event.visit_id, event.visit_at) == (visit_number(2), NOON + DAY)
    [change] = await books.sent(pool, PointsChanged)
    assert (change.transaction_type, change.points_change, change.redemption_id) == (
        "redeemed_discount", -80, redemption_id,
    )  # fmt: skip


async def test_points_of_the_visit_itself_come_too_late_to_pay_for_it(pool) -> None:
    await books.take_in(pool, recorded(1, 60_000))
    await spend_at_visit(pool, 2, 80)
    refused = await pool.fetchrow("SELECT * FROM redemptions")
    assert (refused["state"], refused["refusal"], refused["points"]) == ("refused", "insufficient_points", 80)
    assert (refused["id"], refused["visit_id"]) == (visit_number(2), visit_number(2))
    [event] = await books.sent(pool, RedemptionRefused)
    assert (event.points, event.reason, event.visit_id) == (80, "insufficient_points", visit_number(2))
    assert (await books.ending(pool)).balance == 110


async def test_repeated_visit_redeems_once(pool) -> None:
    await books.take_in(pool, recorded(1, 100_000))
    again = recorded(2, 50_000, NOON + DAY, points_to_redeem=80)
    await books.take_in(pool, again, again)
    await books.take_in(pool, again)
    assert (await books.ending(pool)).balance == 70


async def test_void_gives_back_what_the_visit_spent(pool) -> None:
    await books.take_in(pool, recorded(1, 100_000))
    await spend_at_visit(pool, 2, 80)
    await books.take_in(pool, voided(2, at=NOON + DAY))
    assert (await books.ledger(pool))[2:] == [
        ("redeemed_discount", -80, 70),
        ("adjustment_subtract", -50, 20),
        ("adjustment_add", 80, 100),
    ]
    row = await pool.fetchrow("SELECT points_earned, points_redeemed, current_points FROM customer_loyalty")
    assert tuple(row) == (100, 0, 100)
    [event] = await books.sent(pool, RedemptionReversed)
    assert (event.points, event.visit_id, event.visit_at) == (80, visit_number(2), NOON + DAY)
    await books.take_in(pool, voided(2, at=NOON + DAY))
    assert (await books.ending(pool)).balance == 100


async def test_visit_voided_before_it_came_redeems_nothing_and_is_not_refused(pool) -> None:
    await books.take_in(pool, recorded(1, 100_000), voided(2, at=NOON + DAY))
    await spend_at_visit(pool, 2, 80)
    assert await pool.fetchval("SELECT count(*) FROM redemptions") == 0
    assert (await books.ending(pool)).balance == 100


# --- debts


async def test_refund_after_spending_leaves_a_debt_that_later_points_pay(pool) -> None:
    await books.take_in(pool, recorded(1, 100_000))
    await spend_at_visit(pool, 2, 80)
    await books.take_in(pool, voided(1, 100_000), corrected(2, 0, NOON + DAY))
    row = await pool.fetchrow("SELECT current_points, points_owed FROM customer_loyalty")
    assert tuple(row) == (-80, 80)
    await books.take_in(pool, recorded(3, 100_000, NOON + 2 * DAY))
    assert (await books.ending(pool)).balance == 20
    lots = await pool.fetch("SELECT remaining FROM point_lots WHERE remaining <> 0")
    assert [row["remaining"] for row in lots] == [20]


async def test_cafe_may_forgive_the_debt(pool) -> None:
    forgiving = ProgramRules(tier_period="jalali_year", negative_balance="forgive_after_refund")
    async with db.transaction(pool) as conn:
        await programs.publish(conn, CAFE, 2, NOON - DAY, forgiving.model_dump(mode="json"), uuid4())
    await books.take_in(pool, recorded(1, 100_000))
    await spend_at_visit(pool, 2, 80)
    await books.take_in(pool, voided(1, 100_000))
    assert (await books.ledger(pool))[-2:] == [("adjustment_subtract", -100, -30), ("adjustment_add", 30, 0)]
    assert (await books.ending(pool)).balance == 0


# --- at the same time


async def test_two_batches_of_the_same_guests_do_not_lock_each_other_out(pool) -> None:
    guests = [guest_number(number) for number in range(40)]
    await books.take_in(pool, *(recorded(n, 10_000, guest=guest) for n, guest in enumerate(guests)))

    async def batch(base: int, order: list) -> None:
        await books.take_in(pool, *(recorded(base + n, 10_000, NOON + DAY, guest=g) for n, g in order))

    numbered = list(enumerate(guests))
    await asyncio.gather(batch(1000, numbered), batch(2000, numbered[::-1]))
    assert await pool.fetchval("SELECT count(*) FROM customer_loyalty WHERE current_points = 30") == 40
    await books.ending(pool, guests[0])


async def test_account_opened_by_somebody_else_meanwhile_makes_the_batch_try_again(pool) -> None:
    registered = CustomerRegistered(cafe_id=CAFE, customer_id=GUEST, occurred_at=NOON, source="staff")
    async with db.transaction(pool) as first:
        await on_customer_registered(first, [registered])
        second = asyncio.create_task(books.take_in(pool, recorded(1, 100_000)))
        await _waits_for_a_lock(pool)
    with pytest.raises(asyncpg.SerializationError):
        await second
    await books.take_in(pool, recorded(1, 100_000))
    assert (await books.ending(pool)).balance == 100


async def _waits_for_a_lock(pool) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while not await pool.fetchval(waiting):
        await asyncio.sleep(0)

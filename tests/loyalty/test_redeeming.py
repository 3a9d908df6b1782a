"""Points that bills ask for: the same end whatever arrives when, and whatever is corrected or voided."""

from datetime import timedelta
from itertools import permutations
from uuid import uuid4

import pytest

from services.loyalty.handlers import redemptions
from services.loyalty.handlers.cafes import on_cafe_changed
from services.loyalty.models.accounts import Redemption
from shared.clock import new_id
from shared.database import db
from shared.events.loyalty import RedemptionCompleted, RedemptionRefused, RedemptionReversed
from shared.events.visit import VisitEvent
from tests.loyalty import books
from tests.loyalty.examples import CAFE, GUEST, NOON, cafe_changed, corrected, recorded, visit_number, voided

DAY = timedelta(days=1)


def paid_with_points(number: int, toman: int, points: int, day: int = 1, **changes) -> VisitEvent:
    return recorded(number, toman, NOON + day * DAY, points_to_redeem=points, **changes)


def fixed(number: int, toman: int, points: int, day: int = 1, hours: int = 0, **changes) -> VisitEvent:
    at = NOON + 30 * DAY + timedelta(hours=hours)
    return corrected(number, toman, NOON + day * DAY, corrected_at=at, points_to_redeem=points, **changes)


async def state_of(pool) -> dict:
    """What must not depend on the order of arrival."""
    rows = await pool.fetch(
        "SELECT visit_id, state::text, points, refusal FROM redemptions WHERE state <> 'reversed' ORDER BY visit_id"
    )
    ending = await books.ending(pool)
    return {"balance": ending.balance, "visits": ending.visits, "redemptions": [tuple(row) for row in rows]}


async def redeem_by_hand(pool, points: int, at=NOON) -> Redemption:
    wanted = Redemption(
        redemption_id=uuid4(), cafe_id=CAFE, customer_id=GUEST, kind="discount", points=points, state="completed",
        till_key_id="till-key", created_at=at,
    )  # fmt: skip
    async with db.transaction(pool) as conn:
        return (await redemptions.redeem(conn, wanted, new_id()))[0]


async def test_correction_that_asks_for_no_points_gives_them_back(pool) -> None:
    await books.take_in(pool, recorded(1, 100_000))
    await books.take_in(pool, paid_with_points(2, 20_000, 40))
    assert (await books.ending(pool)).balance == 80
    await books.take_in(pool, fixed(2, 60_000, 0))
    assert (await books.ending(pool)).balance == 160
    assert [(each.points, each.visit_id) for each in await books.sent(pool, RedemptionReversed)] == [
        (40, visit_number(2))
    ]
    assert (await state_of(pool))["redemptions"] == []


@pytest.mark.parametrize(("points", "balance"), [(10, 150), (60, 100), (100, 60)])
async def test_correction_that_asks_for_other_points_spends_those(pool, points: int, balance: int) -> None:
    await books.take_in(pool, recorded(1, 100_000), paid_with_points(2, 20_000, 40))
    await books.take_in(pool, fixed(2, 60_000, points))
    assert (await books.ending(pool)).balance == balance
    told = [each.points for each in await books.sent(pool, RedemptionCompleted)]
    back = [each.points for each in await books.sent(pool, RedemptionReversed)]
    assert sum(told) - sum(back) == points


async def test_correction_that_asks_for_points_spends_them(pool) -> None:
    await books.take_in(pool, recorded(1, 100_000), recorded(2, 60_000, NOON + DAY))
    await books.take_in(pool, fixed(2, 20_000, 40))
    assert (await books.ending(pool)).balance == 80
    assert [each.points for each in await books.sent(pool, RedemptionCompleted)] == [40]


async def test_correction_that_asks_for_more_than_there_is_is_refused_whole(pool) -> None:
    await books.take_in(pool, recorded(1, 100_000), paid_with_points(2, 20_000, 40))
    await books.take_in(pool, fixed(2, 20_000, 400))
    state = await state_of(pool)
    assert state["balance"] == 120
    assert state["redemptions"] == [(visit_number(2), "refused", 400, "insufficient_points")]
    assert [each.points for each in await books.sent(pool, RedemptionRefused)] == [400]
    await books.take_in(pool, fixed(2, 20_000, 40, hours=1))
    assert (await state_of(pool))["redemptions"] == [(visit_number(2), "completed", 40, None)]


async def test_correction_from_before_says_nothing_about_points(pool) -> None:
    await books.take_in(pool, recorded(1, 100_000), paid_with_points(2, 20_000, 40))
    await books.take_in(pool, corrected(2, 10_000, NOON + DAY))
    assert (await books.ending(pool)).balance == 70


async def test_redeeming_bill_that_arrives_before_the_earning_one_is_paid_once_that_comes(pool) -> None:
    await books.take_in(pool, paid_with_points(2, 20_000, 80))
    assert (await state_of(pool))["redemptions"] == [(visit_number(2), "refused", 80, "insufficient_points")]
    await books.take_in(pool, recorded(1, 100_000))
    state = await state_of(pool)
    assert (state["balance"], state["redemptions"]) == (40, [(visit_number(2), "completed", 80, None)])
    assert len(await books.sent(pool, RedemptionRefused)) == len(await books.sent(pool, RedemptionCompleted)) == 1
    await books.take_in(pool, recorded(1, 100_000), paid_with_points(2, 20_000, 80))
    assert len(await books.sent(pool, RedemptionCompleted)) == 1


STORIES: dict[str, list[list[VisitEvent]]] = {
    "earned before": [[recorded(1, 100_000)], [paid_with_points(2, 20_000, 80)]],
    "earned after": [[recorded(1, 100_000, NOON + 2 * DAY)], [paid_with_points(2, 20_000, 80)]],
    "two for one": [[recorded(1, 100_000)], [paid_with_points(2, 0, 80)], [paid_with_points(3, 0, 80, day=2)]],
    "one after a correction": [
        [recorded(1, 100_000)], [paid_with_points(2, 0, 80), fixed(2, 0, 20)], [paid_with_points(3, 0, 80, day=2)]
    ],
    "earned less than it seemed": [
        [recorded(1, 100_000), corrected(1, 10_000)], [paid_with_points(2, 0, 80)], [recorded(3, 30_000, NOON + DAY)]
    ],
    "voided after it was spent": [[recorded(1, 100_000), voided(1, 100_000)], [paid_with_points(2, 0, 80)]],
    "voided before it could be spent": [
        [recorded(1, 100_000), voided(1, 100_000)], [paid_with_points(2, 0, 80, day=3)],
        [recorded(3, 50_000, NOON - DAY)],
    ],
    "the bill that spends is voided": [
        [recorded(1, 100_000)], [paid_with_points(2, 0, 80), voided(2, at=NOON + DAY)],
        [paid_with_points(3, 0, 90, day=2)],
    ],
    "two name one redemption": [
        [recorded(1, 100_000)], [paid_with_points(2, 0, 30, redemption_id=visit_number(77))],
        [paid_with_points(3, 0, 30, day=2, redemption_id=visit_number(77))],
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
async def test_end_does_not_depend_on_the_order_in_which_bills_that_redeem_arrive(database, name: str, clock) -> None:
    story = STORIES[name]
    expected = None
    for order in sorted(set(permutations([place for place, own in enumerate(story) for _ in own]))):
        pool = await database("loyalty")
        async with db.transaction(pool) as conn:
            await on_cafe_changed(conn, [cafe_changed()])
        waiting = [list(own) for own in story]
        for place in order:
            await books.take_in(pool, waiting[place].pop(0))
        state = await state_of(pool)
        expected = expected or state
        assert state == expected, order
        await pool.close()


async def test_points_spent_over_http_are_gone_for_a_bill_that_comes_later_from_before(pool) -> None:
    await books.take_in(pool, recorded(1, 100_000))
    await redeem_by_hand(pool, 60, NOON + 2 * DAY)
    await books.take_in(pool, paid_with_points(2, 0, 80))
    state = await state_of(pool)
    assert state["balance"] == 40
    assert (visit_number(2), "refused", 80, "insufficient_points") in state["redemptions"]


async def test_bill_uses_as_much_of_a_reservation_as_it_asks_for(pool) -> None:
    await books.take_in(pool, recorded(1, 100_000))
    reserved = await redeem_by_hand(pool, 60, NOON)
    await books.take_in(pool, paid_with_points(2, 0, 40, redemption_id=reserved.redemption_id))
    assert (await books.ending(pool)).balance == 60
    await books.take_in(pool, fixed(2, 0, 70, redemption_id=reserved.redemption_id))
    assert (await books.ending(pool)).balance == 30
    await books.take_in(pool, fixed(2, 0, 0, hours=1))
    assert (await books.ending(pool)).balance == 100

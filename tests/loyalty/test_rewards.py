"""Rewards on a real database: reserved, used by a bill, released, cancelled, voided, and refused with a reason."""

import asyncio
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from random import Random
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from services.loyalty.handlers import periodic, quotes, redemptions, rewards
from services.loyalty.models.http import AskEarning
from services.loyalty.models.http_rewards import BillSoFar
from services.loyalty.models.rewards import Occasion
from services.loyalty.store.audit import audit
from shared.clock import new_id
from shared.database import db
from shared.errors import NotFound, Rejected
from shared.events.loyalty import RedemptionCompleted, RedemptionReversed
from tests.loyalty import books, offers, schemes
from tests.loyalty.conftest import Clock
from tests.loyalty.examples import CAFE, GUEST, NOON, corrected, guest_number, recorded, visit_number, voided
from tests.loyalty.offers import ask, cancel, change, offer, stock, wish

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


async def rich(pool: db.Pool, *guests: UUID, points: int = 1000, number: int = 9_000) -> None:
    """Each has so many points, from a bill of yesterday."""
    bills = [recorded(number + n, points * 1000, NOON - DAY, guest=guest) for n, guest in enumerate(guests or [GUEST])]
    await books.take_in(pool, *bills)


async def refusal(pool: db.Pool, *asked: Any) -> str:
    with pytest.raises(Rejected) as refused:
        await ask(pool, *asked)
    assert all(each.en and each.fa for each in refused.value.problems)
    return refused.value.code


async def test_reward_costs_what_it_says_and_its_piece_is_taken(pool: db.Pool) -> None:
    await rich(pool)
    coffee = await offer(pool, stock=5)
    cut = await offer(pool, kind="discount", value="50000", cost_points=30)
    first, balance = await ask(pool, wish(coffee))
    assert (first.points, first.kind, first.reward_version, balance) == (100, "item", 1, 900)
    await ask(pool, wish(cut))
    assert await ask(pool, first) == (first, 870)
    assert await stock(pool, coffee) == (4, 1)
    assert [kind for kind, *_ in await books.ledger(pool)] == ["earned_purchase", "redeemed_item", "redeemed_discount"]
    told = await books.sent(pool, RedemptionCompleted)
    assert [(each.reward_id, each.points) for each in told] == [(coffee.reward_id, 100), (cut.reward_id, 30)]
    assert (await books.ending(pool)).balance == 870


async def test_redemption_stays_of_the_version_that_it_was_of(pool: db.Pool) -> None:
    await rich(pool)
    coffee = await offer(pool)
    early, _ = await ask(pool, wish(coffee))
    changed = await change(pool, coffee, name="لاتهٔ رایگان", cost_points=150)
    assert (changed.version, changed.kind, changed.taken) == (2, "item", 1)
    assert (await change(pool, coffee, stock=10)).version == 2
    late, _ = await ask(pool, wish(coffee))
    assert [(each.points, each.reward_version) for each in (early, late)] == [(100, 1), (150, 2)]
    # Asked for again it is what it was then.
    assert (await ask(pool, early))[0] == early
    assert (await books.ending(pool)).balance == 750


@pytest.mark.parametrize("asked", [0, 40, 100, 160])
async def test_bill_that_names_a_reward_uses_it_whole(pool: db.Pool, clock: Clock, asked: int) -> None:
    await rich(pool)
    coffee = await offer(pool, stock=5)
    held, _ = await ask(pool, wish(coffee))
    await books.take_in(pool, recorded(2, 0, NOON + MINUTE, points_to_redeem=asked, redemption_id=held.redemption_id))
    clock.moment = NOON + 60 * MINUTE
    assert await periodic.release(pool) == 0
    assert await stock(pool, coffee) == (4, 1)
    assert (await books.ending(pool)).balance == 1000 - max(asked, 100)
    await books.take_in(pool, voided(2, at=NOON + MINUTE))
    await books.take_in(pool, voided(2, at=NOON + MINUTE))
    assert await stock(pool, coffee) == (5, 0)
    assert (await books.ending(pool)).balance == 1000
    assert len([each for each in await books.sent(pool, RedemptionReversed) if each.points == 100]) == 1


async def test_bill_that_names_a_reward_that_lapsed_spends_points_without_it(pool: db.Pool, clock: Clock) -> None:
    await rich(pool)
    coffee = await offer(pool, stock=1)
    held, _ = await ask(pool, wish(coffee))
    clock.moment = NOON + 31 * MINUTE
    assert [await periodic.release(pool) for _ in range(2)] == [1, 0]
    assert await stock(pool, coffee) == (1, 0)
    await books.take_in(pool, recorded(2, 0, NOON, points_to_redeem=100, redemption_id=held.redemption_id))
    assert (await books.ending(pool)).balance == 900
    assert await stock(pool, coffee) == (1, 0)
    async with db.transaction(pool) as conn:
        spent = await redemptions.show(conn, CAFE, visit_number(2))
    assert (spent.kind, spent.reward_id, spent.state) == ("discount", None, "completed")
    # Naming alone asks for nothing once there is no reward behind it.
    await books.take_in(pool, recorded(3, 0, NOON, redemption_id=held.redemption_id))
    assert (await books.ending(pool)).balance == 900


async def test_bill_that_asks_for_a_reward_no_more_gives_it_back(pool: db.Pool, clock: Clock) -> None:
    await rich(pool)
    coffee = await offer(pool, stock=1)
    held, _ = await ask(pool, wish(coffee))
    await books.take_in(pool, recorded(2, 0, NOON, points_to_redeem=100, redemption_id=held.redemption_id))
    await books.take_in(pool, corrected(2, 0, NOON, points_to_redeem=0))
    assert await stock(pool, coffee) == (1, 0)
    await books.take_in(
        pool,
        corrected(2, 0, NOON, points_to_redeem=100, redemption_id=held.redemption_id, corrected_at=NOON + 2 * DAY),
    )
    assert await stock(pool, coffee) == (1, 0)
    assert (await books.ending(pool)).balance == 900


async def test_what_is_cancelled_or_given_back_twice_comes_back_once(pool: db.Pool) -> None:
    await rich(pool)
    coffee = await offer(pool, stock=3)
    held, _ = await ask(pool, wish(coffee))
    by_staff, _ = await ask(pool, wish(coffee, till=None))
    for _ in range(2):
        await cancel(pool, held)
    assert await stock(pool, coffee) == (2, 1)
    for _ in range(2):
        async with db.transaction(pool) as conn:
            await redemptions.reverse(conn, CAFE, by_staff.redemption_id, new_id())
    assert await stock(pool, coffee) == (3, 0)
    assert (await books.ending(pool)).balance == 1000


async def test_each_reason_has_its_name(pool: db.Pool, clock: Clock) -> None:
    await rich(pool)
    assert await refusal(pool, wish(uuid4())) == "reward_unknown"
    expected = {
        "reward_inactive": {"is_active": False},
        "reward_not_valid": {"conditions": {"valid_until": NOON.isoformat()}},
        "not_for_points": {"cost_points": None},
        "wrong_branch": {"conditions": {"branches": [str(schemes.OTHER_BRANCH)]}},
        # NOON is noon of a Sunday in Tehran.
        "wrong_day": {"conditions": {"weekdays": ["sat", "mon"]}},
        "wrong_hour": {"conditions": {"from_time": "12:01", "until_time": "12:00"}},
        "tier_too_low": {"conditions": {"least_tier": "platinum"}},
        "bill_too_small": {"minimum_bill": "200000"},
        "not_on_bill": {"conditions": {"match": {"categories": ["قهوه"]}}},
        "INSUFFICIENT_POINTS": {"cost_points": 1001},
        "out_of_stock": {"stock": 0},
    }
    bill = {"final_amount": 199_999, "currency_unit": "IRT", "items": [{"name": "چای", "amount": 90_000}]}
    occasion = rewards.occasion_of(NOON, schemes.BRANCH, BillSoFar.model_validate(bill), schemes.code)
    for reason, fields in expected.items():
        assert await refusal(pool, wish(await offer(pool, **fields)), occasion) == reason
    for fields in (
        {"conditions": {"from_time": "12:00", "until_time": "12:01", "weekdays": ["sun"], "least_tier": "silver"}},
        {"minimum_bill": "199999", "conditions": {"branches": [str(schemes.BRANCH)]}},
        {"conditions": {"match": {"names": ["چاي"]}, "valid_until": (NOON + MINUTE).isoformat()}},
    ):
        await ask(pool, wish(await offer(pool, **fields)), occasion)
    assert (await books.ending(pool)).balance == 700


async def test_limit_of_a_guest_counts_days_of_the_cafe_and_what_stands(pool: db.Pool, clock: Clock) -> None:
    await rich(pool, GUEST, guest_number(1))
    daily = await offer(pool, conditions={"per_guest": 1, "per_guest_days": 1})
    once = await offer(pool, conditions={"per_guest": 2})
    night = NOON + timedelta(hours=11, minutes=59)
    held, _ = await ask(pool, wish(daily, at=night))
    assert await refusal(pool, wish(daily, at=night)) == "guest_limit"
    await ask(pool, wish(daily, guest_number(1), at=night))
    await ask(pool, wish(daily, at=night + MINUTE))
    await ask(pool, wish(once))
    again, _ = await ask(pool, wish(once))
    assert await refusal(pool, wish(once, at=NOON + 900 * DAY)) == "guest_limit"
    await cancel(pool, again)
    await ask(pool, wish(once))
    assert held.points == 100


async def test_id_of_another_redemption_is_refused(pool: db.Pool) -> None:
    await rich(pool)
    coffee, tea = await offer(pool), await offer(pool)
    held, _ = await ask(pool, wish(coffee))
    for other in (wish(tea), wish(coffee, reward_id=None, points=100, kind="item")):
        assert await refusal(pool, msgspec.structs.replace(other, redemption_id=held.redemption_id)) == (
            "redemption_id_taken"
        )


async def test_keeping_rewards(pool: db.Pool) -> None:
    await rich(pool)
    coffee = await offer(pool, key="coffee", stock=2, minimum_bill="1000", currency_unit="IRR")
    assert (coffee.minimum_bill, coffee.stock_left, coffee.currency_unit) == (100, 2, "IRT")
    same = {"reward_id": coffee.reward_id, "key": "coffee", "minimum_bill": "100", "stock": 2}
    assert await offer(pool, **same) == coffee
    for fields, code in (
        (same | {"cost_points": 7}, "reward_id_taken"),
        ({"key": "coffee"}, "reward_key_taken"),
        ({"kind": "discount"}, "invalid_input"),
        ({"value": "5"}, "invalid_input"),
    ):
        with pytest.raises(Rejected) as refused:
            await offer(pool, **fields)
        assert refused.value.code == code
    await ask(pool, wish(coffee), Occasion(at=NOON, bill=Decimal(100)))
    with pytest.raises(Rejected) as refused:
        await change(pool, coffee, stock=0)
    assert refused.value.code == "stock_below_taken"
    assert (await change(pool, coffee, stock=1)).stock_left == 0
    assert (await change(pool, coffee, stock=None)).stock_left is None
    gone = await change(pool, coffee, is_active=False)
    assert (gone.is_active, gone.version) == (False, 1)
    with pytest.raises(NotFound):
        await change(pool, coffee.model_copy(update={"reward_id": uuid4()}), stock=1)


async def test_till_is_told_what_it_may_offer_now(pool: db.Pool, clock: Clock) -> None:
    await offer(pool, key="off", is_active=False)
    await offer(pool, key="by_card", cost_points=None)
    await offer(pool, key="gone", stock=0)
    await offer(pool, key="monday", conditions={"weekdays": ["mon"]})
    await offer(pool, key="garden", cost_points=300, conditions={"branches": [str(schemes.BRANCH)]})
    await offer(pool, key="cut", kind="discount", value="5", cost_points=200, stock=4)
    async with db.till_transaction(pool, CAFE) as conn:
        found = [
            [each.key for each in await rewards.list_offered(conn, CAFE, branch)]
            for branch in (None, schemes.BRANCH, schemes.OTHER_BRANCH)
        ]
    assert found == [["cut", "garden"], ["cut", "garden"], ["cut"]]


async def test_quote_says_what_is_within_reach_and_how_far_the_next_is(pool: db.Pool, clock: Clock) -> None:
    await rich(pool, points=250)
    await offer(pool, key="dear", cost_points=900)
    await offer(pool, key="next", cost_points=300)
    await offer(pool, key="small", cost_points=100)
    await offer(pool, key="big_bill", cost_points=50, minimum_bill="80000")
    await offer(pool, key="high", cost_points=260, conditions={"least_tier": "gold"})
    for amount, reached in ((79_999, ["small"]), (80_000, ["big_bill", "small"])):
        async with db.till_transaction(pool, CAFE) as conn:
            asked = AskEarning.model_validate({"final_amount": amount, "currency_unit": "IRT"})
            told = await quotes.quote(conn, CAFE, GUEST, asked, schemes.KEYS)
        assert [each.key for each in told.rewards] == reached
        assert told.next_reward is not None
        assert (told.next_reward.key, told.next_reward.points_missing) == ("next", 50)


@pytest.mark.parametrize("is_voided", [False, True])
async def test_end_is_the_same_for_every_order_in_which_bills_around_a_reward_arrive(
    pool: db.Pool, clock: Clock, is_voided: bool
) -> None:
    coffee = await offer(pool, stock=100)
    ends = set()
    for number, order in enumerate(permutations(range(4))):
        guest, first = guest_number(number), 10 * number
        await rich(pool, guest, points=100, number=9_000 + number)
        clock.moment = NOON
        held, _ = await ask(pool, wish(coffee, guest))
        names = {"points_to_redeem": 30, "redemption_id": held.redemption_id}
        told = [
            recorded(first, 200_000, NOON + MINUTE, guest=guest),
            recorded(first + 1, 5_000, NOON + 2 * MINUTE, guest=guest, **names),
            recorded(first + 2, 0, NOON + 3 * MINUTE, guest=guest, points_to_redeem=150),
            voided(first + 1, 5_000, NOON + 2 * MINUTE, guest=guest)
            if is_voided
            else corrected(first + 1, 7_000, NOON + 2 * MINUTE, guest=guest, **names),
        ]
        for place in order:
            await books.take_in(pool, told[place])
        clock.moment = NOON + 31 * MINUTE
        await periodic.release(pool)
        async with db.transaction(pool) as conn:
            spent = await redemptions.show(conn, CAFE, held.redemption_id)
        ends.add(((await books.ending(pool, guest)).balance, spent.state, spent.points))
    assert ends == ({(150, "reversed", 100)} if is_voided else {(57, "completed", 100)})
    assert await stock(pool, coffee) == ((100, 0) if is_voided else (76, 24))


# What fraud tries.


async def at_once(pool: db.Pool, *calls: Any) -> Counter[str]:
    """How each of the calls ended, all begun at one time."""
    ends = await asyncio.gather(*calls, return_exceptions=True)
    for each in ends:
        if isinstance(each, BaseException) and not isinstance(each, Rejected):
            raise each
    return Counter(each.code if isinstance(each, Rejected) else "done" for each in ends)


async def test_last_piece_goes_to_one_of_fifty(pool: db.Pool) -> None:
    guests = [guest_number(n) for n in range(50)]
    await rich(pool, *guests)
    coffee = await offer(pool, stock=1)
    tills = (offers.TILL, offers.OTHER_TILL)
    ends = await at_once(pool, *(ask(pool, wish(coffee, each, tills[n % 2])) for n, each in enumerate(guests)))
    assert ends == {"done": 1, "out_of_stock": 49}
    assert await stock(pool, coffee) == (0, 1)
    async with db.transaction(pool) as conn:
        assert await audit(conn) == []


async def test_points_for_one_pay_for_one_of_fifty(pool: db.Pool) -> None:
    await rich(pool, points=199)
    coffee = await offer(pool, stock=50)
    tills = (offers.TILL, offers.OTHER_TILL)
    assert await at_once(pool, *(ask(pool, wish(coffee, till=tills[n % 2])) for n in range(50))) == {
        "done": 1, "INSUFFICIENT_POINTS": 49,
    }  # fmt: skip
    assert await stock(pool, coffee) == (49, 1)
    assert (await books.ending(pool)).balance == 99


async def test_one_redemption_asked_for_fifty_times_at_once_is_one(pool: db.Pool) -> None:
    await rich(pool)
    coffee = await offer(pool, stock=50)
    wanted = wish(coffee)
    assert await at_once(pool, *(ask(pool, wanted) for _ in range(50))) == {"done": 50}
    assert await stock(pool, coffee) == (49, 1)
    assert await at_once(pool, *(cancel(pool, wanted) for _ in range(16))) == {"done": 16}
    assert await stock(pool, coffee) == (50, 0)
    assert (await books.ending(pool)).balance == 1000


async def test_limit_of_a_guest_holds_for_fifty_at_once(pool: db.Pool) -> None:
    await rich(pool, points=10_000)
    coffee = await offer(pool, conditions={"per_guest": 2})
    ends = await at_once(pool, *(ask(pool, wish(coffee)) for _ in range(50)))
    assert ends == {"done": 2, "guest_limit": 48}


async def test_reward_that_is_changed_and_taken_at_once_is_never_oversold(pool: db.Pool) -> None:
    guests = [guest_number(n) for n in range(16)]
    await rich(pool, *guests)
    coffee = await offer(pool, stock=20)
    changes = [change(pool, coffee, cost_points=100 + n, stock=5 + n % 3) for n in range(16)]
    asked = [ask(pool, wish(coffee, each)) for each in guests]
    ends = await at_once(pool, *(each for pair in zip(changes, asked, strict=True) for each in pair))
    assert set(ends) <= {"done", "out_of_stock", "stock_below_taken"}
    async with db.transaction(pool) as conn:
        assert await audit(conn) == []
        [kept] = await rewards.list_all(conn, CAFE)
    assert kept.stock_left is not None
    assert kept.stock_left >= 0
    assert kept.version > 1


@pytest.mark.parametrize("seed", range(4))
async def test_bill_cancel_and_the_end_of_its_time_race_for_one_reservation(
    pool: db.Pool, clock: Clock, seed: int
) -> None:
    await rich(pool)
    coffee = await offer(pool, stock=1)
    held, _ = await ask(pool, wish(coffee))
    clock.moment = NOON + 31 * MINUTE
    bill = recorded(2, 0, NOON, points_to_redeem=100, redemption_id=held.redemption_id)
    racers = [periodic.release(pool), books.take_in(pool, bill), cancel(pool, held), periodic.release(pool)]
    Random(seed).shuffle(racers)
    ends = await at_once(pool, *racers)
    assert ends["done"] >= 3
    # Whoever was first, the bill was paid with a hundred points once.
    assert (await books.ending(pool)).balance == 900
    left, taken = await stock(pool, coffee)
    assert (left, taken) in {(0, 1), (1, 0)}
    await books.take_in(pool, voided(2, at=NOON))
    assert await stock(pool, coffee) == (1, 0)
    assert (await books.ending(pool)).balance == 1000


@pytest.mark.parametrize("seed", range(10))
async def test_books_and_stock_agree_whatever_happens(pool: db.Pool, clock: Clock, seed: int) -> None:
    random = Random(seed)
    guests = [guest_number(n) for n in range(3)]
    await rich(pool, *guests, points=random.choice((120, 350)))
    kept = [await offer(pool, stock=random.choice((1, 2, None)), cost_points=cost) for cost in (40, 100)]
    held: list[Any] = []
    bills: list[tuple[int, UUID]] = []

    async def step(number: int, what: str) -> None:
        guest, one = random.choice(guests), random.choice(held) if held else None
        if what == "ask":
            wanted = wish(random.choice(kept), guest, random.choice((offers.TILL, None)), at=clock.moment)
            await ask(pool, wanted)
            held.append(wanted)
        elif what == "bill":
            named = one if one and random.random() < 0.8 else None
            bills.append((number, named.customer_id if named else guest))
            await books.take_in(
                pool,
                recorded(
                    number, random.choice((0, 60_000)), clock.moment, guest=bills[-1][1],
                    points_to_redeem=random.choice((0, 40, 100, 130)),
                    redemption_id=named.redemption_id if named else None,
                ),
            )  # fmt: skip
        elif what == "void" and bills:
            bill, guest = random.choice(bills)
            await books.take_in(pool, voided(bill, at=clock.moment, guest=guest))
        elif what == "cancel" and one:
            await cancel(pool, one, random.choice((offers.TILL, None)))
        elif what == "lapse":
            await periodic.release(pool)

    weights = {"ask": 5, "bill": 4, "void": 2, "cancel": 2, "lapse": 2}
    for turn in range(18):
        clock.moment += random.choice((0, 5, 31)) * MINUTE
        done = random.choices(list(weights), list(weights.values()), k=4)
        await at_once(pool, *(step(turn * 4 + place, what) for place, what in enumerate(done)))
        async with db.transaction(pool) as conn:
            assert await audit(conn) == []
            assert await conn.fetchval("SELECT count(*) FROM rewards WHERE taken > stock OR taken < 0") == 0
    for bill, guest in bills:
        await books.take_in(pool, voided(bill, at=clock.moment, guest=guest))
    clock.moment += 40 * MINUTE
    while await periodic.release(pool):
        pass
    async with db.transaction(pool) as conn:
        assert await audit(conn) == []
        left = await conn.fetchval(
            "SELECT count(*) FROM redemptions WHERE state = 'completed' AND reserved_until IS NOT NULL"
        )
    assert left == 0


async def test_audit_sees_what_does_not_agree(pool: db.Pool) -> None:
    await rich(pool)
    coffee = await offer(pool, stock=2)
    await ask(pool, wish(coffee))
    for broken, breach in (
        ("UPDATE rewards SET taken = 2", {"taken_is_not_redemptions"}),
        ("UPDATE rewards SET taken = 0, stock = 0", {"taken_is_not_redemptions", "reward_is_oversold"}),
        ("UPDATE redemptions SET reward_version = 2", {"redemption_is_not_its_reward"}),
    ):
        connection = await pool.acquire()
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(broken)
        assert {each["breach"] for each in await audit(connection)} == breach
        await transaction.rollback()
        await pool.release(connection)

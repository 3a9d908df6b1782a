"""Redemptions and adjustments: what people and tills ask for."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from services.loyalty.handlers.adjustments import adjust, decide
from services.loyalty.handlers.cafes import on_customer_erased, on_customer_registered
from services.loyalty.handlers.redemptions import redeem, reverse
from services.loyalty.models.accounts import Adjustment, Redemption
from shared.database import db
from shared.errors import Rejected
from shared.events.customer import CustomerErased, CustomerRegistered
from shared.events.identity import AccessGranted
from shared.events.loyalty import PointsChanged, RedemptionCompleted, RedemptionReversed
from shared.security import access
from tests.loyalty import books
from tests.loyalty.examples import CAFE, GUEST, NOON, corrected, guest_number, recorded, visit_number, voided

DAY = timedelta(days=1)
MANAGER, OTHER_MANAGER, TRACE = uuid4(), uuid4(), uuid4()


def wanted(points: int, redemption_id: UUID | None = None, guest: UUID = GUEST, **more) -> Redemption:
    fields = {"kind": "discount", "state": "completed", "created_at": NOON, "till_key_id": "abcdefghijkl"} | more
    return Redemption(redemption_id=redemption_id or uuid4(), cafe_id=CAFE, customer_id=guest, points=points, **fields)


async def ask(pool, redemption: Redemption) -> tuple[Redemption, int]:
    async with db.transaction(pool) as conn:
        return await redeem(conn, redemption, TRACE)


# --- redemptions


async def test_redemption_spends_and_says_so(pool) -> None:
    await books.take_in(pool, recorded(1, 100_000))
    redemption, balance = await ask(pool, wanted(60, kind="item", order_reference="B-7"))
    assert (redemption.state, balance) == ("completed", 40)
    assert (await books.ledger(pool))[-1] == ("redeemed_item", -60, 40)
    row = await pool.fetchrow("SELECT order_reference, redemption_id FROM loyalty_transactions WHERE points_change < 0")
    assert tuple(row) == ("B-7", redemption.redemption_id)
    [event] = await books.sent(pool, RedemptionCompleted)
    assert (event.redemption_id, event.points, event.visit_id) == (redemption.redemption_id, 60, None)
    assert event.correlation_id == TRACE
    assert (await books.ending(pool)).balance == 40


async def test_asking_again_changes_nothing(pool) -> None:
    await books.take_in(pool, recorded(1, 100_000))
    once = wanted(60)
    answers = [await ask(pool, once) for _ in range(3)]
    assert [balance for _, balance in answers] == [40, 40, 40]
    assert len(await books.ledger(pool)) == 2
    assert len(await books.sent(pool, RedemptionCompleted)) == 1


@pytest.mark.parametrize("change", [{"points": 61}, {"kind": "item"}, {"customer_id": guest_number(1)}])
async def test_id_of_another_redemption_is_refused(pool, change) -> None:
    await books.take_in(pool, recorded(1, 100_000), recorded(2, 100_000, guest=guest_number(1)))
    first = wanted(60)
    await ask(pool, first)
    with pytest.raises(Rejected, match="redemption_id_taken"):
        await ask(pool, replace(first, **change))


async def test_id_used_for_two_guests_at_once_serves_one(pool) -> None:
    await books.take_in(pool, recorded(1, 100_000), recorded(2, 100_000, guest=guest_number(1)))
    same = uuid4()
    answers = await asyncio.gather(
        ask(pool, wanted(60, same)), ask(pool, wanted(60, same, guest_number(1))), return_exceptions=True
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["Rejected", "tuple"]
    await books.ending(pool)


async def test_more_than_the_balance_is_refused_with_the_balance(pool) -> None:
    await books.take_in(pool, recorded(1, 100_000))
    with pytest.raises(Rejected) as refusal:
        await ask(pool, wanted(101))
    assert (refusal.value.code, refusal.value.status) == ("INSUFFICIENT_POINTS", 409)
    assert [(each.code, each.en, each.fa) for each in refusal.value.problems] == [("balance", "100", "۱۰۰")]
    with pytest.raises(Rejected, match="INSUFFICIENT_POINTS"):
        await ask(pool, wanted(1, guest=guest_number(9)))


async def test_fifty_at_once_get_exactly_what_the_balance_affords(database, pool) -> None:
    await books.take_in(pool, recorded(1, 105_000))
    tills = await database("loyalty", max_size=20)
    answers = await asyncio.gather(*(ask(tills, wanted(10)) for _ in range(50)), return_exceptions=True)
    assert sum(isinstance(answer, tuple) for answer in answers) == 10
    assert all(isinstance(answer, (tuple, Rejected)) for answer in answers)
    assert (await books.ending(pool)).balance == 5


async def test_visit_is_linked_to_the_redemption_that_was_made_before(pool) -> None:
    await books.take_in(pool, recorded(1, 100_000))
    redemption, _ = await ask(pool, wanted(60))
    visit = recorded(2, 50_000, NOON + DAY, points_to_redeem=60, redemption_id=redemption.redemption_id)
    await books.take_in(pool, visit)
    assert (await books.ending(pool)).balance == 90
    _, linked = await books.sent(pool, RedemptionCompleted)
    assert (linked.visit_id, linked.visit_at) == (visit_number(2), NOON + DAY)
    await books.take_in(pool, voided(2, at=NOON + DAY))
    assert (await books.ending(pool)).balance == 100
    assert await pool.fetchval("SELECT state::text FROM redemptions") == "reversed"


@pytest.mark.parametrize("in_one_batch", [True, False])
async def test_of_visits_that_name_one_redemption_the_first_of_its_guest_has_it(pool, in_one_batch) -> None:
    await books.take_in(pool, recorded(1, 100_000))
    redemption, _ = await ask(pool, wanted(60))
    named = {"points_to_redeem": 60, "redemption_id": redemption.redemption_id}
    visits = [
        recorded(2, 50_000, guest=guest_number(1), **named),
        recorded(3, 50_000, NOON + DAY, **named),
        recorded(4, 50_000, NOON + 2 * DAY, **named),
    ]
    for batch in [visits] if in_one_batch else [[visit] for visit in visits]:
        await books.take_in(pool, *batch)
    of_it = "SELECT visit_id FROM redemptions WHERE id = $1"
    assert await pool.fetchval(of_it, redemption.redemption_id) == visit_number(3)
    refused = {
        row["id"]: row["refusal"] for row in await pool.fetch("SELECT * FROM redemptions WHERE state = 'refused'")
    }
    assert refused == {visit_number(2): "redemption_taken", visit_number(4): "redemption_taken"}


async def test_visit_can_not_link_the_redemption_of_another_guest(pool) -> None:
    await books.take_in(pool, recorded(1, 100_000))
    redemption, _ = await ask(pool, wanted(60))
    theirs = recorded(2, 50_000, guest=guest_number(1), points_to_redeem=60, redemption_id=redemption.redemption_id)
    await books.take_in(pool, theirs)
    of_it = "SELECT visit_id FROM redemptions WHERE id = $1"
    assert await pool.fetchval(of_it, redemption.redemption_id) is None


async def test_reversal_restores_the_lots_once(pool) -> None:
    await books.take_in(pool, recorded(1, 100_000), recorded(2, 100_000, NOON + DAY))
    before = await pool.fetch("SELECT * FROM point_lots ORDER BY lot_id")
    redemption, _ = await ask(pool, wanted(150))
    async with db.transaction(pool) as conn:
        back, balance = await reverse(conn, CAFE, redemption.redemption_id, TRACE)
        assert (back.state, balance) == ("reversed", 200)
        assert (await reverse(conn, CAFE, redemption.redemption_id, TRACE))[1] == 200
    assert await pool.fetch("SELECT * FROM point_lots ORDER BY lot_id") == before
    assert (await books.ledger(pool))[-1] == ("adjustment_add", 150, 200)
    [event] = await books.sent(pool, RedemptionReversed)
    assert event.points == 150
    await books.ending(pool)


async def test_reversal_after_the_earning_was_taken_back_pays_the_debt(pool) -> None:
    await books.take_in(pool, recorded(1, 100_000))
    redemption, _ = await ask(pool, wanted(100))
    await books.take_in(pool, corrected(1, 30_000))
    assert (await books.ending(pool)).balance == -70
    async with db.transaction(pool) as conn:
        await reverse(conn, CAFE, redemption.redemption_id, TRACE)
    assert (await books.ending(pool)).balance == 30


# --- adjustments


def by_hand(points: int, kind="adjustment_add", guest: UUID = GUEST, **more) -> Adjustment:
    fields = {"adjustment_id": uuid4(), "reason": "شکایت از سفارش", "state": "pending"} | more
    return Adjustment(
        cafe_id=CAFE, customer_id=guest, type=kind, points=points, created_by=MANAGER, created_at=NOON, **fields
    )


async def give(pool, adjustment: Adjustment) -> Adjustment:
    async with db.staff_transaction(pool, MANAGER) as conn:
        return await adjust(conn, adjustment, TRACE)


async def judge(pool, adjustment: Adjustment, decider: UUID, *, approve: bool) -> Adjustment:
    async with db.staff_transaction(pool, decider) as conn:
        return await decide(conn, CAFE, adjustment.adjustment_id, decider, approve=approve, correlation_id=TRACE)


@pytest.fixture
async def guest(pool) -> UUID:
    granted = [
        AccessGranted(cafe_id=CAFE, user_id=user, role="manager", version=1, occurred_at=NOON)
        for user in (MANAGER, OTHER_MANAGER)
    ]
    async with db.transaction(pool) as conn:
        await access.on_access_granted(conn, granted)
        event = CustomerRegistered(cafe_id=CAFE, customer_id=GUEST, occurred_at=NOON, source="staff")
        await on_customer_registered(conn, [event, event])
    return GUEST


@pytest.mark.parametrize("kind", ["earned_bonus", "earned_referral", "earned_birthday", "adjustment_add"])
async def test_points_given_by_hand_are_posted_under_their_name(pool, guest, kind) -> None:
    campaign = uuid4()
    posted = await give(pool, by_hand(40, kind, campaign_id=campaign, order_reference="R1"))
    assert posted.state == "posted"
    row = await pool.fetchrow("SELECT * FROM loyalty_transactions")
    assert (row["transaction_type"], row["points_change"], row["balance_after"]) == (kind, 40, 40)
    assert (row["campaign_id"], row["order_reference"], row["created_by"]) == (campaign, "R1", MANAGER)
    [event] = await books.sent(pool, PointsChanged)
    assert (event.transaction_type, event.transaction_id) == (kind, row["id"])
    assert (await books.ending(pool)).balance == 40


async def test_gifts_do_not_count_for_the_tier(pool, guest) -> None:
    await give(pool, by_hand(900, "earned_bonus"))
    rank = (await books.ending(pool)).rank
    assert (rank.tier, rank.to_next) == ("bronze", 500)


async def test_points_can_not_be_taken_below_zero(pool, guest) -> None:
    await give(pool, by_hand(40))
    with pytest.raises(Rejected, match="INSUFFICIENT_POINTS"):
        await give(pool, by_hand(41, "adjustment_subtract"))
    await give(pool, by_hand(40, "adjustment_subtract"))
    assert (await books.ending(pool)).balance == 0
    assert await pool.fetchval("SELECT count(*) FROM adjustments") == 2


async def test_repeated_adjustment_is_posted_once(pool, guest) -> None:
    once = by_hand(40)
    await give(pool, once)
    assert (await give(pool, once)).state == "posted"
    with pytest.raises(Rejected, match="adjustment_id_taken"):
        await give(pool, replace(once, points=41))
    assert len(await books.ledger(pool)) == 1


async def test_large_adjustment_needs_another_manager(pool, guest) -> None:
    large = by_hand(1001)
    assert (await give(pool, large)).state == "pending"
    assert await books.ledger(pool) == []
    with pytest.raises(Rejected, match="another_manager_needed"):
        await judge(pool, large, MANAGER, approve=True)
    decided = await judge(pool, large, OTHER_MANAGER, approve=True)
    assert (decided.state, decided.decided_by) == ("posted", OTHER_MANAGER)
    await judge(pool, large, OTHER_MANAGER, approve=True)
    assert await books.ledger(pool) == [("adjustment_add", 1001, 1001)]
    with pytest.raises(Rejected, match="already_decided"):
        await judge(pool, large, OTHER_MANAGER, approve=False)


async def test_declined_adjustment_is_never_posted(pool, guest) -> None:
    large = by_hand(5000)
    await give(pool, large)
    assert (await judge(pool, large, OTHER_MANAGER, approve=False)).state == "declined"
    assert await books.ledger(pool) == []


async def test_guest_of_no_account_can_not_be_given_points(pool) -> None:
    with pytest.raises(Rejected, match="not_found"):
        await give(pool, by_hand(40))


# --- erasure


async def test_erasure_empties_the_words_and_keeps_the_sums(pool, guest) -> None:
    await books.take_in(pool, recorded(1, 100_000))
    await give(pool, by_hand(40, order_reference="برای آقای احمدی"))
    await ask(pool, wanted(10, order_reference="برای آقای احمدی"))
    ledger = await books.ledger(pool)
    pending = by_hand(5000)
    await give(pool, pending)
    async with db.transaction(pool) as conn:
        await on_customer_erased(conn, [CustomerErased(cafe_id=CAFE, customer_id=GUEST, occurred_at=NOON)])
    assert await pool.fetchval("SELECT count(*) FROM adjustments WHERE reason IS NOT NULL") == 0
    for table in ("adjustments", "redemptions", "loyalty_transactions"):
        rows = await pool.fetch(f"SELECT * FROM {table}")
        assert "احمدی" not in str([tuple(row) for row in rows])
    purchase = "SELECT order_reference FROM loyalty_transactions WHERE transaction_type = 'earned_purchase'"
    assert await pool.fetchval(purchase) is not None
    assert await books.ledger(pool) == ledger
    with pytest.raises(Rejected, match="already_decided"):
        await judge(pool, pending, OTHER_MANAGER, approve=True)
    assert (await books.ending(pool)).balance == 130

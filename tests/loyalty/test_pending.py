"""Points that are in the balance and can't be spent yet."""

from datetime import timedelta
from itertools import permutations
from uuid import uuid4

import pytest

from services.loyalty.handlers import accounts, grants, redemptions
from services.loyalty.models.accounts import Redemption
from services.loyalty.store.audit import audit
from shared.clock import new_id
from shared.database import db
from shared.errors import Rejected
from shared.events.loyalty import PointsActivated
from tests.loyalty import books
from tests.loyalty.conftest import Clock
from tests.loyalty.examples import CAFE, GUEST, NOON, corrected, guest_number, recorded, visit_number, voided
from tests.loyalty.test_grants import publish, reached, tell

HOUR = timedelta(hours=1)
PENDING = {"hours": 24, "above_points": 100}


async def spend(pool: db.Pool, points: int, clock: Clock) -> int:
    wanted = Redemption(
        redemption_id=uuid4(), cafe_id=CAFE, customer_id=GUEST, kind="discount", points=points, state="completed",
        created_by=uuid4(), created_at=clock.moment,
    )  # fmt: skip
    async with db.transaction(pool) as conn:
        return (await redemptions.redeem(conn, wanted, new_id()))[1]


async def looked_up(pool: db.Pool) -> tuple[int, int]:
    async with db.transaction(pool) as conn:
        found = await accounts.look_up(conn, CAFE, GUEST)
        shown = await accounts.show(conn, CAFE, GUEST)
    assert (shown.current_points, shown.available_points) == (found.current_points, found.available_points)
    return found.current_points, found.available_points


async def test_points_of_a_large_bill_wait_and_are_told_once(pool: db.Pool, clock: Clock) -> None:
    await publish(pool, pending=PENDING)
    await books.take_in(pool, recorded(1, 100_000), recorded(2, 101_000))
    assert await looked_up(pool) == (201, 100)
    with pytest.raises(Rejected) as refused:
        await spend(pool, 101, clock)
    assert refused.value.code == "INSUFFICIENT_POINTS"
    assert [(each.code, each.en) for each in refused.value.problems] == [("balance", "201"), ("waiting", "101")]
    assert await spend(pool, 100, clock) == 101
    assert await grants.activate(pool) == 0
    clock.moment = NOON + 24 * HOUR
    assert await looked_up(pool) == (101, 101)
    assert [await grants.activate(pool) for _ in range(2)] == [1, 0]
    (told,) = await books.sent(pool, PointsActivated)
    assert (told.customer_id, told.lot_id, told.points, told.occurred_at) == (
        GUEST, visit_number(2), 101, NOON + 24 * HOUR,
    )  # fmt: skip
    assert await spend(pool, 101, clock) == 0
    await books.ending(pool)


async def test_correction_ends_the_waiting_and_what_was_told_is_not_told_again(pool: db.Pool, clock: Clock) -> None:
    await publish(pool, pending=PENDING)
    await books.take_in(pool, recorded(1, 200_000))
    assert await looked_up(pool) == (200, 0)
    await books.take_in(pool, corrected(1, 90_000))
    assert await looked_up(pool) == (90, 90)
    await books.take_in(pool, corrected(1, 300_000, corrected_at=NOON + 48 * HOUR))
    assert await looked_up(pool) == (300, 0)
    clock.moment = NOON + 25 * HOUR
    assert [await grants.activate(pool) for _ in range(2)] == [1, 0]
    await books.take_in(pool, corrected(1, 400_000, corrected_at=NOON + 50 * HOUR))
    assert await grants.activate(pool) == 0
    assert len(await books.sent(pool, PointsActivated)) == 1


async def test_points_of_a_bill_that_is_voided_while_they_wait_are_never_spent(pool: db.Pool, clock: Clock) -> None:
    await publish(pool, pending={"hours": 72, "above_points": 100})
    await books.take_in(
        pool, recorded(1, 500_000), voided(1, 500_000), recorded(2, 0, NOON + 71 * HOUR, points_to_redeem=500)
    )
    assert (await books.ending(pool)).balance == 0
    assert [row[0] for row in await books.ledger(pool)] == ["earned_purchase", "adjustment_subtract"]


async def test_what_bills_spend_does_not_depend_on_the_order_of_arrival(pool: db.Pool, clock: Clock) -> None:
    """A bill that waits, one before it, one that asks while it waits, one that asks afterwards, and a void."""
    await publish(pool, pending=PENDING)
    clock.moment = NOON + 400 * HOUR
    ends = set()
    for number, order in enumerate(permutations(range(4))):
        guest, first = guest_number(number), 10 * number
        story = [
            recorded(first, 60_000, NOON - HOUR, guest),
            recorded(first + 1, 500_000, NOON, guest),
            recorded(first + 2, 0, NOON + 23 * HOUR, guest, points_to_redeem=61),
            recorded(first + 3, 0, NOON + 25 * HOUR, guest, points_to_redeem=500),
        ]
        for place in order:
            await books.take_in(pool, story[place])
        states = await pool.fetch(
            "SELECT state::text, points FROM redemptions WHERE customer_id = $1 ORDER BY points", guest
        )
        ends.add(((await books.ending(pool, guest)).balance, tuple(map(tuple, states))))
    assert ends == {(60, (("refused", 61), ("completed", 500)))}


@pytest.mark.parametrize(
    ("breach", "damage"),
    [
        ("spent_before_available", "UPDATE point_lots SET available_at = $1 WHERE lot_id = $2"),
        ("grant_is_not_ledger", "UPDATE grants SET points = points + 1 WHERE granted_at < $1 AND grant_id <> $2"),
        ("lot_is_not_of_its_grant", "UPDATE grants SET available_at = $1 WHERE grant_id <> $2"),
    ],
)
async def test_audit_finds_what_was_spent_too_early_and_grants_unlike_their_books(
    pool: db.Pool, clock: Clock, breach: str, damage: str
) -> None:
    await publish(pool, pending=PENDING, birthday={"points": {"bronze": 5}})
    await books.take_in(pool, recorded(1, 90_000))
    await tell(pool, reached())
    assert await spend(pool, 95, clock) == 0
    async with db.transaction(pool) as conn:
        assert await audit(conn) == []
    await pool.execute(damage, NOON + HOUR, visit_number(1))
    async with db.transaction(pool) as conn:
        assert [each["breach"] for each in await audit(conn)] == [breach]

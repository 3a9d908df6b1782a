"""Points that a till reserves: for the bill that names them, until their time is over, or until they are cancelled."""

from datetime import timedelta
from uuid import uuid4

import pytest

from services.loyalty.handlers import periodic, redemptions
from services.loyalty.models.accounts import Redemption
from shared.clock import new_id
from shared.database import db
from shared.errors import Rejected
from shared.events.loyalty import RedemptionReversed
from tests.loyalty import books
from tests.loyalty.conftest import Clock
from tests.loyalty.examples import CAFE, GUEST, NOON, recorded, voided

MINUTE = timedelta(minutes=1)
TILL = "till-key"


async def reserve(pool: db.Pool, points: int, minutes: int = 30) -> Redemption:
    wanted = Redemption(
        redemption_id=uuid4(), cafe_id=CAFE, customer_id=GUEST, kind="discount", points=points, state="completed",
        till_key_id=TILL, created_at=NOON, reserved_until=NOON + minutes * MINUTE,
    )  # fmt: skip
    async with db.transaction(pool) as conn:
        return (await redemptions.redeem(conn, wanted, new_id()))[0]


async def cancel(pool: db.Pool, reserved: Redemption, key: str | None = TILL) -> tuple[Redemption, int]:
    async with db.transaction(pool) as conn:
        return await redemptions.cancel(conn, CAFE, reserved.redemption_id, new_id(), till_key_id=key)


async def test_reservation_is_released_once_its_time_is_over(pool: db.Pool, clock: Clock) -> None:
    await books.take_in(pool, recorded(1, 100_000, NOON - timedelta(days=1)))
    await reserve(pool, 60)
    await reserve(pool, 10, minutes=90)
    clock.moment = NOON + 29 * MINUTE
    assert await periodic.release(pool) == 0
    clock.moment = NOON + 30 * MINUTE
    assert [await periodic.release(pool) for _ in range(2)] == [1, 0]
    assert (await books.ending(pool)).balance == 90
    assert [event.points for event in await books.sent(pool, RedemptionReversed)] == [60]


async def test_bill_that_names_a_reservation_keeps_it_beyond_its_time(pool: db.Pool, clock: Clock) -> None:
    await books.take_in(pool, recorded(1, 100_000, NOON - timedelta(days=1)))
    reserved = await reserve(pool, 60)
    await books.take_in(pool, recorded(2, 0, NOON, points_to_redeem=60, redemption_id=reserved.redemption_id))
    clock.moment = NOON + 60 * MINUTE
    assert await periodic.release(pool) == 0
    assert (await books.ending(pool)).balance == 40
    with pytest.raises(Rejected) as refused:
        await cancel(pool, reserved)
    assert refused.value.code == "redemption_used"


async def test_bill_that_comes_after_the_release_asks_for_the_points_anew(pool: db.Pool, clock: Clock) -> None:
    await books.take_in(pool, recorded(1, 100_000, NOON - timedelta(days=1)))
    reserved = await reserve(pool, 60)
    clock.moment = NOON + 31 * MINUTE
    await periodic.release(pool)
    await books.take_in(pool, recorded(2, 0, NOON, points_to_redeem=60, redemption_id=reserved.redemption_id))
    assert (await books.ending(pool)).balance == 40
    await books.take_in(pool, voided(2, at=NOON))
    assert (await books.ending(pool)).balance == 100


@pytest.mark.parametrize("key", [TILL, None], ids=["till", "staff"])
async def test_reservation_is_cancelled_once_by_its_till_or_by_staff(pool: db.Pool, key: str | None) -> None:
    await books.take_in(pool, recorded(1, 100_000))
    reserved = await reserve(pool, 60)
    with pytest.raises(Rejected) as refused:
        await cancel(pool, reserved, "another-till")
    assert refused.value.code == "reserved_by_another"
    for _ in range(2):
        cancelled, balance = await cancel(pool, reserved, key)
        assert (cancelled.state, cancelled.reserved_until, balance) == ("reversed", None, 100)
    assert len(await books.sent(pool, RedemptionReversed)) == 1


async def test_what_staff_spent_is_no_reservation(pool: db.Pool) -> None:
    await books.take_in(pool, recorded(1, 100_000))
    wanted = Redemption(
        redemption_id=uuid4(), cafe_id=CAFE, customer_id=GUEST, kind="item", points=60, state="completed",
        created_by=uuid4(), created_at=NOON,
    )  # fmt: skip
    async with db.transaction(pool) as conn:
        await redemptions.redeem(conn, wanted, new_id())
    with pytest.raises(Rejected) as refused:
        await cancel(pool, wanted, None)
    assert refused.value.code == "redemption_used"

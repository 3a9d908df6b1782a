"""Guests who bring guests: each refusal by its name, what counts, and what a void takes back."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest

from services.loyalty.handlers import accounts, referrals
from services.loyalty.handlers.cafes import on_customer_erased
from services.loyalty.models.referrals import Referral
from services.loyalty.rules import referrals as rules
from services.loyalty.store.audit import audit
from shared.database import db
from shared.errors import Rejected
from shared.events.customer import CustomerErased
from shared.events.loyalty import ReferralCompleted
from tests.loyalty import books
from tests.loyalty.conftest import Clock
from tests.loyalty.examples import CAFE, GUEST, NOON, corrected, guest_number, recorded, voided
from tests.loyalty.test_grants import publish

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
NEW, OTHER = guest_number(1), guest_number(2)
TERM = {
    "referrer": 100, "referee": 50, "minimum_bill": 50_000, "within_days": 30, "referrer_visits": 1, "per_month": 2,
}  # fmt: skip


async def begin(pool: db.Pool, **terms: Any) -> None:
    """A program that gives points, and a guest who may bring others."""
    await publish(pool, referral=TERM, **terms)
    await books.take_in(pool, recorded(1, 1000, NOON - 5 * DAY))


async def code_of(pool: db.Pool, guest: UUID = GUEST) -> str:
    async with db.transaction(pool) as conn:
        code = await referrals.code_of(conn, CAFE, guest)
    assert code is not None
    return code


async def claim(pool: db.Pool, guest: UUID, code: str, device_id: str | None = None) -> Referral:
    async with db.transaction(pool) as conn:
        return await referrals.claim(conn, CAFE, guest, code, device_id=device_id)


async def sums(pool: db.Pool, *guests: UUID) -> list[int]:
    rows = dict(
        await pool.fetch(
            "SELECT customer_id, sum(points_change)::bigint FROM loyalty_transactions"
            " WHERE notes LIKE 'grant %' OR notes LIKE 'taken back %' GROUP BY customer_id"
        )
    )
    async with db.transaction(pool) as conn:
        assert await audit(conn) == []
    return [rows.get(guest, 0) for guest in guests]


async def judged(pool: db.Pool, clock: Clock, moment: timedelta = timedelta(hours=2)) -> tuple[str, str | None]:
    clock.moment = max(clock.moment, NOON + moment)
    await referrals.judge(pool)
    row = await pool.fetchrow("SELECT state, reason FROM referrals WHERE referee_id = $1", NEW)
    return row["state"], row["reason"]


def test_codes_are_six_letters_that_are_not_mistaken_for_others() -> None:
    codes = {rules.code_for(guest_number(number), 0) for number in range(2000)}
    assert len(codes) == 2000
    assert not set("".join(codes)) & set("ILO")
    assert {len(code) for code in codes} == {6}
    assert rules.code_for(GUEST, 0) != rules.code_for(GUEST, 1)


async def test_code_is_the_same_whoever_asks_and_the_next_one_when_it_is_taken(pool: db.Pool, clock: Clock) -> None:
    with pytest.raises(AssertionError):
        await code_of(pool)
    await begin(pool)
    await pool.execute("INSERT INTO referral_codes VALUES ($1, $2, $3)", CAFE, rules.code_for(GUEST, 0), OTHER)
    codes = await asyncio.gather(*(code_of(pool) for _ in range(20)))
    assert set(codes) == {rules.code_for(GUEST, 1)}
    async with db.transaction(pool) as conn:
        assert (await accounts.look_up(conn, CAFE, GUEST)).referral_code == codes[0]
        await on_customer_erased(conn, [CustomerErased(cafe_id=CAFE, customer_id=GUEST, occurred_at=NOON)])
    with pytest.raises(Rejected) as refused:
        await claim(pool, NEW, codes[0])
    assert refused.value.code == "unknown_code"


Arrange = Callable[[db.Pool], Awaitable[tuple[UUID, str, str | None]]]


async def _unknown(pool: db.Pool) -> tuple[UUID, str, str | None]:
    return NEW, "AAAAAA", None


async def _own(pool: db.Pool) -> tuple[UUID, str, str | None]:
    return GUEST, await code_of(pool), None


async def _referred(pool: db.Pool) -> tuple[UUID, str, str | None]:
    await books.take_in(pool, recorded(2, 1000, NOON - DAY, OTHER))
    await claim(pool, NEW, await code_of(pool))
    return NEW, await code_of(pool, OTHER), None


async def _existing(pool: db.Pool) -> tuple[UUID, str, str | None]:
    await books.take_in(pool, recorded(2, 1000, NOON - DAY, NEW))
    return NEW, await code_of(pool), None


async def _circle(pool: db.Pool) -> tuple[UUID, str, str | None]:
    """NEW brought OTHER, who brought GUEST: who has no bill any more, and NEW comes with that code."""
    for guest, by in ((OTHER, NEW), (GUEST, OTHER)):
        await pool.execute(
            "INSERT INTO referrals (cafe_id, referee_id, referrer_id, claimed_at, ends_at, program_version)"
            " VALUES ($1, $2, $3, $4, $4, 2)",
            CAFE, guest, by, NOON - 99 * DAY,
        )  # fmt: skip
    return NEW, await code_of(pool), None


async def _too_new(pool: db.Pool) -> tuple[UUID, str, str | None]:
    return NEW, await code_of(pool, OTHER), None


async def _month(pool: db.Pool) -> tuple[UUID, str, str | None]:
    for number in (7, 8):
        await claim(pool, guest_number(number), await code_of(pool))
    return NEW, await code_of(pool), None


async def _device(pool: db.Pool) -> tuple[UUID, str, str | None]:
    await books.take_in(pool, recorded(2, 1000, NOON - 9 * MINUTE))
    return NEW, await code_of(pool), "till-1"


@pytest.mark.parametrize(
    ("arrange", "reason"),
    [
        (_unknown, "unknown_code"),
        (_own, "own_code"),
        (_referred, "already_referred"),
        (_existing, "existing_guest"),
        (_circle, "referral_circle"),
        (_too_new, "referrer_too_new"),
        (_month, "referrals_of_month"),
        (_device, "same_device"),
    ],
)
async def test_each_refusal_has_its_reason(pool: db.Pool, clock: Clock, arrange: Arrange, reason: str) -> None:
    await begin(pool)
    guest, code, device_id = await arrange(pool)
    kept = await pool.fetchval("SELECT count(*) FROM referrals")
    with pytest.raises(Rejected) as refused:
        await claim(pool, guest, code, device_id)
    assert (refused.value.code, refused.value.status) == (reason, 409)
    assert await pool.fetchval("SELECT count(*) FROM referrals") == kept


async def test_nobody_brings_anybody_where_the_program_gives_nothing(pool: db.Pool, clock: Clock) -> None:
    with pytest.raises(Rejected, match="no_referrals"):
        await claim(pool, NEW, "AAAAAA")


async def test_both_get_their_points_once_with_the_first_bill_that_is_large_enough(pool: db.Pool, clock: Clock) -> None:
    await begin(pool, pending={"hours": 24, "above_points": 1_000_000})
    await claim(pool, NEW, await code_of(pool), "till-2")
    assert await judged(pool, clock) == ("waiting", None)
    await books.take_in(pool, recorded(2, 49_999, NOON + MINUTE, NEW))
    assert await judged(pool, clock, 2 * DAY) == ("waiting", None)
    await books.take_in(pool, recorded(3, 50_000, NOON + 3 * DAY, NEW))
    assert await judged(pool, clock, 4 * DAY) == ("completed", None)
    assert await judged(pool, clock, 99 * DAY) == ("completed", None)
    assert await sums(pool, GUEST, NEW) == [100, 50]
    (told,) = await books.sent(pool, ReferralCompleted)
    assert (told.customer_id, told.referee_id) == (GUEST, NEW)
    waits = await pool.fetch("SELECT available_at - granted_at AS waits FROM grants")
    assert {row["waits"] for row in waits} == {DAY}


@pytest.mark.parametrize(
    ("bills", "moment", "found"),
    [
        ([recorded(2, 90_000, NOON + 31 * DAY, NEW)], 40 * DAY, ("lapsed", None)),
        ([recorded(2, 90_000, NOON - 11 * MINUTE, NEW)], 2 * DAY, ("cancelled", "existing_guest")),
        ([recorded(2, 90_000, NOON - 9 * MINUTE, NEW)], 2 * DAY, ("completed", None)),
        (
            [recorded(2, 90_000, NOON + DAY, NEW), recorded(3, 1, NOON + DAY - 9 * MINUTE)], 2 * DAY,
            ("cancelled", "same_device"),
        ),
        (
            [recorded(2, 90_000, NOON + DAY, NEW), recorded(3, 1, NOON + DAY - 11 * MINUTE)], 2 * DAY,
            ("completed", None),
        ),
    ],
)  # fmt: skip
async def test_what_becomes_of_a_claim(
    pool: db.Pool, clock: Clock, bills: list[Any], moment: timedelta, found: tuple[str, str | None]
) -> None:
    await begin(pool)
    await claim(pool, NEW, await code_of(pool))
    await books.take_in(pool, *bills)
    assert await judged(pool, clock, moment) == found
    assert await sums(pool, GUEST, NEW) == ([100, 50] if found[0] == "completed" else [0, 0])


async def test_void_takes_both_sides_back_even_what_is_spent_and_another_bill_gives_again(
    pool: db.Pool, clock: Clock
) -> None:
    await begin(pool)
    await claim(pool, NEW, await code_of(pool))
    await books.take_in(pool, recorded(2, 60_000, NOON + DAY, NEW))
    await judged(pool, clock, 2 * DAY)
    await books.take_in(pool, recorded(3, 0, NOON + 3 * DAY, NEW, points_to_redeem=110))
    await books.take_in(pool, voided(2, 60_000, NOON + DAY, NEW))
    assert await judged(pool, clock, 4 * DAY) == ("waiting", None)
    assert await sums(pool, GUEST, NEW) == [0, 0]
    await books.take_in(pool, recorded(4, 60_000, NOON + 5 * DAY, NEW))
    assert await judged(pool, clock, 6 * DAY) == ("completed", None)
    assert await sums(pool, GUEST, NEW) == [100, 50]
    await books.take_in(pool, corrected(4, 10_000, NOON + 5 * DAY, NEW))
    assert await judged(pool, clock, 50 * DAY) == ("lapsed", None)
    assert await sums(pool, GUEST, NEW) == [0, 0]


async def test_end_does_not_depend_on_when_the_job_comes_by_nor_on_the_order_of_the_bills(
    pool: db.Pool, clock: Clock
) -> None:
    await publish(pool, referral=TERM | {"per_month": None})
    await books.take_in(pool, recorded(1, 1000, NOON - 5 * DAY))
    orders = list(permutations(range(3)))
    ends = set()
    for number, order in enumerate(orders):
        guest, first = guest_number(100 + number), 10 * (number + 1)
        clock.moment = NOON
        await claim(pool, guest, await code_of(pool))
        story = [
            [recorded(first, 60_000, NOON + DAY, guest), voided(first, 60_000, NOON + DAY, guest)],
            [recorded(first + 1, 70_000, NOON + 2 * DAY, guest)],
            [recorded(first + 2, 40_000, NOON + 3 * DAY, guest)],
        ]
        for day, place in enumerate(order):
            for event in story[place]:
                await books.take_in(pool, event)
                clock.moment = max(clock.moment, NOON + (10 + day) * DAY)
                await referrals.judge(pool)
        clock.moment = NOON + 40 * DAY
        await referrals.judge(pool)
        state = await pool.fetchval("SELECT state FROM referrals WHERE referee_id = $1", guest)
        ends.add((state, (await sums(pool, guest))[0]))
    assert ends == {("completed", 50)}
    assert await sums(pool, GUEST) == [100 * len(orders)]


async def test_fifty_claims_at_once_are_one_and_a_cap_holds(pool: db.Pool, clock: Clock) -> None:
    await begin(pool)
    code = await code_of(pool)
    made = await asyncio.gather(*(claim(pool, NEW, code) for _ in range(50)))
    assert {each.referee_id for each in made} == {NEW}
    ended = await asyncio.gather(*(claim(pool, guest_number(9 + n), code) for n in range(50)), return_exceptions=True)
    assert sum(isinstance(each, Referral) for each in ended) == 1
    assert {each.code for each in ended if isinstance(each, Rejected)} == {"referrals_of_month"}
    await books.take_in(pool, recorded(2, 60_000, NOON + DAY, NEW))
    clock.moment = NOON + 2 * DAY
    await asyncio.gather(*(referrals.judge(pool) for _ in range(16)))
    assert await sums(pool, GUEST, NEW) == [100, 50]


async def test_two_who_bring_each_other_at_once_make_no_circle(pool: db.Pool, clock: Clock) -> None:
    await publish(pool, referral=TERM | {"referrer_visits": 0})
    codes = [await code_of(pool, guest) for guest in (NEW, OTHER)]
    ended = await asyncio.gather(claim(pool, NEW, codes[1]), claim(pool, OTHER, codes[0]), return_exceptions=True)
    assert sorted(type(each).__name__ for each in ended) == ["Referral", "Rejected"]

"""Points for birthdays: once a year, whatever is delivered twice, edited, or delivered to many at once."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from services.loyalty.handlers import grants
from services.loyalty.models.programs import ProgramRules
from services.loyalty.store import programs
from services.loyalty.store.audit import audit
from shared.clock import new_id
from shared.database import db
from shared.events.customer import BirthdayReached
from shared.events.loyalty import PointsChanged
from tests.loyalty import books
from tests.loyalty.examples import CAFE, GUEST, NOON, guest_number, recorded, voided

DAY = timedelta(days=1)
BIRTHDAY = {"points": {"bronze": 50, "silver": 100}}


async def publish(pool: db.Pool, **terms: Any) -> None:
    """A version in force since long before the tests' moments."""
    rules = ProgramRules(tier_period="jalali_year", **terms).model_dump(mode="json")
    async with db.transaction(pool) as conn:
        assert await programs.publish(conn, CAFE, 2, NOON - 1000 * DAY, rules, new_id()) is not None


def reached(year: int = 1405, number: int | None = None, **changes: Any) -> BirthdayReached:
    guest = GUEST if number is None else guest_number(number)
    return BirthdayReached(**{"cafe_id": CAFE, "customer_id": guest, "occurred_at": NOON, "year": year} | changes)


async def tell(pool: db.Pool, *events: BirthdayReached) -> None:
    async with db.transaction(pool) as conn:
        await grants.on_birthday_reached(conn, events)


async def test_birthday_is_given_once_a_year_whatever_is_edited(pool: db.Pool) -> None:
    await publish(pool, birthday=BIRTHDAY)
    await tell(pool, reached(), reached(occurred_at=NOON + DAY))
    # The date of birth was moved to a later day of the same year.
    await tell(pool, reached(occurred_at=NOON + 60 * DAY))
    assert await books.ledger(pool) == [("earned_birthday", 50, 50)]
    await tell(pool, reached(1406))
    assert await books.ledger(pool) == [("earned_birthday", 50, 50), ("earned_birthday", 50, 100)]
    told = await books.sent(pool, PointsChanged)
    assert [(each.transaction_type, each.points_change, each.balance_after) for each in told] == [
        ("earned_birthday", 50, 50),
        ("earned_birthday", 50, 100),
    ]
    async with db.transaction(pool) as conn:
        assert await audit(conn) == []


async def test_birthday_is_given_by_the_tier_and_pays_a_debt_first(pool: db.Pool) -> None:
    await publish(pool, birthday=BIRTHDAY)
    await books.take_in(
        pool, recorded(1, 600_000, NOON - 9 * DAY), recorded(2, 0, NOON - 8 * DAY, points_to_redeem=600)
    )
    await tell(pool, reached())
    assert (await books.ledger(pool))[-1] == ("earned_birthday", 100, 100)
    await books.take_in(pool, voided(1, 600_000, NOON - 9 * DAY))
    assert (await books.ledger(pool))[-1][2] == -500
    await tell(pool, reached(1406))
    assert (await books.ledger(pool))[-1] == ("earned_birthday", 50, -450)
    async with db.transaction(pool) as conn:
        assert await audit(conn) == []


async def test_nothing_is_given_without_the_term_or_to_a_tier_that_is_left_out(pool: db.Pool) -> None:
    await tell(pool, reached())
    await publish(pool, birthday={"points": {"silver": 100}})
    await tell(pool, reached())
    assert await books.ledger(pool) == []


async def test_birthday_that_comes_from_fifty_sides_at_once_is_given_once(pool: db.Pool) -> None:
    await publish(pool, birthday=BIRTHDAY)
    await books.take_in(pool, recorded(1, 1000))
    await asyncio.gather(*(tell(pool, reached()) for _ in range(50)))
    assert await books.ledger(pool) == [("earned_purchase", 1, 1), ("earned_birthday", 50, 51)]


async def test_a_batch_of_many_guests_gives_to_each(pool: db.Pool) -> None:
    await publish(pool, birthday=BIRTHDAY)
    await tell(pool, *(reached(number=number) for number in (*range(30), *range(30))))
    assert await pool.fetchval("SELECT count(*) FROM grants") == 30
    assert await pool.fetchval("SELECT sum(current_points)::bigint FROM customer_loyalty") == 30 * 50


@pytest.mark.parametrize(
    "term",
    [
        {"birthday": {"points": {}}},
        {"birthday": {"points": {"bronze": 0}}},
        {"birthday": {"points": {"bronze": -1}}},
        {"birthday": {"points": {"wood": 5}}},
        {"birthday": {"points": {"bronze": 1.5}}},
        {"pending": {"hours": 0, "above_points": 5}},
        {"pending": {"hours": 721, "above_points": 5}},
        {"pending": {"hours": 24}},
        {"pending": {"hours": 24, "above_points": -1}},
    ],
)
def test_terms_that_make_no_sense_are_refused(term: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ProgramRules(tier_period="jalali_year", **term)

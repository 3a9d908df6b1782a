"""The largest bills there may be, and larger ones that were let in before there was a bound, through every service."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.loyalty.rules.tiers import MOST_SPENT
from services.loyalty.store.audit import audit
from shared.clock import now
from shared.database.db import Pool, transaction
from shared.events.base import Event
from shared.events.identity import CafeChanged
from shared.inputs.bounds import MOST_OF_UNIT, MOST_POINTS
from shared.messaging.consumer import Consumer
from shared.messaging.records import Record
from tests.shared.records import record_of, relayed, visit
from tests.support import Databases
from tests.visit.given import CAFE, KEYS, NOON, record, take

BILLS = 300
# What a till could send before there was a bound, and fits the column of one bill.
ONCE_TAKEN = Decimal("9999999999999999")


@dataclass
class House:
    """The databases of the services behind the till, and what they say to each other."""

    pools: dict[str, Pool] = field(default_factory=dict)

    async def take_in(self, records: Sequence[Record]) -> None:
        """Hands the records to everybody, and what they publish, until nobody says anything new."""
        while records:
            for service, pool in self.pools.items():
                reactions = importlib.import_module(f"services.{service}.worker").REACTIONS
                wanted = [each for each in records if each.topic in reactions.topics]
                await Consumer(service, pool, reactions, KEYS).handle(wanted)
            records = [each for pool in self.pools.values() for each in await self._published(pool)]

    async def publish(self, pool: Pool) -> None:
        """Hands out what waits in that outbox."""
        await self.take_in(await self._published(pool))

    async def parked(self) -> dict[str, int]:
        """How many records each service has parked."""
        counts = {name: await pool.fetchval("SELECT count(*) FROM crm.parked") for name, pool in self.pools.items()}
        return {name: count for name, count in counts.items() if count}

    async def _published(self, pool: Pool) -> list[Record]:
        rows = await pool.fetch("WITH gone AS (DELETE FROM crm.outbox RETURNING *) SELECT * FROM gone ORDER BY id")
        return [relayed(row) for row in rows]


@pytest.fixture
async def house(database: Databases) -> House:
    house = House({name: await database(name) for name in ("visit", "loyalty", "customer", "campaign", "feedback")})
    cafe = CafeChanged(
        cafe_id=CAFE, occurred_at=NOON, version=1, name="کافه", time_zone="Asia/Tehran", calendar="jalali",
        currency_unit="IRT",
    )  # fmt: skip
    await house.take_in([record_of(cafe)])
    return house


@pytest.mark.parametrize("unit", ["IRT", "IRR"])
async def test_three_hundred_of_the_largest_bills_of_one_guest_are_counted_everywhere(house: House, unit: Any) -> None:
    most = MOST_OF_UNIT[unit]
    bills = [
        record(
            receipt_number=str(number), total=str(most), currency_unit=unit, items=[],
            occurred_at=(now() - timedelta(minutes=number)).isoformat(),
        )
        for number in range(BILLS)
    ]  # fmt: skip
    outcomes = await take(house.pools["visit"], *bills)
    assert {outcome.status for outcome in outcomes} == {"recorded"}
    await house.publish(house.pools["visit"])
    spent = BILLS * 10**12
    assert await house.parked() == {}
    assert await house.pools["customer"].fetchval("SELECT lifetime_spent FROM customer_activity") == spent
    account = await house.pools["loyalty"].fetchrow("SELECT * FROM customer_loyalty")
    assert (account["lifetime_spent"], account["current_points"]) == (spent, BILLS * MOST_POINTS)
    assert await house.pools["customer"].fetchval("SELECT current_points FROM customer_activity") == BILLS * MOST_POINTS
    assert await house.pools["visit"].fetchval("SELECT sum(points_earned) FROM customer_visits") == BILLS * MOST_POINTS
    await _books_are_right(house)


async def test_bills_from_before_there_was_a_bound_stop_nobody(house: House) -> None:
    guest, at = visit().customer_id, datetime(2026, 3, 21, 12, tzinfo=UTC)
    old = [
        visit(
            cafe_id=CAFE, customer_id=guest, receipt_number=str(number), occurred_at=at + timedelta(minutes=number),
            final_amount=ONCE_TAKEN, total_amount=ONCE_TAKEN,
        )
        for number in range(BILLS)
    ]  # fmt: skip
    others = [visit(cafe_id=CAFE) for _ in range(3)]
    await house.take_in([record_of(event) for event in [*old, *others]])
    assert await house.parked() == {}
    assert await house.pools["customer"].fetchval("SELECT max(lifetime_spent) FROM customer_activity") == (
        BILLS * ONCE_TAKEN
    )
    # Of so much the account only knows that it is more than it counts.
    assert await house.pools["loyalty"].fetchval("SELECT max(lifetime_spent) FROM customer_loyalty") == (
        Decimal(MOST_SPENT).scaleb(-2)
    )
    assert await house.pools["loyalty"].fetchval("SELECT count(*) FROM customer_loyalty") == 4
    await _books_are_right(house)


@pytest.mark.parametrize("amount", [Decimal(10**30), Decimal("1e400"), Decimal("NaN"), Decimal("Infinity"), -(10**30)])
async def test_amount_that_no_service_ever_takes_harms_only_its_own_record(house: House, amount: Any) -> None:
    bad: Event = visit(cafe_id=CAFE, final_amount=Decimal(amount), total_amount=Decimal(amount))
    good = [visit(cafe_id=CAFE) for _ in range(10)]
    await house.take_in([record_of(event) for event in [*good[:5], bad, *good[5:]]])
    assert all(count == 1 for count in (await house.parked()).values())
    assert await house.pools["loyalty"].fetchval("SELECT count(*) FROM customer_loyalty WHERE lifetime_spent > 0") == 10
    assert await house.pools["feedback"].fetchval("SELECT count(*) FROM visits") >= 10
    assert (
        await house.pools["customer"].fetchval("SELECT count(*) FROM customer_activity WHERE lifetime_spent = 185000")
        == 10
    )


async def _books_are_right(house: House) -> None:
    async with transaction(house.pools["loyalty"]) as conn:
        assert await audit(conn) == []

"""What a till is told that a bill would earn is what the same bill then earns."""

from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.loyalty.handlers import quotes
from services.loyalty.models.http import AskEarning, EarningQuote
from services.loyalty.store import programs
from shared.database.db import Pool, till_transaction, transaction
from tests.loyalty import books, schemes
from tests.loyalty.conftest import Clock
from tests.loyalty.examples import CAFE, NOON, guest_number, recorded, visit_number
from tests.loyalty.schemes import BRANCH, KEYS, MENU, OTHER_BRANCH, line

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


async def by_rules(pool: Pool, **rules: Any) -> None:
    made = schemes.rules_of(**rules)
    async with transaction(pool) as conn:
        dumped = made.model_dump(mode="json")
        await programs.publish(conn, CAFE, 2, NOON - 90 * DAY, dumped, uuid4(), schemes.codes_of(made))


async def quoted(pool: Pool, guest: UUID | None, **bill: Any) -> EarningQuote:
    async with till_transaction(pool, CAFE) as conn:
        asked = AskEarning.model_validate({"currency_unit": "IRT"} | bill)
        return await quotes.quote(conn, CAFE, guest, asked, KEYS)


@pytest.mark.parametrize("seed", range(6))
async def test_quote_is_what_the_same_bill_then_earns(pool: Pool, clock: Clock, seed: int) -> None:
    await by_rules(pool)
    random = Random(seed)
    for number in range(40):
        clock.moment += random.choice((HOUR, 5 * HOUR, DAY, 9 * DAY))
        guest, unit = guest_number(random.randrange(3)), random.choice(("IRT", "IRR"))
        amount = Decimal(random.choice((0, 9_999, 45_000, 180_000, 900_000)))
        chosen = [(random.choice(MENU), random.choice((None, 12_000, -3_000))) for _ in range(random.randrange(3))]
        named = [
            {what: word for what, word in zip(("category", "sku", "name"), words, strict=True) if word}
            for words, _ in chosen
        ]
        branch = random.choice((None, BRANCH, OTHER_BRANCH))
        # A till names every line; a name that no rule knows changes nothing.
        items = [{"name": "؟", "amount": each} | words for words, (_, each) in zip(named, chosen, strict=True)]
        told = await quoted(
            pool, guest, final_amount=amount, currency_unit=unit, items=items, branch_id=branch and str(branch)
        )
        lines = [line(each, **words) for words, (_, each) in zip(named, chosen, strict=True)]
        bill = recorded(number, amount, clock.moment, guest=guest, currency_unit=unit, items=lines, branch_id=branch)
        await books.take_in(pool, bill)
        counted = (await books.ending(pool, guest)).visits[visit_number(number)]
        assert counted.earning is not None
        assert (told.points, told.parts) == (counted.earning.points, counted.earning.parts)
        assert told.tier_after == (await books.ending(pool, guest)).rank.tier


async def test_bill_of_a_till_that_is_ahead_does_not_count_yet(pool: Pool, clock: Clock) -> None:
    await by_rules(pool)
    await books.take_in(pool, recorded(1, 100_000, NOON - DAY), recorded(2, 100_000, NOON + 2 * HOUR))
    told = await quoted(pool, guest_number(0), final_amount=100_000)
    assert told.parts["first"] == 62
    guest = recorded(1, 1).customer_id
    late = await quoted(pool, guest, final_amount=100_000)
    await books.take_in(pool, recorded(3, 100_000, clock.moment))
    assert guest is not None
    counted = (await books.ending(pool, guest)).visits[visit_number(3)]
    assert (late.points, late.parts) == (counted.points, counted.earning and counted.earning.parts)


async def test_near_miss_is_the_least_that_lifts_the_guest(pool: Pool, clock: Clock) -> None:
    guest = guest_number(1)
    await books.take_in(pool, recorded(1, 430_500, NOON - DAY, guest=guest))
    told = await quoted(pool, guest, final_amount=10_500, currency_unit="IRT")
    assert (told.points, told.tier_after, told.next_tier, told.points_to_next_tier) == (10, "bronze", "silver", 60)
    assert told.more_for_next_tier == 59_500
    assert (await quoted(pool, guest, final_amount=70_000)).tier_after == "silver"
    assert (await quoted(pool, guest, final_amount=69_999)).tier_after == "bronze"
    in_rial = await quoted(pool, guest, final_amount=105_000, currency_unit="IRR")
    assert (in_rial.points, in_rial.more_for_next_tier) == (10, 59_500)


async def test_no_bill_reaches_the_next_tier_over_a_cap(pool: Pool, clock: Clock) -> None:
    await by_rules(pool, caps={"visit": 100})
    told = await quoted(pool, None, final_amount=5_000_000)
    assert (told.points, told.more_for_next_tier, told.current_points) == (100, None, 0)


async def test_nobody_is_somebody_who_never_came(pool: Pool, clock: Clock) -> None:
    nobody, unknown = [await quoted(pool, guest, final_amount=50_000) for guest in (None, guest_number(77))]
    assert nobody == unknown
    assert (nobody.points, nobody.tier, nobody.parts) == (50, "bronze", {"base": 50})

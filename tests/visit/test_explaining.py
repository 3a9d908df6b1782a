"""How a bill came to be what it is."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.visit.handlers import explaining
from shared.database.db import Pool, transaction
from shared.errors import NotFound
from shared.inputs.explaining import ALWAYS, MOST_EXPLAINED, NEVER, ExplainedStep, Explanation
from tests.visit.given import CAFE, NOON, correction, record, take, void


@pytest.fixture
async def pool(database: Any) -> Pool:
    opened: Pool = await database("visit")
    return opened


async def told(pool: Pool, visit_id: UUID | None) -> Explanation:
    assert visit_id
    async with transaction(pool) as conn:
        return await explaining.explain_visit(conn, CAFE, visit_id)


def of(found: Explanation, what: str) -> ExplainedStep:
    (step,) = [each for each in found.steps if each.what == what]
    return step


async def test_bill_says_its_till_its_guest_and_what_was_changed(pool: Pool) -> None:
    (first,) = await take(pool, record())
    await take(pool, correction(total="90000", items=[]))
    await take(pool, void())
    found = await told(pool, first.visit_id)
    bill = of(found, "bill")
    assert (bill.outcome, bill.rule, bill.not_because) == ("voided", "till", ["voided"])
    assert (bill.values["device_id"], bill.values["receipt_number"]) == ("till-1", "14050101-1")
    assert bill.amounts == {"total": 90_000, "discount": 0, "bill": 90_000}
    assert isinstance(bill.values["late_minutes"], int)
    guest = of(found, "guest")
    assert (guest.outcome, guest.rule, guest.because[1]) == ("known", "number", first.customer_id)
    assert of(found, "correction").at == NOON + timedelta(minutes=1)
    assert (of(found, "void").rule, of(found, "void").at) == ("till", NOON + timedelta(hours=1))


async def test_bill_of_nobody_says_why(pool: Pool) -> None:
    (nobody,) = await take(pool, record(phone=...))
    guest = of(await told(pool, nobody.visit_id), "guest")
    assert (guest.outcome, guest.rule, guest.not_because) == ("nobody", "no_number", ["no_number"])
    await take(pool, correction())
    guest = of(await told(pool, nobody.visit_id), "guest")
    assert (guest.outcome, guest.rule) == ("known", "claimed")


async def test_till_whose_numbers_are_missing_is_told(pool: Pool) -> None:
    await take(pool, record(device_sequence=1))
    (last,) = await take(pool, record(receipt_number="2", device_sequence=5))
    step = of(await told(pool, last.visit_id), "sequence")
    assert (step.outcome, step.values["missing"], step.not_because) == ("gap", 3, ["numbers_missing"])
    (other,) = await take(pool, record(device_id="till-2", device_sequence=1))
    assert of(await told(pool, other.visit_id), "sequence").outcome == "whole"


async def test_unknown_bill_is_not_found_and_a_long_story_goes_on(pool: Pool) -> None:
    with pytest.raises(NotFound):
        await told(pool, UUID(int=5))
    outcomes = await take(pool, *(
        record(receipt_number=str(number), occurred_at=(NOON - timedelta(hours=number)).isoformat())
        for number in range(70)
    ))  # fmt: skip
    guest, shown, before = outcomes[0].customer_id, list[UUID](), NEVER
    assert guest
    async with transaction(pool) as conn:
        while True:
            found = await explaining.explain_guest(conn, CAFE, guest, ALWAYS, before)
            bills = [step.id for step in found.steps if step.what == "bill"]
            assert len(bills) <= MOST_EXPLAINED
            shown += bills
            if found.next_before is None:
                break
            before = found.next_before
    assert shown == [each.visit_id for each in outcomes]

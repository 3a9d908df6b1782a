"""Bills of nobody become the guests' who are named for them: the first claim stands, in any order, for a week."""

import itertools
from datetime import timedelta
from typing import Any

import pytest

from services.visit.models.values import BillCommand
from shared.clock import now
from shared.database.db import Pool
from shared.events.visit import ContactLearned, VisitClaimed, VisitCorrected, VisitRecorded, VisitVoided
from shared.security.ids import customer_id
from tests.support import Databases
from tests.visit.given import CAFE, KEYS, NOON, correction, emitted, record, statuses, take, visit_row, void

OTHER = "09120000000"
DAY = 24 * 60
GUEST = customer_id(KEYS, CAFE, "+989123456789")


@pytest.fixture
async def pool(database: Databases) -> Pool:
    return await database("visit")


async def test_correction_that_names_a_guest_claims_a_bill_of_nobody(pool: Pool) -> None:
    [nobodys] = await take(pool, record(phone=...))
    assert (nobodys.customer_id, nobodys.visit_number) == (None, None)
    [claimed] = await take(pool, correction(DAY, total="90000", guest_name="مریم"))
    assert (claimed.status, claimed.visit_id) == ("corrected", nobodys.visit_id)
    assert (claimed.customer_id, claimed.visit_number) == (GUEST, 1)
    row = await visit_row(pool)
    assert (row["customer_id"], row["visit_number"], row["total_amount"]) == (GUEST, 1, 90000)
    [event] = await emitted(pool, VisitClaimed)
    assert (event.customer_id, event.visit_id, event.occurred_at) == (GUEST, nobodys.visit_id, NOON)
    assert (event.final_amount, event.visit_number, len(event.items)) == (185000, 1, 2)
    assert event.items[0].name == ""
    assert event.items == (await emitted(pool, VisitRecorded))[0].items
    [changed] = await emitted(pool, VisitCorrected)
    assert (changed.customer_id, changed.previous_final_amount, changed.final_amount) == (GUEST, 185000, 90000)
    [told] = await emitted(pool, ContactLearned)
    assert (told.customer_id, told.name_sealed is not None, told.marketing_consent) == (GUEST, True, None)


async def test_claim_gives_no_consent_and_can_take_one_back(pool: Pool) -> None:
    await take(pool, record(phone=...), record(phone=..., receipt_number="2"))
    await take(pool, correction(5, marketing_consent=True))
    assert await pool.fetchval("SELECT count(*) FROM guest_consents") == 0
    await take(pool, correction(5, receipt_number="2", marketing_consent=False))
    assert await pool.fetchval("SELECT granted FROM guest_consents") is False


async def test_first_claim_stands_and_later_ones_are_refused_by_name(pool: Pool) -> None:
    await take(pool, record(phone=...), record(phone=..., receipt_number="2"))
    outcomes = await take(
        pool,
        correction(9, phone=OTHER),
        correction(5),
        correction(7, phone=..., total="70"),
        correction(6, phone=OTHER),
    )
    assert statuses(outcomes) == ["already_claimed", "superseded", "corrected", "already_claimed"]
    row = await visit_row(pool)
    assert (row["customer_id"], row["total_amount"]) == (GUEST, 70)
    assert statuses(await take(pool, correction(20, phone=OTHER))) == ["already_claimed"]
    assert statuses(await take(pool, correction(20, total="5"), correction(21, phone=..., total="6"))) == [
        "superseded", "corrected"
    ]  # fmt: skip
    assert (await visit_row(pool))["customer_id"] == GUEST


async def test_bill_can_be_claimed_for_a_week(pool: Pool) -> None:
    await take(pool, record(phone=...), record(phone=..., receipt_number="2"))
    assert statuses(await take(pool, correction(7 * DAY + 1, total="1"))) == ["claim_too_late"]
    row = await visit_row(pool)
    assert (row["customer_id"], row["total_amount"]) == (None, 185000)
    [refused] = await take(pool, correction(8 * DAY))
    assert refused.refusal is not None
    assert (refused.refusal.status, refused.refusal.problems[0].field) == (410, "phone")
    assert statuses(await take(pool, correction(7 * DAY, receipt_number="2"))) == ["corrected"]


SENT: list[list[BillCommand]] = [
    [record(phone=...), correction(DAY), correction(2 * DAY, phone=..., total="70000")],
    [record(phone=...), correction(DAY, total="60000"), void(voided_at=(NOON + timedelta(days=2)).isoformat())],
    [record(phone=...), correction(DAY, phone=..., total="50000"), correction(2 * DAY, total="80000")],
]


@pytest.mark.parametrize("sent", SENT, ids=["then_of_nobody", "then_void", "nobody_then_claimed"])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("together", [False, True])
async def test_claims_end_alike_in_every_order(
    pool: Pool, sent: list[BillCommand], order: tuple[int, ...], together: bool
) -> None:
    commands = [sent[place] for place in order]
    outcomes = []
    for batch in [commands] if together else [[each] for each in commands]:
        outcomes += await take(pool, *batch)
    assert not [each for each in outcomes if each.refusal]
    row, receipt = await visit_row(pool), await pool.fetchrow("SELECT * FROM visit_receipts")
    assert receipt is not None
    assert (row["customer_id"], row["visit_number"]) == (GUEST, 1) == (receipt["customer_id"], receipt["visit_number"])
    assert (receipt["claimed_at"] is not None, receipt["fingerprint"] is not None) == (True, True)
    assert await pool.fetchval("SELECT last_number FROM visit_counters") == 1
    told = _told(await emitted(pool, VisitRecorded, VisitClaimed, VisitCorrected, VisitVoided))
    assert told == (0 if row["voided_at"] else row["final_amount"], 0 if row["voided_at"] else 1)


def _told(events: list[Any]) -> tuple[Any, int]:
    """What a reader adds up for the guest."""
    spent, visits = 0, 0
    for event in events:
        if event.customer_id != GUEST:
            continue
        if isinstance(event, VisitRecorded):
            spent, visits = spent + event.final_amount, visits + 1
        elif isinstance(event, VisitCorrected):
            spent += event.final_amount - event.previous_final_amount
        elif isinstance(event, VisitVoided):
            spent, visits = spent - event.final_amount, visits - 1
    return spent, visits


async def test_claim_that_comes_before_its_bill_is_one(pool: Pool) -> None:
    await take(pool, correction(DAY))
    assert statuses(await take(pool, record(phone=...))) == ["repeated"]
    assert statuses(await take(pool, correction(2 * DAY, phone=OTHER))) == ["already_claimed"]
    assert statuses(await take(pool, correction(2 * DAY, phone=..., total="1"))) == ["corrected"]
    assert len(await emitted(pool, VisitRecorded)) == 1


async def test_what_an_erasure_made_nobodys_is_never_claimed(pool: Pool) -> None:
    await pool.execute(
        "INSERT INTO erased_guests (cafe_id, customer_id, erased_at) VALUES ($1, $2, $3)", CAFE, GUEST, now()
    )
    await take(pool, record())
    assert (await visit_row(pool))["forgotten_at"] is not None
    assert statuses(await take(pool, correction(5, phone=OTHER))) == ["guest_change"]
    assert (await visit_row(pool))["customer_id"] is None

"""Receipts are one however they are typed, also those that were kept as they had been typed before."""

import pytest

from shared.database.db import Pool
from shared.events import pos
from tests.support import Databases
from tests.visit.given import correction, record, statuses, take, void


@pytest.fixture
async def pool(database: Databases) -> Pool:
    return await database("visit")


async def kept_as_typed(pool: Pool) -> None:
    """As a version before digits were folded kept it."""
    await pool.execute("UPDATE visit_receipts SET device_id = 'صندوق۱', receipt_number = '۱۲'")
    await pool.execute("UPDATE customer_visits SET device_id = 'صندوق۱', receipt_number = '۱۲'")


@pytest.mark.parametrize("typed", ["۱۲", "١٢", "１２", " 12 "])
@pytest.mark.parametrize("model", [pos.PosVisit, pos.PosCorrection, pos.PosVoid])
def test_receipt_has_one_spelling_in_whatever_a_till_sends(model: type[pos.PosVisit | pos.PosVoid], typed: str) -> None:
    moment = "2026-11-24T18:30:00+03:30"
    bill = {"occurred_at": moment, "total": "1", "currency_unit": "IRT"}
    body = {"device_id": f"till-{typed.strip()}", "receipt_number": typed} | (
        {"voided_at": moment} if model is pos.PosVoid else bill
    )
    if model is pos.PosCorrection:
        body["corrected_at"] = moment
    read = model.model_validate(body)
    assert (read.device_id, read.receipt_number) == ("till-12", "12")


async def test_receipt_that_was_kept_as_it_was_typed_is_the_same_one(pool: Pool) -> None:
    sent = record(device_id="صندوق1", receipt_number="12")
    [first] = await take(pool, sent)
    await kept_as_typed(pool)
    [again] = await take(pool, sent)
    assert (again.status, again.visit_id) == ("repeated", first.visit_id)
    assert statuses(await take(pool, correction(device_id="صندوق1", receipt_number="12", total="190000"))) == [
        "corrected"
    ]
    assert statuses(await take(pool, void(device_id="صندوق1", receipt_number="12"))) == ["voided"]
    row = await pool.fetchrow("SELECT count(*) AS visits, count(voided_at) AS voided FROM customer_visits")
    assert row is not None
    assert tuple(row) == (1, 1)
    assert statuses(await take(pool, record(device_id="صندوق1", receipt_number="13"))) == ["recorded"]

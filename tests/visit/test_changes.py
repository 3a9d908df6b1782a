"""Corrections and voids: in any order, the same end."""

import itertools
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.visit.handlers import words
from services.visit.handlers.reactions import on_feedback_received, on_points_earned
from services.visit.models.values import BillCommand
from shared.clock import new_id
from shared.database.db import Pool
from shared.events.feedback import FeedbackReceived
from shared.events.loyalty import PointsEarned
from shared.events.visit import DeviceGapDetected, VisitCorrected, VisitRecorded, VisitVoided
from tests.support import Databases
from tests.visit.given import (
    CAFE,
    KEYS,
    NOON,
    PHONE,
    correction,
    emitted,
    react,
    record,
    statuses,
    take,
    visit_row,
    void,
)

CHANGING = {"id", "created_at", "updated_at"}


@pytest.fixture
async def pool(database: Databases) -> Pool:
    return await database("visit")


def at(hours: int) -> str:
    return (NOON + timedelta(hours=hours)).isoformat()


async def test_correction_replaces_the_bill_and_tells_what_was(pool: Pool) -> None:
    [recorded] = await take(pool, record())
    changed = correction(
        total="90000", discount="10000", items=[{"name": "چای", "quantity": 4}], payment_method="cash",
        table_number="3", server_name="علی", service_duration=20, notes="اصلاح", attributes={"a": 1},
        occurred_at=at(-2),
    )  # fmt: skip
    [outcome] = await take(pool, changed)
    assert (outcome.status, outcome.visit_id, outcome.visit_number) == ("corrected", recorded.visit_id, 1)
    row = words.in_clear(KEYS, await visit_row(pool))
    assert (row["final_amount"], row["item_count"], row["payment_method"]) == (Decimal("80000.00"), 4, "cash")
    assert (row["table_number"], row["server_name"], row["service_duration"]) == ("3", "علی", 20)
    assert (row["visit_notes"], row["attributes"], row["corrected_at"]) == ("اصلاح", {"a": 1}, changed.corrected_at)
    [event] = await emitted(pool, VisitCorrected)
    assert (event.previous_final_amount, event.previous_occurred_at) == (Decimal("185000.00"), NOON)
    assert (event.final_amount, event.occurred_at) == (Decimal("80000.00"), NOON - timedelta(hours=2))
    assert (event.visit_id, event.corrected_at) == (recorded.visit_id, changed.corrected_at)


async def test_correction_may_move_a_visit_to_another_month_with_all_it_learned(pool: Pool) -> None:
    [recorded] = await take(pool, record(occurred_at="2026-11-24T10:00:00Z"))
    assert recorded.visit_id is not None
    assert recorded.customer_id is not None
    was = datetime.fromisoformat("2026-11-24T10:00:00+00:00")
    rating = FeedbackReceived(
        cafe_id=CAFE, occurred_at=was, customer_id=None, visit_id=recorded.visit_id, feedback_id=new_id(),
        visit_at=was, source="sms_link", overall_rating=4,
    )  # fmt: skip
    await react(pool, on_feedback_received, rating)
    await take(pool, correction(occurred_at="2026-10-24T10:00:00Z"))
    row = await visit_row(pool)
    assert (row["id"], row["feedback_rating"], row["visit_date"].month) == (recorded.visit_id, 4, 10)
    # Loyalty still names the day that the visit had.
    points = PointsEarned(
        cafe_id=CAFE, occurred_at=was, customer_id=recorded.customer_id, visit_id=recorded.visit_id, visit_at=was,
        points=185, points_change=185, balance_after=185, account_version=1, program_version=1, multiplier="1",
    )  # fmt: skip
    await react(pool, on_points_earned, points)
    assert (await visit_row(pool))["points_earned"] == 185


async def test_later_correction_wins_whatever_comes_first(pool: Pool) -> None:
    await take(pool, record(), record(receipt_number="2"))
    assert statuses(await take(pool, correction(5, total="500"))) == ["corrected"]
    assert statuses(await take(pool, correction(3, total="300"))) == ["superseded"]
    assert statuses(await take(pool, correction(5, total="500"))) == ["repeated"]
    outcomes = await take(
        pool, *(correction(minutes, total=f"{minutes}00", receipt_number="2") for minutes in (3, 5, 4, 5))
    )
    assert statuses(outcomes) == ["superseded", "corrected", "superseded", "repeated"]
    assert (await visit_row(pool, "2"))["total_amount"] == (await visit_row(pool))["total_amount"] == 500


async def test_correction_that_comes_first_is_the_visit_until_its_record(pool: Pool) -> None:
    [early] = await take(pool, correction(total="100"))
    assert early.status == "recorded"
    [late] = await take(pool, record())
    assert (late.status, late.visit_id) == ("repeated", early.visit_id)
    assert (await visit_row(pool))["total_amount"] == 100
    assert statuses(await take(pool, record())) == ["repeated"]
    assert statuses(await take(pool, record(total="1"))) == ["receipt_conflict"]
    assert len(await emitted(pool, VisitRecorded)) == 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_records_and_corrections_end_alike_in_every_order(pool: Pool, order: tuple[int, ...]) -> None:
    sent: list[BillCommand] = [record(), correction(1, total="100"), correction(2, total="200", occurred_at=at(-30))]
    for place in order:
        await take(pool, sent[place])
    row = await visit_row(pool)
    assert (row["total_amount"], row["visit_date"], row["visit_number"]) == (200, NOON - timedelta(hours=30), 1)
    receipt = await pool.fetchrow("SELECT * FROM visit_receipts")
    assert receipt is not None
    assert receipt["fingerprint"] is not None
    assert (receipt["visit_date"], receipt["corrected_at"]) == (row["visit_date"], row["corrected_at"])


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_a_void_ends_alike_in_every_order(pool: Pool, order: tuple[int, ...]) -> None:
    await take(pool, record(receipt_number="other", occurred_at=at(5)))
    sent: list[BillCommand] = [record(), correction(1, total="100"), void()]
    for place in order:
        await take(pool, sent[place])
    row = await visit_row(pool)
    assert (row["voided_at"], row["void_reason"]) == (NOON + timedelta(hours=1), "اشتباه صندوق")
    events = [event for event in await emitted(pool) if getattr(event, "visit_id", None) == row["id"]]
    assert isinstance(events[0], VisitRecorded)
    assert isinstance(events[-1], VisitVoided)
    assert (events[-1].first_visit_at, events[-1].last_visit_at) == (NOON + timedelta(hours=5),) * 2
    assert events[-1].final_amount == row["final_amount"]
    assert events[-1].occurred_at == row["visit_date"]


async def test_all_three_in_one_batch_are_followed(pool: Pool) -> None:
    outcomes = await take(pool, void(), correction(total="100"), record())
    assert statuses(outcomes) == ["voided", "corrected", "recorded"]
    assert len({outcome.visit_id for outcome in outcomes}) == 1
    assert [type(event) for event in (await emitted(pool))[1:]] == [VisitRecorded, VisitCorrected, VisitVoided]


async def test_void_is_terminal_and_repeats_change_nothing(pool: Pool) -> None:
    await take(pool, record())
    first, second = await take(pool, void(), void(reason="دوباره"))
    assert (first.status, second.status) == ("voided", "repeated")
    outcomes = await take(pool, void(voided_at=at(9)), correction(500, total="1"), record())
    assert statuses(outcomes) == ["repeated", "superseded", "repeated"]
    row = await visit_row(pool)
    assert (row["total_amount"], row["void_reason"]) == (185000, "اشتباه صندوق")
    assert len(await emitted(pool, VisitVoided)) == 1


async def test_void_tells_what_remains_to_the_guest(pool: Pool) -> None:
    await take(pool, *(record(receipt_number=str(hour), occurred_at=at(hour)) for hour in (0, 24, 48)))
    for hour in (48, 0, 24):
        await take(pool, void(receipt_number=str(hour)))
    spans = [(event.first_visit_at, event.last_visit_at) for event in await emitted(pool, VisitVoided)]
    day = timedelta(days=1)
    assert spans == [(NOON, NOON + day), (NOON + day, NOON + day), (None, None)]
    [next_one] = await take(pool, record(receipt_number="next", occurred_at=at(72)))
    assert next_one.visit_number == 4


async def test_void_of_an_unknown_receipt_waits_without_a_word(pool: Pool) -> None:
    [early] = await take(pool, void())
    assert (early.status, early.visit_id) == ("voided", None)
    assert await emitted(pool) == []
    assert statuses(await take(pool, void())) == ["repeated"]


@pytest.mark.parametrize(("recorded", "named"), [(PHONE, "09120000000"), (PHONE, ...)])
async def test_correction_may_not_change_the_guest(pool: Pool, recorded: Any, named: Any) -> None:
    await take(pool, record(phone=recorded))
    before = await visit_row(pool)
    assert statuses(await take(pool, correction(phone=named))) == ["guest_change"]
    assert await visit_row(pool) == before
    await take(pool, correction(phone=named, receipt_number="2"))
    assert statuses(await take(pool, record(phone=recorded, receipt_number="2"))) == ["guest_change"]


async def test_refused_correction_leaves_the_field_to_the_next_best(pool: Pool) -> None:
    await take(pool, record())
    outcomes = await take(
        pool, correction(1, total="100"), correction(3, phone="09120000000"), correction(2, total="200"),
        correction(3, phone="09120000000"),
    )  # fmt: skip
    assert statuses(outcomes) == ["superseded", "guest_change", "corrected", "guest_change"]
    assert (await visit_row(pool))["total_amount"] == 200


async def test_corrections_and_voids_count_in_the_devices_numbering(pool: Pool) -> None:
    await take(pool, record(device_sequence=1))
    await take(pool, void(device_sequence=3), correction(device_sequence=2))
    assert await emitted(pool, DeviceGapDetected) == []
    await take(pool, void(device_sequence=5, receipt_number="9"))
    [event] = await emitted(pool, DeviceGapDetected)
    assert (event.missing_from, event.missing_to) == (4, 4)

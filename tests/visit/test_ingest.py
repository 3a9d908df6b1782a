"""Records: taken in once, with everything that belongs to them."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest

from services.visit.handlers import words
from services.visit.handlers.ingest import record_visits
from services.visit.handlers.reactions import on_branch_changed
from shared.clock import new_id
from shared.database import db
from shared.database.db import Pool
from shared.events.base import Item
from shared.events.visit import ContactLearned, DeviceGapDetected, VisitRecorded
from shared.security import ids
from shared.security.crypto import unseal
from tests.support import Databases
from tests.visit.given import (
    CAFE,
    KEYS,
    NOON,
    OTHER_CAFE,
    PHONE,
    branch,
    emitted,
    react,
    record,
    statuses,
    take,
    visit_row,
)


@pytest.fixture
async def pool(database: Databases) -> Pool:
    return await database("visit")


async def test_new_visit_is_written_whole(pool: Pool) -> None:
    command = record(
        event_id=new_id(), discount="5000.50", table_number="۷", server_name="سارا", service_duration=45,
        notes="کنار پنجره", attributes={"channel": "dine-in"},
    )  # fmt: skip
    [outcome] = await take(pool, command)
    row = words.in_clear(KEYS, await visit_row(pool))
    assert "کنار" not in row.pop("words_sealed")
    assert row.pop("forgotten_at") is None
    assert row.pop("created_at") == row.pop("updated_at")
    assert row == {
        "id": outcome.visit_id,
        "cafe_id": CAFE,
        "customer_id": ids.customer_id(KEYS, CAFE, "+989123456789"),
        "visit_date": NOON,
        "visit_number": 1,
        "branch_id": None,
        "device_id": "till-1",
        "receipt_number": "14050101-1",
        "total_amount": Decimal("185000.00"),
        "discount_amount": Decimal("5000.50"),
        "final_amount": Decimal("179999.50"),
        "currency_unit": "IRT",
        "payment_method": "card",
        "items_ordered": [
            {"name": "قهوه ترک", "quantity": "2", "amount": "120000.00"},
            {"name": "کیک", "quantity": "1", "amount": "65000.00"},
        ],
        "item_count": 3,
        "table_number": "۷",
        "server_name": "سارا",
        "service_duration": 45,
        "feedback_rating": None,
        "feedback_categories": None,
        "feedback_has_comment": None,
        "feedback_at": None,
        "points_earned": 0,
        "points_redeemed": 0,
        "points_version": None,
        "points_to_redeem": 0,
        "redemption_refusal": None,
        "created_by": None,
        "visit_notes": "کنار پنجره",
        "attributes": {"channel": "dine-in"},
        "corrected_at": None,
        "voided_at": None,
        "void_reason": None,
    }
    assert (outcome.customer_id, outcome.visit_number) == (row["customer_id"], 1)


async def test_new_visit_is_announced_without_anything_personal(pool: Pool) -> None:
    redemption = new_id()
    command = record(
        event_id=new_id(), discount="5000", points_to_redeem=50, redemption_id=str(redemption), table_number="میز ۷",
        guest_name="مریم", server_name="مریم", notes="مریم", attributes={"مریم": "مریم"},
        items=[{"name": "برای مریم", "sku": "مریم", "category": "مریم", "quantity": 2, "amount": "120000"}],
    )  # fmt: skip
    [outcome] = await take(pool, command)
    [event] = await emitted(pool, VisitRecorded)
    assert (event.causation_id, event.correlation_id) == (command.event_id, command.correlation_id)
    assert (event.visit_id, event.customer_id, event.visit_number) == (outcome.visit_id, outcome.customer_id, 1)
    assert (event.total_amount, event.discount_amount, event.final_amount) == (185000, 5000, 180000)
    assert (event.occurred_at, event.points_to_redeem, event.redemption_id) == (NOON, 50, redemption)
    code = ids.menu_code(KEYS, CAFE, "مَريم")
    assert event.items == [
        Item(
            name="", quantity=Decimal(2), amount=Decimal(120000), sku_code=code, category_code=code,
            name_code=ids.menu_code(KEYS, CAFE, "برای مریم"),
        )
    ]  # fmt: skip
    assert (event.table_number, event.attributes) == ("7", {})
    bodies = [row["payload"].decode() for row in await pool.fetch("SELECT payload FROM crm.outbox")]
    assert not [body for body in bodies if "9123456789" in body or "مریم" in body]


async def test_new_guest_is_learned_with_a_sealed_phone(pool: Pool) -> None:
    [outcome] = await take(pool, record(guest_name="مریم", marketing_consent=True))
    [event] = await emitted(pool, ContactLearned)
    assert outcome.customer_id is not None
    assert event.customer_id == outcome.customer_id
    assert event.marketing_consent is True
    place: dict[str, Any] = {"table": "visit.contacts", "row": outcome.customer_id}
    assert unseal(KEYS, event.phone_sealed, column="phone", **place) == "+989123456789"
    assert unseal(KEYS, event.name_sealed, column="name", **place) == "مریم"


async def test_known_guest_is_not_learned_again(pool: Pool) -> None:
    await take(pool, record(marketing_consent=True))
    later = (NOON + timedelta(days=1)).isoformat()
    await take(pool, record(receipt_number="2", marketing_consent=True, occurred_at=later))
    assert len(await emitted(pool, ContactLearned)) == 1


async def test_name_is_told_when_it_is_first_heard(pool: Pool) -> None:
    for number, name in (("1", None), ("2", "مریم"), ("3", "مریم جان")):
        await take(pool, record(receipt_number=number, guest_name=name))
    assert [event.name_sealed is not None for event in await emitted(pool, ContactLearned)] == [False, True]


@pytest.mark.parametrize("spelling", ["+98 912 345 6789", "۰۹۱۲۳۴۵۶۷۸۹", "00989123456789", 9123456789, "0912-345-6789"])
async def test_every_spelling_of_a_phone_is_the_same_guest(pool: Pool, spelling: Any) -> None:
    [first] = await take(pool, record())
    [second] = await take(pool, record(receipt_number="2", phone=spelling))
    assert (second.customer_id, second.visit_number) == (first.customer_id, 2)


async def test_visit_without_phone_is_anonymous(pool: Pool) -> None:
    [outcome] = await take(pool, record(phone=...))
    row = await visit_row(pool)
    assert (row["customer_id"], row["visit_number"]) == (None, None)
    [event] = await emitted(pool)
    assert (event.customer_id, event.key) == (None, outcome.visit_id)


async def test_repeat_gets_the_first_visit_and_has_no_effect(pool: Pool) -> None:
    event_id = new_id()
    [first] = await take(pool, record(event_id=event_id))
    before = await pool.fetch("SELECT * FROM crm.outbox")
    again = await take(
        pool, record(event_id=event_id), record(event_id=new_id()), record(), record(phone="+989123456789")
    )
    assert statuses(again) == ["repeated"] * 4
    assert {(each.visit_id, each.customer_id, each.visit_number) for each in again} == {
        (first.visit_id, first.customer_id, first.visit_number)
    }
    assert await pool.fetch("SELECT * FROM crm.outbox") == before
    assert await pool.fetchval("SELECT count(*) FROM customer_visits") == 1
    assert await pool.fetchval("SELECT last_number FROM visit_counters") == 1


async def test_repeat_inside_one_batch_is_one_visit(pool: Pool) -> None:
    outcomes = await take(pool, record(), record(), record(total="1"))
    assert statuses(outcomes) == ["recorded", "repeated", "receipt_conflict"]
    assert outcomes[1].visit_id == outcomes[0].visit_id
    assert await pool.fetchval("SELECT count(*) FROM customer_visits") == 1


@pytest.mark.parametrize(
    "change",
    [
        {"total": "185001"}, {"phone": "09120000000"}, {"phone": ...}, {"currency_unit": "IRR"}, {"table_number": "1"},
        {"occurred_at": "2026-03-21T12:00:01Z"}, {"items": []}, {"attributes": {"a": 1}}, {"points_to_redeem": 1},
        {"payment_method": "cash"}, {"notes": "x"}, {"discount": "1"},
    ],
)  # fmt: skip
async def test_same_receipt_with_another_body_is_refused(pool: Pool, change: dict[str, Any]) -> None:
    await take(pool, record())
    before = await visit_row(pool)
    outcomes = await take(pool, record(**change))
    assert statuses(outcomes) == ["receipt_conflict"]
    assert await visit_row(pool) == before
    assert len(await emitted(pool, VisitRecorded)) == 1


async def test_event_id_of_another_receipt_is_refused_and_loses_nothing(pool: Pool) -> None:
    event_id = new_id()
    outcomes = await take(pool, record(event_id=event_id), record(event_id=event_id, receipt_number="2"))
    assert statuses(outcomes) == ["recorded", "event_id_reused"]
    assert statuses(await take(pool, record(event_id=event_id, receipt_number="3"))) == ["event_id_reused"]
    assert statuses(await take(pool, record(event_id=new_id(), receipt_number="2"))) == ["recorded"]
    assert statuses(await take(pool, record(event_id=event_id, cafe_id=OTHER_CAFE))) == ["recorded"]


async def test_cafes_do_not_share_receipts_or_guests(pool: Pool) -> None:
    mine, theirs = await take(pool, record(), record(cafe_id=OTHER_CAFE))
    assert statuses([mine, theirs]) == ["recorded", "recorded"]
    assert mine.customer_id != theirs.customer_id
    hashes = [row["phone_hash"] for row in await pool.fetch("SELECT phone_hash FROM guests")]
    assert len(set(hashes)) == 2


async def test_visits_of_one_batch_are_numbered_by_their_time(pool: Pool) -> None:
    def at(hour: int, phone: str = PHONE) -> Any:
        moment = (NOON + timedelta(hours=hour)).isoformat()
        return record(receipt_number=f"{phone}-{hour}", occurred_at=moment, phone=phone)

    outcomes = await take(pool, at(3), at(1), at(2, "09120000000"), at(2))
    assert [outcome.visit_number for outcome in outcomes] == [3, 1, 1, 2]
    assert [outcome.visit_number for outcome in await take(pool, at(0))] == [4]


async def test_two_senders_of_one_receipt_make_one_visit(database: Databases) -> None:
    pools = [await database("visit", max_size=1) for _ in range(4)]
    for number in range(10):
        sent = [take(pool, record(receipt_number=str(number))) for pool in pools]
        outcomes = [outcome for [outcome] in await asyncio.gather(*sent)]
        assert sorted(statuses(outcomes)) == ["recorded", "repeated", "repeated", "repeated"]
        assert len({outcome.visit_id for outcome in outcomes}) == 1


async def test_batches_that_share_guests_and_devices_never_wait_in_a_circle(database: Databases) -> None:
    pools = [await database("visit", max_size=1) for _ in range(4)]

    async def send(sender: int) -> None:
        for turn in range(6):
            devices = [f"till-{number}" for number in range(8)]
            phones = [f"0912000000{number}" for number in range(8)]
            order = range(8) if sender % 2 else range(7, -1, -1)
            await take(
                pools[sender],
                *(
                    record(device_id=devices[n], phone=phones[(n + turn) % 8], receipt_number=f"{sender}-{turn}")
                    for n in order
                ),
            )

    await asyncio.gather(*(send(sender) for sender in range(4)))
    assert await pools[0].fetchval("SELECT count(*) FROM customer_visits") == 4 * 6 * 8
    counted = await pools[0].fetch("SELECT last_number FROM visit_counters")
    assert [row["last_number"] for row in counted] == [24] * 8


async def test_number_of_statements_does_not_grow_with_the_batch(database: Databases) -> None:
    pool = await database("visit", max_size=1)

    async def statements(count: int, prefix: str) -> int:
        seen: list[Any] = []
        numbers = range(count)
        commands = [record(receipt_number=f"{prefix}{n}", phone=f"0912{n:07d}", device_sequence=n) for n in numbers]
        async with db.transaction(pool) as conn:
            conn.add_query_logger(seen.append)
            await record_visits(conn, commands, keys=KEYS)
            conn.remove_query_logger(seen.append)
        return len(seen)

    await statements(3, "so that asyncpg knows the types")
    few = await statements(3, "few")
    assert few <= 8  # two of them for the numbering of devices
    assert await statements(300, "many") == few


async def test_branch_is_found_by_code_in_any_digits_or_by_id(pool: Pool) -> None:
    first, second = branch("V1"), branch("V2")
    await react(pool, on_branch_changed, first, second)
    outcomes = await take(
        pool,
        record(receipt_number="1", branch="v۱"),
        record(receipt_number="2", branch=str(second.branch_id).upper()),
        record(receipt_number="3"),
        record(receipt_number="4", branch="V3"),
    )
    assert statuses(outcomes) == ["recorded", "recorded", "recorded", "unknown_branch"]
    rows = await pool.fetch("SELECT branch_id FROM customer_visits ORDER BY receipt_number")
    assert [row["branch_id"] for row in rows] == [first.branch_id, second.branch_id, None]


async def test_refused_branch_may_be_sent_again_once_it_exists(pool: Pool) -> None:
    event_id = new_id()
    await react(pool, on_branch_changed, branch("V1"))
    command = record(branch="V2", event_id=event_id)
    assert statuses(await take(pool, command)) == ["unknown_branch"]
    assert await pool.fetchval("SELECT count(*) FROM guests") == 0
    await react(pool, on_branch_changed, branch("V2"))
    assert statuses(await take(pool, command)) == ["recorded"]


async def test_refused_bill_leaves_its_number_to_the_next_one_of_the_batch(pool: Pool) -> None:
    await react(pool, on_branch_changed, branch("V1"))
    outcomes = await take(pool, record(branch="V9"), record(branch="V1"), record(branch="V9"), record(branch="V1"))
    assert statuses(outcomes) == ["unknown_branch", "recorded", "unknown_branch", "repeated"]


async def test_cafe_without_branches_takes_any_branch(pool: Pool) -> None:
    assert statuses(await take(pool, record(branch="anything"))) == ["recorded"]
    assert (await visit_row(pool))["branch_id"] is None


async def gaps(pool: Pool) -> list[tuple[int, int]]:
    rows = await pool.fetch("SELECT missing_from, missing_to FROM device_gaps ORDER BY missing_from")
    return [(row["missing_from"], row["missing_to"]) for row in rows]


async def test_skipped_numbers_are_announced_once_and_closed_by_late_ones(pool: Pool) -> None:
    def sent(number: int) -> Any:
        return record(receipt_number=str(number), device_sequence=number)

    await take(pool, sent(10), sent(11))
    assert await emitted(pool, DeviceGapDetected) == []
    await take(pool, sent(15))
    await take(pool, sent(16), sent(15))
    [event] = await emitted(pool, DeviceGapDetected)
    assert (event.device_id, event.missing_from, event.missing_to) == ("till-1", 12, 14)
    assert isinstance(event.key, UUID)
    await take(pool, sent(13))
    assert await gaps(pool) == [(12, 12), (14, 14)]
    await take(pool, sent(14), sent(12))
    assert await gaps(pool) == []
    assert len(await emitted(pool, DeviceGapDetected)) == 1


async def test_refused_message_leaves_its_number_missing(pool: Pool) -> None:
    await react(pool, on_branch_changed, branch("V1"))
    await take(pool, record(receipt_number="1", device_sequence=1))
    await take(pool, record(receipt_number="2", device_sequence=2, branch="V9"))
    await take(pool, record(receipt_number="3", device_sequence=3))
    assert await gaps(pool) == [(2, 2)]


@pytest.mark.parametrize("order", list(permutations([5, 1, 2, 4])), ids=str)
async def test_number_that_never_came_is_missing_in_whatever_order_the_others_come(
    pool: Pool, order: tuple[int, ...]
) -> None:
    for number in order:
        await take(pool, record(receipt_number=str(number), device_sequence=number))
    assert await gaps(pool) == [(3, 3)]
    told = await emitted(pool, DeviceGapDetected)
    assert any(event.missing_from <= 3 <= event.missing_to for event in told)


async def test_numbers_that_come_together_leave_the_same_gaps(pool: Pool) -> None:
    await take(pool, *(record(receipt_number=str(number), device_sequence=number) for number in (9, 5)))
    await take(pool, *(record(receipt_number=str(number), device_sequence=number) for number in (1, 12, 2, 4, 7)))
    assert await gaps(pool) == [(3, 3), (6, 6), (8, 8), (10, 11)]


async def test_device_whose_lowest_number_was_never_kept_is_followed_upwards_only(pool: Pool) -> None:
    await take(pool, record(receipt_number="10", device_sequence=10))
    await pool.execute("UPDATE till_devices SET lowest_sequence = NULL")
    await take(pool, record(receipt_number="5", device_sequence=5))
    await take(pool, record(receipt_number="12", device_sequence=12))
    assert await gaps(pool) == [(11, 11)]

"""What is left of an erased guest: amounts, days and numbers; no word, in whatever order things come."""

import itertools
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.visit.handlers import erasure, reactions, words
from services.visit.models.values import BillCommand
from services.visit.worker import REACTIONS
from shared.clock import now
from shared.database.db import Pool
from shared.events.customer import CustomerErased, CustomerProfiled
from shared.events.visit import ContactLearned, VisitRecorded
from shared.messaging.consumer import Consumer
from shared.persian.phone import phones_in
from shared.security import ids
from shared.security.crypto import seal
from tests.shared.records import FakeRecord, record_of
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

GUEST = ids.customer_id(KEYS, CAFE, "+989123456789")
WORD = "کلمه"
WORDS: dict[str, Any] = {
    "guest_name": WORD, "table_number": WORD, "server_name": WORD, "notes": WORD, "attributes": {WORD: WORD},
    "items": [
        {"name": WORD, "sku": WORD, "category": WORD, "quantity": 2, "amount": "120000"},
        {"name": WORD, "quantity": 1, "amount": "65000"},
    ],
}  # fmt: skip


@pytest.fixture
async def pool(database: Databases) -> Pool:
    return await database("visit")


def erased(at: datetime | None = None) -> CustomerErased:
    return CustomerErased(cafe_id=CAFE, occurred_at=at or now(), customer_id=GUEST)


async def erase(pool: Pool, at: datetime | None = None) -> None:
    await react(pool, reactions.on_customer_erased, erased(at), keys=KEYS)


async def everything(pool: Pool) -> str:
    """All rows of all tables, with what is sealed opened; events on their way are not rows that stay."""
    tables = await pool.fetch(
        "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
        " AND relnamespace IN ('public'::regnamespace, 'crm'::regnamespace) AND relname <> 'outbox'"
        " AND has_table_privilege(oid, 'SELECT')"
    )
    rows = [dict(row) for table in tables for row in await pool.fetch(f"SELECT * FROM {table['name']}")]
    return "\n".join(str(words.in_clear(KEYS, row) if "words_sealed" in row else row) for row in rows)


async def test_erasure_keeps_sums_and_leaves_no_word(pool: Pool) -> None:
    await take(pool, record(**WORDS))
    await take(pool, void(reason=WORD))
    assert WORD in await everything(pool)
    before = await visit_row(pool)
    await erase(pool)
    row = await visit_row(pool)
    assert WORD not in await everything(pool)
    for kept in ("final_amount", "visit_number", "customer_id", "visit_date", "item_count", "voided_at"):
        assert row[kept] == before[kept]
    assert [(line["quantity"], line["amount"]) for line in row["items_ordered"]] == [
        ("2", "120000.00"),
        ("1", "65000.00"),
    ]
    assert await pool.fetchval("SELECT count(*) FROM guests") == 0


async def test_profile_from_before_the_erasure_does_not_bring_the_number_back(pool: Pool) -> None:
    profile = CustomerProfiled(
        cafe_id=CAFE, customer_id=GUEST, occurred_at=NOON, recorded_at=now(), version=1, registered_at=NOON,
        phone_sealed=seal(KEYS, "+989123456789", table="customer.profiles", column="phone", row=GUEST),
    )  # fmt: skip
    await erase(pool)
    await react(pool, reactions.on_customer_profiled, profile, keys=KEYS)
    assert await pool.fetchval("SELECT count(*) FROM guests") == 0


CHANGES: list[BillCommand] = [record(**WORDS), correction(total="90000", **WORDS), void(reason=WORD)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
@pytest.mark.parametrize("erased_after", range(4))
async def test_no_word_stays_whatever_comes_before_or_after_the_erasure(
    pool: Pool, order: Sequence[int], erased_after: int
) -> None:
    moment = now()
    for place, which in enumerate(order):
        if place == erased_after:
            await erase(pool, moment)
        [outcome] = await take(pool, CHANGES[which])
        assert outcome.status != "refused"
    if erased_after == len(order):
        await erase(pool, moment)
    assert statuses(await take(pool, *CHANGES))[0] == "repeated"
    # A reason that waits for its bill is about nobody yet.
    assert WORD not in await everything(pool)
    assert not [e for e in await emitted(pool, ContactLearned) if erased_after == 0]
    row = await visit_row(pool)
    assert row["final_amount"] in (185000, 90000)
    assert row["voided_at"] is not None


async def test_guest_comes_back_by_a_new_bill_and_the_late_one_stays_nobodys(pool: Pool) -> None:
    await take(pool, record(**WORDS))
    await erase(pool)
    late, new = record(receipt_number="2", marketing_consent=True, **WORDS), record(
        receipt_number="3", occurred_at=(now() + timedelta(minutes=1)).isoformat(), guest_name="مریم",
        marketing_consent=False,
    )  # fmt: skip
    outcomes = await take(pool, late, new)
    assert [outcome.customer_id for outcome in outcomes] == [None, GUEST]
    assert [event.customer_id for event in await emitted(pool, VisitRecorded)] == [GUEST, None, GUEST]
    *_, back = await emitted(pool, ContactLearned)
    assert (back.customer_id, back.marketing_consent, back.name_sealed is not None) == (GUEST, False, True)
    assert len(await emitted(pool, ContactLearned)) == 2
    # Going through the erasure again does not send away who is back.
    await check_again(pool)
    assert await pool.fetchval("SELECT count(*) FROM guests") == 1


async def check_again(pool: Pool) -> None:
    """Goes through all erasures once more, as if some minutes had passed."""
    await pool.execute("UPDATE erased_guests SET erased_at = erased_at - interval '5 minutes'")
    assert await erasure.forget_late(pool) == 1
    assert await erasure.forget_late(pool) == 0


async def test_bill_that_did_not_know_of_the_erasure_loses_its_words_soon(pool: Pool) -> None:
    await erase(pool)
    [kept] = await pool.fetch("DELETE FROM erased_guests RETURNING *")
    await take(pool, record(**WORDS))
    await pool.execute("INSERT INTO erased_guests VALUES ($1, $2, $3, $4)", *kept)
    assert WORD in await everything(pool)
    await check_again(pool)
    assert WORD not in await everything(pool)


async def test_words_of_the_version_before_are_sealed_and_read_meanwhile(pool: Pool) -> None:
    [outcome] = await take(pool, record())
    await pool.execute("UPDATE customer_visits SET visit_notes = $1, attributes = '{\"a\": 1}'", WORD)
    assert words.in_clear(KEYS, await visit_row(pool))["visit_notes"] == WORD
    assert await words.seal_older(pool, keys=KEYS) == 1
    row = await visit_row(pool)
    assert (row["visit_notes"], row["attributes"]) == (None, {})
    opened = words.in_clear(KEYS, row)
    assert (opened["visit_notes"], opened["attributes"]) == (WORD, {"a": 1})
    assert await words.seal_older(pool, keys=KEYS) == 0
    # The version before corrects the bill: its words are the newer ones.
    await pool.execute("UPDATE customer_visits SET visit_notes = NULL, attributes = '{}'")
    assert words.in_clear(KEYS, await visit_row(pool))["visit_notes"] is None
    assert outcome.visit_id == row["id"]


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"phone": "۰۹۱۲ ۳۴۵ ۶۷۸۹", "total": "-1", "guest_name": WORD}).encode(),
        b'{"phone": "+98 (912) 345-6789", broken ' + WORD.encode(),
        b'{"notes": "\\u06f0912\\u200c3456789", "total": ',
    ],
)
async def test_parked_records_with_the_guests_number_are_emptied(pool: Pool, body: bytes) -> None:
    other = json.dumps({"phone": "09120000000", "total": "-1"}).encode()
    headers = [
        ("ce_id", WORD.encode()),
        ("ce_type", b"pos.visit_recorded"),
        ("pos_key_id", b"k"),
        ("pos_signature", b"s"),
    ]
    records = [FakeRecord("pos.visits", each, headers, offset=at) for at, each in enumerate((body, other))]
    await Consumer("visit", pool, REACTIONS, KEYS).handle(records)
    assert await pool.fetchval("SELECT count(*) FROM crm.parked WHERE status = 'parked'") == 2
    await erase(pool)
    [emptied, kept] = await pool.fetch("SELECT * FROM crm.parked ORDER BY record_offset")
    assert (emptied["status"], emptied["resolution"], emptied["body_sealed"]) == ("discarded", "erased", None)
    assert (emptied["headers_sealed"], emptied["event_id"], emptied["reason"]) == ("", None, "unknown_key")
    assert (kept["status"], kept["body_sealed"] is None) == ("parked", False)


async def test_parked_profile_of_the_guest_is_emptied(pool: Pool) -> None:
    bad = CustomerProfiled(
        cafe_id=CAFE, customer_id=GUEST, occurred_at=NOON, version=1, phone_sealed="s1.no.no", registered_at=NOON
    )
    await Consumer("visit", pool, REACTIONS, KEYS).handle([record_of(bad)])
    await erase(pool)
    assert await pool.fetchval("SELECT status::text FROM crm.parked") == "discarded"


@pytest.mark.parametrize(
    "text", ["زنگ بزن ۰۹۱۲-۳۴۵-۶۷۸۹ عصر", "call 0098 912 345 67 89.", '{"a": 9123456789}', "00989123456789"]
)
def test_number_is_found_in_a_text_of_any_kind(text: str) -> None:
    assert "+989123456789" in phones_in(text)


def test_amounts_and_receipts_are_no_numbers_of_guests() -> None:
    assert phones_in('{"receipt_number": "14050101-1", "total": "185000", "at": "2026-03-21T12:00:00Z"}') == set()


async def test_second_bill_of_the_same_batch_is_nobodys_too(pool: Pool) -> None:
    await erase(pool)
    outcomes = await take(pool, record(receipt_number="1"), record(receipt_number="2", phone=PHONE))
    assert {outcome.customer_id for outcome in outcomes} == {None}

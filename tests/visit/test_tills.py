"""Signed records on `pos.visits`: who is believed, what is parked and under which word."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from services.visit.handlers.tills import event_id_of
from services.visit.worker import REACTIONS
from shared.clock import new_id
from shared.database.db import Pool
from shared.events.identity import ApiKeyCreated, ApiKeyRevoked
from shared.events.visit import VisitRecorded
from shared.messaging import parked
from shared.messaging.consumer import Consumer
from shared.security import ids
from shared.security.access import on_api_key_created, on_api_key_revoked
from shared.security.crypto import seal
from tests.shared.records import FakeRecord
from tests.support import Databases
from tests.visit.given import CAFE, KEYS, NOON, OTHER_CAFE, bill, emitted, react, visit_row

KEY = ids.ApiKey("ABCDEFGHJKLM", "s" * 43)


@pytest.fixture
async def pool(database: Databases) -> Pool:
    pool = await database("visit")
    await know(pool)
    return pool


async def know(pool: Pool, key: ids.ApiKey = KEY, cafe_id: UUID = CAFE, **facts: Any) -> None:
    signing = ids.signing_key(key.secret).hex()
    known: dict[str, Any] = {"scopes": ["ingest"], "device_name": "till"}
    event = ApiKeyCreated(
        cafe_id=cafe_id,
        occurred_at=NOON,
        key_id=key.key_id,
        key_hash=ids.hash_api_key(key).hex(),
        signing_key_sealed=seal(KEYS, signing, table="till_keys", column="signing_key_sealed", row=key.key_id),
        **known | facts,
    )
    await react(pool, on_api_key_created, event)


def signed(
    body: dict[str, Any] | bytes | None,
    kind: str = "pos.visit_recorded",
    key: ids.ApiKey = KEY,
    **headers: bytes | None,
) -> FakeRecord:
    raw = msgspec.json.encode(body) if isinstance(body, dict) else body
    event_id = str(new_id())
    signature = ids.sign(ids.signing_key(key.secret), event_id, kind, raw or b"")
    all_headers: dict[str, bytes | None] = {
        "ce_id": event_id.encode(),
        "ce_type": kind.encode(),
        "pos_key_id": key.key_id.encode(),
        "pos_signature": signature.encode(),
    }
    kept = {name: value for name, value in (all_headers | headers).items() if value is not None}
    return FakeRecord("pos.visits", raw, list(kept.items()), b"till-1")


async def consume(pool: Pool, *records: FakeRecord) -> list[tuple[str, str]]:
    """Gives the records to the worker's consumer; returns reason and detail of what was parked."""
    await Consumer("visit", pool, REACTIONS, KEYS).handle(list(records))
    async with pool.acquire() as conn:
        waiting = await parked.list_parked(conn)
    return [(row["reason"], row["detail"]) for row in waiting]


async def test_signed_visit_is_recorded_in_the_cafe_of_its_key(pool: Pool) -> None:
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert await consume(pool, signed(bill(), traceparent=trace)) == []
    assert (await visit_row(pool))["cafe_id"] == CAFE
    [event] = await emitted(pool, VisitRecorded)
    assert event.correlation_id.hex == "0af7651916cd43dd8448eb211c80319c"


async def test_all_three_kinds_are_taken(pool: Pool) -> None:
    receipt = {"device_id": "till-1", "receipt_number": "14050101-1"}
    correction = bill(total="1000", corrected_at="2026-03-21T13:00:00Z")
    void = receipt | {"voided_at": "2026-03-21T14:00:00Z"}
    records = signed(bill()), signed(correction, "pos.visit_corrected"), signed(void, "pos.visit_voided")
    assert await consume(pool, *records) == []
    row = await visit_row(pool)
    assert (row["total_amount"], row["voided_at"].hour) == (1000, 14)


async def test_event_id_may_be_any_text(pool: Pool) -> None:
    event_id, kind, raw = "receipt/17 of till-1", "pos.visit_recorded", msgspec.json.encode(bill())
    signature = ids.sign(ids.signing_key(KEY.secret), event_id, kind, raw)
    record = signed(raw, ce_id=event_id.encode(), pos_signature=signature.encode())
    assert await consume(pool, record, record) == []


HEX = "0198f0c2a6b77c3e8d51f2a40b9e6d17"


@pytest.mark.parametrize(
    "text",
    [HEX, HEX.upper(), str(UUID(HEX)), f"{{{UUID(HEX)}}}", f"{{{HEX[:16]}-{HEX[16:24]}-{HEX[24:]}}}", UUID(HEX).urn],
)
def test_event_id_that_is_a_uuid_is_that_one_in_every_spelling(text: str) -> None:
    assert event_id_of(CAFE, text) == UUID(HEX)


@pytest.mark.parametrize("text", ["", "17", HEX[1:], f"{HEX}0", "شماره ۱۷", f"{HEX[:-1]}g"])
def test_event_id_of_any_other_text_is_always_the_same_in_a_cafe_and_no_other(text: str) -> None:
    assert event_id_of(CAFE, text) == event_id_of(CAFE, text) != event_id_of(OTHER_CAFE, text)


FAULTS: dict[str, tuple[FakeRecord, str, str]] = {
    "unknown key": (signed(bill(), key=ids.ApiKey("ZZZZZZZZZZZZ", "s" * 43)), "unknown_key", "redrive"),
    "other secret": (signed(bill(), key=ids.ApiKey(KEY.key_id, "t" * 43)), "wrong_signature", "pos_signature"),
    "other type": (signed(bill(), ce_type=b"pos.visit_voided"), "wrong_signature", "pos_signature"),
    "other id": (signed(bill(), ce_id=b"another"), "wrong_signature", "pos_signature"),
    "no signature": (signed(bill(), pos_signature=None), "malformed", "pos_signature"),
    "no headers": (FakeRecord("pos.visits", b"{}"), "malformed", "ce_id, ce_type, pos_key_id, pos_signature"),
    "no body": (signed(None), "malformed", "no body"),
    "header is no text": (signed(bill(), pos_signature=b"\xff\xfe"), "wrong_signature", "pos_signature"),
    "kind of its own": (signed(bill(), "pos.visit_dreamt"), "unknown_type", "ce_type"),
    "long id": (
        signed(bill(), ce_id=b"x" * 201, pos_signature=b""),
        "malformed",
        "pos_signature",
    ),
    "no JSON": (signed(b'{"device_id":'), "malformed", "Invalid JSON"),
    "below zero": (signed(bill(total="-50000")), "malformed", "pos.visit_corrected"),
    "no object": (signed(b"[]"), "malformed", "body"),
    "two faults": (signed(bill(total=-1, phone="0912")), "malformed", "phone: Not a phone number"),
    "field of its own": (signed(bill(**{"09123456789": 1})), "malformed", "?: Extra inputs"),
    "in the future": (signed(bill(occurred_at="2099-01-01T00:00:00Z")), "malformed", "occurred_at: More than 24"),
    "cafe in the body": (signed(bill(cafe_id=str(OTHER_CAFE))), "malformed", "cafe_id: Extra inputs"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_bad_record_is_parked_alone_with_its_reason(pool: Pool, fault: str) -> None:
    record, code, words = FAULTS[fault]
    good = [signed(bill(receipt_number=number)) for number in ("1", "2")]
    [(reason, detail)] = await consume(pool, good[0], record, good[1])
    assert reason == code
    assert words in detail
    assert "9123456789" not in detail
    assert await pool.fetchval("SELECT count(*) FROM customer_visits") == 2


async def test_revoked_expired_and_lesser_keys_are_refused(pool: Pool) -> None:
    revoked, expired, reader = (ids.ApiKey(letter * 12, "s" * 43) for letter in "BCD")
    await know(pool, revoked)
    await react(pool, on_api_key_revoked, ApiKeyRevoked(cafe_id=CAFE, occurred_at=NOON, key_id=revoked.key_id))
    await know(pool, expired, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    await know(pool, reader, scopes=["loyalty_lookup"])
    faults = await consume(pool, *(signed(bill(), key=key) for key in (revoked, expired, reader)))
    assert sorted(reason for reason, _ in faults) == ["dead_key", "dead_key", "scope_missing"]


async def test_refused_bill_is_parked_under_its_own_word(pool: Pool) -> None:
    faults = await consume(pool, signed(bill()), signed(bill(total="1")))
    assert [reason for reason, _ in faults] == ["receipt_conflict"]


async def test_key_that_comes_later_loses_nothing(pool: Pool) -> None:
    late = ids.ApiKey("NNNNNNNNNNNN", "n" * 43)
    record = signed(bill(), key=late)
    [(reason, _)] = await consume(pool, record)
    assert reason == "unknown_key"
    await know(pool, late)
    async with pool.acquire() as conn:
        [row] = await parked.list_parked(conn)
        assert await parked.redrive(conn, [row["id"]], KEYS, "the key is here") == 1
        again = await conn.fetchrow("SELECT headers, payload FROM crm.outbox WHERE topic = 'pos.visits'")
    assert again is not None
    headers = [(name, value.encode()) for name, value in msgspec.json.decode(again["headers"])]
    assert await consume(pool, FakeRecord("pos.visits", again["payload"], headers)) == []
    assert (await visit_row(pool))["cafe_id"] == CAFE


async def test_one_batch_carries_many_cafes(pool: Pool) -> None:
    other = ids.ApiKey("EEEEEEEEEEEE", "e" * 43)
    await know(pool, other, OTHER_CAFE)
    assert await consume(pool, signed(bill()), signed(bill(), key=other)) == []
    cafes = await pool.fetch("SELECT cafe_id FROM customer_visits ORDER BY cafe_id")
    assert [row["cafe_id"] for row in cafes] == [CAFE, OTHER_CAFE]

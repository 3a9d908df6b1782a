"""What an erased guest leaves, and how they come back."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from services.customer.handlers import consents, customers
from services.customer.models.http import RecordConsent
from services.customer.models.values import Act
from services.customer.store import customers as store
from shared.clock import new_id, now
from shared.database.db import Pool, staff_transaction, transaction
from shared.events.campaign import ReplyReceived
from shared.events.customer import ConsentChanged
from tests.customer.given import CAFE, DAY, STAFF, cafe, emitted, guest_of, guests, learned, staff


@pytest.fixture
async def pool(database: Any) -> Pool:
    opened: Pool = await database("customer")
    await cafe(opened, now=now())
    await staff(opened)
    return opened


def act() -> Act:
    return Act(STAFF, now(), new_id())


async def erase(pool: Pool) -> None:
    async with staff_transaction(pool, STAFF) as conn:
        await customers.erase_customer(conn, guest_of(), act=act())


async def test_a_new_bill_brings_an_erased_guest_back_also_beside_a_late_one(pool: Pool) -> None:
    await guests(pool, learned(occurred_at=now() - timedelta(days=1), name="قدیمی"), now=now())
    await erase(pool)
    late = learned(occurred_at=now() - timedelta(hours=1), name="قدیمی", marketing_consent=True)
    await guests(pool, late, learned(occurred_at=now(), name="تازه"), now=now())
    async with transaction(pool) as conn:
        row = await store.get(conn, guest_of())
    assert row is not None
    assert row["name"] == "تازه"
    assert await pool.fetchval("SELECT count(*) FROM consents") == 0
    assert not [event for event in await emitted(pool) if isinstance(event, ConsentChanged)]


async def test_late_bill_alone_brings_neither_the_guest_nor_an_answer_back(pool: Pool) -> None:
    await guests(pool, learned(occurred_at=now() - timedelta(days=1)), now=now())
    await erase(pool)
    late = learned(occurred_at=now() - timedelta(hours=1), name="قدیمی", marketing_consent=True)
    await guests(pool, late, now=now())
    assert await pool.fetchval("SELECT count(*) FROM customers WHERE is_active") == 0
    assert await pool.fetchval("SELECT count(*) FROM consents") == 0


def test_where_an_answer_was_given_is_a_word_of_a_list() -> None:
    answer: dict[str, Any] = {"channel": "sms", "purpose": "marketing", "granted": True}
    assert RecordConsent(**answer, source="phone").source == "phone"
    with pytest.raises(ValidationError, match="source"):
        RecordConsent(**answer, source="برای آقای احمدی")


async def test_words_that_a_version_before_took_for_a_source_go(pool: Pool) -> None:
    await guests(pool, learned(marketing_consent=True), now=now())
    answer = RecordConsent(channel="sms", purpose="marketing", granted=True, source="phone")
    async with staff_transaction(pool, STAFF) as conn:
        await customers.record_consent(conn, guest_of(), answer, act=act())
        await conn.execute("UPDATE consent_history SET source = 'برای آقای احمدی' WHERE source = 'phone'")
    await erase(pool)
    assert {row["source"] for row in await pool.fetch("SELECT source FROM consent_history")} == {"staff", "till"}


async def test_answer_from_before_the_erasure_does_not_bind_who_came_back(pool: Pool) -> None:
    await guests(pool, learned(marketing_consent=True), now=now())
    await erase(pool)
    await guests(pool, learned(marketing_consent=True, occurred_at=now()), now=now())
    stop = ReplyReceived(cafe_id=CAFE, customer_id=guest_of().customer_id, occurred_at=now() - DAY, opted_out=True)
    async with transaction(pool) as conn:
        await consents.on_message_reply_received(conn, [stop])
    assert await pool.fetchval("SELECT granted FROM consents") is True

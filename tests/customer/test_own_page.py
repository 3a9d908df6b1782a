"""What a guest sees and says of themselves, by their own link alone."""

from datetime import datetime, timedelta
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI

from services.customer.handlers.customers import erase_customer
from services.customer.models.values import Act, GuestKey
from shared.clock import new_id, now
from shared.database.db import Pool, staff_transaction
from shared.events.customer import ConsentChanged
from shared.security.crypto import Keys
from shared.security.guest_links import LIVES, guest_token
from tests.customer.given import CAFE, KEYS, OTHER_CAFE, STAFF, emitted, guest_of, guests, learned

GUEST, OTHER = guest_of(), guest_of("+989121110000")


def link(guest: GuestKey = GUEST, made_at: datetime | None = None, keys: Keys = KEYS) -> dict[str, str]:
    return {"X-Guest-Link": guest_token(keys, *guest, made_at or now())}


@pytest.fixture
async def there(pool: Pool) -> None:
    await guests(pool, learned(), learned("+989121110000", name="نگار"), now=now())
    await emitted(pool)


async def test_card_says_what_is_allowed_until_the_guest_says(client: httpx2.AsyncClient, there: None) -> None:
    answer = await client.get("/guest/card", headers=link())
    assert answer.status_code == 200
    assert answer.json()["cafe_name"] == "کافه سروان"
    said = {(each["channel"], each["purpose"]): each["granted"] for each in answer.json()["consents"]}
    assert said == {("sms", "service"): True, ("sms", "marketing"): False}
    assert "نگار" not in answer.text


async def test_answer_counts_at_once_under_its_own_source_and_for_nobody_else(
    client: httpx2.AsyncClient, pool: Pool, there: None
) -> None:
    for granted in (True, False):
        body = {"channel": "sms", "purpose": "marketing", "granted": granted}
        answer = await client.put("/guest/consents", headers=link(), json=body)
        assert answer.status_code == 200
        shown = {each["purpose"]: each["granted"] for each in answer.json()["consents"]}
        assert shown["marketing"] is granted
        [told] = [each for each in await emitted(pool) if isinstance(each, ConsentChanged)]
        assert (told.customer_id, told.granted, told.source) == (GUEST.customer_id, granted, "guest_page")
    others = (await client.get("/guest/card", headers=link(OTHER))).json()["consents"]
    assert {each["purpose"]: each["granted"] for each in others}["marketing"] is False
    kept = await pool.fetch("SELECT source, recorded_by FROM consent_history WHERE source = 'guest_page'")
    assert [tuple(row) for row in kept] == [("guest_page", None)] * 2


async def test_link_dies_with_the_guest_and_does_not_come_back_with_them(
    client: httpx2.AsyncClient, pool: Pool, there: None
) -> None:
    before = link(made_at=now() - timedelta(hours=1))
    assert (await client.get("/guest/card", headers=before)).status_code == 200
    async with staff_transaction(pool, STAFF) as conn:
        await erase_customer(conn, GUEST, act=Act(STAFF, now(), new_id()))
    for call in (
        client.get("/guest/card", headers=before),
        client.put("/guest/consents", headers=before, json={"channel": "sms", "purpose": "service", "granted": True}),
    ):
        answer = await call
        assert (answer.status_code, answer.json()["code"]) == (401, "guest_link_gone")
    later = now() + timedelta(minutes=5)
    await guests(pool, learned(occurred_at=later), now=later)
    assert (await client.get("/guest/card", headers=before)).json()["code"] == "guest_link_gone"
    assert (await client.get("/guest/card", headers=link(made_at=later))).status_code == 200


async def test_wrong_cafe_forged_expired_and_missing_links_open_nothing(
    client: httpx2.AsyncClient, app: FastAPI, there: None
) -> None:
    elsewhere = GuestKey(OTHER_CAFE, GUEST.customer_id)
    others = Keys.from_secret("another-secret-that-nobody-here-has-set")
    for headers, code in (
        (link(elsewhere), "guest_link_gone"),
        (link(GuestKey(CAFE, uuid4())), "guest_link_gone"),
        (link(keys=others), "guest_link_unknown"),
        (link(made_at=now() - LIVES), "guest_link_over"),
        ({"X-Guest-Link": "x" * 68}, "guest_link_unknown"),
        ({}, "guest_link_unknown"),
    ):
        answer = await client.get("/guest/card", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, code)

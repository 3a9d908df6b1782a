"""What a guest sees of their visits, by their own link alone; and the link on the receipt."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from services.visit.api.app import make_app
from services.visit.handlers.reactions import on_customer_erased
from shared.clock import now
from shared.database.db import Pool, transaction
from shared.events.customer import CustomerErased
from shared.security.auth import Till
from shared.security.guest_links import guest_token, read_guest_token
from shared.web.dependencies import current_till
from tests.visit.given import CAFE, KEYS, NOON, bill, record, take, void

BASE = "http://crm.test"


@pytest.fixture
async def house(database: Any) -> AsyncIterator[tuple[Pool, httpx2.AsyncClient]]:
    pool: Pool = await database("visit")
    app = make_app()
    app.dependency_overrides[current_till] = lambda: Till(CAFE, "abcdefghijkl", ("ingest",))
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=BASE) as client,
    ):
        yield pool, client


def link(guest: UUID | None, made_at: Any = None) -> dict[str, str]:
    assert guest
    return {"X-Guest-Link": guest_token(KEYS, CAFE, guest, made_at or now())}


async def test_last_visits_are_the_guests_own_and_without_amounts(house: Any) -> None:
    pool, client = house
    first, *_ = await take(pool, *(
        record(receipt_number=str(n), occurred_at=(NOON - timedelta(days=n)).isoformat()) for n in range(12)
    ))  # fmt: skip
    other, *_ = await take(pool, record(receipt_number="90", phone="09121110000"))
    await take(pool, void(receipt_number="0"))
    mine = (await client.get("/guest/visits", headers=link(first.customer_id))).json()["visits"]
    assert len(mine) == 8
    assert [each["at"][:10] for each in mine[:2]] == ["2026-03-20", "2026-03-19"]
    assert set(mine[0]) == {"at", "branch", "points"}
    others = (await client.get("/guest/visits", headers=link(other.customer_id))).json()["visits"]
    assert len(others) == 1
    nobody = (await client.get("/guest/visits", headers=link(uuid4()))).json()["visits"]
    assert nobody == []


async def test_link_from_before_an_erasure_opens_nothing(house: Any) -> None:
    pool, client = house
    (first,) = await take(pool, record())
    async with transaction(pool) as conn:
        erased = CustomerErased(cafe_id=CAFE, occurred_at=now(), customer_id=first.customer_id)
        await on_customer_erased(conn, [erased], keys=KEYS)
    old = await client.get("/guest/visits", headers=link(first.customer_id, now() - timedelta(hours=1)))
    assert (old.status_code, old.json()["code"]) == (401, "guest_link_gone")
    new = await client.get("/guest/visits", headers=link(first.customer_id, now() + timedelta(minutes=2)))
    assert (new.status_code, new.json()["visits"]) == (200, [])


async def test_receipt_has_the_guests_link_and_a_repeat_has_the_same(house: Any) -> None:
    _, client = house
    body = bill()
    answers = [(await client.post("/visits", json=body)).json() for _ in range(2)]
    assert answers[0]["guest_link"] == answers[1]["guest_link"]
    found = read_guest_token(KEYS, answers[0]["guest_link"].rpartition("/")[2])
    assert (str(found.customer_id), found.cafe_id, found.made_at) == (answers[0]["customer_id"], CAFE, NOON)
    nobodys = await client.post("/visits", json=bill(receipt_number="2", phone=...))
    assert nobodys.json()["guest_link"] is None

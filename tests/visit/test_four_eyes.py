"""Bills that people enter and void by hand: what one may do in a day alone, and what waits for another."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI, Request

from services.visit.api.app import make_app
from services.visit.handlers.reactions import on_customer_erased
from shared.clock import new_id, now
from shared.database.db import Pool
from shared.events.customer import CustomerErased
from shared.events.identity import AccessGranted, AccessRevoked, CafeChanged
from shared.events.visit import VisitClaimed, VisitRecorded, VisitVoided
from shared.security.access import on_access_granted, on_access_revoked, on_cafe_changed
from shared.security.auth import Staff
from shared.web.dependencies import current_staff
from tests.support import Databases
from tests.visit.given import CAFE, KEYS, NOON, PHONE, bill, emitted, known_cafe, react, record, take, visit_row
from tests.visit.given import void as voiding

OWNER, ONE, TWO, CLERK = (new_id() for _ in range(4))
PEOPLE = {ONE: "manager", TWO: "manager", CLERK: "staff"}
MILLION = 1_000_000


@pytest.fixture
async def pool(database: Databases) -> Pool:
    pool = await database("visit")
    await known_cafe(pool, staff=OWNER, role="owner")
    for who, role in PEOPLE.items():
        event = AccessGranted(cafe_id=CAFE, occurred_at=NOON, version=1, user_id=who, role=role)  # type: ignore[arg-type]
        await react(pool, on_access_granted, event)
    return pool


@pytest.fixture
async def client(pool: Pool) -> AsyncIterator[httpx2.AsyncClient]:
    app = make_app()

    def caller(request: Request) -> Staff:
        return Staff(UUID(request.headers["x-who"]))

    app.dependency_overrides[current_staff] = caller
    async with _running(app) as client:
        yield client


def _running(app: FastAPI) -> Any:
    import contextlib

    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[httpx2.AsyncClient]:
        transport = httpx2.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://crm.test") as client,
        ):
            yield client

    return running()


async def enter(
    client: httpx2.AsyncClient, who: UUID, toman: int, key: str | None = None, **changes: Any
) -> httpx2.Response:
    body = bill(device_id=..., receipt_number=..., items=[], total=str(toman), **changes)
    headers = {"x-who": str(who)} | ({"Idempotency-Key": key} if key else {})
    return await client.post(f"/cafes/{CAFE}/visits", json=body, headers=headers)


async def waiting(client: httpx2.AsyncClient, who: UUID) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get(f"/cafes/{CAFE}/approvals", headers={"x-who": str(who)})).json()
    return found


async def decide(client: httpx2.AsyncClient, who: UUID, what: dict[str, Any], *, approve: bool = True) -> int:
    answer = await client.post(what["decide_at"], json={"approve": approve}, headers={"x-who": str(who)})
    return answer.status_code


async def leave(pool: Pool, *people: UUID) -> None:
    for who in people:
        event = AccessRevoked(cafe_id=CAFE, occurred_at=NOON, version=2, user_id=who)
        await react(pool, on_access_revoked, event)


async def test_staff_enter_their_own_small_bills_and_a_manager_larger_ones(client: httpx2.AsyncClient) -> None:
    assert (await enter(client, CLERK, 2 * MILLION)).status_code == 201
    assert (await enter(client, CLERK, 1)).status_code == 202
    assert (await enter(client, ONE, 10 * MILLION)).status_code == 201
    assert (await enter(client, ONE, 1)).status_code == 202


async def test_many_small_bills_are_one_large_one(client: httpx2.AsyncClient) -> None:
    answers = await asyncio.gather(*(enter(client, CLERK, 500_000, phone=f"0912000{n:04}") for n in range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] * 4 + [202] * 6


async def test_rial_and_discount_are_understood(client: httpx2.AsyncClient) -> None:
    assert (await enter(client, CLERK, 20 * MILLION, currency_unit="IRR")).status_code == 201
    assert (await enter(client, TWO, 12 * MILLION, discount=str(2 * MILLION))).status_code == 201


async def test_what_waits_is_no_visit_until_another_agrees(client: httpx2.AsyncClient, pool: Pool) -> None:
    first = await enter(client, CLERK, 5 * MILLION, key="form-1")
    again = await enter(client, CLERK, 5 * MILLION, key="form-1")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert await emitted(pool, VisitRecorded) == []
    [large] = await waiting(client, ONE)
    assert (large["kind"], large["amount"], large["currency_unit"]) == ("bill", "5000000.00", "IRT")
    assert (large["asked_by"], large["what"]["total"]) == (str(CLERK), "5000000.00")
    assert PHONE not in str(large)
    assert (await client.get(f"/cafes/{CAFE}/approvals", headers={"x-who": str(CLERK)})).status_code == 403
    assert await decide(client, CLERK, large) == 403
    assert await asyncio.gather(decide(client, ONE, large), decide(client, TWO, large)) == [200, 200]
    [event] = await emitted(pool, VisitRecorded)
    assert event.final_amount == 5 * MILLION
    row = await visit_row(pool, first.json()["entry_id"])
    assert (row["created_by"], row["device_id"]) == (CLERK, f"staff:{CLERK}")
    repeated = await enter(client, CLERK, 5 * MILLION, key="form-1")
    assert (repeated.status_code, repeated.json()["visit_id"]) == (200, str(row["id"]))
    # What another agreed to leaves the clerk's own day as it was.
    assert (await enter(client, CLERK, 2 * MILLION)).status_code == 201


async def test_another_bill_under_the_key_of_one_that_waits_is_a_conflict(client: httpx2.AsyncClient) -> None:
    await enter(client, CLERK, 5 * MILLION, key="form-1")
    assert (await enter(client, CLERK, 6 * MILLION, key="form-1")).status_code == 409
    assert (await enter(client, ONE, 5 * MILLION, key="form-1")).status_code == 409


async def test_declined_bill_never_becomes_a_visit(client: httpx2.AsyncClient, pool: Pool) -> None:
    await enter(client, CLERK, 5 * MILLION, key="form-1")
    [large] = await waiting(client, ONE)
    assert await decide(client, ONE, large, approve=False) == 200
    assert await decide(client, TWO, large) == 409
    assert (await enter(client, CLERK, 5 * MILLION, key="form-1")).status_code == 409
    assert await emitted(pool, VisitRecorded) == []
    assert await pool.fetchval("SELECT count(*) FROM hand_entries WHERE body_sealed IS NOT NULL") == 0


async def test_repeat_of_a_bill_is_no_second_bill_of_the_day(client: httpx2.AsyncClient) -> None:
    statuses = [(await enter(client, CLERK, 1_500_000, key="form-1")).status_code for _ in range(3)]
    assert statuses == [201, 200, 200]
    assert (await enter(client, CLERK, 500_000)).status_code == 201


@pytest.mark.parametrize("who", [CLERK, ONE, OWNER])
@pytest.mark.parametrize("alone", [True, False])
async def test_two_billion_by_hand_are_refused_whoever_it_is(
    client: httpx2.AsyncClient, pool: Pool, who: UUID, alone: bool
) -> None:
    if alone:
        await leave(pool, *({OWNER, ONE, TWO, CLERK} - {who}))
    for large in ({"toman": 2_000 * MILLION}, {"toman": 20_000 * MILLION, "currency_unit": "IRR"}):
        answer = await enter(client, who, large.pop("toman"), **large)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "total")
    assert await emitted(pool, VisitRecorded) == []


async def test_one_person_cafe_enters_what_it_sold(client: httpx2.AsyncClient, pool: Pool) -> None:
    await leave(pool, ONE, TWO)
    assert (await enter(client, OWNER, 30 * MILLION)).status_code == 201
    # Somebody else there is not the owner.
    assert (await enter(client, CLERK, 30 * MILLION)).status_code == 202
    [large] = await waiting(client, OWNER)
    assert await decide(client, OWNER, large) == 200


async def test_policy_decides(client: httpx2.AsyncClient, pool: Pool) -> None:
    cafe: dict[str, Any] = {"name": "کافه", "time_zone": "Asia/Tehran", "calendar": "jalali", "currency_unit": "IRT"}
    policy = {"approval_when": "above", "approval_amount": 100, "approval_staff_amount": 10}
    await react(pool, on_cafe_changed, CafeChanged(cafe_id=CAFE, occurred_at=NOON, version=2, **cafe, **policy))
    await leave(pool, ONE, TWO)
    assert [(await enter(client, OWNER, amount)).status_code for amount in (100, 1)] == [201, 202]
    assert [(await enter(client, CLERK, amount)).status_code for amount in (10, 1)] == [201, 202]


async def test_manager_who_is_left_alone_decides_what_waits(client: httpx2.AsyncClient, pool: Pool) -> None:
    await enter(client, ONE, 20 * MILLION)
    [large] = await waiting(client, ONE)
    assert (large["may_decide"], await decide(client, ONE, large)) == (False, 403)
    await leave(pool, OWNER, TWO)
    assert await decide(client, TWO, large) == 404
    assert await decide(client, ONE, large) == 200


async def test_bill_of_somebody_who_left_is_still_decided(client: httpx2.AsyncClient, pool: Pool) -> None:
    await enter(client, CLERK, 5 * MILLION)
    [large] = await waiting(client, ONE)
    await leave(pool, CLERK)
    assert await decide(client, ONE, large) == 200
    assert len(await emitted(pool, VisitRecorded)) == 1


async def void(client: httpx2.AsyncClient, who: UUID, visit_id: UUID | None) -> int:
    answer = await client.post(
        f"/cafes/{CAFE}/visits/{visit_id}/void", json={"reason": "دو بار ثبت شد"}, headers={"x-who": str(who)}
    )
    return answer.status_code


async def test_voids_count_in_the_day_and_wait_like_bills(client: httpx2.AsyncClient, pool: Pool) -> None:
    outcomes = await take(pool, *(record(receipt_number=str(n), total=str(6 * MILLION), items=[]) for n in range(2)))
    first, second = [outcome.visit_id for outcome in outcomes]
    assert [await void(client, ONE, first), await void(client, ONE, second)] == [200, 202]
    assert await void(client, ONE, second) == 202
    assert [event.visit_id for event in await emitted(pool, VisitVoided)] == [first]
    [large] = await waiting(client, TWO)
    assert (large["kind"], large["what"]["reason"]) == ("void", "دو بار ثبت شد")
    assert await decide(client, ONE, large) == 403
    assert await decide(client, TWO, large) == 200
    assert [event.visit_id for event in await emitted(pool, VisitVoided)] == [first, second]
    assert (await enter(client, ONE, 4 * MILLION)).status_code == 201
    assert (await enter(client, ONE, 1)).status_code == 202


async def test_void_that_gives_many_points_back_waits(client: httpx2.AsyncClient, pool: Pool) -> None:
    outcomes = await take(pool, *(record(receipt_number=str(n)) for n in range(2)))
    await pool.execute("UPDATE customer_visits SET points_redeemed = 600")
    assert [await void(client, ONE, outcome.visit_id) for outcome in outcomes] == [200, 202]


async def test_erasure_empties_and_ends_what_waits(client: httpx2.AsyncClient, pool: Pool) -> None:
    await enter(client, CLERK, 5 * MILLION, notes="تلفنی")
    guest = await pool.fetchval("SELECT customer_id FROM hand_entries")
    [large] = await waiting(client, ONE)
    await react(pool, on_customer_erased, CustomerErased(cafe_id=CAFE, customer_id=guest, occurred_at=now()), keys=KEYS)
    row = await pool.fetchrow("SELECT body_sealed, state FROM hand_entries")
    assert tuple(row or ()) == (None, "declined")
    assert await decide(client, ONE, large) == 409


async def test_what_waits_is_sealed(client: httpx2.AsyncClient, pool: Pool) -> None:
    await enter(client, CLERK, 5 * MILLION, guest_name="سارا", notes="تلفنی")
    row = str(dict(await pool.fetchrow("SELECT * FROM hand_entries") or {}))
    assert not any(word in row for word in ("سارا", "تلفنی", PHONE[1:]))


async def claim(client: httpx2.AsyncClient, who: UUID, visit_id: UUID | None, phone: str = PHONE) -> httpx2.Response:
    body = {"phone": phone, "name": "مریم"}
    return await client.post(f"/cafes/{CAFE}/visits/{visit_id}/claim", json=body, headers={"x-who": str(who)})


async def test_staff_claim_a_bill_of_nobody_for_its_guest(client: httpx2.AsyncClient, pool: Pool) -> None:
    yesterday = (now() - timedelta(days=1)).isoformat()
    [outcome] = await take(pool, record(phone=..., occurred_at=yesterday))
    first = await claim(client, CLERK, outcome.visit_id)
    assert (first.status_code, first.json()["visit_number"]) == (200, 1)
    again = await claim(client, TWO, outcome.visit_id, "۰۹۱۲ ۳۴۵ ۶۷۸۹")
    assert (again.status_code, again.json()) == (200, first.json())
    assert len(await emitted(pool, VisitClaimed)) == 1
    other = await claim(client, ONE, outcome.visit_id, "09120000000")
    assert (other.status_code, other.json()["code"]) == (409, "already_claimed")
    named = (await take(pool, record(receipt_number="2", occurred_at=yesterday)))[0]
    assert (await claim(client, ONE, named.visit_id, "09120000000")).json()["code"] == "guest_change"
    old = (now() - timedelta(days=8)).isoformat()
    late = (await take(pool, record(phone=..., receipt_number="3", occurred_at=old)))[0]
    refused = await claim(client, ONE, late.visit_id)
    assert (refused.status_code, refused.json()["code"]) == (410, "claim_too_late")
    gone = (
        await take(pool, record(phone=..., receipt_number="4", occurred_at=yesterday), voiding(receipt_number="4"))
    )[0]
    assert (await claim(client, ONE, gone.visit_id)).json()["code"] == "voided"
    assert (await claim(client, ONE, new_id())).status_code == 404


async def test_claims_count_as_bills_entered_by_hand(client: httpx2.AsyncClient, pool: Pool) -> None:
    yesterday = (now() - timedelta(days=1)).isoformat()
    bills = [record(phone=..., receipt_number=str(n), occurred_at=yesterday, total="1500000", items=[]) for n in (1, 2)]
    one, two = await take(pool, *bills)
    assert (await claim(client, CLERK, one.visit_id)).status_code == 200
    waits = await claim(client, CLERK, two.visit_id)
    assert (waits.status_code, waits.json()["kind"], waits.json()["state"]) == (202, "claim", "pending")
    assert (await claim(client, CLERK, two.visit_id)).json() == waits.json()
    assert (await claim(client, ONE, two.visit_id, "09120000000")).json()["code"] == "claim_waits"
    assert len(await emitted(pool, VisitClaimed)) == 1
    [shown] = await waiting(client, ONE)
    assert (shown["kind"], shown["what"]["visit_id"], shown["what"]["name"]) == ("claim", str(two.visit_id), "مریم")
    assert PHONE[1:] not in str(shown)
    decided = await client.post(shown["decide_at"], json={"approve": True}, headers={"x-who": str(ONE)})
    assert (decided.status_code, decided.json()["state"]) == (200, "entered")
    assert (await emitted(pool, VisitClaimed))[1].visit_id == two.visit_id
    assert await pool.fetchval("SELECT count(*) FROM hand_entries WHERE body_sealed IS NOT NULL") == 0

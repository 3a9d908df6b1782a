"""What tills and people get over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx2
import msgspec
import pytest
from fastapi import FastAPI

from services.visit.api.app import make_app
from services.visit.handlers import upkeep
from services.visit.handlers.reactions import on_branch_changed
from shared.clock import new_id, now
from shared.database.db import Pool
from shared.events.visit import VisitRecorded, VisitVoided
from shared.security import ids
from shared.security.auth import Staff
from shared.web.dependencies import current_staff
from tests.support import Databases
from tests.visit.given import (
    CAFE,
    KEYS,
    NOON,
    OTHER_CAFE,
    STAFF,
    bill,
    branch,
    emitted,
    known_cafe,
    react,
    record,
    take,
    visit_row,
)
from tests.visit.test_tills import know

KEY = ids.generate_api_key()
OTHER_KEY = ids.generate_api_key()
READER = ids.generate_api_key()


@pytest.fixture
async def pool(database: Databases) -> Pool:
    pool = await database("visit")
    await known_cafe(pool)
    await known_cafe(pool, OTHER_CAFE, staff=new_id())
    await know(pool, KEY)
    await know(pool, OTHER_KEY, OTHER_CAFE)
    await know(pool, READER, scopes=["loyalty_lookup"])
    return pool


@pytest.fixture
async def app(pool: Pool) -> AsyncIterator[FastAPI]:
    app = make_app()
    app.dependency_overrides[current_staff] = lambda: Staff(STAFF)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://crm.test") as client:
        yield client


@pytest.fixture
def till(client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    client.headers["X-Api-Key"] = KEY.text
    return client


async def test_till_records_a_visit_once_and_gets_the_same_answer(till: httpx2.AsyncClient, pool: Pool) -> None:
    first = await till.post("/visits", json=bill())
    second = await till.post("/visits", json=bill())
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.content == second.content
    row = await visit_row(pool)
    link = f"/f/{ids.feedback_token(KEYS, CAFE, row['id'])}?s=q"
    answer = first.json()
    assert answer.pop("feedback_link").endswith(link)
    assert "/g/" in answer.pop("guest_link")
    assert answer == {"visit_id": str(row["id"]), "customer_id": str(row["customer_id"]), "visit_number": 1}
    shown = await till.get("/visits/till-1/14050101-1")
    batch = await till.post("/visits/batch", json={"visits": [bill(), bill(total="-1")]})
    assert shown.json()["feedback_link"].endswith(link)
    assert batch.json()["results"][0]["feedback_link"].endswith(link)
    assert "feedback_link" not in batch.json()["results"][1]
    assert row["cafe_id"] == CAFE
    assert len(await emitted(pool, VisitRecorded)) == 1


async def test_bills_that_come_together_are_written_together_and_answered_apart(
    till: httpx2.AsyncClient, pool: Pool
) -> None:
    other = {"X-Api-Key": OTHER_KEY.text}
    bills = [bill(receipt_number=str(number)) for number in range(30)]
    answers = await asyncio.gather(
        *(till.post("/visits", json=each) for each in bills),
        till.post("/visits", json=bills[0]),
        till.post("/visits", json=bill(receipt_number="1", total="1")),
        till.post("/visits", json=bill(receipt_number="31", total="-1")),
        till.post("/visits", json=bills[0], headers={"X-Api-Key": READER.text}),
        till.post("/visits", json=bills[0], headers={"X-Api-Key": KEY.text[:-1]}),
        till.post("/visits", json=bills[0], headers=other),
    )
    assert [answer.status_code for answer in answers] == [201] * 30 + [200, 409, 422, 403, 401, 201]
    assert answers[30].content == answers[0].content
    rows = await pool.fetch("SELECT cafe_id, count(*) AS visits, count(DISTINCT xmin::text) AS commits "
                            "FROM customer_visits GROUP BY cafe_id")  # fmt: skip
    counts = {row["cafe_id"]: (row["visits"], row["commits"]) for row in rows}
    assert counts[OTHER_CAFE] == (1, 1)
    assert counts[CAFE][0] == 30
    assert counts[CAFE][1] < 10


async def test_kafka_and_http_know_the_same_bills(till: httpx2.AsyncClient, pool: Pool) -> None:
    [outcome] = await take(pool, record(event_id=new_id()))
    answer = await till.post("/visits", json=bill(phone="+98 912 345 6789"))
    assert (answer.status_code, answer.json()["visit_id"]) == (200, str(outcome.visit_id))


async def test_another_bill_under_the_same_number_is_a_conflict(till: httpx2.AsyncClient) -> None:
    await till.post("/visits", json=bill())
    answer = await till.post("/visits", json=bill(total="1"))
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "receipt_conflict"
    assert answer.json()["errors"][0]["field"] == "receipt_number"


async def test_idempotency_key_belongs_to_one_bill(till: httpx2.AsyncClient) -> None:
    headers = {"Idempotency-Key": "order 17"}
    statuses = [
        (await till.post("/visits", json=bill(receipt_number=number), headers=headers)).status_code
        for number in ("1", "1", "2")
    ]
    assert statuses == [201, 200, 409]


async def test_every_faulty_field_is_named_in_both_languages(till: httpx2.AsyncClient, pool: Pool) -> None:
    body = bill(total=-5, phone="0912", occurred_at="yesterday", cafe_id=str(OTHER_CAFE), items=[{"quantity": 0}])
    answer = await till.post("/visits", json=body)
    assert answer.status_code == 422
    errors = {error["field"]: error for error in answer.json()["errors"]}
    assert set(errors) == {"total", "phone", "occurred_at", "cafe_id", "items.0.name", "items.0.quantity"}
    assert all(
        error["en"] and any("\u0600" <= letter <= "\u06ff" for letter in error["fa"]) for error in errors.values()
    )
    assert "0912" not in answer.text
    assert await pool.fetchval("SELECT count(*) FROM visit_receipts") == 0


async def test_numbers_are_read_digit_by_digit(till: httpx2.AsyncClient, pool: Pool) -> None:
    body = msgspec.json.encode(bill()).replace(b'"185000"', b"999999999999.07")
    answer = await till.post("/visits", content=body)
    assert answer.status_code == 201
    assert (await visit_row(pool))["total_amount"] == Decimal("999999999999.07")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 5000, b'{"device_id": "\\ud800"}', b"null", b"1"])
async def test_what_is_no_bill_is_answered(till: httpx2.AsyncClient, body: bytes) -> None:
    for route in ("/visits", "/visits/batch", "/visits/corrections", "/visits/voids"):
        answer = await till.post(route, content=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


async def test_huge_bill_is_refused(till: httpx2.AsyncClient) -> None:
    assert (await till.post("/visits", json=bill(notes="x" * 2**20))).status_code == 413
    assert (await till.post("/visits/batch", content=b" " * (8 * 2**20 + 1))).status_code == 413


async def test_bills_above_the_bound_are_refused_one_by_one_and_harm_no_other(
    till: httpx2.AsyncClient, pool: Pool
) -> None:
    above = [
        bill(receipt_number=str(number), total=total, currency_unit=unit)
        for number, (total, unit) in enumerate(
            [("9999999999999999", "IRT")] * 300 + [("1000000000000.01", "IRT"), ("10000000000001", "IRR")]
        )
    ]
    good = bill(receipt_number="good", total="1000000000000")
    answers = (await till.post("/visits/batch", json={"visits": [*above[:150], good, *above[150:]]})).json()["results"]
    assert [answer["status"] for answer in answers] == [422] * 150 + [201] + [422] * 152
    refused = answers[0]["problem"]["errors"]
    assert [(each["field"], each["code"]) for each in refused] == [("total", "too_large")]
    assert "1,000,000,000,000 Toman" in refused[0]["en"]
    assert "تومان" in refused[0]["fa"]
    assert await pool.fetchval("SELECT count(*) FROM customer_visits") == 1


async def test_batch_answers_each_bill_by_itself(till: httpx2.AsyncClient, pool: Pool) -> None:
    await react(pool, on_branch_changed, branch("V1"))
    bodies = [
        bill(receipt_number="1"),
        bill(receipt_number="2", total="many"),
        bill(receipt_number="1"),
        bill(receipt_number="1", total="1"),
        bill(receipt_number="3", branch="nowhere"),
        bill(receipt_number="4", phone=...),
        "not even an object",
    ]
    answer = await till.post("/visits/batch", json={"visits": bodies})
    assert answer.status_code == 207
    results = answer.json()["results"]
    assert [result["index"] for result in results] == list(range(7))
    assert [result["status"] for result in results] == [201, 422, 200, 409, 422, 201, 422]
    assert results[0]["visit_id"] == results[2]["visit_id"]
    assert results[1]["problem"]["errors"][0]["field"] == "total"
    assert results[5]["customer_id"] is None
    assert await pool.fetchval("SELECT count(*) FROM customer_visits") == 2


async def test_a_thousand_visits_in_one_call_and_not_one_more(till: httpx2.AsyncClient, pool: Pool) -> None:
    bodies = [bill(receipt_number=str(number), phone=f"0912{number:07d}") for number in range(1001)]
    answer = await till.post("/visits/batch", json={"visits": bodies[:1000]})
    assert {result["status"] for result in answer.json()["results"]} == {201}
    assert await pool.fetchval("SELECT count(*) FROM customer_visits") == 1000
    refused = await till.post("/visits/batch", json={"visits": bodies})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "visits")


async def test_corrections_and_voids_come_in_any_order(till: httpx2.AsyncClient, pool: Pool) -> None:
    receipt = {"device_id": "till-1", "receipt_number": "14050101-1"}
    early = await till.post("/visits/corrections", json=bill(total="500", corrected_at=NOON.isoformat()))
    assert early.json()["status"] == "recorded"
    assert (await till.post("/visits", json=bill())).status_code == 200
    moved = await till.post("/visits/corrections", json=bill(phone="09120000000", corrected_at=NOON.isoformat()))
    assert (moved.status_code, moved.json()["code"]) == (409, "guest_change")
    void = await till.post("/visits/voids", json=receipt | {"voided_at": NOON.isoformat()})
    assert void.json() == {"status": "voided", "visit_id": early.json()["visit_id"]}
    assert (await visit_row(pool))["voided_at"] == NOON
    unknown = await till.post("/visits/voids", json=receipt | {"receipt_number": "9", "voided_at": NOON.isoformat()})
    assert unknown.json() == {"status": "voided", "visit_id": None}


async def test_keys_open_only_their_own_cafe_and_scope(client: httpx2.AsyncClient, pool: Pool) -> None:
    async def send(key: str | None) -> int:
        headers = {"X-Api-Key": key} if key else {}
        return (await client.post("/visits", json=bill(), headers=headers)).status_code

    assert await send(None) == 401
    assert await send("crm_ABCDEFGHJKLM_" + "x" * 43) == 401
    assert await send(READER.text) == 403
    assert [await send(KEY.text), await send(OTHER_KEY.text)] == [201, 201]
    cafes = await pool.fetch("SELECT DISTINCT cafe_id FROM customer_visits")
    assert {row["cafe_id"] for row in cafes} == {CAFE, OTHER_CAFE}


async def test_staff_enter_read_and_void_a_visit(client: httpx2.AsyncClient, pool: Pool) -> None:
    body = bill(device_id=..., receipt_number=..., notes="تلفنی")
    headers = {"Idempotency-Key": "form-1"}
    first = await client.post(f"/cafes/{CAFE}/visits", json=body, headers=headers)
    second = await client.post(f"/cafes/{CAFE}/visits", json=body, headers=headers)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    visit_id = first.json()["visit_id"]
    shown = (await client.get(f"/cafes/{CAFE}/visits/{visit_id}")).json()
    assert (shown["created_by"], shown["device_id"]) == (str(STAFF), f"staff:{STAFF}")
    assert (shown["final_amount"], shown["visit_notes"]) == ("185000.00", "تلفنی")
    voided = await client.post(f"/cafes/{CAFE}/visits/{visit_id}/void", json={"reason": "دو بار ثبت شد"})
    assert voided.json()["void_reason"] == "دو بار ثبت شد"
    [event] = await emitted(pool, VisitVoided)
    assert str(event.visit_id) == visit_id
    without_key = [await client.post(f"/cafes/{CAFE}/visits", json=body) for _ in range(2)]
    assert [answer.status_code for answer in without_key] == [201, 201]


async def test_voiding_needs_a_manager(client: httpx2.AsyncClient, pool: Pool) -> None:
    [outcome] = await take(pool, record())
    await pool.execute("UPDATE user_cafe_access SET role = 'staff' WHERE user_id = $1", STAFF)
    answer = await client.post(f"/cafes/{CAFE}/visits/{outcome.visit_id}/void", json={"reason": "اشتباه"})
    assert answer.status_code == 403
    assert (await visit_row(pool))["voided_at"] is None


async def test_staff_list_visits_page_by_page(client: httpx2.AsyncClient, pool: Pool) -> None:
    await take(
        pool,
        *(
            record(receipt_number=str(hour), occurred_at=(NOON + timedelta(hours=hour)).isoformat(), total=str(hour))
            for hour in range(5)
        ),
        record(receipt_number="same moment", phone="09120000000"),
    )
    seen: list[str] = []
    place: dict[str, str] = {}
    for _ in range(3):
        page = (await client.get(f"/cafes/{CAFE}/visits", params={"limit": "2"} | place)).json()
        seen += [item["receipt_number"] for item in page["items"]]
        place = {"before": page["next"][0], "before_id": page["next"][1]}
    assert seen[:4] == ["4", "3", "2", "1"]
    assert set(seen[4:]) == {"0", "same moment"}


async def test_staff_filter_visits(client: httpx2.AsyncClient, pool: Pool) -> None:
    place = branch("V1")
    await react(pool, on_branch_changed, place)
    first, second, third = await take(
        pool,
        record(receipt_number="1", branch="V1", total="10"),
        record(receipt_number="2", phone="09120000000", total="20"),
        record(receipt_number="3", total="30", occurred_at=(NOON + timedelta(days=1)).isoformat()),
    )
    await pool.execute("UPDATE customer_visits SET feedback_rating = 2 WHERE id = $1", second.visit_id)
    await client.post(f"/cafes/{CAFE}/visits/{third.visit_id}/void", json={"reason": "اشتباه"})

    async def found(**wanted: Any) -> set[str]:
        answer = await client.get(f"/cafes/{CAFE}/visits", params=wanted)
        return {item["receipt_number"] for item in answer.json()["items"]}

    assert await found() == {"1", "2"}
    assert await found(with_voided=True) == {"1", "2", "3"}
    assert await found(with_voided=True, since=(NOON + timedelta(hours=1)).isoformat()) == {"3"}
    assert await found(customer_id=str(first.customer_id)) == {"1"}
    assert await found(branch_id=str(place.branch_id)) == {"1"}
    assert await found(least_amount="15") == {"2"}
    assert await found(highest_rating=3) == {"2"}


async def test_staff_see_nothing_of_other_cafes(client: httpx2.AsyncClient, pool: Pool) -> None:
    [outcome] = await take(pool, record(cafe_id=OTHER_CAFE))
    for path in (
        "visits",
        f"visits/{outcome.visit_id}",
        "devices",
        "statistics/days",
        "statistics/month?day=2026-03-21",
    ):
        assert (await client.get(f"/cafes/{OTHER_CAFE}/{path}")).status_code == 404
    body = bill(device_id=..., receipt_number=...)
    assert (await client.post(f"/cafes/{OTHER_CAFE}/visits", json=body)).status_code == 404
    assert (await client.get(f"/cafes/{CAFE}/visits/{outcome.visit_id}")).status_code == 404
    answer = await client.post(f"/cafes/{CAFE}/visits/{outcome.visit_id}/void", json={"reason": "اشتباه"})
    assert answer.status_code == 404


async def test_staff_see_what_a_device_never_delivered(client: httpx2.AsyncClient, pool: Pool) -> None:
    await take(pool, *(record(receipt_number=str(number), device_sequence=number) for number in (1, 4)))
    [device] = (await client.get(f"/cafes/{CAFE}/devices")).json()
    assert (device["device_id"], device["highest_sequence"]) == ("till-1", 4)
    assert device["gaps"] == [{"missing_from": 2, "missing_to": 3}]


async def test_staff_see_days_and_months_of_their_cafe(client: httpx2.AsyncClient, pool: Pool) -> None:
    yesterday = (now() - timedelta(days=1)).isoformat()
    await take(pool, record(occurred_at=now().isoformat()), record(cafe_id=OTHER_CAFE, occurred_at=now().isoformat()))
    await take(pool, record(occurred_at=yesterday, receipt_number="2"))
    await upkeep.count_days(pool)
    first, today = (await client.get(f"/cafes/{CAFE}/statistics/days")).json()
    for day in (first, today):
        assert (day["total_visits"], day["total_revenue"], day["currency_unit"]) == (1, "185000.00", "IRT")
    [only] = (await client.get(f"/cafes/{CAFE}/statistics/days", params={"from": today["stat_date"]})).json()
    assert only["stat_date"] == today["stat_date"]
    [only] = (await client.get(f"/cafes/{CAFE}/statistics/days", params={"to": first["stat_date"]})).json()
    assert only["stat_date"] == first["stat_date"]
    month = (await client.get(f"/cafes/{CAFE}/statistics/month", params={"day": now().date().isoformat()})).json()
    assert (month["total_visits"], month["new_customers"], month["currency_unit"]) in ((1, 0, "IRT"), (2, 1, "IRT"))


async def test_figures_of_one_branch_are_of_its_visits_alone(client: httpx2.AsyncClient, pool: Pool) -> None:
    place = branch()
    await react(pool, on_branch_changed, place)
    await take(pool, record(occurred_at=now().isoformat(), branch="VANAK", total="7000"))
    await take(pool, record(occurred_at=now().isoformat(), receipt_number="2"))
    asked = {"branch_id": str(place.branch_id)}
    [day] = (await client.get(f"/cafes/{CAFE}/statistics/days", params=asked)).json()
    assert (day["total_visits"], day["total_revenue"]) == (1, "7000.00")
    asked["day"] = now().date().isoformat()
    month = (await client.get(f"/cafes/{CAFE}/statistics/month", params=asked)).json()
    assert (month["total_visits"], month["total_revenue"]) == (1, "7000.00")
    asked["branch_id"] = str(new_id())
    for path, params in (("days", {"branch_id": asked["branch_id"]}), ("month", asked)):
        answer = await client.get(f"/cafes/{CAFE}/statistics/{path}", params=params)
        assert answer.status_code == 404


async def test_days_out_of_reach_are_refused_with_what_may_be_asked(client: httpx2.AsyncClient) -> None:
    today = now().date()
    for asked, field in (
        ({"from": today - timedelta(days=900)}, "from"),
        ({"from": today, "to": today - timedelta(days=1)}, "to"),
    ):
        params = {name: day.isoformat() for name, day in asked.items()}
        answer = await client.get(f"/cafes/{CAFE}/statistics/days", params=params)
        assert answer.status_code == 422
        assert [each["field"] for each in answer.json()["errors"]] == [field]


async def test_contract_is_documented(client: httpx2.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    schema = document["paths"]["/visits"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/PosVisit"}
    schema = document["components"]["schemas"]["PosVisit"]
    assert {"device_id", "receipt_number", "occurred_at", "total", "currency_unit"} <= set(schema["required"])
    assert "HTTPValidationError" not in msgspec.json.encode(document).decode()


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("total", {"total": "-50000"}),
        ("total", {"total": -50000}),
        ("total", {"total": "-۵۰۰۰۰"}),
        ("discount", {"discount": "-1"}),
        ("items.0.quantity", {"items": [{"name": "چای", "quantity": -1}]}),
        ("points_to_redeem", {"points_to_redeem": -5}),
    ],
)
async def test_bill_below_zero_is_told_how_money_goes_back(
    till: httpx2.AsyncClient, client: httpx2.AsyncClient, field: str, body: dict[str, Any]
) -> None:
    by_hand = bill(device_id=..., receipt_number=..., **body)
    for answer in (
        await till.post("/visits", json=bill(**body)),
        await client.post(f"/cafes/{CAFE}/visits", json=by_hand),
    ):
        assert answer.status_code == 422
        problem = next(each for each in answer.json()["errors"] if each["field"] == field)
        for words in problem["en"], problem["fa"]:
            assert "POST /visits/corrections" in words
            assert "POST /visits/voids" in words
            assert "/cafes/{cafe_id}/visits/{visit_id}/void" in words
    batch = await till.post("/visits/batch", json={"visits": [bill(**body), bill()]})
    assert [each["status"] for each in batch.json()["results"]] == [422, 201]

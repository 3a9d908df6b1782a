"""Codes on tables and the website, and the six ways in which feedback comes."""

import re
from collections.abc import AsyncIterator
from typing import Any, get_args

import httpx2
import pytest
from fastapi import FastAPI

from services.feedback.api.app import make_app
from services.feedback.api.points import ANSWERS_OF_A_POINT, ANSWERS_OF_AN_ADDRESS
from services.feedback.models.values import FeedbackSource
from shared.clock import new_id
from shared.database.db import Pool
from shared.events.feedback import CaseOpened, FeedbackReceived
from shared.security.addresses import networks_of
from shared.security.auth import Staff
from shared.security.ids import feedback_address
from shared.web.dependencies import current_staff
from tests.feedback.given import CAFE, KEYS, OTHER_CAFE, STAFF, cafe_with_staff, emitted, recorded, visits

FORM = {"overall_rating": "2", "service": "4", "comment": "قهوه سرد بود"}
TABLE = {"kind": "table", "table_number": "۷", "label": "میز ۷ <کنار پنجره>", "branch": "VANAK"}


@pytest.fixture
async def pool(database: Any) -> Pool:
    opened: Pool = await database("feedback")
    await cafe_with_staff(opened)
    await opened.execute("UPDATE user_cafe_access SET role = 'manager'")
    return opened


@pytest.fixture
async def app(pool: Pool) -> AsyncIterator[FastAPI]:
    app = make_app()
    app.dependency_overrides[current_staff] = lambda: Staff(STAFF)
    app.state.settings = app.state.settings.model_copy(update={"trusted_proxies": networks_of("203.0.113.7")})
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=app, client=("203.0.113.7", 4000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://crm.test") as client:
        yield client


async def make(client: httpx2.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await client.post(f"/cafes/{CAFE}/feedback-points", json=TABLE | changes)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_guest_answers_by_the_code_on_the_table(client: httpx2.AsyncClient, pool: Pool) -> None:
    point = await make(client)
    path = f"/q/{point['code']}"
    assert point["address"].endswith(path)
    shown = await client.get(path)
    assert shown.status_code == 200
    assert "کافه سروان" in shown.text
    assert "میز ۷ &lt;کنار پنجره&gt;" in shown.text
    assert (await client.post(path, data={"comment": "بی‌ستاره"})).status_code == 422
    sent = await client.post(path, data=FORM)
    assert (sent.status_code, sent.headers["location"]) == (303, f"{point['code']}/thanks")
    assert "سپاس" in (await client.get(f"{path}/thanks")).text
    [row] = await pool.fetch("SELECT * FROM customer_feedback")
    assert (row["cafe_id"], row["customer_id"], row["visit_id"]) == (CAFE, None, None)
    assert (row["feedback_source"], row["source_reference"], row["table_number"]) == ("qr_code", point["code"], "۷")
    received, case = await emitted(pool)
    assert isinstance(received, FeedbackReceived)
    assert isinstance(case, CaseOpened)
    assert (received.source, received.customer_id, received.key) == ("qr_code", None, received.feedback_id)


async def test_code_is_drawn_as_a_qr_code_of_its_address(client: httpx2.AsyncClient) -> None:
    point = await make(client)
    drawn = await client.get(f"/cafes/{CAFE}/feedback-points/{point['code']}.svg")
    assert (drawn.status_code, drawn.headers["content-type"]) == (200, "image/svg+xml")
    assert re.search(r"<svg [^>]*xmlns=", drawn.text)
    assert "<script" not in drawn.text
    for method in ("DELETE", "OPTIONS", "POST"):
        refused = await client.request(method, f"/cafes/{CAFE}/feedback-points/{point['code']}.svg")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET"), method
    strange = await client.get(f"/cafes/{CAFE}/feedback-points/aaaaaaaaaaaa.svg")
    assert strange.status_code == 404


async def test_retired_points_ask_nobody_and_stay_listed(client: httpx2.AsyncClient, pool: Pool) -> None:
    kept, gone = await make(client), await make(client, kind="website", table_number=None, label="سایت")
    for _ in range(2):
        assert (await client.delete(f"/cafes/{CAFE}/feedback-points/{gone['code']}")).status_code == 204
    assert (await client.get(f"/q/{gone['code']}")).status_code == 410
    assert (await client.post(f"/q/{gone['code']}", data=FORM)).status_code == 410
    listed = (await client.get(f"/cafes/{CAFE}/feedback-points")).json()
    assert [(each["code"], each["retired_at"] is None) for each in listed] == [
        (kept["code"], True), (gone["code"], False)
    ]  # fmt: skip
    assert await pool.fetchval("SELECT count(*) FROM customer_feedback") == 0
    assert (await client.delete(f"/cafes/{CAFE}/feedback-points/aaaaaaaaaaaa")).status_code == 404


async def test_points_belong_to_their_cafe_and_are_made_by_managers(client: httpx2.AsyncClient, pool: Pool) -> None:
    point = await make(client)
    await cafe_with_staff(pool, OTHER_CAFE, new_id())
    for method, path in (("GET", ""), ("POST", ""), ("DELETE", f"/{point['code']}"), ("GET", f"/{point['code']}.svg")):
        body = {"json": TABLE} if method == "POST" else {}
        answer = await client.request(method, f"/cafes/{OTHER_CAFE}/feedback-points{path}", **body)
        assert answer.status_code in (403, 404)
    await pool.execute("UPDATE user_cafe_access SET role = 'staff'")
    assert (await client.post(f"/cafes/{CAFE}/feedback-points", json=TABLE)).status_code == 403
    assert (await client.delete(f"/cafes/{CAFE}/feedback-points/{point['code']}")).status_code == 403
    assert len((await client.get(f"/cafes/{CAFE}/feedback-points")).json()) == 1


@pytest.mark.parametrize(
    "wrong", [{"table_number": None}, {"kind": "website"}, {"kind": "bar"}, {"label": " "}, {"cafe_id": str(CAFE)}]
)
async def test_points_that_make_no_sense_are_refused(client: httpx2.AsyncClient, wrong: dict[str, Any]) -> None:
    answer = await client.post(f"/cafes/{CAFE}/feedback-points", json=TABLE | wrong)
    assert answer.status_code == 422
    assert all(each["en"] and each["fa"] for each in answer.json()["errors"])


async def test_floods_are_stopped_by_address_and_by_point(client: httpx2.AsyncClient, pool: Pool) -> None:
    path = f"/q/{(await make(client))['code']}"

    async def send(address: str) -> int:
        return (await client.post(path, data=FORM, headers={"X-Forwarded-For": address})).status_code

    assert [await send("198.51.100.1") for _ in range(ANSWERS_OF_AN_ADDRESS + 1)] == [303] * ANSWERS_OF_AN_ADDRESS + [
        429
    ]
    others = [await send(f"198.51.100.{2 + number // 2}") for number in range(ANSWERS_OF_A_POINT)]
    assert others.count(303) == ANSWERS_OF_A_POINT - ANSWERS_OF_AN_ADDRESS
    other = f"/q/{(await make(client, table_number='8'))['code']}"
    assert (await client.post(other, data=FORM, headers={"X-Forwarded-For": "198.51.100.250"})).status_code == 303
    assert await pool.fetchval("SELECT count(*) FROM customer_feedback") == ANSWERS_OF_A_POINT + 1


@pytest.mark.parametrize("code", ["aaaaaaaaaaaa", "x", "%00", "ا" * 12, "a" * 2000, "../f"])
async def test_unknown_codes_are_told_so(client: httpx2.AsyncClient, code: str) -> None:
    answer = await client.get(f"/q/{code}")
    assert answer.status_code in (404, 422)
    assert (await client.post(f"/q/{code}", data=FORM)).status_code in (404, 405, 422)


async def test_each_of_the_six_sources_is_reached_in_public(client: httpx2.AsyncClient, pool: Pool) -> None:
    of_sms, of_receipt = recorded(), recorded(customer_id=None)
    await visits(pool, of_sms, of_receipt)
    links = [feedback_address(KEYS, "http://crm.test/", CAFE, visit.visit_id) for visit in (of_sms, of_receipt)]
    assert (await client.post(links[0], data=FORM)).status_code == 303
    # As the till's answer has it.
    assert (await client.post(f"{links[1]}?s=q", data=FORM)).status_code == 303
    for kind in ("table", "website"):
        point = await make(client, kind=kind, table_number="7" if kind == "table" else None)
        assert (await client.post(f"/q/{point['code']}", data=FORM)).status_code == 303
    for source in ("staff_tablet", "phone_call", "manual"):
        entry = {"source": source, "overall_rating": 5}
        assert (await client.post(f"/cafes/{CAFE}/feedback", json=entry)).status_code == 201
    found = await pool.fetch("SELECT DISTINCT feedback_source::text AS source FROM customer_feedback")
    assert {row["source"] for row in found} == set(get_args(FeedbackSource))
    assert await pool.fetchval("SELECT count(*) FROM customer_feedback WHERE feedback_source = 'qr_code'") == 2

"""Reports over HTTP: what managers get, and who does not."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx2
import pytest

from services.visit.api.app import make_app
from shared.clock import new_id
from shared.database.db import Pool
from shared.security.auth import Staff
from shared.web.dependencies import current_staff
from tests.support import Databases
from tests.visit.books import TODAY, at, count
from tests.visit.given import CAFE, OTHER_CAFE, STAFF, known_cafe, record, take
from tests.visit.test_reports import some_branches


@pytest.fixture
async def pool(database: Databases) -> Pool:
    pool = await database("visit")
    await known_cafe(pool)
    await known_cafe(pool, OTHER_CAFE, staff=new_id())
    return pool


@pytest.fixture
async def client(pool: Pool) -> AsyncIterator[httpx2.AsyncClient]:
    app = make_app()
    app.dependency_overrides[current_staff] = lambda: Staff(STAFF)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://crm.test") as client,
    ):
        yield client


PATHS = ("months?count=3", "return?months=3", "cohorts?months=3", "branches", "club", "items")


async def test_reports_are_answered_over_http(client: httpx2.AsyncClient, pool: Pool) -> None:
    places = await some_branches(pool)
    day = TODAY - timedelta(days=1)
    await take(
        pool, record(occurred_at=at(day), branch="V1"), record(occurred_at=at(day), receipt_number="2", phone=...)
    )
    await count(pool)
    answers = {path: (await client.get(f"/cafes/{CAFE}/statistics/{path}")) for path in PATHS}
    assert {answer.status_code for answer in answers.values()} == {200}
    assert sum(each["visits"] for each in answers["months?count=3"].json()) == 2
    assert sum(each["guests"] for each in answers["return?months=3"].json()) == 1
    [cohort] = answers["cohorts?months=3"].json()
    assert (cohort["guests"], cohort["months"][0]["share"]) == (1, "100.00")
    side = answers["branches"].json()
    assert [(each["name"], each["visits"], each["share"]) for each in side["branches"]] == [
        ("ونک", 1, "50.00"), ("تجریش", 0, "0.00"), (None, 1, "50.00"),
    ]  # fmt: skip
    club = answers["club"].json()
    assert (club["known"]["visits"], club["unknown"]["share"]) == (1, "50.00")
    assert [each["name"] for each in answers["items"].json()["items"]] == ["قهوه ترک", "کیک"]
    hours = (await client.get(f"/cafes/{CAFE}/statistics/hours", params={"branch_id": str(places["V1"])})).json()
    assert sum(hour["visits"] for weekday in hours["weekdays"] for hour in weekday) == 1
    only = (await client.get(f"/cafes/{CAFE}/statistics/club", params={"branch_id": str(places["V1"])})).json()
    assert (only["known"]["visits"], only["unknown"]["visits"], only["unknown"]["share_of_visits"]) == (1, 0, "0.00")


@pytest.mark.parametrize("path", PATHS)
async def test_reports_are_for_managers_of_the_cafe(client: httpx2.AsyncClient, pool: Pool, path: str) -> None:
    assert (await client.get(f"/cafes/{OTHER_CAFE}/statistics/{path}")).status_code == 404
    await known_cafe(pool, role="staff", version=2)
    await pool.execute("UPDATE user_cafe_access SET role = 'staff' WHERE user_id = $1", STAFF)
    answer = await client.get(f"/cafes/{CAFE}/statistics/{path}")
    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("application/problem+json")


async def test_what_is_asked_for_must_be_there(client: httpx2.AsyncClient) -> None:
    for path in ("months", "club", "items"):
        answer = await client.get(f"/cafes/{CAFE}/statistics/{path}", params={"branch_id": str(new_id())})
        assert answer.status_code == 404, path
    for path in ("branches", "club", "items"):
        answer = await client.get(f"/cafes/{CAFE}/statistics/{path}?from=1405-09-08&to=1405-09-07")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "to"), path
    assert (await client.get(f"/cafes/{CAFE}/statistics/months?count=37")).status_code == 422
    assert (await client.get(f"/cafes/{CAFE}/statistics/months?count=0")).status_code == 422

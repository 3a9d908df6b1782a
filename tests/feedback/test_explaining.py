"""What became of the question how a visit was."""

from typing import Any
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI

from services.feedback.api.app import make_app
from services.feedback.handlers import reactions
from shared.clock import now
from shared.database.db import Pool, transaction
from shared.security.auth import Staff
from shared.web.dependencies import current_staff
from tests.feedback.given import CAFE, STAFF, cafe_with_staff, recorded, token_of, visits, voided

BASE = f"/cafes/{CAFE}/explain"


@pytest.fixture
async def house(database: Any) -> Any:
    opened: Pool = await database("feedback")
    await cafe_with_staff(opened)
    app: FastAPI = make_app()
    app.dependency_overrides[current_staff] = lambda: Staff(STAFF)
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://crm.test") as client:
            yield opened, client


async def steps(client: httpx2.AsyncClient, path: str) -> dict[str, Any]:
    answer = await client.get(BASE + path)
    assert answer.status_code == 200, answer.text
    assert "سرد" not in answer.text
    return {each["what"]: each for each in answer.json()["steps"]}


async def test_link_answer_case_and_response_are_told_without_words(house: Any) -> None:
    pool, client = house
    visit = recorded(occurred_at=now())
    await visits(pool, visit)
    told = await steps(client, f"/visits/{visit.visit_id}")
    assert (told["link"]["outcome"], told["opening"]["outcome"]) == ("open", "not_opened")
    assert (told["answer"]["outcome"], told["answer"]["not_because"]) == ("not_answered", [])
    await client.get(f"/f/{token_of(visit)}", headers={"user-agent": "Mozilla/5.0 (Android)"})
    said = await client.post(f"/api/feedback/{token_of(visit)}", json={"overall_rating": 1, "comment": "سرد بود"})
    assert said.status_code in (200, 201), said.text
    told = await steps(client, f"/guests/{visit.customer_id}")
    assert (told["link"]["outcome"], told["opening"]["outcome"]) == ("used", "opened")
    assert (told["answer"]["outcome"], told["answer"]["values"]["rating"]) == ("answered", 1)
    assert (told["answer"]["because"], told["answer"]["conditions"][0]["held"]) == ([str(visit.visit_id)], True)
    assert (told["case"]["outcome"], told["case"]["because"]) == ("open", [told["answer"]["id"]])
    assert told["response"]["outcome"] == "not_responded"
    response = f"/cafes/{CAFE}/feedback/{told['answer']['id']}/response"
    assert (await client.put(response, json={"text": "ببخشید"})).status_code == 200
    told = await steps(client, f"/visits/{visit.visit_id}")
    assert (told["response"]["outcome"], told["response"]["because"]) == ("responded", [told["answer"]["id"]])


async def test_link_of_a_voided_visit_is_closed_and_unknown_visits_have_none(house: Any) -> None:
    pool, client = house
    visit = recorded(occurred_at=now())
    await visits(pool, visit)
    async with transaction(pool) as conn:
        await reactions.on_visit_voided(conn, [voided(visit)])
    told = await steps(client, f"/visits/{visit.visit_id}")
    assert (told["link"]["outcome"], told["answer"]["not_because"]) == ("closed", ["link"])
    told = await steps(client, f"/visits/{UUID(int=7)}")
    assert (list(told), told["answer"]["not_because"]) == (["answer"], ["no_link"])

"""The cafe's answer reaches the guest: on the page behind the link, and by one message that it is there."""

from datetime import timedelta
from typing import Any

import httpx2

from services.feedback.handlers.reactions import on_customer_erased
from services.feedback.rules import ANSWER_REACHES
from shared.clock import now
from shared.database.db import Pool, transaction
from shared.events.customer import CustomerErased
from shared.events.feedback import CaseOpened, FeedbackResponded
from tests.feedback.given import CAFE, emitted, recorded, token_of, visits, voided
from tests.feedback.test_api import app, client, pool
from tests.feedback.test_handlers import react

__all__ = ["app", "client", "pool"]

ANSWER = "ببخشید <b>که</b> سرد بود.\nمهمان ما باشید."


async def answered(client: httpx2.AsyncClient, pool: Pool, visit: Any, text: str = ANSWER) -> str:
    said = await client.post(f"/api/feedback/{token_of(visit)}", json={"overall_rating": 2, "comment": "سرد بود"})
    if said.status_code == 201:
        feedback_id: str = said.json()["feedback_id"]
    else:
        feedback_id = str(await pool.fetchval("SELECT id FROM customer_feedback WHERE visit_id = $1", visit.visit_id))
    shown = await client.put(f"/cafes/{CAFE}/feedback/{feedback_id}/response", json={"text": text})
    assert shown.json()["response_text"] == text
    return feedback_id


async def told(pool: Pool) -> list[FeedbackResponded]:
    return [event for event in await emitted(pool) if isinstance(event, FeedbackResponded)]


async def test_first_answer_is_told_once_and_every_answer_stands_on_the_page(
    client: httpx2.AsyncClient, pool: Pool
) -> None:
    visit = recorded()
    await visits(pool, visit)
    feedback_id = await answered(client, pool, visit)
    [event] = await told(pool)
    assert (str(event.feedback_id), event.visit_id, event.customer_id) == (
        feedback_id, visit.visit_id, visit.customer_id
    )  # fmt: skip
    assert "سرد" not in str(event)
    page = await client.get(f"/f/{token_of(visit)}")
    assert page.status_code == 200
    assert "ببخشید &lt;b&gt;که&lt;/b&gt; سرد بود.<br>مهمان ما باشید." in page.text
    assert "The cafe has answered your feedback." in page.text
    await answered(client, pool, visit, "پاسخ دوم")
    assert "پاسخ دوم" in (await client.get(f"/f/{token_of(visit)}")).text
    assert len(await told(pool)) == 1


async def test_nobody_is_told_of_answers_to_nobody_but_the_page_has_them(
    client: httpx2.AsyncClient, pool: Pool
) -> None:
    visit = recorded(customer_id=None)
    await visits(pool, visit)
    await answered(client, pool, visit)
    assert "مهمان ما باشید" in (await client.get(f"/f/{token_of(visit)}")).text
    by_phone = {"source": "phone_call", "overall_rating": 1}
    entered = (await client.post(f"/cafes/{CAFE}/feedback", json=by_phone)).json()["feedback_id"]
    await client.put(f"/cafes/{CAFE}/feedback/{entered}/response", json={"text": "سپاس"})
    assert await told(pool) == []


async def test_answer_that_the_page_would_not_show_any_more_is_not_told(client: httpx2.AsyncClient, pool: Pool) -> None:
    visit = recorded()
    await visits(pool, visit)
    await client.post(f"/api/feedback/{token_of(visit)}", json={"overall_rating": 2})
    old = now() - ANSWER_REACHES - timedelta(hours=1)
    await pool.execute("UPDATE customer_feedback SET created_at = $1", old)
    await answered(client, pool, visit)
    assert await told(pool) == []


async def test_answer_outlives_the_links_use_and_the_visit_but_no_erasure(
    client: httpx2.AsyncClient, pool: Pool
) -> None:
    visit = recorded()
    await visits(pool, visit)
    await answered(client, pool, visit)
    await react(pool, voided(visit))
    assert "مهمان ما باشید" in (await client.get(f"/f/{token_of(visit)}")).text
    assert visit.customer_id is not None
    async with transaction(pool) as conn:
        await on_customer_erased(conn, [CustomerErased(cafe_id=CAFE, customer_id=visit.customer_id, occurred_at=now())])
    page = await client.get(f"/f/{token_of(visit)}")
    assert (page.status_code, "مهمان ما" in page.text) == (409, False)


async def test_case_tells_stars_and_table_and_no_word(client: httpx2.AsyncClient, pool: Pool) -> None:
    numbered, named = recorded(table_number="7"), recorded(table_number="کنار پنجره")
    await visits(pool, numbered, named)
    for visit in (numbered, named):
        await client.post(f"/api/feedback/{token_of(visit)}", json={"overall_rating": 2, "comment": "سرد بود"})
    cases = [event for event in await emitted(pool) if isinstance(event, CaseOpened)]
    assert [(case.overall_rating, case.table_number) for case in cases] == [(2, "7"), (2, None)]
    assert not any("سرد" in str(case) for case in cases)

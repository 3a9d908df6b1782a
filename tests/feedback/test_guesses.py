"""Guests' links: guesses are bounded, and a link that is faster than the word of its visit is waited for."""

import asyncio
import contextlib
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from services.feedback.api import guest
from services.feedback.api.guest import GUESSES_OF_AN_ADDRESS, USES_OF_A_LINK, WAIT_SECONDS, WAITS_AT_ONCE
from services.feedback.handlers.links import refusal
from shared.database.db import Pool
from shared.security.addresses import networks_of
from tests.feedback.given import recorded, token_of, visits
from tests.feedback.test_api import app, client, count, pool

__all__ = ["app", "client", "pool"]


async def test_guessing_is_stopped_and_guests_with_links_are_not_counted(
    client: httpx2.AsyncClient, pool: Pool
) -> None:
    visit = recorded()
    await visits(pool, visit)
    for _ in range(GUESSES_OF_AN_ADDRESS + 5):
        assert (await client.get(f"/f/{token_of(visit)}")).status_code == 200
    guesses = await asyncio.gather(*(client.get(f"/f/{guess:022}") for guess in range(GUESSES_OF_AN_ADDRESS)))
    assert {answer.status_code for answer in guesses} == {404}
    stopped = await client.get(f"/f/{0:022}")
    assert stopped.status_code == 429
    assert "Too many tries" in stopped.text
    refused = await client.post(f"/api/feedback/{token_of(visit)}", json={"overall_rating": 5})
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_tries")
    assert await count(pool) == 0


@pytest.mark.parametrize(("method", "path"), [("GET", "/f/"), ("GET", "/api/feedback/"), ("POST", "/api/feedback/")])
async def test_link_that_is_faster_than_its_visit_is_waited_for(
    client: httpx2.AsyncClient, pool: Pool, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    waits, act_soon = asyncio.Event(), guest._act_soon

    async def act_soon_and_tell(request: Any, act: Any) -> Any:
        waits.set()
        return await act_soon(request, act)

    monkeypatch.setattr(guest, "_act_soon", act_soon_and_tell)
    visit = recorded()
    body = {"overall_rating": 5} if method == "POST" else None
    asked = asyncio.create_task(client.request(method, f"{path}{token_of(visit)}", json=body))
    async with asyncio.timeout(10):
        await waits.wait()
    await visits(pool, visit)
    assert (await asked).status_code == (201 if method == "POST" else 200)


async def test_no_more_requests_wait_for_their_links_than_the_process_lets(
    app: FastAPI, client: httpx2.AsyncClient, pool: Pool
) -> None:
    visit = recorded()
    async with contextlib.AsyncExitStack() as waiting:
        await client.get("/f/x")
        for _ in range(WAITS_AT_ONCE):
            await waiting.enter_async_context(app.state.guest_limits.waits)
        asked = asyncio.create_task(client.get(f"/f/{token_of(visit)}"))
        async with asyncio.timeout(WAIT_SECONDS / 2):
            assert (await asked).status_code == 404
    await visits(pool, visit)
    assert (await client.get(f"/f/{token_of(visit)}")).status_code == 200


async def test_guesses_that_come_together_are_not_all_waited_for(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = 0

    async def act_soon(*_: Any) -> Any:
        nonlocal waited
        waited += 1
        raise refusal("unknown")

    monkeypatch.setattr(guest, "_act_soon", act_soon)
    answers = await asyncio.gather(*(client.get(f"/f/{guess:022}") for guess in range(2 * GUESSES_OF_AN_ADDRESS)))
    assert 0 < waited < GUESSES_OF_AN_ADDRESS
    assert {answer.status_code for answer in answers} <= {404, 429}


async def test_many_guests_may_answer_from_one_address(client: httpx2.AsyncClient, pool: Pool) -> None:
    bills = [recorded() for _ in range(GUESSES_OF_AN_ADDRESS + 5)]
    await visits(pool, *bills)
    for bill in bills:
        answer = await client.post(f"/api/feedback/{token_of(bill)}", json={"overall_rating": 5})
        assert answer.status_code == 201
    assert await count(pool) == len(bills)


async def test_one_link_is_not_used_without_end_from_wherever(app: FastAPI, pool: Pool) -> None:
    one, other = recorded(), recorded()
    await visits(pool, one, other)
    for number in range(USES_OF_A_LINK + 1):
        transport = httpx2.ASGITransport(app=app, client=(f"203.0.113.{number}", 4000))
        async with httpx2.AsyncClient(transport=transport, base_url="http://crm.test") as client:
            answer = await client.get(f"/f/{token_of(one)}")
            assert (await client.get(f"/f/{token_of(other)}" if number < 5 else "/healthz")).status_code == 200
    assert answer.status_code == 429


async def test_address_before_a_trusted_proxy_is_kept_and_counted(
    app: FastAPI, client: httpx2.AsyncClient, pool: Pool
) -> None:
    app.state.settings = app.state.settings.model_copy(update={"trusted_proxies": networks_of("203.0.113.7")})
    forwarded = [{"x-forwarded-for": f"10.0.0.{guess}, 198.51.100.1"} for guess in range(GUESSES_OF_AN_ADDRESS)]
    guesses = [client.get(f"/f/{guess:022}", headers=headers) for guess, headers in enumerate(forwarded)]
    assert {answer.status_code for answer in await asyncio.gather(*guesses)} == {404}
    assert (await client.get(f"/f/{0:022}", headers={"x-forwarded-for": "198.51.100.1"})).status_code == 429
    visit = recorded()
    await visits(pool, visit)
    body, headers = {"overall_rating": 5}, {"x-forwarded-for": "198.51.100.2"}
    assert (await client.post(f"/api/feedback/{token_of(visit)}", json=body, headers=headers)).status_code == 201
    assert str(await pool.fetchval("SELECT ip_address FROM customer_feedback")) == "198.51.100.2"

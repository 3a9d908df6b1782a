"""Points for many guests at once: previewed, within a budget, approved by another, and given once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI

from services.loyalty.api.app import make_app
from services.loyalty.handlers import grant_runs, members
from services.loyalty.store.audit import audit
from shared.database.db import Pool, transaction
from shared.events.customer import SegmentEntered, SegmentLeft
from shared.events.identity import AccessGranted
from shared.security import access
from shared.security.auth import Staff
from shared.web.dependencies import current_staff
from tests.loyalty.examples import CAFE, NOON, guest_number

MANAGER, OTHER = uuid4(), uuid4()
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def app(pool: Pool) -> AsyncIterator[FastAPI]:
    granted = [
        AccessGranted(cafe_id=CAFE, user_id=user, role="manager", version=1, occurred_at=NOON)
        for user in (MANAGER, OTHER)
    ]
    async with transaction(pool) as conn:
        await access.on_access_granted(conn, granted)
        await members.on_segment_entered(conn, [_moved(SegmentEntered, number) for number in range(20)])
        await members.on_segment_left(conn, [_moved(SegmentLeft, number, 1) for number in range(5)])
        await members.on_segment_entered(
            conn, [_moved(SegmentEntered, number, 2, "others") for number in range(18, 22)]
        )
    app = make_app()
    async with app.router.lifespan_context(app):
        yield app


def _moved(kind: Any, number: int, minutes: int = 0, key: str = "vip") -> Any:
    return kind(
        cafe_id=CAFE, customer_id=guest_number(number), segment_id=UUID(int=1), segment_key=key,
        occurred_at=NOON + minutes * MINUTE,
    )  # fmt: skip


def acting(app: FastAPI, user: UUID) -> httpx2.AsyncClient:
    app.dependency_overrides[current_staff] = lambda: Staff(user)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://crm.test")


def bonus(points: int = 10, **changes: Any) -> dict[str, Any]:
    return {
        "run_id": str(uuid4()), "segment_keys": ["vip"], "points": points, "reason": "جشن سالگرد",
        "budget_points": 100_000,
    } | changes  # fmt: skip


async def given(pool: Pool) -> tuple[int, int]:
    while await grant_runs.give_to_many(pool):
        pass
    async with transaction(pool) as conn:
        assert await audit(conn) == []
    row = await pool.fetchrow("SELECT count(*), coalesce(sum(points), 0)::bigint FROM grants")
    return tuple(row)


async def test_bonus_is_previewed_and_given_once_to_each_member(app: FastAPI, pool: Pool) -> None:
    async with acting(app, MANAGER) as client:
        asked = {"segment_keys": ["vip", "others"], "points": 10}
        shown = (await client.post(f"/cafes/{CAFE}/bonuses/preview", json=asked)).json()
        assert (shown["guests"], shown["total_points"], shown["worth"]) == (17, 170, None)
        body = bonus()
        made = [await client.post(f"/cafes/{CAFE}/bonuses", json=body) for _ in range(2)]
        assert [each.status_code for each in made] == [201, 201]
        assert made[0].json()["guests"] == 15
        await asyncio.gather(*(grant_runs.give_to_many(pool) for _ in range(16)))
        assert await given(pool) == (15, 150)
        (run,) = (await client.get(f"/cafes/{CAFE}/grant-runs")).json()
        assert (run["state"], run["given"]) == ("done", 15)
    types = await pool.fetch("SELECT DISTINCT transaction_type::text AS type, created_by FROM loyalty_transactions")
    assert [tuple(row) for row in types] == [("earned_bonus", MANAGER)]


@pytest.mark.parametrize(
    ("changes", "code"), [({"budget_points": 149}, "over_budget"), ({"segment_keys": ["nobody"]}, "nobody_there")]
)
async def test_bonus_beyond_its_budget_or_for_nobody_is_refused(
    app: FastAPI, pool: Pool, changes: dict[str, Any], code: str
) -> None:
    async with acting(app, MANAGER) as client:
        refused = await client.post(f"/cafes/{CAFE}/bonuses", json=bonus(**changes))
    assert (refused.status_code, refused.json()["code"]) == (409, code)
    assert await given(pool) == (0, 0)


async def test_large_bonus_waits_for_another_manager_and_counts_in_the_day(app: FastAPI, pool: Pool) -> None:
    url, body = f"/cafes/{CAFE}/bonuses", bonus(100)
    async with acting(app, MANAGER) as client:
        waits = await client.post(url, json=body)
        assert (waits.status_code, waits.json()["state"]) == (202, "pending")
        assert await given(pool) == (0, 0)
        decision = f"/cafes/{CAFE}/grant-runs/{body['run_id']}/decision"
        assert (await client.post(decision, json={"approve": True})).status_code == 403
        (matter,) = (await client.get(f"/cafes/{CAFE}/approvals")).json()
        assert (matter["kind"], matter["points"], matter["decide_at"]) == ("bonus", 1500, decision)
    # Somebody who leaves meanwhile was counted when it was asked for.
    async with transaction(pool) as conn:
        await members.on_segment_left(conn, [_moved(SegmentLeft, 19, 9)])
    async with acting(app, OTHER) as client:
        for _ in range(2):
            assert (await client.post(decision, json={"approve": True})).json()["state"] in ("approved", "done")
            assert await given(pool) == (15, 1500)
        assert (await client.post(decision, json={"approve": False})).status_code == 409
    async with acting(app, MANAGER) as client:
        states = [(await client.post(url, json=bonus(50))).status_code for _ in range(2)]
    # 750 alone, and 1,500 would be more than the thousand of a day.
    assert states == [201, 202]


async def test_opening_balances_are_given_once_to_each_guest_whatever_is_sent_again(app: FastAPI, pool: Pool) -> None:
    url = f"/cafes/{CAFE}/openings"
    balances = [{"phone": f"0912000000{number}", "points": 10 + number} for number in range(5)]
    async with acting(app, MANAGER) as client:
        for _ in range(2):
            sent = await client.post(url, json={"run_id": str(uuid4()), "balances": balances})
            assert sent.status_code == 201
        twice = await client.post(url, json={"run_id": str(uuid4()), "balances": balances[:1] * 2})
        assert (twice.status_code, twice.json()["errors"][0]["field"]) == (422, "balances.1.phone")
        assert await given(pool) == (5, 60)
        runs = (await client.get(f"/cafes/{CAFE}/grant-runs")).json()
        assert sorted(run["given"] for run in runs) == [0, 5]
        large = {"run_id": str(uuid4()), "balances": [{"phone": "09130000000", "points": 5000}]}
        assert (await client.post(url, json=large)).status_code == 202
    types = await pool.fetch(
        "SELECT DISTINCT transaction_type::text AS type, occasion FROM grants JOIN"
        " loyalty_transactions ON id = grant_id"
    )
    assert [tuple(row) for row in types] == [("adjustment_add", "opening")]

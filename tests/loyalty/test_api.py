"""What people and tills may ask loyalty over HTTP, inside the walls of their own cafe."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI

from services.loyalty.api.app import make_app
from shared.database.db import Pool, transaction
from shared.events.identity import AccessGranted
from shared.security import access, ids
from shared.security.auth import Staff, Till
from shared.settings import Settings
from shared.web.dependencies import current_staff, current_till
from tests.loyalty import books
from tests.loyalty.examples import CAFE, NOON, OTHER_CAFE, recorded

MANAGER, OTHER_MANAGER, HELPER = uuid4(), uuid4(), uuid4()
PHONE = "+989121112233"
ROLES = {MANAGER: "manager", OTHER_MANAGER: "manager", HELPER: "staff"}


@pytest.fixture
def guest(config: Settings) -> UUID:
    return ids.customer_id(config.keys, CAFE, PHONE)


@pytest.fixture
async def app(pool: Pool, guest: UUID) -> AsyncIterator[FastAPI]:
    granted = [
        AccessGranted(cafe_id=CAFE, user_id=user, role=role, version=1, occurred_at=NOON)  # type: ignore[arg-type]
        for user, role in ROLES.items()
    ]
    async with transaction(pool) as conn:
        await access.on_access_granted(conn, granted)
    await books.take_in(pool, recorded(1, 100_000, guest=guest))
    app = make_app()
    async with app.router.lifespan_context(app):
        yield app


def acting(app: FastAPI, user: UUID) -> httpx2.AsyncClient:
    app.dependency_overrides[current_staff] = lambda: Staff(user)
    app.dependency_overrides[current_till] = lambda: Till(CAFE, "abcdefghijkl", ("ingest", "loyalty_lookup"))
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://crm.test")


def by_hand(points: int, **changes: Any) -> dict[str, Any]:
    return {"adjustment_id": str(uuid4()), "type": "earned_bonus", "points": points, "reason": "تولد مهمان"} | changes


async def test_amounts_are_for_managers_and_points_with_their_rule_for_all(app: FastAPI, guest: UUID) -> None:
    spent = ("lifetime_spent", "current_year_spent", "current_month_spent")
    for user, sees in ((HELPER, False), (MANAGER, True)):
        async with acting(app, user) as client:
            account = (await client.get(f"/cafes/{CAFE}/customers/{guest}/loyalty")).json()
            (entry,) = (await client.get(f"/cafes/{CAFE}/customers/{guest}/ledger")).json()["entries"]
            assert (await client.get(f"/cafes/{CAFE}/programs")).status_code == 200
        assert [account[name] is not None for name in spent] == [sees] * 3
        assert (entry["related_amount"] is not None) == sees
        assert (entry["points_change"], entry["notes"]) == (100, "v1 x1")
        rule = entry["rule"]
        assert (rule["program_version"], rule["earn_per"], rule["multiplier"]) == (1, "1000", "1")
        assert rule["currency_unit"] == entry["currency_unit"]


async def test_points_without_a_bill_have_no_rule(app: FastAPI, guest: UUID) -> None:
    async with acting(app, MANAGER) as client:
        await client.post(f"/cafes/{CAFE}/customers/{guest}/adjustments", json=by_hand(10))
        entries = (await client.get(f"/cafes/{CAFE}/customers/{guest}/ledger")).json()["entries"]
    assert [entry["rule"] is None for entry in entries] == [True, False]


async def test_account_and_ledger_are_shown(app: FastAPI, guest: UUID) -> None:
    async with acting(app, HELPER) as client:
        account = (await client.get(f"/cafes/{CAFE}/customers/{guest}/loyalty")).json()
        ledger = (await client.get(f"/cafes/{CAFE}/customers/{guest}/ledger")).json()
    assert (account["current_points"], account["tier"], account["points_to_next_tier"]) == (100, "bronze", 400)
    assert [(entry["points_change"], entry["balance_after"]) for entry in ledger["entries"]] == [(100, 100)]


async def test_small_gift_is_posted_and_a_large_one_needs_another_manager(app: FastAPI, guest: UUID) -> None:
    url = f"/cafes/{CAFE}/customers/{guest}/adjustments"
    async with acting(app, MANAGER) as client:
        assert (await client.post(url, json=by_hand(5))).status_code == 201
        large = by_hand(900_000)
        assert (await client.post(url, json=large)).status_code == 202
        [pending] = (await client.get(f"/cafes/{CAFE}/adjustments/pending")).json()
        decision = f"/cafes/{CAFE}/adjustments/{pending['adjustment_id']}/decision"
        assert (await client.post(decision, json={"approve": True})).status_code in (403, 409, 422)
    async with acting(app, OTHER_MANAGER) as client:
        assert (await client.post(decision, json={"approve": True})).json()["state"] == "posted"
        account = (await client.get(f"/cafes/{CAFE}/customers/{guest}/loyalty")).json()
    assert account["current_points"] == 900_105


async def test_staff_give_no_points_and_see_no_other_cafe(app: FastAPI, guest: UUID) -> None:
    async with acting(app, HELPER) as client:
        assert (await client.post(f"/cafes/{CAFE}/customers/{guest}/adjustments", json=by_hand(5))).status_code == 403
        assert (await client.get(f"/cafes/{OTHER_CAFE}/customers/{guest}/loyalty")).status_code == 404
        assert (await client.get(f"/cafes/{OTHER_CAFE}/programs")).status_code == 404


async def test_till_spends_points_once_and_never_more_than_there_are(app: FastAPI) -> None:
    wanted = {"redemption_id": str(uuid4()), "points": 60, "phone": "۰۹۱۲ ۱۱۱ ۲۲۳۳"}
    async with acting(app, HELPER) as client:
        first, again = [await client.post("/redemptions", json=wanted) for _ in range(2)]
        assert (first.status_code, first.json()["current_points"]) == (201, 40)
        assert again.json() == first.json()
        refused = await client.post("/redemptions", json=wanted | {"redemption_id": str(uuid4())})
        looked = await client.post("/loyalty/lookup", json={"phone": "09121112233"})
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert "40" in refused.json()["title"] + str(refused.json().get("errors"))
    assert looked.json()["current_points"] == 40


async def test_till_cancels_what_it_reserved_and_sees_what_became_of_it(app: FastAPI) -> None:
    wanted = {"redemption_id": str(uuid4()), "points": 60, "phone": PHONE, "reserve_minutes": 30}
    url = f"/redemptions/{wanted['redemption_id']}"
    async with acting(app, HELPER) as client:
        assert (await client.get(url)).status_code == 404
        reserved = (await client.post("/redemptions", json=wanted)).json()
        assert (reserved["state"], reserved["reserved_until"] is not None) == ("completed", True)
        cancelled, again = [await client.post(f"{url}/cancel") for _ in range(2)]
        assert (cancelled.status_code, cancelled.json()["current_points"]) == (200, 100)
        assert again.json() == cancelled.json()
        seen = (await client.get(url)).json()
        assert (seen["state"], seen["reserved_until"]) == ("reversed", None)
        assert (await client.post(f"/redemptions/{uuid4()}/cancel")).status_code == 404


async def test_staff_cancel_what_a_till_reserved(app: FastAPI) -> None:
    wanted = {"redemption_id": str(uuid4()), "points": 60, "phone": PHONE}
    async with acting(app, HELPER) as client:
        await client.post("/redemptions", json=wanted)
        url = f"/cafes/{{}}/redemptions/{wanted['redemption_id']}/cancel"
        assert (await client.post(url.format(OTHER_CAFE))).status_code == 404
        cancelled = await client.post(url.format(CAFE))
    assert (cancelled.status_code, cancelled.json()["current_points"]) == (200, 100)


async def test_unknown_number_has_nothing_and_says_nothing(app: FastAPI) -> None:
    async with acting(app, HELPER) as client:
        looked = await client.post("/loyalty/lookup", json={"phone": "09120000000"})
    found = looked.json()
    # A known guest has such a link too.
    assert "/g/" in found.pop("guest_link")
    assert found == {"current_points": 0, "tier": "bronze", "next_tier": "silver", "points_to_next_tier": 500}


async def test_two_managers_publish_new_rules_from_now_on(app: FastAPI) -> None:
    rules = {"earn_per_toman": 5000, "tier_period": "jalali_year"}
    async with acting(app, MANAGER) as client:
        proposed = await client.post(f"/cafes/{CAFE}/programs", json={"rules": rules})
        past = await client.post(
            f"/cafes/{CAFE}/programs", json={"rules": rules, "valid_from": "2020-01-01T00:00:00+00:00"}
        )
    async with acting(app, OTHER_MANAGER) as client:
        decision = f"/cafes/{CAFE}/programs/proposals/{proposed.json()['proposal_id']}/decision"
        made = await client.post(decision, json={"approve": True})
        versions = (await client.get(f"/cafes/{CAFE}/programs")).json()
    assert (proposed.status_code, made.json()["version"]) == (202, 2)
    assert past.status_code == 409
    assert [program["version"] for program in versions] == [1, 2]

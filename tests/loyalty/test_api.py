"""What people and tills may ask loyalty over HTTP, inside the walls of their own cafe."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI

from services.loyalty.api.app import make_app
from services.loyalty.models.programs import EARNING
from shared.database.db import Pool, transaction
from shared.events.identity import AccessGranted
from shared.security import access, ids
from shared.security.auth import Staff, Till
from shared.settings import Settings
from shared.web.dependencies import current_staff, current_till
from tests.loyalty import books
from tests.loyalty.conftest import Clock
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
    assert found == {
        "current_points": 0,
        "available_points": 0,
        "referral_code": None,
        "tier": "bronze",
        "next_tier": "silver",
        "points_to_next_tier": 500,
    }


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


MINUTE = timedelta(minutes=1)
EARNS = {
    "earn": [{"key": "visit", "kind": "visit", "points": 5}],
    "multiply": [{"key": "tuesday", "factor": "1.5", "on": ["visit"], "weekdays": ["tue"]}],
    "caps": {"day": 300},
}


async def published(app: FastAPI, rules: dict[str, Any]) -> dict[str, Any]:
    async with acting(app, MANAGER) as client:
        proposed = await client.post(f"/cafes/{CAFE}/programs", json={"rules": {"tier_period": "jalali_year"} | rules})
        assert proposed.status_code == 202, proposed.text
    async with acting(app, OTHER_MANAGER) as client:
        url = f"/cafes/{CAFE}/programs/proposals/{proposed.json()['proposal_id']}/decision"
        made = await client.post(url, json={"approve": True})
    assert made.status_code == 200, made.text
    rules_now: dict[str, Any] = made.json()["rules"]
    return rules_now


async def test_earning_rules_stay_when_a_version_does_not_speak_of_them(app: FastAPI, clock: Clock) -> None:
    clock.moment += MINUTE
    first = await published(app, EARNS)
    assert (first["earn"][0]["key"], first["multiply"][0]["factor"], first["caps"]["day"]) == ("visit", "1.5", 300)
    clock.moment += MINUTE
    second = await published(app, {"earn_per_toman": 5000})
    assert {name: second[name] for name in EARNING} == {name: first[name] for name in EARNING}
    async with acting(app, MANAGER) as client:
        *_, newest = (await client.get(f"/cafes/{CAFE}/programs")).json()
    assert newest["rules"] == second
    clock.moment += MINUTE
    third = await published(app, {"earn": []})
    assert (third["earn"], third["multiply"], third["caps"]["day"]) == ([], [], None)


VISIT = {"key": "visit", "kind": "visit", "points": 5}
TIMES = {"key": "times", "factor": "2"}


@pytest.mark.parametrize(
    ("rules", "path", "code"),
    [
        ({"earn": [{"key": "a", "kind": "moon", "points": 1}]}, "rules.earn.0.kind", "union_tag_invalid"),
        ({"earn": [{"key": "a", "points": 1}]}, "rules.earn.0.kind", "union_tag_not_found"),
        ({"earn": [VISIT | {"points": 0}]}, "rules.earn.0.points", "greater_than_equal"),
        ({"earn": [VISIT | {"n": 3}]}, "rules.earn.0.n", "extra_forbidden"),
        ({"earn": [VISIT, VISIT]}, "rules.earn.1.key", "key_twice"),
        ({"earn": [VISIT | {"key": "base"}]}, "rules.earn.0.key", "key_twice"),
        ({"earn": [VISIT], "multiply": [TIMES | {"key": "visit"}]}, "rules.multiply.0.key", "key_twice"),
        ({"multiply": [TIMES | {"factor": "0.09"}]}, "rules.multiply.0.factor", "greater_than_equal"),
        ({"multiply": [TIMES | {"factor": "10.01"}]}, "rules.multiply.0.factor", "less_than_equal"),
        ({"multiply": [TIMES | {"on": ["nobody"]}]}, "rules.multiply.0.on", "never_matches"),
        ({"multiply": [TIMES | {"from_time": "10:00", "until_time": "10:00"}]}, "rules.multiply.0", "never_matches"),
        ({"multiply": [TIMES | {"until_time": "00:00"}]}, "rules.multiply.0", "never_matches"),
        ({"multiply": [TIMES | {"from_time": "25:00"}]}, "rules.multiply.0.from_time", "string_pattern_mismatch"),
        (
            {"multiply": [TIMES | {"dates": [{"first": "2040-02-02", "last": "2040-02-01"}]}]},
            "rules.multiply.0.dates.0", "never_matches",
        ),
        (
            {"multiply": [TIMES | {"dates": [{"first": "2020-02-02", "last": "2020-02-03"}]}]},
            "rules.multiply.0.dates", "never_matches",
        ),
        (
            {"multiply": [TIMES | {"weekdays": ["sat"], "dates": [{"first": "2040-02-05", "last": "2040-02-10"}]}]},
            "rules.multiply.0", "never_matches",
        ),
        ({"earn": [{"key": "a", "kind": "item", "points": 1, "match": {}}]}, "rules.earn.0.match", "never_matches"),
        (
            {"earn": [{"key": "a", "kind": "item", "points": 1, "match": {"skus": ["x"]}, "exclude": {"skus": ["x"]}}]},
            "rules.earn.0", "never_matches",
        ),
        ({"earn": [{"key": "a", "kind": "item", "match": {"skus": ["x"]}}]}, "rules.earn.0", "points_or_toman"),
        ({"earn": [VISIT | {"key": f"v{n}"} for n in range(51)]}, "rules.earn", "too_long"),
        (
            {"earn": [VISIT | {"key": f"v{n}"} for n in range(30)],
             "multiply": [TIMES | {"key": f"t{n}"} for n in range(21)]},
            "rules.earn", "too_many_rules",
        ),
        ({"caps": {"day": 0}}, "rules.caps.day", "greater_than_equal"),
    ],
)  # fmt: skip
async def test_rules_that_make_no_sense_are_refused_by_path(
    app: FastAPI, rules: dict[str, Any], path: str, code: str
) -> None:
    async with acting(app, MANAGER) as client:
        answer = await client.post(f"/cafes/{CAFE}/programs", json={"rules": {"tier_period": "jalali_year"} | rules})
    assert answer.status_code == 422, answer.text
    (problem,) = answer.json()["errors"]
    assert (problem["field"], problem["code"]) == (path, code)
    assert problem["en"]
    assert any("\u0600" < letter < "\u06ff" for letter in problem["fa"])


async def test_till_quotes_a_bill_of_a_guest_by_number(app: FastAPI) -> None:
    bill = {"phone": PHONE, "final_amount": "450000", "currency_unit": "IRT", "items": [{"name": "لاته", "amount": 1}]}
    async with acting(app, HELPER) as client:
        told = (await client.post("/loyalty/quotes", json=bill)).json()
        wrong = await client.post("/loyalty/quotes", json=bill | {"final_amount": "-1"})
    assert (told["points"], told["current_points"], told["tier_after"]) == (450, 100, "silver")
    assert (told["next_tier"], told["currency_unit"], told["points_worth"]) == ("gold", "IRT", None)
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "final_amount")

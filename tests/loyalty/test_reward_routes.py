"""Rewards over HTTP: who may keep them, what a till is told, and how it is refused, in both languages."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI

from services.loyalty.handlers import explaining
from shared.database.db import Pool, transaction
from shared.inputs.explaining import ALWAYS, NEVER
from tests.loyalty import books
from tests.loyalty.examples import CAFE, NOON, OTHER_CAFE, recorded
from tests.loyalty.test_api import HELPER, MANAGER, PHONE, acting, app, guest

__all__ = ["app", "guest"]
REWARDS = f"/cafes/{CAFE}/rewards"


def a_reward(**fields: Any) -> dict[str, Any]:
    body = {"reward_id": str(uuid4()), "key": "free_coffee", "name": "قهوهٔ رایگان", "kind": "item"}
    return body | {"cost_points": 60, "stock": 2} | fields


def reserved(reward_id: str, **fields: Any) -> dict[str, Any]:
    return {"redemption_id": str(uuid4()), "phone": PHONE, "reward_id": reward_id} | fields


async def test_managers_keep_rewards_and_everybody_of_the_cafe_sees_them(app: FastAPI) -> None:
    async with acting(app, HELPER) as client:
        assert (await client.post(REWARDS, json=a_reward())).json()["code"] == "role_too_low"
    body = a_reward(conditions={"match": {"categories": ["قهوه"]}, "per_guest": 1, "weekdays": ["fri"]})
    async with acting(app, MANAGER) as client:
        made = await client.post(REWARDS, json=body)
        assert (made.status_code, made.json()["version"]) == (201, 1)
        assert (await client.post(REWARDS, json=body)).json() == made.json()
        changed = await client.patch(f"{REWARDS}/{body['reward_id']}", json={"cost_points": 70, "stock": 5})
        assert (changed.json()["version"], changed.json()["stock_left"]) == (2, 5)
        assert changed.json()["conditions"]["match"]["categories"] == ["قهوه"]
        assert (await client.patch(f"{REWARDS}/{uuid4()}", json={"stock": 5})).status_code == 404
    async with acting(app, HELPER) as client:
        assert (await client.get(REWARDS)).json() == [changed.json()]
        assert (await client.get(f"/cafes/{OTHER_CAFE}/rewards")).status_code == 404


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"key": "Free Coffee"}, "key", "string_pattern_mismatch"),
        ({"cost_points": 0}, "cost_points", "greater_than_equal"),
        ({"kind": "discount"}, "value", "value_of_discounts"),
        ({"stock": -1}, "stock", "greater_than_equal"),
        ({"conditions": {"from_time": "10:00", "until_time": "10:00"}}, "conditions", "never_matches"),
        ({"conditions": {"per_guest_days": 3}}, "conditions", "days_without_limit"),
        ({"conditions": {"match": {}}}, "conditions.match", "never_matches"),
    ],
)
async def test_faults_are_named(app: FastAPI, fields: dict[str, Any], field: str, code: str) -> None:
    async with acting(app, MANAGER) as client:
        answer = await client.post(REWARDS, json=a_reward(**fields))
    assert answer.status_code == 422
    assert [(each["field"], each["code"]) for each in answer.json()["errors"]] == [(field, code)]
    assert all(each["en"] and each["fa"] for each in answer.json()["errors"])


async def test_till_reserves_a_reward_and_is_refused_in_both_languages(app: FastAPI, pool: Pool, guest: UUID) -> None:
    body, small = a_reward(stock=1), a_reward(key="small", cost_points=10, minimum_bill="50000", stock=None)
    async with acting(app, MANAGER) as client:
        for each in (body, small):
            assert (await client.post(REWARDS, json=each)).status_code == 201
        offered = (await client.get("/loyalty/rewards")).json()
        assert [(each["key"], each["cost_points"], each["stock_left"]) for each in offered] == [
            ("small", 10, None), ("free_coffee", 60, 1),
        ]  # fmt: skip
        bill = {"final_amount": 60_000, "currency_unit": "IRT"}
        quoted = (await client.post("/loyalty/quotes", json={"phone": PHONE} | bill)).json()
        assert [each["key"] for each in quoted["rewards"]] == ["small", "free_coffee"]
        wanted = reserved(body["reward_id"])
        first = await client.post("/redemptions", json=wanted)
        assert first.status_code == 201
        got = {name: first.json()[name] for name in ("points", "kind", "state", "reward_id", "current_points")}
        assert got == {
            "points": 60, "kind": "item", "state": "completed", "reward_id": body["reward_id"], "current_points": 40,
        }  # fmt: skip
        assert (await client.post("/redemptions", json=wanted)).json() == first.json()
        again = await client.post("/redemptions", json=reserved(body["reward_id"]))
        assert (again.status_code, again.headers["content-type"]) == (409, "application/problem+json")
        told = again.json()
        assert (told["code"], [each["code"] for each in told["errors"]]) == (
            "INSUFFICIENT_POINTS", ["INSUFFICIENT_POINTS", "out_of_stock"],
        )  # fmt: skip
        assert told["title"]
        assert told["title_fa"]
        quoted = (await client.post("/loyalty/quotes", json={"phone": PHONE} | bill)).json()
        assert ([each["key"] for each in quoted["rewards"]], quoted["next_reward"]) == (["small"], None)
        for fields, code in (({}, "bill_too_small"), ({"bill": bill}, None)):
            answer = await client.post("/redemptions", json=reserved(small["reward_id"], **fields))
            assert answer.json().get("code") == code
        unknown = await client.post("/redemptions", json=reserved(str(uuid4())))
        assert (unknown.status_code, unknown.json()["code"]) == (404, "reward_unknown")
        for fields in ({"points": 5}, {"kind": "item"}):
            answer = await client.post("/redemptions", json=reserved(body["reward_id"], **fields))
            assert answer.json()["errors"][0]["code"] == "points_or_reward"
        cancelled = await client.post(f"/redemptions/{wanted['redemption_id']}/cancel")
        assert (cancelled.json()["state"], cancelled.json()["current_points"]) == ("reversed", 90)
        assert [each["stock_left"] for each in (await client.get(REWARDS)).json()] == [1, None]
    assert (await books.ending(pool, guest)).balance == 90


async def test_staff_spend_points_for_a_reward_and_the_explanation_names_it(
    app: FastAPI, pool: Pool, guest: UUID
) -> None:
    body = a_reward()
    async with acting(app, MANAGER) as client:
        await client.post(REWARDS, json=body)
    spent = {"redemption_id": str(uuid4()), "customer_id": str(guest), "reward_id": body["reward_id"]}
    async with acting(app, HELPER) as client:
        answer = await client.post(f"/cafes/{CAFE}/redemptions", json=spent)
        assert (answer.status_code, answer.json()["points"]) == (201, 60)
    async with acting(app, MANAGER) as client:
        await client.patch(f"{REWARDS}/{body['reward_id']}", json={"name": "چای رایگان"})
    bill = recorded(2, 1000, NOON, guest=guest, redemption_id=UUID(spent["redemption_id"]))
    await books.take_in(pool, bill)
    async with transaction(pool) as conn:
        by_guest = await explaining.explain_guest(conn, CAFE, guest, ALWAYS, NEVER)
        by_bill = await explaining.explain_visit(conn, CAFE, bill.visit_id, guest)
    for found in (by_guest, by_bill):
        [step] = [each for each in found.steps if each.what == "redemption"]
        named = {name: step.values[name] for name in ("points", "kind", "reward", "reward_version")}
        assert named == {"points": 60, "kind": "item", "reward": "قهوهٔ رایگان", "reward_version": 1}
        assert step.values["reward_id"] == body["reward_id"]

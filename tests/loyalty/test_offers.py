"""What staff may offer a guest at the counter: what is theirs now, what keeps the rest, and what a bill would earn."""

from typing import Any
from uuid import UUID, uuid4

from fastapi import FastAPI

from services.loyalty.models.rewards import RewardSeeker
from services.loyalty.rules import rewards as rules
from shared.clock import now
from shared.database.db import Pool
from shared.security.guest_links import guest_token
from shared.settings import Settings
from tests.loyalty import books
from tests.loyalty.examples import CAFE, NOON, OTHER_CAFE, recorded
from tests.loyalty.test_api import HELPER, MANAGER, PHONE, acting, app, guest
from tests.loyalty.test_reward_routes import REWARDS, a_reward
from tests.loyalty.test_reward_rules import reward

__all__ = ["app", "guest"]
BRANCH = uuid4()


def of(guest: UUID, what: str = "offers") -> str:
    return f"/cafes/{CAFE}/customers/{guest}/{what}"


async def offer_all(app: FastAPI, *bodies: dict[str, Any]) -> None:
    async with acting(app, MANAGER) as client:
        for body in bodies:
            assert (await client.post(REWARDS, json=body)).status_code == 201


async def test_every_reward_says_what_keeps_it_from_the_guest(app: FastAPI, guest: UUID) -> None:
    await offer_all(
        app,
        a_reward(key="coffee", cost_points=60),
        a_reward(key="cake", cost_points=130),
        a_reward(key="dinner", cost_points=500, stock=0, conditions={"least_tier": "gold"}),
        a_reward(key="here", cost_points=10, minimum_bill="50000", conditions={"branches": [str(BRANCH)]}),
        a_reward(key="card", cost_points=None),
        a_reward(key="gone", cost_points=5, is_active=False),
        a_reward(key="over", cost_points=5, conditions={"valid_until": "2020-01-01T00:00:00Z"}),
    )
    async with acting(app, HELPER) as client:
        told = (await client.get(of(guest))).json()
        there = (await client.get(of(guest), params={"branch_id": str(BRANCH)})).json()
        stranger = (await client.get(of(uuid4()))).json()
        assert (await client.get(f"/cafes/{OTHER_CAFE}/customers/{guest}/offers")).status_code == 404
    assert (told["total_visits"], stranger["total_visits"]) == (1, 0)
    assert (told["current_points"], told["available_points"], told["cards"], told["vouchers"]) == (100, 100, [], [])
    found = [
        (each["key"], [one["code"] for one in each["refusals"]], each["points_missing"]) for each in told["rewards"]
    ]
    assert found == [
        ("here", ["wrong_branch", "bill_too_small"], 0),
        ("coffee", [], 0),
        ("cake", ["INSUFFICIENT_POINTS"], 30),
        ("dinner", ["tier_too_low", "INSUFFICIENT_POINTS", "out_of_stock"], 400),
    ]
    assert all(one["en"] and one["fa"] for each in told["rewards"] for one in each["refusals"])
    assert [one["code"] for one in there["rewards"][0]["refusals"]] == ["bill_too_small"]
    assert (stranger["current_points"], stranger["rewards"][1]["points_missing"]) == (0, 60)


async def test_own_page_tells_of_what_the_guest_may_look_forward_to(
    app: FastAPI, guest: UUID, config: Settings
) -> None:
    await offer_all(
        app,
        a_reward(key="dear", name="dear", cost_points=900),
        a_reward(key="near", name="near", cost_points=130, conditions={"from_time": "03:00", "until_time": "03:01"}),
        a_reward(key="mine", name="mine", cost_points=60, minimum_bill="50000"),
        a_reward(key="gold", cost_points=10, conditions={"least_tier": "gold"}),
        a_reward(key="none", cost_points=10, stock=0),
    )
    link = {"X-Guest-Link": guest_token(config.keys, CAFE, guest, now())}
    async with acting(app, HELPER) as client:
        told = (await client.get("/guest/points", headers=link)).json()["rewards"]
    assert [(each["name"], each["cost_points"], each["points_missing"]) for each in told] == [
        ("mine", 60, 0), ("near", 130, 30), ("dear", 900, 800),
    ]  # fmt: skip


async def test_what_is_offered_without_refusals_can_be_had(app: FastAPI, guest: UUID) -> None:
    await offer_all(app, a_reward(conditions={"per_guest": 1}))
    async with acting(app, HELPER) as client:
        [one] = (await client.get(of(guest))).json()["rewards"]
        assert one["refusals"] == []
        wanted = {"redemption_id": str(uuid4()), "customer_id": str(guest), "reward_id": one["reward_id"]}
        assert (await client.post(f"/cafes/{CAFE}/redemptions", json=wanted)).status_code == 201
        after = (await client.get(of(guest))).json()
        [again] = after["rewards"]
        refused = await client.post(f"/cafes/{CAFE}/redemptions", json=wanted | {"redemption_id": str(uuid4())})
    assert [each["code"] for each in again["refusals"]] == ["guest_limit", "INSUFFICIENT_POINTS"]
    assert [each["code"] for each in refused.json()["errors"]] == ["guest_limit", "INSUFFICIENT_POINTS"]
    assert (after["available_points"], again["points_missing"], again["stock_left"]) == (40, 20, 1)


async def test_staff_quote_a_bill_as_a_till_does(app: FastAPI, guest: UUID, pool: Pool) -> None:
    await offer_all(app, a_reward(), a_reward(key="with_bill", cost_points=20, minimum_bill="400000"))
    bill = {"final_amount": "450000", "currency_unit": "IRT"}
    async with acting(app, HELPER) as client:
        told = (await client.post(of(guest, "quotes"), json=bill)).json()
        at_till = (await client.post("/loyalty/quotes", json=bill | {"phone": PHONE})).json()
        wrong = await client.post(of(guest, "quotes"), json=bill | {"phone": PHONE})
        elsewhere = await client.post(f"/cafes/{OTHER_CAFE}/customers/{guest}/quotes", json=bill)
    assert told == at_till
    assert (told["points"], [each["key"] for each in told["rewards"]]) == (450, ["with_bill", "free_coffee"])
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "phone")
    assert elsewhere.status_code == 404
    await books.take_in(pool, recorded(2, 450_000, NOON, guest=guest))
    assert (await books.ending(pool, guest)).balance == 100 + told["points"]


def test_points_that_are_missing_are_never_below_zero() -> None:
    assert [rules.lacking(reward(), RewardSeeker(tier="bronze", balance=each)) for each in (-5, 99, 100, 500)] == [
        105, 1, 0, 0,
    ]  # fmt: skip
    assert rules.lacking(reward(cost_points=None), RewardSeeker(tier="bronze", balance=0)) == 0

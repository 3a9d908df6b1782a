"""What a till hears of the points that its bills ask to spend."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from services.visit.api.app import make_app
from services.visit.handlers import reactions
from services.visit.rules.contents import redemption_of
from shared.database.db import Pool
from shared.events.loyalty import RedemptionCompleted, RedemptionRefused, RedemptionReversed
from shared.security import ids
from tests.support import Databases
from tests.visit.given import CAFE, NOON, bill, correction, known_cafe, react, take, visit_row
from tests.visit.test_tills import know

KEY = ids.generate_api_key()
RECEIPT = "/visits/till-1/14050101-1"


@pytest.fixture
async def pool(database: Databases) -> Pool:
    pool = await database("visit")
    await known_cafe(pool)
    await know(pool, KEY)
    return pool


@pytest.fixture
async def till(pool: Pool) -> AsyncIterator[httpx2.AsyncClient]:
    app = make_app()
    transport = httpx2.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://crm.test", headers={"X-Api-Key": KEY.text}) as client,
    ):
        yield client


def told(kind: type[Any], visit: dict[str, Any], **more: Any) -> Any:
    return kind(
        cafe_id=CAFE, occurred_at=NOON, customer_id=visit["customer_id"], visit_id=visit["id"], visit_at=NOON,
        redemption_id=visit["id"], **({"points": 80} | more),
    )  # fmt: skip


async def asked(till: httpx2.AsyncClient) -> dict[str, Any]:
    answer = await till.get(RECEIPT)
    assert answer.status_code == 200, answer.text
    state: dict[str, Any] = answer.json()["redemption"]
    return state


async def test_till_hears_at_once_that_points_were_asked_for_and_later_what_became_of_them(
    till: httpx2.AsyncClient, pool: Pool
) -> None:
    taken = await till.post("/visits", json=bill(points_to_redeem=80))
    assert (taken.status_code, taken.json()["redemption"]) == (201, "asked")
    pending = {"state": "pending", "points_asked": 80, "points_redeemed": 0, "reason": None}
    assert await asked(till) == pending
    visit = await visit_row(pool)
    await react(pool, reactions.on_redemption_refused, told(RedemptionRefused, visit, reason="insufficient_points"))
    assert await asked(till) == pending | {"state": "refused", "reason": "insufficient_points"}
    await react(pool, reactions.on_redemption_completed, told(RedemptionCompleted, visit))
    assert await asked(till) == pending | {"state": "completed", "points_redeemed": 80}


async def test_answer_to_a_correction_follows_what_is_said_of_it(till: httpx2.AsyncClient, pool: Pool) -> None:
    await till.post("/visits", json=bill(points_to_redeem=80))
    visit = await visit_row(pool)
    await react(pool, reactions.on_redemption_refused, told(RedemptionRefused, visit, reason="insufficient_points"))
    await take(pool, correction(1, points_to_redeem=50))
    assert (await asked(till))["state"] == "refused"
    await react(pool, reactions.on_redemption_completed, told(RedemptionCompleted, visit, points=50))
    assert (await asked(till))["state"] == "completed"
    await react(pool, reactions.on_redemption_reversed, told(RedemptionReversed, visit, points=50))
    await take(pool, correction(2))
    assert await asked(till) == {"state": "none", "points_asked": 0, "points_redeemed": 0, "reason": None}


async def test_receipt_that_never_came_and_one_of_another_spelling(till: httpx2.AsyncClient) -> None:
    assert (await till.get(RECEIPT)).status_code == 404
    plain = await till.post("/visits", json=bill(receipt_number="۱۲"))
    assert "redemption" not in plain.json()
    for typed in ("12", "۱۲"):
        answer = await till.get(f"/visits/till-1/{typed}")
        assert answer.json()["visit_id"] == plain.json()["visit_id"]


@pytest.mark.parametrize(
    ("about", "state"),
    [
        ((0, 0, None), "none"), ((80, 0, None), "pending"), ((80, 80, None), "completed"),
        ((80, 40, None), "pending"), ((80, 40, "insufficient_points"), "refused"),
    ],
)  # fmt: skip
def test_state_follows_from_what_was_asked_and_spent(about: tuple[int, int, str | None], state: str) -> None:
    assert redemption_of(*about) == state

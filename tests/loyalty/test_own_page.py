"""What a guest sees of their points, by their own link alone."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import httpx2
import pytest

from services.loyalty.api.app import make_app
from services.loyalty.models.programs import ProgramRules
from services.loyalty.store import programs
from shared.clock import now
from shared.database.db import Pool, transaction
from shared.security import ids
from shared.security.auth import Till
from shared.security.guest_links import guest_token, read_guest_token
from shared.settings import Settings
from shared.web.dependencies import current_till
from tests.loyalty import books
from tests.loyalty.examples import CAFE, GUEST, NOON, OTHER_CAFE, guest_number, recorded

OTHER = guest_number(7)
DAY = timedelta(days=1)


@pytest.fixture
async def client(pool: Pool) -> AsyncIterator[httpx2.AsyncClient]:
    rules = ProgramRules(tier_period="jalali_year", points_expire_days=30)
    async with transaction(pool) as conn:
        await programs.publish(conn, CAFE, 2, NOON - DAY, rules.model_dump(mode="json"), uuid4())
    lately = now() - 10 * DAY
    await books.take_in(pool, recorded(1, 120_000, lately), recorded(2, 700_000, lately, guest=OTHER))
    app = make_app()
    app.dependency_overrides[current_till] = lambda: Till(CAFE, "abcdefghijkl", ("ingest", "loyalty_lookup"))
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://crm.test") as client,
    ):
        yield client


def link(config: Settings, guest: UUID = GUEST, cafe: UUID = CAFE) -> dict[str, str]:
    return {"X-Guest-Link": guest_token(config.keys, cafe, guest, now())}


async def test_points_tier_and_what_lapses_are_the_guests_own(client: httpx2.AsyncClient, config: Settings) -> None:
    mine = (await client.get("/guest/points", headers=link(config))).json()
    assert (mine["current_points"], mine["tier"], mine["next_tier"], mine["points_to_next_tier"]) == (
        120, "bronze", "silver", 380
    )  # fmt: skip
    [lapsing] = mine["lapsing"]
    assert lapsing["points"] == 120
    others = (await client.get("/guest/points", headers=link(config, OTHER))).json()
    assert (others["current_points"], others["tier"]) == (700, "silver")
    elsewhere = (await client.get("/guest/points", headers=link(config, cafe=OTHER_CAFE))).json()
    assert (elsewhere["current_points"], elsewhere["lapsing"]) == (0, [])


async def test_till_is_given_the_guests_own_link_whether_or_not_the_guest_is_known(
    client: httpx2.AsyncClient, config: Settings
) -> None:
    for phone in ("+989121112233", "+989121112299"):
        found = (await client.post("/loyalty/lookup", json={"phone": phone})).json()
        base, _, token = found["guest_link"].rpartition("/g/")
        assert base == config.guest_page_url
        assert read_guest_token(config.keys, token).customer_id == ids.customer_id(config.keys, CAFE, phone)


async def test_without_a_link_there_is_nothing(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/guest/points")).status_code == 401
    assert (await client.get("/guest/points", headers={"X-Guest-Link": "x" * 68})).status_code == 401

"""Nothing is said to guests that only one person has seen, where the cafe's policy wants a second; and who did what."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
import pytest
from fastapi import Request

from services.campaign.api.app import make_app
from services.campaign.journeys.models.values import PURPOSE_OF
from shared.clock import new_id, now
from shared.database import db
from shared.events.identity import AccessRevoked
from shared.security import access
from shared.security.auth import Staff
from shared.web.dependencies import current_staff
from tests.campaign.conftest import Simulator, World

OWNER, ONE, TWO, CLERK = (new_id() for _ in range(4))
CAMPAIGN: dict[str, Any] = {"name": "یلدا", "target": {"everyone": True}, "template": "یلدا مبارک", "budget": "1000000"}
ADVERT = CAMPAIGN | {"template": "همه‌چیز نصف قیمت"}


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    for user, role in ((OWNER, "owner"), (ONE, "manager"), (TWO, "manager"), (CLERK, "staff")):
        await world.grant(user, role)  # type: ignore[arg-type]
    app = make_app()

    def caller(request: Request) -> Staff:
        return Staff(UUID(request.headers["x-who"]))

    app.dependency_overrides[current_staff] = caller
    transport = httpx2.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://crm.test") as client,
    ):
        yield client


class Desk:
    """One cafe's campaigns, asked for by different people."""

    def __init__(self, client: httpx2.AsyncClient, world: World) -> None:
        self.client, self.world, self.root = client, world, f"/cafes/{world.cafe_id}"

    async def ask(self, who: UUID, method: str, path: str, body: Any = None) -> httpx2.Response:
        address = path if path.startswith("/cafes") else self.root + path
        return await self.client.request(method, address, json=body, headers={"x-who": str(who)})

    async def write(self, who: UUID, **changes: Any) -> str:
        made = await self.ask(who, "POST", "/campaigns", CAMPAIGN | changes)
        assert made.status_code == 201, made.text
        return f"/campaigns/{made.json()['id']}"

    async def schedule(self, who: UUID, campaign: str) -> dict[str, Any]:
        when = (now() + timedelta(minutes=5)).isoformat()
        answer = await self.ask(who, "POST", f"{campaign}/schedule", {"scheduled_date": when})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def approve(self, who: UUID, campaign: str, version: int | None = None) -> int:
        body = None if version is None else {"version": version}
        return (await self.ask(who, "POST", f"{campaign}/approve", body)).status_code

    async def show(self, campaign: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.ask(OWNER, "GET", campaign)).json()
        return found

    async def waiting(self, who: UUID) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.ask(who, "GET", "/approvals")).json()
        return found

    async def send_all(self) -> None:
        await self.world.pool.execute("UPDATE campaigns SET scheduled_date = now() WHERE scheduled_date IS NOT NULL")
        await self.world.run_jobs()

    async def leave(self, *people: UUID) -> None:
        for who in people:
            event = AccessRevoked(cafe_id=self.world.cafe_id, occurred_at=now(), version=2, user_id=who)
            await self.world.react(access.on_access_revoked, event)

    async def journey(self, key: str = "thanks") -> dict[str, Any]:
        found = (await self.ask(OWNER, "GET", "/journeys")).json()
        return next(each for each in found if each["journey_key"] == key)  # type: ignore[no-any-return]


@pytest.fixture
def desk(client: httpx2.AsyncClient, world: World) -> Desk:
    return Desk(client, world)


async def test_rewriting_somebody_elses_draft_and_approving_it_is_refused(desk: Desk, simulator: Simulator) -> None:
    await desk.world.add_guest()
    campaign = await desk.write(ONE)
    assert (await desk.ask(TWO, "PUT", campaign, ADVERT)).status_code == 200
    await desk.schedule(ONE, campaign)
    # Two wrote the words, and One touched it last: a third looks at it.
    assert await desk.approve(ONE, campaign) == 403
    assert (await desk.ask(TWO, "PUT", campaign, ADVERT)).status_code == 200
    await desk.schedule(TWO, campaign)
    assert [await desk.approve(who, campaign) for who in (ONE, TWO)] == [403, 403]
    await desk.send_all()
    assert simulator.texts == []
    assert await desk.approve(OWNER, campaign) == 200
    await desk.world.run_jobs()
    assert len(simulator.texts) == 1


async def test_setting_the_date_is_a_change_too(desk: Desk) -> None:
    campaign = await desk.write(ONE)
    await desk.schedule(TWO, campaign)
    assert [await desk.approve(who, campaign) for who in (ONE, TWO)] == [403, 403]
    await desk.schedule(ONE, campaign)
    assert await desk.approve(TWO, campaign) == 200


@pytest.mark.parametrize(
    "change",
    [
        {"template": "همه‌چیز نصف قیمت"}, {"budget": None}, {"budget": "2000000"}, {"purpose": "service"},
        {"target": {"segments": ["vip_customers"]}}, {"ignores_quiet_hours": True}, {"name": "نوروز"},
    ],
)  # fmt: skip
async def test_every_change_takes_the_approval_away(desk: Desk, change: dict[str, Any], simulator: Simulator) -> None:
    await desk.world.add_guest()
    campaign = await desk.write(ONE)
    await desk.schedule(ONE, campaign)
    assert await desk.approve(TWO, campaign) == 200
    edited = (await desk.ask(ONE, "PUT", campaign, CAMPAIGN | change)).json()
    assert (edited["approved_at"], edited["approved_by"], edited["status"]) == (None, None, "draft")
    await desk.send_all()
    await desk.schedule(ONE, campaign)
    await desk.send_all()
    assert simulator.texts == []
    steps = (await desk.ask(ONE, "GET", f"{campaign}/trail")).json()
    assert [(step["what"], step["by_user"], step["ended_approval"]) for step in reversed(steps)] == [
        ("written", str(ONE), False), ("scheduled", str(ONE), False), ("approved", str(TWO), False),
        ("edited", str(ONE), True), ("scheduled", str(ONE), False),
    ]  # fmt: skip
    assert steps[2]["detail"]["template_content"] == CAMPAIGN["template"]


async def test_another_date_takes_the_approval_away(desk: Desk) -> None:
    campaign = await desk.write(ONE)
    await desk.schedule(ONE, campaign)
    await desk.approve(TWO, campaign)
    assert (await desk.schedule(ONE, campaign))["approved_at"] is None


async def test_nobody_approves_what_they_have_not_seen(desk: Desk) -> None:
    campaign = await desk.write(ONE)
    seen = (await desk.schedule(ONE, campaign))["version"]
    await desk.ask(ONE, "PUT", campaign, ADVERT)
    await desk.schedule(ONE, campaign)
    assert await desk.approve(TWO, campaign, seen) == 409
    assert await desk.approve(TWO, campaign, seen + 2) == 200
    for wrong in (0, -1, 2**40, "x"):
        assert (await desk.ask(TWO, "POST", f"{campaign}/approve", {"version": wrong})).status_code in (409, 422)


async def test_change_and_approval_at_once_never_leave_a_change_approved(desk: Desk) -> None:
    for _ in range(5):
        campaign = await desk.write(ONE)
        seen = (await desk.schedule(ONE, campaign))["version"]
        await asyncio.gather(
            desk.approve(TWO, campaign, seen),
            desk.ask(ONE, "PUT", campaign, ADVERT),
            desk.approve(OWNER, campaign, seen),
        )
        found = await desk.show(campaign)
        assert (found["version"], found["approved_at"], found["status"]) == (seen + 1, None, "draft")


async def test_two_approvals_at_once_are_one(desk: Desk) -> None:
    campaign = await desk.write(ONE)
    await desk.schedule(ONE, campaign)
    assert await asyncio.gather(desk.approve(TWO, campaign), desk.approve(OWNER, campaign)) == [200, 200]
    steps = (await desk.ask(ONE, "GET", f"{campaign}/trail")).json()
    assert [step["what"] for step in steps].count("approved") == 1


async def test_date_long_past_asks_again(desk: Desk, simulator: Simulator) -> None:
    await desk.world.add_guest()
    campaign = await desk.write(ONE)
    await desk.schedule(ONE, campaign)
    await desk.world.pool.execute("UPDATE campaigns SET scheduled_date = now() - interval '20 minutes'"
                                  " WHERE scheduled_date IS NOT NULL")  # fmt: skip
    [late] = await desk.waiting(TWO)
    assert (late["may_decide"], "schedule it anew" in late["reason_en"]) == (False, True)
    assert await desk.approve(TWO, campaign) == 409
    await desk.world.run_jobs()
    assert simulator.texts == []


async def test_one_manager_cafe_sends(desk: Desk, simulator: Simulator) -> None:
    await desk.leave(ONE, TWO)
    await desk.world.add_guest()
    campaign = await desk.write(OWNER)
    scheduled = await desk.schedule(OWNER, campaign)
    assert (scheduled["approved_by"], scheduled["approved_alone"]) == (str(OWNER), True)
    assert await desk.approve(OWNER, campaign, scheduled["version"]) == 200
    assert await desk.waiting(OWNER) == []
    await desk.send_all()
    assert len(simulator.texts) == 1


async def test_always_lets_nobody_send_alone(desk: Desk) -> None:
    await desk.world.open_cafe(version=2, approval_when="always")
    await desk.leave(ONE, TWO)
    campaign = await desk.write(OWNER)
    assert (await desk.schedule(OWNER, campaign))["approved_at"] is None
    assert await desk.approve(OWNER, campaign) == 403
    [own] = await desk.waiting(OWNER)
    assert own["may_decide"] is False


@pytest.mark.parametrize(("budget", "approved"), [("1000000", True), ("1000001", False), (None, False)])
async def test_above_goes_by_what_it_may_cost(desk: Desk, budget: str | None, approved: bool) -> None:
    """The budget in Rial, the policy in Toman; no budget is no bound."""
    await desk.world.open_cafe(version=2, approval_when="above", approval_amount=100_000)
    campaign = await desk.write(ONE, budget=budget)
    assert ((await desk.schedule(ONE, campaign))["approved_at"] is not None) is approved


async def test_people_who_left_approve_nothing_and_do_not_hold_up_who_stays(desk: Desk) -> None:
    mine, theirs = await desk.write(ONE), await desk.write(TWO)
    await desk.schedule(ONE, mine)
    await desk.schedule(TWO, theirs)
    await desk.leave(TWO, OWNER)
    assert await desk.approve(TWO, mine) == 404
    assert await desk.approve(ONE, theirs) == 200
    assert await desk.approve(ONE, mine) == 200


async def test_list_says_what_waits_for_whom(desk: Desk) -> None:
    campaign = await desk.write(ONE)
    version = (await desk.schedule(ONE, campaign))["version"]
    [own] = await desk.waiting(ONE)
    [other] = await desk.waiting(TWO)
    assert (own["may_decide"], bool(own["reason_fa"]), other["may_decide"]) == (False, True, True)
    assert (other["kind"], other["version"], other["asked_by"]) == ("campaign", version, str(ONE))
    assert (other["what"]["template"], other["amount"], other["currency_unit"]) == ("یلدا مبارک", "1000000.00", "IRR")
    assert (await desk.ask(CLERK, "GET", "/approvals")).status_code == 403
    done = await desk.ask(TWO, "POST", other["decide_at"], {"version": other["version"]})
    assert done.status_code == 200
    assert await desk.waiting(TWO) == []


async def test_changing_the_library_changes_no_campaign(desk: Desk, simulator: Simulator) -> None:
    await desk.world.add_guest()
    text = {"name": "یلدا", "content": "یلدا مبارک", "variables": {}}
    made = (await desk.ask(ONE, "POST", "/templates", text)).json()["id"]
    campaign = await desk.write(ONE, template=text["content"])
    await desk.schedule(ONE, campaign)
    await desk.approve(TWO, campaign)
    changed = await desk.ask(ONE, "PUT", f"/templates/{made}", text | {"content": "همه‌چیز نصف قیمت"})
    assert changed.status_code == 204
    await desk.send_all()
    assert [sent.splitlines()[0] for sent in simulator.texts] == ["یلدا مبارک"]


async def test_nobody_rewrites_the_trail(desk: Desk) -> None:
    await desk.write(ONE)
    for statement in ("UPDATE campaign_trail SET by_user = cafe_id", "DELETE FROM campaign_trail"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await desk.world.pool.execute(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with db.staff_transaction(desk.world.pool, ONE) as conn:
                await conn.execute(statement)


# --- what journeys say

ADVERTISED: dict[str, Any] = {"template": "همه‌چیز نصف قیمت", "fallbacks": {}}


async def change(desk: Desk, who: UUID, body: dict[str, Any], key: str = "thanks") -> httpx2.Response:
    return await desk.ask(who, "PATCH", f"/journeys/{(await desk.journey(key))['id']}", body)


async def decide(desk: Desk, who: UUID, approve: bool = True) -> int:
    [text] = [each for each in await desk.waiting(who) if each["kind"] == "journey"]
    return (await desk.ask(who, "POST", text["decide_at"], {"approve": approve})).status_code


async def test_thanks_become_no_advert_unseen(desk: Desk, simulator: Simulator) -> None:
    guest = await desk.world.add_guest(marketing=False)
    answer = await change(desk, ONE, ADVERTISED)
    assert (answer.status_code, answer.json()["version"], answer.json()["waiting"]["version"]) == (202, 1, 2)
    assert answer.json()["waiting"]["template_content"] == ADVERTISED["template"]
    await desk.world.record_visit(guest)
    await desk.world.run_jobs()
    assert "سپاسگزاریم" in simulator.texts[0]
    assert await decide(desk, ONE) == 403
    assert await decide(desk, TWO) == 200
    await desk.world.record_visit(guest)
    await desk.world.run_jobs()
    assert simulator.texts[1:] == [ADVERTISED["template"]]
    versions = (await desk.ask(ONE, "GET", f"/journeys/{(await desk.journey())['id']}/versions")).json()
    assert [(each["version"], each["state"], each["decided_by"]) for each in versions] == [
        (2, "in_force", str(TWO)), (1, "replaced", None),
    ]  # fmt: skip


@pytest.mark.parametrize("body", [{"budget": "5"}, {"budget": None}, {"ignores_quiet_hours": True}, ADVERTISED])
async def test_what_a_journey_says_and_may_spend_waits(desk: Desk, body: dict[str, Any]) -> None:
    await desk.world.pool.execute("UPDATE campaigns SET budget = 7")
    before = await desk.journey()
    assert (await change(desk, ONE, body)).status_code == 202
    after = await desk.journey()
    assert after | {"waiting": None} == before


async def test_whom_a_journey_takes_waits(desk: Desk) -> None:
    answer = await change(desk, ONE, {"starts_on": ["definition"]}, "vip_welcome")
    assert answer.status_code == 202
    assert (answer.json()["starts_on"], answer.json()["waiting"]["starts_on"]) == (["visit", "time"], ["definition"])
    [waiting] = await desk.waiting(TWO)
    assert waiting["what"]["starts_on"] == ["definition"]
    assert await decide(desk, TWO) == 200
    assert (await desk.journey("vip_welcome"))["starts_on"] == ["definition"]


async def test_switching_and_delay_wait_for_nobody_and_leave_a_trace(desk: Desk) -> None:
    assert (await change(desk, ONE, {"is_active": False, "delay_minutes": 7})).status_code == 200
    found = await desk.journey()
    assert (found["is_active"], found["delay_minutes"], found["waiting"]) == (False, 7, None)
    [step] = (await desk.ask(TWO, "GET", f"/campaigns/{found['campaign_id']}/trail")).json()
    assert (step["what"], step["by_user"], step["detail"]) == (
        "switched", str(ONE), {"is_active": False, "delay_minutes": 7},
    )  # fmt: skip


async def test_purpose_of_a_journey_is_fixed_by_its_trigger(desk: Desk) -> None:
    refused = await change(desk, ONE, {"purpose": "marketing"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "purpose")
    for found in (await desk.ask(ONE, "GET", "/journeys")).json():
        assert found["purpose"] == PURPOSE_OF[found["trigger"]]


async def test_later_wish_takes_the_place_of_one_that_waits_and_nothing_of_it_rides_along(desk: Desk) -> None:
    """One's words, then Two's budget: One must not approve a version that still holds the own words."""
    first = (await change(desk, ONE, ADVERTISED)).json()["waiting"]["version"]
    second = (await change(desk, TWO, {"budget": "5"})).json()["waiting"]
    assert ADVERTISED["template"] not in second["template_content"]
    stale = f"/journeys/{(await desk.journey())['id']}/versions/{first}/decision"
    assert (await desk.ask(OWNER, "POST", stale, {"approve": True})).status_code == 409
    assert await decide(desk, ONE) == 200
    found = await desk.journey()
    assert (found["budget"], "سپاسگزاریم" in found["template_content"], found["waiting"]) == ("5.00", True, None)


async def test_two_decisions_at_once_about_a_text_leave_one(desk: Desk) -> None:
    await change(desk, ONE, ADVERTISED)
    [text] = await desk.waiting(TWO)
    yes, no = await asyncio.gather(
        desk.ask(TWO, "POST", text["decide_at"], {"approve": True}),
        desk.ask(OWNER, "POST", text["decide_at"], {"approve": False}),
    )
    assert sorted([yes.status_code, no.status_code]) == [200, 409]
    found = await desk.journey()
    assert (found["template_content"] == ADVERTISED["template"]) == (yes.status_code == 200)


async def test_declined_text_is_never_sent(desk: Desk, simulator: Simulator) -> None:
    await change(desk, ONE, ADVERTISED)
    assert await decide(desk, TWO, approve=False) == 200
    await desk.world.record_visit(await desk.world.add_guest())
    await desk.world.run_jobs()
    assert "سپاسگزاریم" in simulator.texts[0]


async def test_one_person_cafe_changes_its_words_at_once(desk: Desk) -> None:
    await desk.leave(ONE, TWO)
    answer = await change(desk, OWNER, ADVERTISED)
    assert (answer.status_code, answer.json()["template_content"]) == (200, ADVERTISED["template"])
    assert (answer.json()["version"], answer.json()["waiting"]) == (2, None)
    again = await change(desk, OWNER, ADVERTISED)
    assert (again.status_code, again.json()["version"]) == (200, 2)


async def test_text_of_somebody_who_left_is_decided_by_who_stays(desk: Desk) -> None:
    await change(desk, ONE, ADVERTISED)
    await desk.leave(ONE, TWO)
    assert await decide(desk, OWNER) == 200

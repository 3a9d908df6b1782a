"""A campaign that rests: nothing of it leaves from the answer on, and it goes on where it stopped."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from deploy.crm.invariants import RESULTS
from services.campaign.campaigns.handlers import expanding
from services.campaign.campaigns.handlers.campaigns import pause
from services.campaign.channels import store as channels_store
from shared.clock import now
from shared.database.db import transaction
from tests.campaign.conftest import CLERK, MANAGER, SECOND, STRANGER, Simulator, World, sign_in
from tests.campaign.test_results import started

WAITING = "SELECT count(*) FROM campaign_deliveries WHERE delivery_status = 'queued'"
HELD = WAITING + " AND error_code = 'paused' AND due_at > now() + interval '1 day'"


async def expand(world: World) -> None:
    while await expanding.start_campaigns(world.pool):
        pass


async def guests(world: World, number: int) -> None:
    for each in range(number):
        await world.add_guest(f"+98912000000{each}")


async def test_nothing_leaves_while_it_rests_and_everything_after(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    await guests(world, 4)
    own = await started(app, client, world)
    await expand(world)
    rests = await client.post(f"{own}/pause")
    assert (rests.status_code, rests.json()["status"]) == (200, "sending")
    assert rests.json()["paused_at"] is not None
    await world.run_jobs()
    assert simulator.texts == []
    assert await world.pool.fetchval(HELD) == 4
    assert set(await world.decisions()) == {("hold", "paused")}
    # A message to try is nobody's whom it is for.
    assert (await client.post(f"{own}/test", json={"phone": "09129999999"})).status_code == 202
    await world.run_jobs()
    assert len(simulator.texts) == 1
    assert (await client.post(f"{own}/pause")).status_code == 200
    goes_on = await client.post(f"{own}/resume")
    assert goes_on.json()["paused_at"] is None
    await world.run_jobs()
    assert len(simulator.texts) == 5
    assert await world.pool.fetchval("SELECT count(*) FROM campaigns WHERE wake_at IS NOT NULL") == 0
    assert await world.pool.fetch(RESULTS, world.cafe_id) == []
    steps = [each["what"] for each in (await client.get(f"{own}/trail")).json()]
    assert steps == ["resumed", "tried", "paused", "approved", "scheduled", "written"]


async def test_those_that_go_on_take_turns(
    app: FastAPI, client: httpx2.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await guests(world, 3)
    both = [await started(app, client, world) for _ in range(2)]
    await expand(world)
    for own in both:
        await client.post(f"{own}/pause")
    await world.send_due()
    assert await world.pool.fetchval(HELD) == 6
    for own in both:
        await client.post(f"{own}/resume")
    monkeypatch.setattr(expanding, "BATCH", 1)
    for _ in both:
        await expanding.start_campaigns(world.pool)
    left = "SELECT count(*) FROM campaign_deliveries WHERE error_code = 'paused' GROUP BY campaign_id"
    assert [row["count"] for row in await world.pool.fetch(left)] == [2, 2]


async def test_rest_before_it_begins_keeps_the_approval_and_takes_up_nobody(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    await guests(world, 2)
    own = await started(app, client, world)
    before = (await client.get(own)).json()
    await client.post(f"{own}/pause")
    await world.run_jobs()
    after = (await client.get(own)).json()
    assert (after["status"], after["approved_by"], after["version"]) == (
        "scheduled", before["approved_by"], before["version"],
    )  # fmt: skip
    assert await world.pool.fetchval(WAITING) == 0
    await client.post(f"{own}/resume")
    await world.run_jobs()
    assert len(simulator.texts) == 2


async def test_pause_waits_for_whoever_decides_and_then_nobody_has_decided(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    await guests(world, 1)
    own = await started(app, client, world)
    await expand(world)
    async with transaction(world.pool) as deciding:
        await channels_store.lock_providers(deciding, [world.cafe_id])
        asked = asyncio.create_task(client.post(f"{own}/pause"))
        blocked = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%sms_providers%'"
        )
        while not await world.pool.fetchval(blocked):
            assert not asked.done()
            await asyncio.sleep(0.01)
    assert (await asked).status_code == 200
    await world.send_due()
    assert simulator.texts == []


async def test_what_rests_too_long_is_not_sent_and_says_why(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    await guests(world, 1)
    own = await started(app, client, world)
    await expand(world)
    await client.post(f"{own}/pause")
    await world.send_due()
    await world.pool.execute("UPDATE campaign_deliveries SET due_at = now(), expires_at = now() + interval '3 seconds'")
    await world.run_jobs()
    lost = (await client.get(f"{own}/results")).json()["funnel"]["lost"]
    assert [(each["loss"], each["reason"], each["messages"]) for each in lost] == [("dropped", "paused", 1)]
    assert simulator.texts == []


async def test_cancelled_while_it_rests_ends_its_messages_at_once(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    await guests(world, 2)
    own = await started(app, client, world)
    await expand(world)
    await client.post(f"{own}/pause")
    await world.send_due()
    shown = (await client.post(f"{own}/cancel")).json()
    assert (shown["status"], shown["paused_at"]) == ("cancelled", None)
    await world.run_jobs()
    funnel = (await client.get(f"{own}/results")).json()["funnel"]
    assert (funnel["recipients"], funnel["dropped"], funnel["waiting"]) == (2, 2, 0)
    assert simulator.texts == []


async def test_who_may_pause_and_what(app: FastAPI, client: httpx2.AsyncClient, world: World) -> None:
    own = await started(app, client, world)
    for user, status in ((CLERK, 403), (STRANGER, 404)):
        sign_in(app, user)
        for way in ("pause", "resume"):
            assert (await client.post(f"{own}/{way}")).status_code == status
    sign_in(app, MANAGER)
    standing = f"/cafes/{world.cafe_id}/campaigns/{(await world.campaign())['id']}"
    draft = (await client.post(f"/cafes/{world.cafe_id}/campaigns", json=DRAFT)).json()["id"]
    for address in (standing, f"/cafes/{world.cafe_id}/campaigns/{draft}"):
        for way in ("pause", "resume"):
            assert (await client.post(f"{address}/{way}")).status_code == 409
    assert (await client.post(f"{own}/resume")).status_code == 200
    await world.pool.execute("UPDATE campaigns SET status = 'completed' WHERE status = 'scheduled'")
    assert (await client.post(f"{own}/pause")).status_code == 409


DRAFT: dict[str, Any] = {"name": "یلدا", "target": {"everyone": True}}


async def test_draft_may_wait_for_its_text_and_keeps_the_date_that_is_wanted(
    app: FastAPI, client: httpx2.AsyncClient, world: World
) -> None:
    sign_in(app, MANAGER)
    base = f"/cafes/{world.cafe_id}/campaigns"
    wanted = (now() + timedelta(hours=3)).replace(microsecond=0).isoformat()
    made = (await client.post(base, json=DRAFT | {"wanted_date": wanted})).json()
    own = f"{base}/{made['id']}"
    assert (made["template_content"], made["wanted_date"][:16]) == ("", wanted[:16])
    for way, body in (("schedule", {}), ("test", {"phone": "09120000000"})):
        refused = await client.post(f"{own}/{way}", json=body)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_template")
    whole = DRAFT | {"template": "یلدا مبارک", "wanted_date": wanted, "version": made["version"]}
    changed = (await client.put(own, json=whole)).json()
    refused = await client.put(own, json=whole)
    assert (refused.status_code, refused.json()["code"]) == (409, "campaign_changed")
    scheduled = (await client.post(f"{own}/schedule", json={})).json()
    assert (scheduled["scheduled_date"], scheduled["at_once"]) == (changed["wanted_date"], False)


async def test_without_a_date_it_begins_when_it_is_approved_however_late_that_is(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    await guests(world, 1)
    sign_in(app, MANAGER)
    base = f"/cafes/{world.cafe_id}/campaigns"
    own = f"{base}/{(await client.post(base, json=DRAFT | {'template': 'یلدا مبارک'})).json()['id']}"
    assert (await client.post(f"{own}/schedule", json={})).json()["at_once"] is True
    await world.run_jobs()
    assert simulator.texts == []
    await world.pool.execute("UPDATE campaigns SET scheduled_date = now() - interval '3 days' WHERE at_once")
    sign_in(app, SECOND)
    (waits,) = (await client.get(f"/cafes/{world.cafe_id}/approvals")).json()
    assert waits["may_decide"] is True
    assert (await client.post(f"{own}/approve")).status_code == 200
    await world.run_jobs()
    assert len(simulator.texts) == 1
    # A week later nobody remembers what it was for.
    await world.pool.execute(
        "UPDATE campaigns SET status = 'scheduled', approved_at = NULL, approved_by = NULL, approved_alone = false,"
        " scheduled_date = now() - interval '8 days' WHERE at_once"
    )
    assert (await client.post(f"{own}/approve")).json()["code"] == "date_passed"


async def test_pausing_twice_is_noted_once(app: FastAPI, client: httpx2.AsyncClient, world: World) -> None:
    own = await started(app, client, world)
    campaign_id = own.rpartition("/")[2]
    for _ in range(2):
        async with transaction(world.pool) as conn:
            await pause(conn, world.cafe_id, campaign_id, MANAGER)  # type: ignore[arg-type]
    steps = [each["what"] for each in (await client.get(f"{own}/trail")).json()]
    assert steps.count("paused") == 1

"""A campaign's results add up at every moment: whom it was for is what was sent, failed, was skipped, and waits."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
from fastapi import FastAPI

from deploy.crm.invariants import RESULTS
from services.campaign.campaigns.handlers import expanding
from services.campaign.messages.decide import CHECKS
from services.campaign.messages.handlers import recipients
from services.campaign.messages.rules.results import REASONS
from shared.clock import now
from shared.database.db import transaction
from shared.events.customer import CustomerErased
from tests.campaign.conftest import MANAGER, SECOND, Simulator, World, sign_in


async def started(app: FastAPI, client: httpx2.AsyncClient, world: World, **body: Any) -> str:
    """An approved campaign whose date has come; returns its address."""
    base = f"/cafes/{world.cafe_id}/campaigns"
    whole = {"name": "یلدا", "target": {"everyone": True}, "template": "یلدا مبارک"} | body
    sign_in(app, MANAGER)
    own = f"{base}/{(await client.post(base, json=whole)).json()['id']}"
    when = (now() + timedelta(minutes=5)).isoformat()
    await client.post(f"{own}/schedule", json={"scheduled_date": when})
    sign_in(app, SECOND)
    assert (await client.post(f"{own}/approve")).status_code == 200
    await world.pool.execute("UPDATE campaigns SET scheduled_date = now() WHERE status = 'scheduled'")
    return own


async def results(client: httpx2.AsyncClient, world: World, own: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The counts and the reasons, once they have been compared with the messages."""
    assert await world.pool.fetch(RESULTS, world.cafe_id) == []
    shown: dict[str, Any] = (await client.get(own)).json()["results"]
    reasons = {f"{each['outcome']} {each['reason']}": each["messages"] for each in shown.pop("reasons")}
    assert shown["recipients"] == sum(shown[name] for name in ("sent", "failed", "skipped", "waiting"))
    assert shown["failed"] + shown["skipped"] == sum(reasons.values())
    return shown, reasons


async def erase(world: World, guest: UUID) -> None:
    await world.react(
        recipients.on_customer_erased, CustomerErased(cafe_id=world.cafe_id, customer_id=guest, occurred_at=now())
    )


async def test_results_add_up_at_every_step_and_name_their_reasons(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    simulator.network.refused = {"09120000002"}
    for number in range(5):
        await world.add_guest(f"+98912000000{number}", marketing=number not in (3, 4))
    erased = await world.add_guest("+989120000009")
    own = await started(app, client, world)
    assert (await results(client, world, own))[0]["recipients"] == 0
    while await expanding.start_campaigns(world.pool):
        pass
    counts = {"recipients": 6, "sent": 0, "failed": 0, "skipped": 0, "waiting": 6}
    assert await results(client, world, own) == (counts, {})
    await erase(world, erased)
    counts |= {"skipped": 1, "waiting": 5}
    assert await results(client, world, own) == (counts, {"skipped erased": 1})
    simulator.fail("error_before")
    await world.send_due()
    assert (await results(client, world, own))[0]["waiting"] == 3
    await world.settle_unknown()
    await world.end_pauses()
    await world.run_jobs()
    counts |= {"sent": 2, "failed": 1, "skipped": 3, "waiting": 0}
    ended = {"skipped erased": 1, "skipped consent": 2, "failed 411": 1}
    assert await results(client, world, own) == (counts, ended)
    for _ in range(3):
        simulator.network.move(everything=True)
    await world.poll()
    await world.run_jobs()
    assert (await client.get(own)).json()["status"] == "completed"
    assert await results(client, world, own) == (counts, ended)
    for each in (await client.get(own)).json()["results"]["reasons"]:
        assert all((each["fa"], each["en"]))


async def test_journeys_add_up_too_also_when_visits_are_voided_and_messages_given_up(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    guest = await world.add_guest()
    await world.record_visit(guest)
    await world.hold()
    await world.void(await world.record_visit(guest, minutes_ago=0))
    held = await world.record_visit(guest)
    await world.hold()
    await world.void(held)
    await world.run_jobs()
    standing = await world.campaign()
    sign_in(app, MANAGER)
    own = f"/cafes/{world.cafe_id}/campaigns/{standing['id']}"
    counts = {"recipients": 2, "sent": 1, "failed": 0, "skipped": 1, "waiting": 0}
    assert await results(client, world, own) == (counts, {"skipped visit_voided": 1})


async def test_what_the_version_before_left_is_counted_as_a_whole(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    for number in range(3):
        await world.add_guest(f"+98912000000{number}", marketing=number > 0)
    own = await started(app, client, world)
    await world.run_jobs()
    right = await results(client, world, own)
    await world.pool.execute("UPDATE campaigns SET recipients = 0, recount_at = now() + interval '9 minutes'")
    await world.pool.execute("DELETE FROM campaign_results")
    assert (await client.get(own)).json()["results"] is None
    assert await expanding.count_results(world.pool) == 0
    await world.pool.execute("UPDATE campaigns SET recount_at = now()")
    while await expanding.count_results(world.pool):
        pass
    assert await results(client, world, own) == right == (
        {"recipients": 3, "sent": 2, "failed": 0, "skipped": 1, "waiting": 0}, {"skipped consent": 1},
    )  # fmt: skip
    async with transaction(world.pool) as conn:
        assert await conn.fetchval("SELECT count(*) FROM campaigns WHERE recount_at IS NOT NULL") == 0


def test_every_check_has_words_in_both_languages() -> None:
    assert set(CHECKS) - {"segment"} | {"left_segment", "broken", "erased", "visit_voided"} <= set(REASONS)

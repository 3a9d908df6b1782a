"""Budgets are never passed: whatever the provider asks, however many send at once, and however an answer is lost."""

import asyncio
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from services.campaign.campaigns.handlers import expanding
from shared.clock import new_id, now
from tests.campaign.conftest import MANAGER, OWNER, SECOND, Simulator, World, sign_in

BUDGET = Decimal(20_000)


async def one_off(world: World, guests: int, *, budget: Decimal | None = BUDGET) -> Any:
    """A campaign to everybody that has been approved, and whose date is now."""
    for number in range(guests):
        await world.add_guest(f"+98912{number:07}")
    campaign_id = new_id()
    await world.pool.execute(
        """
        INSERT INTO campaigns (cafe_id, id, name, campaign_type, purpose, target_segment, template_content, budget,
                               status, scheduled_date, created_at, updated_at, created_by, approved_by, approved_at)
        VALUES ($1, $2, 'یلدا', 'sms', 'marketing', '{"everyone": true}', 'یلدا مبارک', $3, 'scheduled', now(), now(),
                now(), $4, $5, now())
        """,
        world.cafe_id, campaign_id, budget, new_id(), new_id(),
    )  # fmt: skip
    return campaign_id


async def account(world: World, price: int, charged: int | None = None) -> None:
    await world.pool.execute(
        "UPDATE sms_providers SET cost_per_sms = $1, charged_per_part = $2", Decimal(price), charged
    )
    world.config = world.config.model_copy(update={"sms_price": Decimal(price)})


async def ends(world: World, campaign_id: Any) -> dict[str, int]:
    rows = await world.pool.fetch(
        """
        SELECT coalesce(error_code, delivery_status::text) AS how, count(*) FROM campaign_deliveries
        WHERE campaign_id = $1 GROUP BY 1
        """,
        campaign_id,
    )
    return {row["how"]: row["count"] for row in rows}


@pytest.mark.parametrize("asked", [1390, 1000, 700, 2900])
async def test_budget_holds_though_the_provider_asks_more_than_the_cafe_says(
    asked: int, world: World, simulator: Simulator
) -> None:
    await account(world, 1000)
    simulator.network.cost_per_part = asked
    campaign_id = await one_off(world, 30)
    await world.run_jobs()
    spent = await world.pool.fetchrow("SELECT actual_cost, reserved_cost FROM campaigns WHERE id = $1", campaign_id)
    fit = int(BUDGET // max(asked, 1000))
    assert (spent["actual_cost"], spent["reserved_cost"]) == (fit * asked, 0) or asked < 1000
    assert spent["actual_cost"] <= BUDGET
    found = await ends(world, campaign_id)
    assert found["budget"] + found["sent"] == 30
    assert found["sent"] >= fit


async def test_budget_holds_when_the_price_rises_on_the_way(world: World, simulator: Simulator) -> None:
    await account(world, 1000, 1000)
    simulator.network.cost_per_part = 1000
    campaign_id = await one_off(world, 30)
    while await expanding.start_campaigns(world.pool):
        pass
    while await world.send_due():
        simulator.network.cost_per_part = 1390
    spent = await world.pool.fetchval("SELECT actual_cost FROM campaigns WHERE id = $1", campaign_id)
    assert BUDGET - 1390 < spent <= BUDGET


async def test_monthly_budget_is_one_for_all_campaigns_of_the_cafe(world: World, simulator: Simulator) -> None:
    await account(world, 1000)
    await world.pool.execute("UPDATE messaging_settings SET monthly_budget = $1, guest_daily_cap = 100", BUDGET)
    for guests in (30, 10):
        await one_off(world, guests, budget=None)
    await world.run_jobs()
    spent, reserved = await world.pool.fetchrow("SELECT sum(cost), sum(reserved) FROM sms_usage")
    assert (spent, reserved, len(simulator.texts)) == (14 * 1390, 0, 14)


async def test_two_workers_do_not_pass_it_together(world: World, simulator: Simulator) -> None:
    await account(world, 1000)
    campaign_id = await one_off(world, 30)
    while await expanding.start_campaigns(world.pool):
        pass
    while any(await asyncio.gather(world.send_due(), world.send_due())):
        await world.pool.execute("UPDATE campaign_deliveries SET due_at = now() WHERE delivery_status = 'queued'")
    spent = await world.pool.fetchval("SELECT actual_cost FROM campaigns WHERE id = $1", campaign_id)
    assert spent == 14 * 1390


async def test_what_may_have_been_sent_is_counted_until_the_provider_says_otherwise(
    world: World, simulator: Simulator
) -> None:
    await account(world, 1000)
    campaign_id = await one_off(world, 30)
    simulator.fail("error_after")
    await world.run_jobs()
    counts = await world.pool.fetchrow("SELECT actual_cost, reserved_cost FROM campaigns WHERE id = $1", campaign_id)
    assert counts["actual_cost"] + counts["reserved_cost"] <= BUDGET
    await world.settle_unknown()
    for _ in range(20):
        await world.end_pauses()
        await world.run_jobs()
    spent = await world.pool.fetchval("SELECT actual_cost FROM campaigns WHERE id = $1", campaign_id)
    assert spent <= BUDGET < sum(message.cost for message in simulator.network.sent) + 1390 + 390


async def test_owner_sees_what_was_charged_and_estimates_go_by_the_dearer_price(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    simulator.network.cost_per_part = 1500
    await world.record_visit(await world.add_guest())
    await world.run_jobs()
    sign_in(app, OWNER)
    (shown,) = (await client.get(f"/cafes/{world.cafe_id}/providers")).json()
    assert Decimal(shown["charged_per_part"]) == 1500
    sign_in(app, MANAGER)
    body = {"name": "یلدا", "target": {"everyone": True}, "template": "یلدا مبارک"}
    made = (await client.post(f"/cafes/{world.cafe_id}/campaigns", json=body)).json()["id"]
    when = {"scheduled_date": now().replace(year=now().year + 1).isoformat()}
    address = f"/cafes/{world.cafe_id}/campaigns/{made}/schedule"
    scheduled = (await client.post(address, json=when)).json()
    assert (scheduled["estimated_recipients"], Decimal(scheduled["estimated_cost"])) == (1, 1500)
    # An account without a key of its own sends on the installation's terms, whatever its row says.
    await world.pool.execute("UPDATE sms_providers SET charged_per_part = NULL, cost_per_sms = 1")
    sign_in(app, SECOND)
    again = (await client.post(address, json=when)).json()
    assert Decimal(again["estimated_cost"]) == app.state.settings.sms_price

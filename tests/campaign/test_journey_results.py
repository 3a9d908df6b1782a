"""What journeys did lately, what a month of messages costs, and what a text that is being written would be."""

from datetime import date, timedelta
from typing import Any

import httpx2
from fastapi import FastAPI

from shared.clock import now
from tests.campaign.conftest import CLERK, MANAGER, Simulator, World, sign_in

THERE = """
SELECT count(*) FILTER (WHERE sent_at IS NOT NULL) AS sent,
       count(*) FILTER (WHERE delivered_at IS NOT NULL) AS delivered,
       count(*) FILTER (WHERE delivery_status IN ('skipped', 'failed') AND sent_at IS NULL) AS not_sent,
       coalesce(sum(message_cost) FILTER (WHERE sent_at IS NOT NULL), 0) AS cost
FROM campaign_deliveries d JOIN campaigns c USING (cafe_id) WHERE c.id = d.campaign_id AND d.cafe_id = $1 AND c.id = $2
"""


async def thanked(world: World, simulator: Simulator) -> None:
    """Three guests came: one is thanked, one has no line of ours any more, one's visit was voided."""
    simulator.network.refused = {"09120000002"}
    for number in (1, 2):
        guest = await world.add_guest(f"+98912000000{number}")
        await world.record_visit(guest)
    await world.run_jobs()
    held = await world.record_visit(await world.add_guest("+989120000003"))
    await world.hold()
    await world.void(held)
    for _ in range(3):
        simulator.network.move(everything=True)
    await world.poll()
    await world.run_jobs()


async def of_thanks(client: httpx2.AsyncClient, world: World, **days: str) -> dict[str, Any]:
    sign_in_as = f"/cafes/{world.cafe_id}/journeys"
    journeys = (await client.get(sign_in_as)).json()
    thanks = next(each["id"] for each in journeys if each["journey_key"] == "thanks")
    found = (await client.get(f"{sign_in_as}/results", params=days)).json()
    assert [each["journey_id"] for each in found] == [each["id"] for each in journeys]
    result: dict[str, Any] = next(each for each in found if each["journey_id"] == thanks)
    return result


async def test_figures_of_the_last_days_are_those_of_the_messages(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    await thanked(world, simulator)
    sign_in(app, MANAGER)
    shown = await of_thanks(client, world)
    there = await world.pool.fetchrow(THERE, world.cafe_id, (await world.campaign())["id"])
    assert there is not None
    assert {name: shown[name] for name in ("sent", "delivered", "not_sent")} == {
        name: there[name] for name in ("sent", "delivered", "not_sent")
    }
    assert float(shown["cost"]) == float(there["cost"]) > 0
    assert sum(each["messages"] for each in shown["reasons"]) == shown["not_sent"] == 2
    assert {each["reason"] for each in shown["reasons"]} >= {"visit_voided"}
    assert all(each["fa"] and each["en"] for each in shown["reasons"])


async def test_days_before_hold_nothing_and_wrong_ones_are_refused(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    await thanked(world, simulator)
    sign_in(app, MANAGER)
    week_ago = (now() - timedelta(days=7)).date().isoformat()
    assert (await of_thanks(client, world, until=week_ago))["sent"] == 0
    wrong = {"since": "2026-02-01", "until": "2026-01-01"}
    assert (await client.get(f"/cafes/{world.cafe_id}/journeys/results", params=wrong)).status_code == 422


async def test_newest_messages_say_for_whom_and_why_not(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    await thanked(world, simulator)
    sign_in(app, MANAGER)
    base = f"/cafes/{world.cafe_id}/journeys"
    thanks = (await of_thanks(client, world))["journey_id"]
    found = (await client.get(f"{base}/{thanks}/messages")).json()
    assert len(found) == 3
    assert (found[0]["status"], found[0]["reason"]) == ("skipped", "visit_voided")
    assert found[0]["fa"]
    assert "phone" not in repr(found)
    assert (await client.get(f"{base}/{world.cafe_id}/messages")).status_code == 404


async def test_spend_of_a_month_is_told_by_day_against_the_budget(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    await thanked(world, simulator)
    sign_in(app, MANAGER)
    shown = (await client.get(f"/cafes/{world.cafe_id}/spend")).json()
    used = await world.pool.fetchrow("SELECT sum(messages) AS n, sum(cost) AS cost FROM sms_usage")
    assert used is not None
    assert (shown["messages"], float(shown["spent"])) == (used["n"], float(used["cost"]))
    assert sum(float(day["spent"]) for day in shown["days"]) == float(shown["spent"]) > 0
    assert date.fromisoformat(shown["first"]) <= date.fromisoformat(shown["days"][0]["day"])
    before = (await client.get(f"/cafes/{world.cafe_id}/spend", params={"month": "1404-01-15"})).json()
    assert (before["messages"], before["first"], before["days"]) == (0, "2025-03-21", [])


async def test_text_that_is_being_written_shows_its_parts_and_its_cost(
    app: FastAPI, client: httpx2.AsyncClient, world: World
) -> None:
    sign_in(app, MANAGER)
    url = f"/cafes/{world.cafe_id}/texts/preview"
    short = {"content": "{{name|مهمان}} عزیز، سلام", "trigger": "visit.recorded", "purpose": "service"}
    one = (await client.post(url, json=short)).json()
    assert (one["text"], one["parts"]) == ("سارا عزیز، سلام", 1)
    advert = (await client.post(url, json=short | {"content": "سلام " * 20, "purpose": "marketing"})).json()
    assert advert["text"].endswith("لغو۱۱")
    assert advert["parts"] == 2
    assert float(advert["cost"]) == 2 * float(one["cost"])
    linked = (await client.post(url, json=short | {"content": "نظر: {{link}} {{page}}"})).json()
    assert linked["text"].count("/…") == 2
    wrong = await client.post(url, json=short | {"content": "{{rating}} ستاره"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "content")
    assert await world.pool.fetchval("SELECT count(*) FROM campaign_deliveries") == 0


async def test_staff_read_none_of_it(app: FastAPI, client: httpx2.AsyncClient, world: World) -> None:
    sign_in(app, CLERK)
    for path in ("journeys/results", "spend"):
        assert (await client.get(f"/cafes/{world.cafe_id}/{path}")).status_code == 403

"""What a campaign would do, seen before it does: whom it reaches, what they read, what it costs."""

from decimal import Decimal
from typing import Any

import httpx2
from fastapi import FastAPI

from services.campaign.handlers import reactions
from shared.clock import new_id, now
from shared.events.customer import CustomerErased, CustomerStatusChanged
from shared.events.feedback import CaseOpened
from tests.campaign.conftest import CLERK, MANAGER, STRANGER, Simulator, World, sign_in

CAMPAIGN: dict[str, Any] = {
    "name": "یلدا", "target": {"everyone": True}, "template": "{{name|دوست}} عزیز، یلدا مبارک", "budget": "4000",
}  # fmt: skip


async def written(app: FastAPI, client: httpx2.AsyncClient, world: World, **change: Any) -> str:
    base = f"/cafes/{world.cafe_id}/campaigns"
    sign_in(app, MANAGER)
    return f"{base}/{(await client.post(base, json=CAMPAIGN | change)).json()['id']}"


async def test_preview_says_who_is_reached_and_who_not_by_the_checks_of_sending(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    guests = [await world.add_guest(f"+98912000000{number}", "سارا" if number else None) for number in range(9)]
    about: dict[str, Any] = {"cafe_id": world.cafe_id, "occurred_at": now()}
    await world.consent(guests[2], granted=False)
    await world.react(
        reactions.on_customer_status_changed,
        CustomerStatusChanged(**about, customer_id=guests[3], status="blocked"),
    )
    await world.pool.execute("UPDATE contacts SET line_blocked_at = now() WHERE customer_id = $1", guests[4])
    await world.react(
        reactions.on_case_changed,
        CaseOpened(
            **about, customer_id=guests[5], visit_id=None, feedback_id=new_id(), case_id=new_id(), due_at=now()
        ),
    )  # fmt: skip
    await world.react(reactions.on_customer_erased, CustomerErased(**about, customer_id=guests[6]))
    own = await written(app, client, world)
    shown = (await client.post(f"{own}/preview")).json()
    assert (shown["guests"], shown["reached"]) == (8, 4)
    reasons = {each["reason"]: each["guests"] for each in shown["not_reached"]}
    assert reasons == {"consent": 1, "status": 1, "line": 1, "complaint": 1}
    texts = {each["text"] for each in shown["samples"]}
    assert texts == {"سارا عزیز، یلدا مبارک\nلغو۱۱", "دوست عزیز، یلدا مبارک\nلغو۱۱"}
    assert {each["phone_ends_with"] for each in shown["samples"]} == {"0000", "0001", "0007", "0008"}
    assert (shown["parts"], Decimal(shown["cost"]), shown["fits_budget"]) == (1, 4 * 1390, False)
    assert shown["currency_unit"] == "IRR"
    assert (await client.get(own)).json()["status"] == "draft"
    assert simulator.texts == []

    await world.pool.execute(
        """
        UPDATE campaigns SET status = 'scheduled', scheduled_date = now(), approved_at = now(), approved_by = $1,
                             budget = NULL
        WHERE status = 'draft'
        """,
        new_id(),
    )
    await world.run_jobs()
    assert len(simulator.texts) == shown["reached"]


async def test_preview_is_for_managers_and_shows_no_number(
    app: FastAPI, client: httpx2.AsyncClient, world: World
) -> None:
    await world.enter_vip(await world.add_guest())
    await world.add_guest("+989120000002")
    own = await written(app, client, world, target={"segments": ["vip_customers"]})
    answer = await client.post(f"{own}/preview")
    assert (answer.status_code, answer.json()["guests"]) == (200, 1)
    assert "9121112233" not in answer.text
    standing = (await world.campaign())["id"]
    assert (await client.post(f"/cafes/{world.cafe_id}/campaigns/{standing}/preview")).status_code == 409
    sign_in(app, CLERK)
    assert (await client.post(f"{own}/preview")).status_code == 403
    sign_in(app, STRANGER)
    assert (await client.post(f"{own}/preview")).status_code == 404

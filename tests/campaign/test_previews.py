"""What a campaign would do, seen before it does: whom it reaches, what they read, what it costs."""

import asyncio
from decimal import Decimal
from typing import Any

import httpx2
from fastapi import FastAPI

from deploy.crm.invariants import RESULTS
from services.campaign.audience.handlers import guests as guests_handlers
from services.campaign.messages.handlers import recipients
from services.campaign.messages.models.values import TRIES_A_DAY
from shared.clock import new_id, now
from shared.database.db import transaction
from shared.events.customer import CustomerErased, CustomerStatusChanged
from shared.events.feedback import CaseOpened
from shared.security.access import ask_alone
from tests.campaign.conftest import CLERK, MANAGER, PHONE, STRANGER, Simulator, World, sign_in

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
        guests_handlers.on_customer_status_changed,
        CustomerStatusChanged(**about, customer_id=guests[3], status="blocked"),
    )
    await world.pool.execute("UPDATE contacts SET line_blocked_at = now() WHERE customer_id = $1", guests[4])
    await world.react(
        guests_handlers.keep_cases,
        CaseOpened(
            **about, customer_id=guests[5], visit_id=None, feedback_id=new_id(), case_id=new_id(), due_at=now()
        ),
    )  # fmt: skip
    await world.react(recipients.on_customer_erased, CustomerErased(**about, customer_id=guests[6]))
    own = await written(app, client, world)
    shown = (await client.post(f"{own}/preview")).json()
    assert (shown["guests"], shown["reached"]) == (8, 4)
    reasons = {each["reason"]: each["guests"] for each in shown["not_reached"]}
    assert reasons == {"consent": 1, "status": 1, "line": 1, "complaint": 1}
    texts = {each["text"] for each in shown["samples"]}
    assert texts == {"سارا عزیز، یلدا مبارک\nلغو۱۱", "دوست عزیز، یلدا مبارک\nلغو۱۱"}
    assert {each["phone_ends_with"] for each in shown["samples"]} == {"0000", "0001", "0007", "0008"}
    assert (shown["parts"], Decimal(shown["cost"]), shown["is_affordable"]) == (1, 4 * 1390, False)
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
    async with transaction(world.pool) as asking:
        await ask_alone(asking, world.cafe_id)
        assert (await client.post(f"{own}/preview")).status_code == 429
    standing = (await world.campaign())["id"]
    assert (await client.post(f"/cafes/{world.cafe_id}/campaigns/{standing}/preview")).status_code == 409
    sign_in(app, CLERK)
    assert (await client.post(f"{own}/preview")).status_code == 403
    sign_in(app, STRANGER)
    assert (await client.post(f"{own}/preview")).status_code == 404


async def test_message_to_try_goes_the_way_of_all_others_and_counts_for_nobody(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    own = await written(app, client, world, target={"segments": ["vip_customers"]})
    await world.open_cafe(version=2, quiet_from="00:00", quiet_until="23:59")
    answer = await client.post(f"{own}/test", json={"phone": "۰۹۱۲ ۱۱۱ ۲۲۳۳"})
    assert answer.status_code == 202
    await world.run_jobs()
    assert simulator.texts == ["دوست عزیز، یلدا مبارک\nلغو۱۱"]
    row = await world.delivery()
    assert (row["id"].hex, row["is_test"]) == (answer.json()["delivery_id"].replace("-", ""), True)
    assert await world.decisions() == [("send", "all_checks_passed")]
    assert await world.emitted() == []
    shown = (await client.get(own)).json()
    assert (shown["messages_sent"], shown["results"]["recipients"], shown["actual_cost"]) == (0, 0, "1390.00")
    assert await world.pool.fetchval("SELECT sum(messages) FROM sms_usage") == 1
    assert await world.pool.fetch(RESULTS, world.cafe_id) == []
    trail = (await client.get(f"{own}/trail")).json()
    assert (trail[0]["what"], trail[0]["by_user"]) == ("tried", str(MANAGER))
    assert "9121112233" not in str(trail)
    # Whose number it is may be a guest, who is erased before it leaves.
    await client.post(f"{own}/test", json={"phone": PHONE})
    guest = await world.pool.fetchval("SELECT customer_id FROM campaign_deliveries WHERE delivery_status = 'queued'")
    await world.react(
        recipients.on_customer_erased, CustomerErased(cafe_id=world.cafe_id, customer_id=guest, occurred_at=now())
    )
    assert await world.pool.fetchval("SELECT count(recipient_phone_sealed) FROM campaign_deliveries") == 0
    assert await world.pool.fetch(RESULTS, world.cafe_id) == []
    # A budget holds for it as well: 4,000 Rial are enough for two, whoever they go to.
    for _ in range(2):
        await client.post(f"{own}/test", json={"phone": PHONE})
        await world.run_jobs()
    assert len(simulator.texts) == 2


async def test_message_to_try_is_refused_to_others_too_often_and_for_numbers_that_take_none(
    app: FastAPI, client: httpx2.AsyncClient, world: World
) -> None:
    own = await written(app, client, world)
    for phone, field in (("021-88776655", "phone"), ("12", "phone")):
        refused = await client.post(f"{own}/test", json={"phone": phone})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)
    for _ in range(TRIES_A_DAY):
        assert (await client.post(f"{own}/test", json={"phone": PHONE})).status_code == 202
    assert (await client.post(f"{own}/test", json={"phone": PHONE})).status_code == 429
    await client.post(f"{own}/cancel")
    assert (await client.post(f"{own}/test", json={"phone": PHONE})).status_code == 409
    sign_in(app, CLERK)
    assert (await client.post(f"{own}/test", json={"phone": PHONE})).status_code == 403
    sign_in(app, STRANGER)
    assert (await client.post(f"{own}/test", json={"phone": PHONE})).status_code == 404


async def test_preview_and_whoever_counts_its_messages_wait_for_neither(
    app: FastAPI, client: httpx2.AsyncClient, world: World
) -> None:
    own = await written(app, client, world)
    async with transaction(world.pool) as counting:
        await counting.execute("SELECT FROM campaigns FOR NO KEY UPDATE")
        async with asyncio.timeout(10):
            assert (await client.post(f"{own}/preview")).status_code == 200
            assert (await client.get(f"{own}/deliveries")).json() == {"deliveries": [], "after": None}

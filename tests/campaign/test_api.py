"""Staff's routes and providers' callbacks."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from services.campaign.messages.handlers import openings
from shared.clock import new_id, now
from shared.events.campaign import MessageDelivered, ReplyReceived
from shared.events.feedback import FeedbackReceived
from tests.campaign.conftest import CLERK, MANAGER, OWNER, PHONE, SECOND, STRANGER, Simulator, World, sign_in


async def journey(client: httpx2.AsyncClient, world: World, key: str = "thanks") -> dict[str, Any]:
    found: list[dict[str, Any]] = (await client.get(f"/cafes/{world.cafe_id}/journeys")).json()
    return next(each for each in found if each["journey_key"] == key)


async def test_new_cafe_has_journeys_that_send(app: FastAPI, client: httpx2.AsyncClient, world: World) -> None:
    await world.open_cafe(version=2)
    sign_in(app, MANAGER)
    found = (await client.get(f"/cafes/{world.cafe_id}/journeys")).json()
    assert [(j["journey_key"], j["purpose"], j["delay_minutes"], j["is_active"]) for j in found] == [
        ("answer", "service", 0, True),
        ("case_notice", "service", 0, True),
        ("thanks", "service", 5, True),
        ("vip_welcome", "marketing", 0, True),
    ]
    templates = (await client.get(f"/cafes/{world.cafe_id}/templates")).json()
    assert [each["is_system_template"] for each in templates] == [True] * 4
    assert {"name": "مهمان"} in [each["variables"] for each in templates]


async def test_manager_changes_delay_and_text(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    sign_in(app, MANAGER)
    found = await journey(client, world)
    address = f"/cafes/{world.cafe_id}/journeys/{found['id']}"
    change = {"delay_minutes": 0, "template": "ممنون {{name}} از {{cafe}} {{link}}", "fallbacks": {"name": "دوست"}}
    answer = await client.patch(address, json=change)
    assert (answer.status_code, answer.json()["delay_minutes"]) == (202, 0)
    sign_in(app, SECOND)
    version = answer.json()["waiting"]["version"]
    approved = await client.post(f"{address}/versions/{version}/decision", json={"approve": True})
    assert (approved.status_code, approved.json()["template_variables"]) == (200, {"name": "دوست"})
    await world.record_visit(await world.add_guest(name=None), minutes_ago=0)
    await world.run_jobs()
    assert simulator.texts[0].startswith("ممنون دوست از کافه نمونه http")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"template": "{{phone}}"}, "unknown_variable"),
        ({"template": "سلام", "fallbacks": {"name": "x"}}, "unused_fallback"),
        ({"delay_minutes": 1440}, "delay_too_long"),
        ({"delay": 3}, "extra_forbidden"),
        ({"budget": 1.5}, "exact_number"),
    ],
)
async def test_faulty_change_is_refused_with_its_field(
    change: dict[str, Any], code: str, app: FastAPI, client: httpx2.AsyncClient, world: World
) -> None:
    sign_in(app, MANAGER)
    found = await journey(client, world)
    answer = await client.patch(f"/cafes/{world.cafe_id}/journeys/{found['id']}", json=change)
    assert answer.status_code == 422
    assert [error["code"] for error in answer.json()["errors"]] == [code]
    assert await journey(client, world) == found


async def test_roles_and_cafes_are_kept_apart(app: FastAPI, client: httpx2.AsyncClient, world: World) -> None:
    sign_in(app, MANAGER)
    found = await journey(client, world)
    address = f"/cafes/{world.cafe_id}"
    sign_in(app, CLERK)
    assert (await client.patch(f"{address}/journeys/{found['id']}", json={"is_active": False})).status_code == 403
    for path in ("providers", "journeys", "campaigns", "templates", "messaging"):
        assert (await client.get(f"{address}/{path}")).status_code == 403, path
    sign_in(app, MANAGER)
    assert (await client.get(f"{address}/providers")).status_code == 403
    sign_in(app, STRANGER)
    for path in ("journeys", "campaigns", "templates", f"guests/{new_id()}/messages"):
        assert (await client.get(f"{address}/{path}")).status_code == 404
    app.dependency_overrides.clear()
    assert (await client.get(f"{address}/journeys")).status_code == 401


async def test_staff_see_why_a_guest_did_not_get_it(app: FastAPI, client: httpx2.AsyncClient, world: World) -> None:
    guest = await world.add_guest(marketing=False)
    await world.enter_vip(guest)
    await world.record_visit(guest, minutes_ago=26 * 60)
    await world.run_jobs()
    sign_in(app, CLERK)
    answer = await client.get(f"/cafes/{world.cafe_id}/guests/{guest}/messages")
    found = answer.json()
    assert {(run["journey_key"], run["state"], run["reason"]) for run in found["runs"]} == {
        ("thanks", "skipped", "too_late"), ("vip_welcome", "queued", None),
    }  # fmt: skip
    (message,) = found["messages"]
    assert (message["delivery_status"], message["error_code"]) == ("skipped", "consent")
    (decision,) = message["decisions"]
    assert [check["check"] for check in decision["checks"]][-1] == "consent"
    assert decision["checks"][-1]["detail"] == {"purpose": "marketing", "recorded": False}
    assert PHONE[3:] not in answer.text
    assert "سارا" not in answer.text
    assert message["message_content"] is None


async def test_staff_see_neither_text_nor_cost_of_what_was_sent(
    app: FastAPI, client: httpx2.AsyncClient, world: World
) -> None:
    guest = await world.add_guest()
    await world.record_visit(guest)
    await world.run_jobs()
    address = f"/cafes/{world.cafe_id}/guests/{guest}/messages"
    hidden = {}
    for who in (MANAGER, CLERK):
        sign_in(app, who)
        (message,) = (await client.get(address)).json()["messages"]
        checks = {check["check"]: check for each in message["decisions"] for check in each["checks"]}
        hidden[who] = message["message_content"], message["message_cost"], checks["budget"]["detail"]
        assert (message["delivery_status"], checks["budget"]["passed"]) == ("sent", True)
    assert None not in hidden[MANAGER]
    assert hidden[MANAGER][2]
    assert hidden[CLERK] == (None, None, {})


async def test_provider_key_goes_in_and_never_comes_out(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    sign_in(app, OWNER)
    address = f"/cafes/{world.cafe_id}/providers"
    body = {"provider_name": "kavenegar", "api_key": "the-installation-s-key", "cost_per_sms": "900",
            "sender_line": "۱۰۰۰۴۳۴۶", "priority_order": 1, "daily_limit": 50}  # fmt: skip
    made = await client.post(address, json=body)
    assert made.status_code == 201
    listed = await client.get(address)
    assert "installation" not in listed.text
    assert [(each["priority_order"], each["sender_line"]) for each in listed.json()] == [(1, "10004346"), (100, None)]

    changed = {key: value for key, value in body.items() if key != "api_key"} | {"cost_per_sms": "950"}
    assert (await client.put(f"{address}/{made.json()['id']}", json=changed)).status_code == 204
    # The cafe's own account still works without the installation's.
    world.config = world.config.model_copy(update={"sms_api_key": None})
    await world.record_visit(await world.add_guest())
    await world.run_jobs()
    assert len(simulator.texts) == 1
    assert (await client.get(address)).json()[0]["sent_today"] == 1
    foreign = await client.post(address, json=body | {"api_endpoint": "http://169.254.169.254"})
    assert [error["code"] for error in foreign.json()["errors"]] == ["foreign_endpoint"]


ACCOUNT = {
    "provider_name": "kavenegar", "api_key": "abcdefgh12345678", "cost_per_sms": "900", "sender_line": "10004346",
}  # fmt: skip
REFUSED: dict[str, tuple[Any, ...]] = {
    "api_key": (
        "abcdefgh\r\nHost: x", "abcd\nefgh", "abcd\0efgh", "abcd\ud800efgh", "abcd efgh", "abcd/efgh", "../../abcd",
        "abcd?efgh", "abcd%0aefgh", "abcd#efgh", "کلیدکلید", "ab", "a" * 201, "", 12345678,
    ),
    "sender_line": ("1000 4346", "abcd", "100", "1" * 21, "+98100", 10004346.5),
    "api_endpoint": ("http://[", "http://127.0.0.1", "https://api.kavenegar.com.x", "\0"),
    "cost_per_sms": ("1000001", "-1", "NaN", "1e999", 1.5, "x", None),
    "provider_name": ("kavenegar\r\n", "x"),
}  # fmt: skip


async def test_account_that_could_break_its_client_is_refused_by_name(
    app: FastAPI, client: httpx2.AsyncClient, world: World
) -> None:
    sign_in(app, OWNER)
    for field, values in REFUSED.items():
        for value in values:
            answer = await client.post(
                f"/cafes/{world.cafe_id}/providers",
                content=json.dumps(ACCOUNT | {field: value}),
                headers={"content-type": "application/json"},
            )
            assert answer.status_code == 422, (field, value)
            assert [each["field"] for each in answer.json()["errors"]] == [field], (field, value)


async def test_account_without_a_key_takes_no_terms_and_shows_the_installation_s(
    app: FastAPI, client: httpx2.AsyncClient, world: World
) -> None:
    sign_in(app, OWNER)
    address = f"/cafes/{world.cafe_id}/providers"
    for field, value in (("sender_line", "10004346"), ("cost_per_sms", "1")):
        refused = await client.post(address, json={"provider_name": "kavenegar", field: value})
        assert [(e["field"], e["code"]) for e in refused.json()["errors"]] == [(field, "of_the_installation")]
    assert (await client.post(address, json={"provider_name": "kavenegar", "daily_limit": 5})).status_code == 201
    shown = (await client.get(address)).json()
    config = app.state.settings
    assert {(e["own_key"], e["sender_line"], Decimal(e["cost_per_sms"])) for e in shown} == {
        (False, config.sms_sender, config.sms_price)
    }
    assert [e["daily_limit"] for e in shown] == [5, None]


async def test_owner_sees_what_is_wrong_with_an_account_and_a_change_lets_it_be_tried_at_once(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    sign_in(app, OWNER)
    address = f"/cafes/{world.cafe_id}/providers"
    simulator.fail("refuse", code=418)
    await world.record_visit(await world.add_guest())
    await world.run_jobs()
    (shown,) = (await client.get(address)).json()
    assert (shown["last_error"], shown["paused_until"] > shown["last_error_at"]) == ("418", True)
    assert (await client.put(f"{address}/{shown['id']}", json={"provider_name": "kavenegar"})).status_code == 204
    (shown,) = (await client.get(address)).json()
    assert (shown["last_error"], shown["paused_until"]) == ("418", None)


async def test_number_of_accounts_is_bounded(app: FastAPI, client: httpx2.AsyncClient, world: World) -> None:
    sign_in(app, OWNER)
    address = f"/cafes/{world.cafe_id}/providers"
    answers = [(await client.post(address, json={"provider_name": "kavenegar"})).status_code for _ in range(20)]
    assert answers == [201] * 19 + [409]


async def test_templates_are_written_changed_and_removed(
    app: FastAPI, client: httpx2.AsyncClient, world: World
) -> None:
    sign_in(app, MANAGER)
    address = f"/cafes/{world.cafe_id}/templates"
    body = {"name": "نوروز", "content": "{{name}}، نوروز مبارک", "variables": {"name": "دوست"}, "category": "عید"}
    made = (await client.post(address, json=body)).json()["id"]
    assert (await client.put(f"{address}/{made}", json=body | {"name": "عید"})).status_code == 204
    listed = (await client.get(address)).json()
    assert [each["name"] for each in listed if not each["is_system_template"]] == ["عید"]
    system = next(each["id"] for each in listed if each["is_system_template"])
    assert (await client.delete(f"{address}/{system}")).status_code == 404
    assert (await client.put(f"{address}/{system}", json=body)).status_code == 404
    assert (await client.delete(f"{address}/{made}")).status_code == 204
    assert (await client.post(address, json=body | {"content": "{{point}}"})).status_code == 422


async def test_messaging_rules_are_set_by_the_owner(app: FastAPI, client: httpx2.AsyncClient, world: World) -> None:
    sign_in(app, OWNER)
    address = f"/cafes/{world.cafe_id}/messaging"
    answer = await client.put(address, json={"guest_daily_cap": 1, "monthly_budget": "۵۰۰۰۰۰"})
    assert answer.status_code == 204
    found = (await client.get(address)).json()
    assert (found["guest_daily_cap"], found["monthly_budget"], found["currency_unit"]) == (1, "500000.00", "IRR")


CAMPAIGN = {
    "name": "یلدا", "description": "شب یلدا", "target": {"segments": ["vip_customers"]},
    "template": "{{name}} عزیز، یلدا مبارک از {{cafe}}", "fallbacks": {"name": "دوست"}, "budget": "1000000",
}  # fmt: skip


async def test_campaign_goes_from_draft_to_completed(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    vip, no_consent = await world.add_guest(), await world.add_guest("+989120000009", marketing=None)
    await world.add_guest("+989120000008")
    await world.pool.execute("UPDATE journeys SET is_active = false")
    for guest in (vip, no_consent):
        await world.enter_vip(guest)
    address = f"/cafes/{world.cafe_id}/campaigns"
    sign_in(app, MANAGER)
    made = (await client.post(address, json=CAMPAIGN)).json()
    assert (made["status"], made["created_by"]) == ("draft", str(MANAGER))
    own = f"{address}/{made['id']}"
    when = (now() + timedelta(minutes=5)).isoformat()
    scheduled = (await client.post(f"{own}/schedule", json={"scheduled_date": when})).json()
    assert (scheduled["status"], scheduled["estimated_recipients"]) == ("scheduled", 1)
    assert scheduled["estimated_cost"] == "1390.00"
    assert (await client.post(f"{own}/approve")).status_code == 403

    await world.pool.execute("UPDATE campaigns SET scheduled_date = now() WHERE status = 'scheduled'")
    await world.run_jobs()
    assert simulator.texts == []  # nobody else has approved
    sign_in(app, SECOND)
    approved = (await client.post(f"{own}/approve")).json()
    assert (approved["approved_by"], approved["approved_at"] is None) == (str(SECOND), False)

    await world.run_jobs()
    assert (await client.put(own, json=CAMPAIGN)).status_code == 409
    assert simulator.texts == ["سارا عزیز، یلدا مبارک از کافه نمونه\nلغو۱۱"]
    await world.run_jobs()
    sent = (await client.get(own)).json()
    assert (sent["status"], sent["messages_sent"], sent["actual_cost"]) == ("sent", 1, "1390.00")
    assert sent["sent_date"] is not None
    for _ in range(3):
        simulator.network.move(everything=True)
    await world.poll()
    await world.run_jobs()
    done = (await client.get(own)).json()
    assert (done["status"], done["messages_delivered"]) == ("completed", 1)
    assert len(simulator.texts) == 1
    assert (await client.post(f"{own}/cancel")).status_code == 409


async def test_cancelled_campaign_sends_nothing_more(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    await world.add_guest()
    address = f"/cafes/{world.cafe_id}/campaigns"
    sign_in(app, MANAGER)
    made = (await client.post(address, json=CAMPAIGN | {"target": {"everyone": True}})).json()
    own = f"{address}/{made['id']}"
    await client.post(f"{own}/schedule", json={"scheduled_date": (now() + timedelta(minutes=5)).isoformat()})
    sign_in(app, SECOND)
    await client.post(f"{own}/approve")
    assert (await client.post(f"{own}/cancel")).json()["status"] == "cancelled"
    await world.pool.execute("UPDATE campaigns SET scheduled_date = now() WHERE scheduled_date IS NOT NULL")
    await world.run_jobs()
    assert simulator.texts == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"target": {}}, 422), ({"target": {"everyone": True, "segments": ["x"]}}, 422),
        ({"campaign_type": "email"}, 422), ({"template": "{{link}}"}, 422), ({"name": " "}, 422),
    ],
)  # fmt: skip
async def test_faulty_campaign_is_refused(
    change: dict[str, Any], status: int, app: FastAPI, client: httpx2.AsyncClient, world: World
) -> None:
    sign_in(app, MANAGER)
    answer = await client.post(f"/cafes/{world.cafe_id}/campaigns", json=CAMPAIGN | change)
    assert answer.status_code == status


async def callback_addresses(app: FastAPI, client: httpx2.AsyncClient, world: World) -> tuple[str, str]:
    sign_in(app, OWNER)
    (provider,) = (await client.get(f"/cafes/{world.cafe_id}/providers")).json()
    return provider["receipts_address"], provider["replies_address"]


async def test_receipt_by_callback_counts_once(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    receipts, _ = await callback_addresses(app, client, world)
    await world.record_visit(await world.add_guest())
    await world.run_jobs()
    form = {"messageid": str(simulator.network.sent[0].messageid), "status": "10"}
    for _ in range(2):
        assert (await client.post(receipts, data=form)).text == "ok"
    assert (await client.get(f"{receipts}&messageid={form['messageid']}&status=6")).text == "ok"
    row = await world.delivery()
    assert (row["delivery_status"], row["delivered_at"] is not None, row["check_at"]) == ("delivered", True, None)
    assert (await world.campaign())["messages_delivered"] == 1
    assert len([event for event in await world.emitted() if isinstance(event, MessageDelivered)]) == 1


async def test_callback_without_its_token_is_nobody(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    receipts, replies = await callback_addresses(app, client, world)
    await world.record_visit(await world.add_guest())
    await world.run_jobs()
    form = {"messageid": str(simulator.network.sent[0].messageid), "status": "14"}
    for address in (receipts, replies):
        start, _, token = address.rpartition("token=")
        forged = f"{start}token={'0' * len(token)}"
        assert (await client.post(forged, data=form)).status_code == 404
    assert (await world.delivery())["delivery_status"] == "sent"


async def test_stop_word_ends_advertising_at_once(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    _, replies = await callback_addresses(app, client, world)
    await world.pool.execute("UPDATE journeys SET reentry = 'every_stay' WHERE segment_key IS NOT NULL")
    guest = await world.add_guest()
    await world.enter_vip(guest)
    await world.run_jobs()
    await client.post(replies, data={"from": "09121112233", "to": "10004346", "message": "۱۱", "messageid": "1"})
    await world.enter_vip(guest, segment_id=new_id())
    await world.run_jobs()
    assert len(simulator.texts) == 1
    assert (await world.decisions())[-1] == ("skip", "consent")
    assert await world.pool.fetchval("SELECT reply_received FROM campaign_deliveries WHERE sent_at IS NOT NULL")
    said = [event for event in await world.emitted() if isinstance(event, ReplyReceived)]
    assert [(event.customer_id, event.opted_out) for event in said] == [(guest, True)]


async def test_other_replies_are_noted_and_stop_nothing(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    _, replies = await callback_addresses(app, client, world)
    guest = await world.add_guest()
    for sender, text in (("09121112233", "ممنون"), ("not a number", "11"), ("09350000000", "11")):
        assert (await client.post(replies, data={"from": sender, "message": text})).text == "ok"
    said = [event for event in await world.emitted() if isinstance(event, ReplyReceived)]
    assert [(event.customer_id, event.opted_out) for event in said] == [(guest, False)]
    await world.enter_vip(guest)
    await world.run_jobs()
    assert len(simulator.texts) == 1


async def test_answer_through_the_link_is_an_opening(world: World, simulator: Simulator) -> None:
    guest = await world.add_guest()
    visit = await world.record_visit(guest)
    await world.run_jobs()
    for source in ("sms_link", "sms_link", "qr_code"):
        answer = FeedbackReceived(
            cafe_id=world.cafe_id, occurred_at=now(), customer_id=guest, visit_id=visit.visit_id,
            feedback_id=new_id(), visit_at=None, source=source, overall_rating=5,
        )  # fmt: skip
        await world.react(openings.on_feedback_received, answer)
    row = await world.delivery()
    assert (row["delivery_status"], row["link_clicks"], row["opened_at"] is not None) == ("opened", 2, True)
    campaign = await world.campaign()
    assert (campaign["messages_opened"], campaign["messages_delivered"]) == (1, 1)
    await world.poll()
    assert (await world.campaign())["messages_delivered"] == 1


async def test_budget_is_written_in_either_unit_and_shown_in_rial(
    app: FastAPI, client: httpx2.AsyncClient, world: World
) -> None:
    sign_in(app, OWNER)
    address = f"/cafes/{world.cafe_id}/messaging"
    for sent, budget in (
        ({}, "500000.00"),
        ({"currency_unit": "IRT"}, "5000000.00"),
        ({"currency_unit": "IRR"}, "500000.00"),
    ):
        body = {"guest_daily_cap": 1, "monthly_budget": "500000"} | sent
        assert (await client.put(address, json=body)).status_code == 204
        found = (await client.get(address)).json()
        assert (found["monthly_budget"], found["currency_unit"]) == (budget, "IRR")
    dear = {
        "provider_name": "kavenegar",
        "api_key": "abcdefgh12345678",
        "cost_per_sms": "200000",
        "currency_unit": "IRT",
    }
    refused = await client.post(f"/cafes/{world.cafe_id}/providers", json=dear)
    assert [(each["field"], each["code"]) for each in refused.json()["errors"]] == [("cost_per_sms", "too_large")]

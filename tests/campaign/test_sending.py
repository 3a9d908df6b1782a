"""From a visit to a message on a phone, and all the ways not to."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from services.campaign.handlers import queueing, reactions, sending
from services.campaign.handlers.claiming import claim
from services.campaign.handlers.providers.kavenegar import open_client
from shared.clock import new_id, now
from shared.crypto import unseal
from shared.db import transaction
from shared.events.campaign import MessageDelivered, MessageFailed, MessageSent, MessageSkipped
from shared.events.customer import CustomerErased, CustomerStatusChanged
from shared.ids import feedback_token
from tests.campaign.conftest import PHONE, Simulator, World

ROOT = Path(__file__).parents[2]


async def test_visit_of_known_guest_is_thanked_with_feedback_link(world: World, simulator: Simulator) -> None:
    guest = await world.add_guest(marketing=None)
    visit = await world.record_visit(guest)
    await world.run_jobs()

    link = f"https://cafe.example/f/{feedback_token(world.config.keys, world.cafe_id, visit.visit_id)}"
    assert len(simulator.texts) == 1
    assert simulator.texts[0].startswith("سارا عزیز")
    assert "کافه نمونه" in simulator.texts[0]
    assert link in simulator.texts[0]
    assert "لغو۱۱" not in simulator.texts[0]
    assert simulator.network.sent[0].receptor == "09121112233"
    row = await world.delivery()
    assert (row["delivery_status"], row["delivery_attempts"], row["visit_id"]) == ("sent", 1, visit.visit_id)
    assert row["correlation_id"] == visit.correlation_id
    assert await world.decisions() == [("send", "all_checks_passed")]


async def test_thanks_waits_for_its_delay(world: World, simulator: Simulator) -> None:
    guest = await world.add_guest()
    await world.record_visit(guest, minutes_ago=1)
    await world.run_jobs()
    assert simulator.texts == []
    due = await world.pool.fetchrow("SELECT due_at - occurred_at AS delay, state::text FROM journey_runs")
    assert (due["delay"], due["state"]) == (timedelta(minutes=5), "waiting")


async def test_welcome_needs_marketing_consent_and_ends_with_stop_line(world: World, simulator: Simulator) -> None:
    yes = await world.add_guest("+989120000001", "نیما")
    no = await world.add_guest("+989120000002", "مینا", marketing=None)
    await world.enter_vip(yes)
    await world.enter_vip(no)
    await world.run_jobs()
    assert [text.splitlines()[-1] for text in simulator.texts] == ["لغو۱۱"]
    assert simulator.texts[0].startswith("نیما")
    assert sorted(await world.decisions()) == [("send", "all_checks_passed"), ("skip", "consent")]
    skipped = [event for event in await world.emitted() if isinstance(event, MessageSkipped)]
    assert [(event.customer_id, event.reason) for event in skipped] == [(no, "consent")]


async def test_guest_is_welcomed_once_however_often_they_enter(world: World, simulator: Simulator) -> None:
    guest = await world.add_guest()
    for _ in range(2):
        await world.enter_vip(guest)
        await world.run_jobs()
    assert len(simulator.texts) == 1


async def test_repeated_visit_is_thanked_once(world: World, simulator: Simulator) -> None:
    visit = world.visit(await world.add_guest())
    await world.react(reactions.on_visit_recorded, visit, visit)
    await world.run_jobs()
    await world.react(reactions.on_visit_recorded, visit)
    await world.run_jobs()
    assert len(simulator.texts) == 1


async def test_guest_without_name_gets_fallback(world: World, simulator: Simulator) -> None:
    await world.record_visit(await world.add_guest(name=None))
    await world.run_jobs()
    assert simulator.texts[0].startswith("مهمان عزیز")


async def test_visit_voided_before_its_thanks_is_due_cancels_it(world: World, simulator: Simulator) -> None:
    guest = await world.add_guest()
    waiting = await world.record_visit(guest, minutes_ago=1)
    queued = await world.record_visit(guest)
    await queueing.queue_due_runs(world.pool)
    await world.void(waiting)
    await world.void(queued)
    await world.pool.execute("UPDATE journey_runs SET due_at = now()")
    await world.run_jobs()
    assert simulator.texts == []
    states = await world.pool.fetch("SELECT state::text, reason FROM journey_runs ORDER BY 1")
    assert [tuple(row) for row in states] == [("cancelled", "visit_voided"), ("queued", None)]
    assert (await world.delivery())["delivery_status"] == "skipped"


async def test_visit_synced_too_late_is_noted_and_not_thanked(world: World, simulator: Simulator) -> None:
    await world.record_visit(await world.add_guest(), minutes_ago=25 * 60)
    await world.run_jobs()
    assert simulator.texts == []
    assert tuple(await world.pool.fetchrow("SELECT state::text, reason FROM journey_runs")) == ("skipped", "too_late")


async def test_disabled_journey_sends_nothing_more(world: World, simulator: Simulator) -> None:
    guest = await world.add_guest()
    await world.record_visit(guest)
    await queueing.queue_due_runs(world.pool)
    await world.record_visit(guest)
    await world.pool.execute("UPDATE journeys SET is_active = false")
    await world.run_jobs()
    assert simulator.texts == []
    assert await world.decisions() == [("skip", "campaign")]
    reasons = await world.pool.fetch("SELECT reason FROM journey_runs WHERE state = 'cancelled'")
    assert [row["reason"] for row in reasons] == ["journey_disabled"]


async def test_message_in_quiet_hours_is_held_until_they_end(world: World, simulator: Simulator) -> None:
    clock = now().astimezone(ZoneInfo("Asia/Tehran"))
    until = clock + timedelta(hours=2)
    quiet = {"quiet_from": f"{clock - timedelta(hours=1):%H:%M}", "quiet_until": f"{until:%H:%M}"}
    await world.open_cafe(version=2, **quiet)
    await world.record_visit(await world.add_guest())
    await world.run_jobs()
    assert simulator.texts == []
    assert await world.decisions() == [("hold", "quiet_hours")]
    row = await world.delivery()
    assert row["delivery_status"] == "queued"
    assert row["due_at"] == until.replace(second=0, microsecond=0)

    await world.open_cafe(version=3)
    await world.pool.execute("UPDATE campaign_deliveries SET due_at = now()")
    await world.run_jobs()
    assert len(simulator.texts) == 1
    assert await world.decisions() == [("hold", "quiet_hours"), ("send", "all_checks_passed")]


async def test_journey_may_ignore_quiet_hours(world: World, simulator: Simulator) -> None:
    await world.open_cafe(version=2, quiet_from="00:00", quiet_until="23:59")
    await world.pool.execute("UPDATE campaigns SET ignores_quiet_hours = true WHERE purpose = 'service'")
    await world.record_visit(await world.add_guest())
    await world.run_jobs()
    assert len(simulator.texts) == 1


async def test_guest_gets_no_more_than_the_daily_cap(world: World, simulator: Simulator) -> None:
    guest = await world.add_guest()
    for _ in range(4):
        await world.record_visit(guest)
    await world.run_jobs()
    await world.record_visit(guest)
    await world.run_jobs()
    assert len(simulator.texts) == 3
    assert (await world.decisions()).count(("skip", "frequency_cap")) == 2


async def test_blocked_guest_gets_nothing(world: World, simulator: Simulator) -> None:
    guest = await world.add_guest()
    await world.react(
        reactions.on_customer_status_changed,
        CustomerStatusChanged(cafe_id=world.cafe_id, occurred_at=now(), customer_id=guest, status="blocked"),
    )
    await world.record_visit(guest)
    await world.run_jobs()
    assert simulator.texts == []
    assert await world.decisions() == [("skip", "status")]


async def test_unknown_contact_is_waited_for(world: World, simulator: Simulator) -> None:
    await world.record_visit(new_id())
    await world.run_jobs()
    assert await world.decisions() == [("hold", "contact")]
    await world.pool.execute("UPDATE campaign_deliveries SET due_at = now(), queued_at = now() - interval '61 minutes'")
    await world.run_jobs()
    assert (await world.decisions())[-1] == ("skip", "contact")


async def test_provider_limit_passes_messages_to_the_next_provider(world: World, simulator: Simulator) -> None:
    await world.pool.execute("UPDATE sms_providers SET daily_limit = 1")
    await add_provider(world, priority=200)
    for number in range(3):
        await world.record_visit(await world.add_guest(f"+98912000000{number}"))
    await world.run_jobs()
    used = await world.pool.fetch(
        "SELECT u.messages FROM sms_usage u JOIN sms_providers p ON p.id = u.provider_id ORDER BY p.priority_order"
    )
    assert [row["messages"] for row in used] == [1, 2]
    assert len(simulator.texts) == 3


async def test_monthly_limit_holds_messages_until_tomorrow(world: World, simulator: Simulator) -> None:
    await world.pool.execute("UPDATE sms_providers SET monthly_limit = 1")
    for number in range(2):
        await world.record_visit(await world.add_guest(f"+98912000000{number}"), minutes_ago=6)
    await world.run_jobs()
    assert len(simulator.texts) == 1
    assert sorted(await world.decisions()) == [("hold", "provider"), ("send", "all_checks_passed")]
    held = await world.pool.fetchval("SELECT due_at FROM campaign_deliveries WHERE delivery_status = 'queued'")
    midnight = held.astimezone(ZoneInfo("Asia/Tehran"))
    assert (midnight.hour, midnight.minute) == (0, 0)


async def test_budget_is_never_overrun(world: World, simulator: Simulator) -> None:
    # One thanks takes two parts of 1,390 Rial.
    await world.pool.execute("UPDATE campaigns SET budget = 6000 WHERE purpose = 'service'")
    for number in range(4):
        await world.record_visit(await world.add_guest(f"+98912000000{number}"))
    await world.run_jobs()
    assert len(simulator.texts) == 2
    assert (await world.campaign())["actual_cost"] == 2 * 2 * 1390
    assert (await world.decisions()).count(("skip", "budget")) == 2


async def test_monthly_budget_of_the_cafe_is_never_overrun(world: World, simulator: Simulator) -> None:
    await world.pool.execute("UPDATE messaging_settings SET monthly_budget = 5000")
    for number in range(2):
        await world.record_visit(await world.add_guest(f"+98912000000{number}"))
    await world.run_jobs()
    assert len(simulator.texts) == 1
    assert (await world.decisions()).count(("skip", "budget")) == 1


async def test_text_and_recipient_are_sealed_at_rest(world: World, simulator: Simulator) -> None:
    await world.record_visit(await world.add_guest())
    await world.run_jobs()
    row = await world.delivery()
    everything = " ".join(str(value) for value in row.values())
    assert "سارا" not in everything
    assert "9121112233" not in everything
    assert "/f/" not in everything
    opened = {
        column: unseal(
            world.config.keys, row[f"{column}_sealed"], table="campaign_deliveries", column=column, row=row["id"]
        )
        for column in ("recipient_phone", "recipient_name", "personalized_content")
    }  # fmt: skip
    assert opened == {
        "recipient_phone": PHONE, "recipient_name": "سارا", "personalized_content": simulator.texts[0],
    }  # fmt: skip
    assert "{{name}}" in row["message_content"]


async def test_erased_guest_leaves_no_trace_and_gets_nothing_more(world: World, simulator: Simulator) -> None:
    guest = await world.add_guest()
    await world.record_visit(guest)
    await world.run_jobs()
    await world.record_visit(guest)
    await queueing.queue_due_runs(world.pool)
    await world.record_visit(guest, minutes_ago=1)
    await world.react(
        reactions.on_customer_erased, CustomerErased(cafe_id=world.cafe_id, occurred_at=now(), customer_id=guest)
    )
    await world.pool.execute("UPDATE journey_runs SET due_at = now()")
    await world.run_jobs()
    assert len(simulator.texts) == 1
    left = await world.pool.fetchval(
        """
        SELECT count(*) FROM campaign_deliveries
        WHERE num_nonnulls(recipient_phone_sealed, recipient_phone_hash, recipient_name_sealed,
                           personalized_content_sealed) > 0
        """
    )
    assert left == 0
    contact = await world.pool.fetchrow("SELECT * FROM contacts")
    assert (contact["phone_sealed"], contact["phone_hash"], contact["name_sealed"]) == (None, None, None)
    assert (await world.campaign())["messages_sent"] == 1


async def test_late_profile_does_not_bring_an_erased_guest_back(world: World) -> None:
    guest = await world.add_guest()
    await world.react(
        reactions.on_customer_erased,
        CustomerErased(cafe_id=world.cafe_id, occurred_at=now() + timedelta(minutes=1), customer_id=guest),
    )
    await world.add_guest(version=2, marketing=None)
    assert await world.pool.fetchval("SELECT phone_sealed FROM contacts") is None
    await world.pool.execute("UPDATE contacts SET erased_at = now() - interval '1 hour'")
    await world.add_guest(version=1, marketing=None)
    assert await world.pool.fetchval("SELECT phone_sealed FROM contacts") is not None


async def test_receipts_move_messages_and_counters(world: World, simulator: Simulator) -> None:
    simulator.network.ends = {"09120000001": 11, "09120000002": 6, "09120000003": 14}
    for number in range(4):
        await world.record_visit(await world.add_guest(f"+98912000000{number}"))
    await world.run_jobs()
    sent = await world.campaign()
    for _ in range(3):
        simulator.network.move(everything=True)
    await world.poll()
    await world.poll()
    statuses = await world.pool.fetch("SELECT delivery_status::text, error_code FROM campaign_deliveries ORDER BY 1, 2")
    assert [tuple(row) for row in statuses] == [
        ("bounced", "11"), ("bounced", "blocked_by_guest"), ("delivered", None), ("failed", "6"),
    ]  # fmt: skip
    done = await world.campaign()
    assert (done["messages_sent"], done["messages_delivered"], done["messages_failed"]) == (4, 1, 3)
    # The blocked one is refunded.
    assert done["actual_cost"] == sent["actual_cost"] * 3 / 4
    assert done["reserved_cost"] == 0
    assert done["cost_per_message"] == round(done["actual_cost"] / 4, 2)
    assert await world.pool.fetchval("SELECT cost FROM sms_usage") == done["actual_cost"]
    kinds = [type(event) for event in await world.emitted()]
    assert (kinds.count(MessageSent), kinds.count(MessageDelivered), kinds.count(MessageFailed)) == (4, 1, 3)


async def test_guest_who_blocked_the_line_is_left_alone_until_they_say_yes_again(
    world: World, simulator: Simulator
) -> None:
    simulator.network.ends = {"09121112233": 14}
    guest = await world.add_guest()
    await world.record_visit(guest)
    await world.run_jobs()
    for _ in range(3):
        simulator.network.move(everything=True)
    await world.poll()
    await world.record_visit(guest)
    await world.run_jobs()
    assert (await world.decisions())[-1] == ("skip", "line")
    await world.consent(guest, granted=True)
    await world.record_visit(guest)
    await world.run_jobs()
    assert len(simulator.texts) == 2


@pytest.mark.parametrize("fault", ["hang", "drop", "error_after"])
async def test_lost_answer_after_accepting_sends_exactly_one_message(
    fault: str, world: World, simulator: Simulator
) -> None:
    simulator.fail(fault, seconds=1)
    await world.record_visit(await world.add_guest())
    await world.run_jobs()
    row = await world.delivery()
    assert (row["delivery_status"], row["error_code"]) == ("sending", "outcome_unknown")
    assert (await world.campaign())["reserved_cost"] > 0

    await world.settle_unknown()
    await world.run_jobs()
    row = await world.delivery()
    assert (row["delivery_status"], row["delivery_attempts"], row["error_code"]) == ("sent", 1, None)
    assert row["provider_message_id"] == str(simulator.network.sent[0].messageid)
    assert len(simulator.texts) == 1
    campaign = await world.campaign()
    assert (campaign["messages_sent"], campaign["reserved_cost"]) == (1, 0)
    assert len([event for event in await world.emitted() if isinstance(event, MessageSent)]) == 1


async def test_call_that_failed_before_accepting_is_sent_once_after_the_look_up(
    world: World, simulator: Simulator
) -> None:
    simulator.fail("error_before")
    await world.record_visit(await world.add_guest())
    await world.run_jobs()
    assert simulator.texts == []
    await world.settle_unknown()
    assert (await world.delivery())["delivery_status"] == "queued"
    await world.run_jobs()
    row = await world.delivery()
    assert (row["delivery_status"], row["delivery_attempts"]) == ("sent", 2)
    assert len(simulator.texts) == 1
    assert await world.pool.fetchval("SELECT messages FROM sms_usage") == 1


async def test_slow_answer_after_the_message_was_put_back_counts_once(world: World, simulator: Simulator) -> None:
    await world.record_visit(await world.add_guest())
    await queueing.queue_due_runs(world.pool)
    async with transaction(world.pool) as conn:
        claimed = await claim(conn, world.config, now())
    ((provider, messages),) = claimed.by_provider.values()
    # The look-up comes before the slow call has arrived, and puts the message back.
    await world.settle_unknown()
    assert (await world.delivery())["delivery_status"] == "queued"
    async with open_client() as client:
        await sending.hand_over(world.pool, world.config, client, provider, messages)
    await world.run_jobs()
    row = await world.delivery()
    assert (row["delivery_status"], len(simulator.texts)) == ("sent", 1)
    campaign = await world.campaign()
    assert (campaign["messages_sent"], campaign["reserved_cost"]) == (1, 0)
    assert campaign["actual_cost"] == simulator.network.sent[0].cost
    assert await world.pool.fetchval("SELECT messages FROM sms_usage") == 1


async def test_unknown_outcome_is_given_up_after_the_look_up_window(world: World, simulator: Simulator) -> None:
    simulator.fail("error_before")
    await world.record_visit(await world.add_guest())
    await world.run_jobs()
    await world.pool.execute("UPDATE campaign_deliveries SET sending_at = sending_at - interval '13 hours'")
    await world.settle_unknown()
    await world.run_jobs()
    row = await world.delivery()
    assert (row["delivery_status"], row["error_code"]) == ("failed", "outcome_unknown")
    assert simulator.texts == []


async def test_process_killed_between_commit_and_call_sends_exactly_one_message(
    world: World, simulator: Simulator
) -> None:
    await world.record_visit(await world.add_guest())
    await queueing.queue_due_runs(world.pool)
    script = """
import asyncio, os, signal
from services.campaign.handlers import sending
from services.campaign.handlers.providers.kavenegar import Kavenegar
from shared import db
from shared.settings import settings

async def killed(self, messages):
    os.kill(os.getpid(), signal.SIGKILL)

Kavenegar.send = killed

async def main():
    pool = await db.open_pool(settings().dsn("campaign"))
    await sending.send_due(pool, config=settings())

asyncio.run(main())
"""
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "CRM_SMS_ENDPOINT": simulator.url,
        "CRM_SMS_API_KEY": "the-installation-s-key",
    }  # fmt: skip
    died = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script], env=environment, cwd=ROOT, check=False
    )
    assert died.returncode == -signal.SIGKILL
    assert (await world.delivery())["delivery_status"] == "sending"
    # Nobody sends it again before the provider was asked.
    await world.run_jobs()
    assert simulator.texts == []

    await world.settle_unknown()
    await world.run_jobs()
    assert len(simulator.texts) == 1
    assert (await world.delivery())["delivery_status"] == "sent"


async def test_refusing_provider_passes_the_message_to_the_next(world: World, simulator: Simulator) -> None:
    await add_provider(world, priority=200)
    simulator.fail("refuse", code=418)
    await world.record_visit(await world.add_guest())
    await world.run_jobs()
    row = await world.delivery()
    second = await world.pool.fetchval("SELECT id FROM sms_providers WHERE priority_order = 200")
    assert (row["delivery_status"], row["provider_id"], len(simulator.texts)) == ("sent", second, 1)
    assert await world.pool.fetchval("SELECT sum(messages) FROM sms_usage") == 1


async def test_message_refused_by_every_provider_waits(world: World, simulator: Simulator) -> None:
    simulator.fail("refuse", code=418)
    await world.record_visit(await world.add_guest())
    await world.run_jobs()
    assert await world.decisions() == [("send", "all_checks_passed"), ("hold", "provider")]
    await world.pool.execute("UPDATE campaign_deliveries SET due_at = now()")
    await world.run_jobs()
    assert len(simulator.texts) == 1


async def test_unreachable_provider_is_no_unknown_outcome(world: World, simulator: Simulator) -> None:
    gone = world.config.model_copy(update={"sms_endpoint": "http://127.0.0.1:9"})
    await world.record_visit(await world.add_guest())
    await queueing.queue_due_runs(world.pool)
    await sending.send_due(world.pool, config=gone)
    row = await world.delivery()
    assert (row["delivery_status"], row["error_code"], row["refused_by"] != []) == ("queued", "unreachable", True)


async def test_one_bad_number_does_not_hold_up_the_others(world: World, simulator: Simulator) -> None:
    simulator.network.refused = {"09120000003"}
    for number in range(7):
        await world.record_visit(await world.add_guest(f"+98912000000{number}"))
    await world.run_jobs()
    assert len(simulator.texts) == 6
    bad = await world.pool.fetchrow("SELECT * FROM campaign_deliveries WHERE delivery_status <> 'sent'")
    assert (bad["delivery_status"], bad["error_code"], bad["error_message"]) == (
        "failed", "411", "the number is not valid",
    )  # fmt: skip
    assert bad["failed_at"] is not None
    campaign = await world.campaign()
    assert (campaign["messages_sent"], campaign["messages_failed"], campaign["reserved_cost"]) == (6, 1, 0)
    failed = [event for event in await world.emitted() if isinstance(event, MessageFailed)]
    assert [event.error_code for event in failed] == ["411"]


async def test_opt_out_during_a_send_of_many_stops_every_later_message(world: World, simulator: Simulator) -> None:
    guests = [await world.add_guest(f"+9891200{number:05}") for number in range(300)]
    for guest in guests:
        await world.enter_vip(guest, UUID(int=9))
    await queueing.queue_due_runs(world.pool)
    withdrawn: dict[UUID, object] = {}

    async def withdraw(guest: UUID) -> None:
        await world.consent(guest, granted=False)
        withdrawn[guest] = now()

    async def send() -> None:
        while await sending.send_due(world.pool, config=world.config):
            pass

    await asyncio.gather(send(), *(withdraw(guest) for guest in guests[::2]))
    rows = await world.pool.fetch("SELECT customer_id, outcome::text, decided_at FROM send_decisions")
    assert len(rows) == 300
    for row in rows:
        if row["customer_id"] in withdrawn and row["decided_at"] > withdrawn[row["customer_id"]]:
            assert row["outcome"] == "skip"
        if row["customer_id"] not in withdrawn:
            assert row["outcome"] == "send"
    assert len(simulator.texts) == sum(row["outcome"] == "send" for row in rows)


async def test_two_senders_at_once_send_each_message_once(world: World, simulator: Simulator) -> None:
    for number in range(60):
        await world.record_visit(await world.add_guest(f"+9891200{number:05}"))
    await queueing.queue_due_runs(world.pool)
    await asyncio.gather(*(sending.send_due(world.pool, config=world.config) for _ in range(3)))
    await world.run_jobs()
    assert len(simulator.texts) == 60
    assert len({message.receptor for message in simulator.network.sent}) == 60


async def add_provider(world: World, *, priority: int) -> None:
    await world.pool.execute(
        """
        INSERT INTO sms_providers (id, cafe_id, provider_name, cost_per_sms, priority_order, created_at)
        VALUES ($1, $2, 'kavenegar', $3, $4, now())
        """,
        new_id(), world.cafe_id, Decimal(1000), priority,
    )  # fmt: skip

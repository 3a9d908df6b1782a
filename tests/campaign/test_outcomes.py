"""What became of a message: receipts, refusals, answers that never came, and nobody is written to twice."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from services.campaign.messages.handlers import sending
from shared.clock import now
from shared.events.campaign import MessageDelivered, MessageFailed, MessageSent
from tests.campaign.conftest import Simulator, World, add_provider, ended

ROOT = Path(__file__).parents[2]


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
    await world.end_pauses()
    await world.run_jobs()
    row = await world.delivery()
    assert (row["delivery_status"], row["delivery_attempts"]) == ("sent", 2)
    assert len(simulator.texts) == 1
    assert await world.pool.fetchval("SELECT messages FROM sms_usage") == 1


async def test_slow_answer_after_the_message_was_put_back_counts_once(world: World, simulator: Simulator) -> None:
    await world.record_visit(await world.add_guest())
    simulator.fail("slow", seconds=0.4)
    sender = sending.Sender(world.config)
    await sender.send_due(world.pool)
    # The look-up comes before the slow call has arrived, and puts the message back.
    await world.settle_unknown()
    assert (await world.delivery())["delivery_status"] == "queued"
    await ended(sender.lanes)
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
    script = """
import asyncio, os, signal
from services.campaign.messages.handlers import sending
from services.campaign.channels.kavenegar.adapter import Kavenegar
from shared.database import db
from shared.settings import settings

async def killed(self, messages, until):
    os.kill(os.getpid(), signal.SIGKILL)

Kavenegar.send = killed

async def main():
    pool = await db.open_pool(settings().dsn("campaign"))
    sender = sending.Sender(settings())
    await sender.send_due(pool)
    await asyncio.gather(*sender.lanes.under_way)

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
    await world.end_pauses()
    await world.run_jobs()
    assert len(simulator.texts) == 1


async def test_unreachable_provider_is_no_unknown_outcome(world: World, simulator: Simulator) -> None:
    gone = world.config.model_copy(update={"sms_endpoint": "http://127.0.0.1:9"})
    await world.record_visit(await world.add_guest())
    await world.send_due(gone)
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
        await world.enter_vip(guest, segment_id=UUID(int=9))
    withdrawn: dict[UUID, object] = {}

    async def withdraw(guest: UUID) -> None:
        await world.consent(guest, granted=False)
        withdrawn[guest] = now()

    async def send() -> None:
        while await world.send_due():
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
    await asyncio.gather(*(world.send_due() for _ in range(3)))
    await world.run_jobs()
    assert len(simulator.texts) == 60
    assert len({message.receptor for message in simulator.network.sent}) == 60

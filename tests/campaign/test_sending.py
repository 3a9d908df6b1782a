"""From a visit to a message on a phone, and all the ways not to."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from services.campaign.audience.handlers import guests
from services.campaign.journeys.handlers import enrolling
from services.campaign.messages.handlers import recipients
from services.campaign.messages.store import deliveries
from services.campaign.texts.rules.parts import count_parts
from shared.clock import new_id, now
from shared.events.campaign import MessageSkipped
from shared.events.customer import CustomerErased, CustomerStatusChanged
from shared.security.crypto import unseal
from shared.security.guest_links import read_guest_token
from shared.security.ids import customer_id, feedback_token
from tests.campaign.conftest import PHONE, Simulator, World, add_provider


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
    await world.react(enrolling.on_visit_recorded, visit, visit)
    await world.run_jobs()
    await world.react(enrolling.on_visit_recorded, visit)
    await world.run_jobs()
    assert len(simulator.texts) == 1


async def test_run_becomes_a_decided_message_in_one_transaction(world: World, simulator: Simulator) -> None:
    guest = await world.add_guest()
    for _ in range(5):
        await world.record_visit(guest)
    await world.run_jobs()
    assert len(simulator.texts) == 3
    written = await world.pool.fetchrow(
        """
        SELECT count(*) AS skipped, count(DISTINCT d.xmin::text) AS transactions,
               bool_and(d.xmin = s.xmin AND d.xmin = r.xmin) AS at_once,
               bool_and(d.due_at = d.queued_at) AS due_when_queued
        FROM campaign_deliveries d
        JOIN send_decisions s ON s.delivery_id = d.id JOIN journey_runs r ON r.trigger_id = d.trigger_id
        WHERE d.delivery_status = 'skipped' AND d.error_code = s.reason AND r.state = 'queued'
        """
    )
    assert tuple(written) == (2, 1, True, True)


async def test_occasion_that_has_its_message_gets_no_second_one(world: World, simulator: Simulator) -> None:
    await world.record_visit(await world.add_guest())
    await world.run_jobs()
    await world.pool.execute("UPDATE journey_runs SET state = 'waiting'")
    await world.run_jobs()
    assert await world.decisions() == [("send", "all_checks_passed")]
    assert (len(simulator.texts), (await world.delivery())["delivery_status"]) == (1, "sent")
    assert await world.pool.fetchval("SELECT state::text FROM journey_runs") == "queued"


async def test_guest_without_name_gets_fallback(world: World, simulator: Simulator) -> None:
    await world.record_visit(await world.add_guest(name=None))
    await world.run_jobs()
    assert simulator.texts[0].startswith("مهمان عزیز")


async def test_visit_voided_before_its_thanks_is_due_cancels_it(world: World, simulator: Simulator) -> None:
    guest = await world.add_guest()
    waiting = await world.record_visit(guest, minutes_ago=1)
    queued = await world.record_visit(guest)
    await world.hold()
    await world.void(waiting)
    await world.void(queued)
    await world.pool.execute("UPDATE journey_runs SET due_at = now()")
    await world.run_jobs()
    assert simulator.texts == []
    states = await world.pool.fetch("SELECT state::text, reason FROM journey_runs ORDER BY 1")
    assert [tuple(row) for row in states] == [("cancelled", "visit_voided")] * 2
    assert (await world.delivery())["delivery_status"] == "skipped"


async def test_visit_synced_too_late_is_noted_and_not_thanked(world: World, simulator: Simulator) -> None:
    await world.record_visit(await world.add_guest(), minutes_ago=25 * 60)
    await world.run_jobs()
    assert simulator.texts == []
    assert tuple(await world.pool.fetchrow("SELECT state::text, reason FROM journey_runs")) == ("skipped", "too_late")


async def test_disabled_journey_sends_nothing_more(world: World, simulator: Simulator) -> None:
    guest = await world.add_guest()
    await world.record_visit(guest)
    await world.hold()
    await world.record_visit(guest)
    await world.pool.execute("UPDATE journeys SET is_active = false")
    await world.run_jobs()
    assert simulator.texts == []
    assert await world.decisions() == [("hold", "provider"), ("skip", "campaign")]
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


async def test_counting_what_was_sent_today_does_not_read_what_was_skipped(world: World) -> None:
    guest = await world.add_guest()
    await world.record_visit(guest)
    await world.run_jobs()
    await world.pool.execute(
        """
        INSERT INTO campaign_deliveries (id, cafe_id, campaign_id, customer_id, trigger_id, local_id, message_content,
                                         delivery_status, queued_at, due_at, expires_at, correlation_id)
        SELECT gen_random_uuid(), cafe_id, campaign_id, customer_id, gen_random_uuid(), local_id + n, message_content,
               'skipped', queued_at, due_at, expires_at, correlation_id
        FROM campaign_deliveries, generate_series(1, 500) AS n
        """
    )
    asked = [world.cafe_id], [guest], [now() - timedelta(days=1)]
    plan = await world.pool.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {deliveries.SENT_TODAY}", *asked)
    reads = [node for node in _nodes(plan[0]["Plan"]) if node.get("Relation Name") == "campaign_deliveries"]
    assert [(node["Actual Rows"], node.get("Rows Removed by Filter", 0)) for node in reads] == [(1, 0)]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from _nodes(below)


async def test_what_is_said_about_one_channel_is_not_said_about_another(world: World, simulator: Simulator) -> None:
    guest = await world.add_guest(marketing=None)
    await world.consent(guest, granted=True, channel="email")
    await world.enter_vip(guest)
    await world.run_jobs()
    assert await world.decisions() == [("skip", "consent")]
    await world.consent(guest, granted=False, purpose="service", channel="email")
    await world.record_visit(guest)
    await world.run_jobs()
    assert (await world.decisions())[-1] == ("send", "all_checks_passed")
    assert len(simulator.texts) == 1
    assert await world.pool.fetchval("SELECT count(*) FROM campaign_deliveries WHERE channel = 'sms'") == 2


async def test_message_of_a_channel_that_nothing_sends_on_is_closed_and_harms_no_other(
    world: World, simulator: Simulator
) -> None:
    for number in range(2):
        await world.record_visit(await world.add_guest(f"+98912000000{number}"))
    await world.hold()
    await world.pool.execute(
        "UPDATE campaign_deliveries SET channel = 'email' WHERE id IN (SELECT id FROM campaign_deliveries LIMIT 1)"
    )
    await world.send_due()
    assert sorted((await world.decisions())[-2:]) == [("send", "all_checks_passed"), ("skip", "broken")]
    assert len(simulator.texts) == 1


async def test_blocked_guest_gets_nothing(world: World, simulator: Simulator) -> None:
    guest = await world.add_guest()
    await world.react(
        guests.on_customer_status_changed,
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


async def test_wait_for_a_contact_ends_with_the_first_word_about_the_guest(world: World, simulator: Simulator) -> None:
    guest = customer_id(world.config.keys, world.cafe_id, PHONE)
    await world.record_visit(guest)
    await world.run_jobs()
    assert await world.decisions() == [("hold", "contact")]
    await world.pool.execute("UPDATE campaign_deliveries SET due_at = now() + interval '1 minute'")
    await world.run_jobs()
    assert simulator.texts == []
    await world.add_guest(PHONE)
    await world.run_jobs()
    assert len(simulator.texts) == 1


async def test_unreadable_contact_holds_up_nobody_else(world: World, simulator: Simulator) -> None:
    broken, fine = await world.add_guest(), await world.add_guest("+989120000001")
    await world.pool.execute("UPDATE contacts SET phone_sealed = 's1.x.y' WHERE customer_id = $1", broken)
    await world.record_visit(broken)
    await world.record_visit(fine)
    await world.run_jobs()
    assert [message.receptor for message in simulator.network.sent] == ["09120000001"]
    assert sorted(await world.decisions()) == [("hold", "contact"), ("send", "all_checks_passed")]


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
    await world.hold()
    await world.record_visit(guest, minutes_ago=1)
    await world.react(
        recipients.on_customer_erased, CustomerErased(cafe_id=world.cafe_id, occurred_at=now(), customer_id=guest)
    )
    await world.pool.execute("UPDATE journey_runs SET due_at = now()")
    await world.run_jobs()
    assert len(simulator.texts) == 1
    assert await world.pool.fetchval("SELECT count(*) FROM campaign_deliveries WHERE error_message IS NOT NULL") == 0
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
        recipients.on_customer_erased,
        CustomerErased(cafe_id=world.cafe_id, occurred_at=now() + timedelta(minutes=1), customer_id=guest),
    )
    await world.add_guest(version=2, marketing=None)
    assert await world.pool.fetchval("SELECT phone_sealed FROM contacts") is None
    await world.pool.execute("UPDATE contacts SET erased_at = now() - interval '1 hour'")
    await world.add_guest(version=1, marketing=None)
    assert await world.pool.fetchval("SELECT phone_sealed FROM contacts") is not None


async def test_text_may_lead_to_the_guests_own_page(world: World, simulator: Simulator) -> None:
    guest = await world.add_guest()
    await world.pool.execute("UPDATE campaigns SET template_content = 'امتیاز شما: {{page}}'")
    await world.record_visit(guest, minutes_ago=60)
    await world.run_jobs()
    [text] = simulator.texts
    address = text.split()[-1]
    assert address.startswith(f"{world.config.guest_page_url}/g/")
    link = read_guest_token(world.config.keys, address.rpartition("/")[2])
    assert (link.cafe_id, link.customer_id) == (world.cafe_id, guest)
    assert (await world.delivery())["parts"] == count_parts(text)

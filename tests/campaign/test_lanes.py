"""Whose turn it is, and who waits for whom: nobody for another's provider, nobody behind another's backlog."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx2
import pytest

from deploy.simulators.network import NetworkFault
from services.campaign.campaigns.handlers import expanding
from services.campaign.channels import transport
from services.campaign.channels.handlers.accounts import seal_key
from services.campaign.channels.rules import LONGEST_PAUSE, pause_after
from services.campaign.journeys.handlers import enrolling
from services.campaign.messages.handlers import asking, sending
from services.campaign.messages.models.values import Place, Turn
from services.campaign.messages.rules.turns import CAFES_AT_ONCE, candidates, share_out
from services.campaign.messages.store import due
from services.campaign.messages.store.due import due_places
from shared.clock import new_id, now
from shared.database.db import keyed_transaction
from tests.campaign.conftest import Simulator, World, add_provider, ended

OWN_KEY = "a-cafe-s-own-key"


@pytest.fixture
async def other(world: World, simulator: Simulator) -> World:
    """Another cafe in the same database, with an account of its own."""
    simulator.network.keys = None
    found = World(world.pool, world.config)
    await found.open_cafe()
    provider_id = await world.pool.fetchval("SELECT id FROM sms_providers WHERE cafe_id = $1", found.cafe_id)
    sealed = seal_key(provider_id, OWN_KEY, world.config)
    await world.pool.execute("UPDATE sms_providers SET api_key_sealed = $2 WHERE id = $1", provider_id, sealed)
    return found


async def visits(world: World, count: int, first: int = 0, *, minutes_ago: float = 10) -> None:
    guests = [await world.add_guest(f"+98912{first + number:07}", marketing=None) for number in range(count)]
    await world.react(enrolling.on_visit_recorded, *(world.visit(each, minutes_ago=minutes_ago) for each in guests))


async def statuses(world: World) -> dict[str, int]:
    rows = await world.pool.fetch(
        "SELECT delivery_status::text, count(*)::int FROM campaign_deliveries WHERE cafe_id = $1 GROUP BY 1",
        world.cafe_id,
    )
    return {row[0]: row[1] for row in rows}


async def account(world: World) -> Any:
    return await world.pool.fetchrow("SELECT * FROM sms_providers WHERE cafe_id = $1", world.cafe_id)


async def one_round(sender: sending.Sender, world: World) -> None:
    await sender.send_due(world.pool)
    await ended(sender.lanes)


# --- lanes ---


@pytest.fixture
def patient(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls hang long enough to look around."""
    monkeypatch.setattr(transport, "TIMEOUT", httpx2.Timeout(3, connect=2))


@pytest.mark.usefixtures("patient")
async def test_hanging_provider_keeps_only_its_own_messages_waiting(
    world: World, other: World, simulator: Simulator
) -> None:
    simulator.network.moods[OWN_KEY] = NetworkFault("slow", seconds=30)
    sender = sending.Sender(world.config)
    for number in range(sending.CALLS_OF_CAFE + 2):
        await visits(other, 1, first=number)
        await sender.send_due(world.pool)
    hanging = set(sender.lanes.under_way)
    assert len(hanging) == sending.CALLS_OF_CAFE
    # What comes for a cafe whose lanes are full is not even decided about.
    assert await statuses(other) == {"sending": sending.CALLS_OF_CAFE}
    await visits(world, 1)
    await sender.send_due(world.pool)
    for call in set(sender.lanes.under_way) - hanging:
        await call
    assert await statuses(world) == {"sent": 1}
    assert not any(call.done() for call in hanging)
    await ended(sender.lanes)


async def test_account_that_fails_is_paused_longer_each_time_and_tried_with_one_message(
    world: World, other: World, simulator: Simulator
) -> None:
    simulator.network.moods[OWN_KEY] = NetworkFault("refuse", code=418)
    await visits(other, 5)
    sender = sending.Sender(world.config)
    pauses = []
    for failures in (1, 2, 3):
        await one_round(sender, world)
        row = await account(other)
        assert (row["failures"], row["last_error"]) == (failures, "418")
        pauses.append(row["paused_until"] - row["last_error_at"])
        calls = simulator.network.calls
        await one_round(sender, world)
        assert simulator.network.calls == calls
        await other.end_pauses()
    assert pauses == [pause_after(1), pause_after(2), pause_after(3)]
    assert await world.pool.fetchval("SELECT sum(delivery_attempts) FROM campaign_deliveries") == 5 + 1 + 1

    simulator.network.moods.clear()
    await world.run_jobs()
    row = await account(other)
    assert (row["failures"], row["paused_until"], row["last_error"]) == (0, None, "418")
    assert await statuses(other) == {"sent": 5}


def test_pause_grows_to_its_end() -> None:
    pauses = [pause_after(failures) for failures in range(1, 200)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (timedelta(seconds=10), LONGEST_PAUSE)


async def test_next_account_takes_over_while_the_first_is_paused_and_each_decision_says_why(
    world: World, other: World, simulator: Simulator
) -> None:
    simulator.network.moods[OWN_KEY] = NetworkFault("error_before")
    await add_provider(other, priority=200)
    await visits(other, 1)
    await world.run_jobs()
    # What may have left goes by nobody else.
    assert await statuses(other) == {"sending": 1}
    await visits(other, 2, first=10)
    await world.run_jobs()
    assert await statuses(other) == {"sending": 1, "sent": 2}
    checks = await world.pool.fetchval(
        "SELECT checks FROM send_decisions WHERE cafe_id = $1 ORDER BY decided_at DESC LIMIT 1", other.cafe_id
    )
    (asked,) = [check["detail"]["asked"] for check in checks if check["check"] == "provider"]
    assert [entry["unavailable"] for entry in asked] == ["paused", None]


async def test_wait_for_a_paused_account_is_one_decision_however_often_it_is_looked_at(
    world: World, other: World, simulator: Simulator
) -> None:
    simulator.network.moods[OWN_KEY] = NetworkFault("refuse", code=401)
    await visits(other, 1)
    await world.run_jobs()
    for _ in range(3):
        await world.pool.execute("UPDATE campaign_deliveries SET due_at = now() WHERE delivery_status = 'queued'")
        await world.run_jobs()
    assert await world.decisions() == [("send", "all_checks_passed"), ("hold", "provider")]


async def test_trouble_of_the_installation_s_account_is_told_from_that_of_one_cafe(
    world: World, simulator: Simulator
) -> None:
    cafes = [world, *(World(world.pool, world.config) for _ in range(2))]
    for cafe in cafes[1:]:
        await cafe.open_cafe()
    sender = sending.Sender(world.config)
    simulator.fail("refuse", code=418, times=2)
    for cafe in cafes:
        await visits(cafe, 1)
        await one_round(sender, world)
    # After two cafes' calls the third's was not tried.
    assert simulator.network.calls == 2
    await one_round(sender, world)
    assert [set(await statuses(cafe)) for cafe in cafes] == [{"queued"}] * 3


@pytest.mark.usefixtures("patient")
async def test_slow_look_up_of_one_cafe_keeps_no_other_waiting(
    world: World, other: World, simulator: Simulator
) -> None:
    for each in (world, other):
        await visits(each, 1)
    await world.run_jobs()
    for _ in range(3):
        simulator.network.move(everything=True)
    simulator.network.moods[OWN_KEY] = NetworkFault("slow", seconds=1.5)
    await world.pool.execute("UPDATE campaign_deliveries SET check_at = now()")
    asker = asking.Asker("sent", world.config)
    await asker.ask(world.pool)
    calls = {cafe_id: call for call, (cafe_id, _, _) in asker.lanes.under_way.items()}
    await calls[world.cafe_id]
    assert await statuses(world) == {"delivered": 1}
    assert not calls[other.cafe_id].done()
    await ended(asker.lanes)
    assert await statuses(other) == {"delivered": 1}


async def test_receipt_that_nobody_gives_is_asked_for_more_rarely_and_at_last_no_more(
    world: World, other: World, simulator: Simulator
) -> None:
    await visits(other, 1)
    await world.run_jobs()
    simulator.network.moods[OWN_KEY] = NetworkFault("say", words="{}")
    await world.poll()
    row = await world.delivery()
    assert (row["delivery_status"], row["check_at"] > now()) == ("sent", True)
    await world.pool.execute("UPDATE campaign_deliveries SET sent_at = sent_at - interval '3 days'")
    await world.poll()
    row = await world.delivery()
    assert (row["delivery_status"], row["check_at"]) == ("sent", None)


# --- turns ---


def places(*cafes: UUID) -> Sequence[Place]:
    return [Place("run", now() + timedelta(seconds=at), cafe) for at, cafe in enumerate(cafes)]


def test_turns_go_round_and_shares_grow_when_there_are_few() -> None:
    cafes = [new_id() for _ in range(CAFES_AT_ONCE + 50)]
    first = candidates(places(*cafes), (), {})
    assert first == cafes[:CAFES_AT_ONCE]
    second = candidates(places(*cafes), (), dict.fromkeys(first, 1))
    assert second[:50] == cafes[CAFES_AT_ONCE:]
    assert candidates(places(*cafes), set(cafes[1:]), {}) == cafes[:1]
    assert share_out(cafes[:1]) == [Turn(cafes[0], 200)]
    assert {turn.share for turn in share_out(cafes[:4])} == {50}
    assert {turn.share for turn in share_out(cafes[:200])} == {1}
    assert share_out(cafes[:2], cafes[:1]) == [Turn(cafes[0], 1), Turn(cafes[1], 100)]
    assert share_out([]) == []


async def test_backlog_of_one_cafe_keeps_no_other_waiting(world: World, other: World, simulator: Simulator) -> None:
    guest = await other.add_guest(marketing=None)
    await other.react(enrolling.on_visit_recorded, *(other.visit(guest, minutes_ago=60) for _ in range(1000)))
    await visits(world, 1, minutes_ago=5)
    await one_round(sending.Sender(world.config), world)
    assert await statuses(world) == {"sent": 1}
    assert 0 < sum((await statuses(other)).values()) < 1000


async def test_campaigns_are_expanded_in_turns(world: World, other: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expanding, "BATCH", 2)
    for each in (other, world):
        for number in range(6):
            await each.add_guest(f"+98912000000{number}")
        await world.pool.execute(
            """
            INSERT INTO campaigns (cafe_id, id, name, campaign_type, purpose, target_segment, template_content,
                                   scheduled_date, status, created_at, updated_at, created_by, approved_by, approved_at)
            VALUES ($1, $2, 'x', 'sms', 'service', '{"everyone": true}', 'x', now() - interval '1 minute', 'scheduled',
                    now(), now(), $2, $3, now())
            """,
            each.cafe_id, new_id(), new_id(),
        )  # fmt: skip
    for _ in range(4):
        await expanding.start_campaigns(world.pool)
    assert (await statuses(world), await statuses(other)) == ({"queued": 4}, {"queued": 4})


async def test_who_is_due_is_found_without_reading_all_that_is_due(
    world: World, other: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = await other.add_guest(marketing=None)
    await other.react(enrolling.on_visit_recorded, *(other.visit(guest, minutes_ago=9) for _ in range(3000)))
    await visits(world, 1)
    async with keyed_transaction(world.pool) as conn:
        found = await due_places(conn, now())
        assert {place.cafe_id for place in found} == {world.cafe_id, other.cafe_id}
        assert len(found) < 10
        plan = await conn.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {due.DUE[0]}", now(), due.JUMPS)
    assert "Seq Scan" not in str(plan)
    assert plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"] < 300

    # Beyond so many jumps both ends are looked at, so that neither the oldest nor the newest is forgotten.
    monkeypatch.setattr(due, "JUMPS", 1)
    async with keyed_transaction(world.pool) as conn:
        assert {place.cafe_id for place in await due_places(conn, now())} == {world.cafe_id, other.cafe_id}


# --- whose account, on whose terms ---


async def test_cafe_without_a_key_sends_on_the_installation_s_terms(world: World, simulator: Simulator) -> None:
    await world.pool.execute(
        "UPDATE sms_providers SET sender_line = '1000999', cost_per_sms = 0, api_endpoint = 'http://x', daily_limit = 3"
    )
    config = world.config.model_copy(update={"sms_price": Decimal(2000), "sms_lent_daily": 2})
    await visits(world, 3)
    for _ in range(3):
        await world.send_due(config)
    assert [sent.sender for sent in simulator.network.sent] == ["10004346"] * 2
    rows = await world.pool.fetch("SELECT checks FROM send_decisions WHERE outcome = 'send'")
    checks = [check for row in rows for check in row["checks"]]
    assert {check["detail"]["cost"] for check in checks if check["check"] == "budget"} == {"4000"}
    assert (await world.decisions())[-1] == ("hold", "provider")


@pytest.mark.parametrize("change", [{"sms_lent_daily": 0}, {"sms_api_key": None}])
async def test_account_that_is_lent_to_nobody_sends_nothing(
    change: Any, world: World, other: World, simulator: Simulator
) -> None:
    for each in (world, other):
        await visits(each, 1)
    await world.send_due(world.config.model_copy(update=change))
    assert (await statuses(world), await statuses(other)) == ({"queued": 1}, {"sent": 1})

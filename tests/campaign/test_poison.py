"""A cafe with something broken in it beside a good one: the good one's messages go out in the same round, and of the
broken one only what is broken does not."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from services.campaign.campaigns.handlers import expanding
from services.campaign.channels.handlers.accounts import seal_key
from services.campaign.messages.handlers import sending
from shared.clock import new_id
from tests.campaign.conftest import Simulator, World, ended
from tests.support import Databases

# A table's rows of one cafe, or of one guest of it, that can't be written.
POISON = """
CREATE OR REPLACE FUNCTION public.poison() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(coalesce(NEW, OLD)) ->> '{column}' = '{value}' THEN
        RAISE EXCEPTION 'a row with 09121112233' USING ERRCODE = '22003';
    END IF;
    RETURN coalesce(NEW, OLD);
END $$
"""


@pytest.fixture
async def bad(world: World) -> World:
    """Another cafe in the same database, whose messages come first."""
    found = World(world.pool, world.config)
    await found.open_cafe()
    return found


async def outcome(world: World) -> list[tuple[str, str | None]]:
    rows = await world.pool.fetch(
        "SELECT delivery_status::text, error_code FROM campaign_deliveries WHERE cafe_id = $1", world.cafe_id
    )
    return [(row["delivery_status"], row["error_code"]) for row in rows]


async def set_of(world: World, sql: str, *args: Any) -> None:
    await world.pool.execute(sql, world.cafe_id, *args)


async def _own_key(world: World, key: str) -> None:
    provider_id = await world.pool.fetchval("SELECT id FROM sms_providers WHERE cafe_id = $1", world.cafe_id)
    sealed = seal_key(provider_id, key, world.config)
    await world.pool.execute("UPDATE sms_providers SET api_key_sealed = $2 WHERE id = $1", provider_id, sealed)


Break = Callable[[World], Awaitable[None]]
BREAKS: dict[str, tuple[Break, tuple[str, str | None]]] = {
    # One that PostgreSQL knows and we do not.
    "an unknown time zone": (
        lambda bad: set_of(bad, "UPDATE cafes SET time_zone = 'UTC+3' WHERE cafe_id = $1"),
        ("skipped", "cafe"),
    ),
    "a contact that can't be opened": (
        lambda bad: set_of(bad, "UPDATE contacts SET phone_sealed = 's1.damaged' WHERE cafe_id = $1"),
        ("queued", "contact"),
    ),
    "fallbacks that are none": (
        lambda bad: set_of(
            bad, "UPDATE campaigns SET template_variables = '[1]', template_content = '{{x}}' WHERE cafe_id = $1"
        ),
        ("skipped", "broken"),
    ),
    "costs that overflow": (
        lambda bad: set_of(bad, "UPDATE campaigns SET reserved_cost = repeat('9', 28)::numeric WHERE cafe_id = $1"),
        ("skipped", "broken"),
    ),
    "a price that nobody pays": (
        lambda bad: set_of(
            bad, "UPDATE sms_providers SET cost_per_sms = 9999999999999999, api_key_sealed = 'x' WHERE cafe_id = $1"
        ),
        ("queued", "provider"),
    ),
    "a key with a line break": (lambda bad: _own_key(bad, "abcdefgh\r\nHost: x"), ("queued", "provider")),
    "a key with a zero": (lambda bad: _own_key(bad, "abcdefgh\0"), ("queued", "provider")),
    "a key with a slash": (lambda bad: _own_key(bad, "../../abcdefgh"), ("queued", "provider")),
    "a key that can't be opened": (
        lambda bad: set_of(bad, "UPDATE sms_providers SET api_key_sealed = 's1.x' WHERE cafe_id = $1"),
        ("queued", "provider"),
    ),
    "a foreign address": (
        lambda bad: set_of(
            bad, "UPDATE sms_providers SET api_endpoint = 'http://[', api_key_sealed = 'x' WHERE cafe_id = $1"
        ),
        ("queued", "provider"),
    ),
    "a provider that nobody knows": (
        lambda bad: set_of(bad, "UPDATE sms_providers SET provider_name = 'nobody' WHERE cafe_id = $1"),
        ("queued", "provider"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BREAKS)
async def test_broken_cafe_harms_only_its_own_message(
    kind: str, world: World, bad: World, simulator: Simulator
) -> None:
    spoil, expected = BREAKS[kind]
    await bad.record_visit(await bad.add_guest(), minutes_ago=20)
    await spoil(bad)
    await world.record_visit(await world.add_guest())
    await world.run_jobs()
    assert await outcome(world) == [("sent", None)]
    assert await outcome(bad) == [expected]
    assert len(simulator.texts) == 1


async def test_name_of_ten_thousand_letters_is_left_out(world: World, bad: World, simulator: Simulator) -> None:
    await bad.record_visit(await bad.add_guest(name="س" * 10_000))
    await world.run_jobs()
    assert await outcome(bad) == [("sent", None)]
    assert simulator.texts[0].startswith("مهمان عزیز")


async def poison(database: Databases, tables: str, column: str, value: Any) -> None:
    owner = await asyncpg.connect(await database.owner_dsn("campaign"))
    try:
        await owner.execute(POISON.format(column=column, value=value))
        for table in tables.split():
            await owner.execute(
                f"CREATE TRIGGER poison BEFORE INSERT OR UPDATE ON {table}"
                " FOR EACH ROW EXECUTE FUNCTION public.poison()"
            )
    finally:
        await owner.close()


async def test_message_that_can_not_be_written_is_closed_and_its_neighbours_go(
    world: World, bad: World, simulator: Simulator, database: Databases
) -> None:
    guests = [await bad.add_guest(f"+98912000000{number}") for number in range(4)]
    for guest in guests:
        await bad.record_visit(guest)
    await world.record_visit(await world.add_guest())
    # Anything handed over to this guest fails; that it is not sent can be written.
    await poison(database, "send_decisions", "customer_id", guests[1])
    owner = await asyncpg.connect(await database.owner_dsn("campaign"))
    await owner.execute("ALTER TABLE send_decisions DISABLE TRIGGER poison")
    await owner.execute(
        """
        CREATE TRIGGER poison BEFORE UPDATE ON campaign_deliveries FOR EACH ROW
        WHEN (NEW.delivery_status = 'sending') EXECUTE FUNCTION public.poison()
        """
    )
    await owner.close()
    sender = sending.Sender(world.config)
    await sender.send_due(world.pool)
    await ended(sender.lanes)
    assert await outcome(world) == [("sent", None)]
    assert Counter(await outcome(bad)) == {("sent", None): 3, ("skipped", "broken"): 1}
    assert len(simulator.texts) == 4


async def test_cafe_of_which_nothing_can_be_written_is_put_aside_by_every_job(
    world: World, bad: World, simulator: Simulator, database: Databases
) -> None:
    for each in (bad, world):
        await each.record_visit(await each.add_guest("+989120000001"))
    await world.run_jobs()
    simulator.fail("error_before", times=2)
    for each in (bad, world):
        await each.record_visit(await each.add_guest("+989120000002"))
    await world.run_jobs()
    for each in (bad, world):
        await each.record_visit(await each.add_guest("+989120000003"))
        await world.pool.execute(
            """
            INSERT INTO campaigns (cafe_id, id, name, campaign_type, purpose, target_segment, template_content,
                                   scheduled_date, status, created_at, updated_at, created_by, approved_by, approved_at)
            VALUES ($1, $2, 'x', 'sms', 'service', '{"everyone": true}', 'x', now() - interval '1 minute', 'scheduled',
                    now(), now(), $2, $3, now())
            """,
            each.cafe_id, new_id(), new_id(),
        )  # fmt: skip
    await world.pool.execute("UPDATE sms_providers SET paused_until = NULL, failures = 0")
    await world.pool.execute("UPDATE campaign_deliveries SET check_at = now() WHERE check_at IS NOT NULL")
    tables = "campaign_deliveries journey_runs campaigns send_decisions sms_usage contacts"
    await poison(database, tables, "cafe_id", bad.cafe_id)

    await world.ask("sending")
    await world.ask("sent")
    while await expanding.start_campaigns(world.pool):
        pass
    sender = sending.Sender(world.config)
    for _ in range(6):
        await sender.send_due(world.pool)
        await ended(sender.lanes)
    good = await world.pool.fetch(
        "SELECT delivery_status::text, count(*) FROM campaign_deliveries WHERE cafe_id = $1 GROUP BY 1", world.cafe_id
    )
    assert {row[0]: row[1] for row in good} == {"sent": 6}
    assert await world.pool.fetchval(
        "SELECT count(*) FROM campaign_deliveries WHERE cafe_id = $1 AND check_at <= now()", bad.cafe_id
    )


async def test_doubled_id_of_a_provider_spoils_only_its_own_message(world: World, simulator: Simulator) -> None:
    guests = [await world.add_guest(f"+98912000000{number}") for number in range(3)]
    await world.record_visit(guests[0])
    await world.run_jobs()
    # The provider gives the id of an earlier message to one of the next two.
    earlier = simulator.network.sent[0].messageid
    network = simulator.network
    for guest in guests[1:]:
        await world.record_visit(guest)
    take = network.take

    def doubled(receptor: str, sender: str, message: str, localid: int | None) -> Any:
        found = take(receptor, sender, message, localid)
        if receptor == "09120000001":
            found.messageid = earlier
        return found

    network.take = doubled  # type: ignore[method-assign]
    await world.run_jobs()
    rows = await world.pool.fetch("SELECT delivery_status::text, provider_message_id FROM campaign_deliveries")
    assert [row["delivery_status"] for row in rows] == ["sent"] * 3
    assert len({row["provider_message_id"] for row in rows}) == 3

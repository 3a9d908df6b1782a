"""`crm audit`: silent while the books are right, and loud about each invariant that somebody broke by hand."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, get_args
from uuid import UUID

import asyncpg
import pytest
from typer.testing import CliRunner

from deploy.crm import audit
from deploy.crm.main import app
from deploy.demo import till
from services.loyalty.handlers import club
from services.visit.handlers import upkeep
from shared.database.db import Connection
from shared.events.loyalty import LedgerType
from shared.services import WITH_DATABASE
from shared.settings import Settings
from tests.chaos.house import House, open_house
from tests.support import Databases

VISITS = 12
# Invariant, whose database, and how it is broken in the cafe $1: by the owner, since the service itself may not.
DAMAGES = [
    ("balance_is_the_ledger", "loyalty", "UPDATE customer_loyalty SET points_earned = points_earned + 1"),
    ("balance_is_the_lots", "loyalty", "UPDATE point_lots SET points = points + 1, remaining = remaining + 1"),
    ("ledger_is_a_chain", "loyalty", "UPDATE loyalty_transactions SET balance_after = balance_after + 1"),
    ("visits_are_not_counted", "loyalty", "UPDATE customer_loyalty SET total_visits = total_visits + 1"),
    (
        "each_visit_earns_once", "loyalty",
        """INSERT INTO loyalty_transactions (id, cafe_id, customer_id, account_version, transaction_type, points_change,
               visit_id, description, occurred_at, balance_after)
           SELECT gen_random_uuid(), cafe_id, customer_id, account_version + 1000, transaction_type, points_change,
               visit_id, description, occurred_at, balance_after
           FROM loyalty_transactions""",
    ),
    (
        "nothing_is_overspent", "loyalty",
        """ALTER TABLE customer_loyalty DROP CONSTRAINT balance_only_negative_when_owed;
           UPDATE customer_loyalty SET points_redeemed = points_earned + 1""",
    ),
    ("club_is_counted", "loyalty", "UPDATE club_figures SET amount = amount + (what = 'earned')::int"),
    ("club_is_counted", "loyalty", "UPDATE club_figures SET amount = amount + (what = 'members')::int"),
    ("club_is_counted", "loyalty", "DELETE FROM club_figures"),
    (
        "grant_is_not_ledger", "loyalty",
        """INSERT INTO grants (cafe_id, grant_id, customer_id, type, occasion, points, program_version, granted_at)
           SELECT cafe_id, gen_random_uuid(), customer_id, 'earned_bonus', 'x', 1, 1, now() FROM customer_loyalty""",
    ),
    (
        "lot_is_not_of_its_grant", "loyalty",
        """INSERT INTO grants (cafe_id, grant_id, customer_id, type, occasion, points, program_version, granted_at)
           SELECT cafe_id, gen_random_uuid(), customer_id, 'earned_bonus', 'x', 1, 1, now() FROM customer_loyalty""",
    ),
    ("bill_asks_for_others", "loyalty", "UPDATE visit_earnings SET points_to_redeem = points_to_redeem + 1"),
    (
        "taken_is_not_redemptions", "loyalty",
        """INSERT INTO rewards (cafe_id, reward_id, key, version, taken, created_by, created_at)
           SELECT cafe_id, cafe_id, 'coffee', 1, 1, cafe_id, now() FROM cafes""",
    ),
    ("redemption_is_not_its_reward", "loyalty", "UPDATE redemptions SET reward_id = id, reward_version = 1"),
    ("lot_is_not_of_its_visit", "loyalty", "UPDATE point_lots SET earned_at = earned_at + interval '1 day'"),
    ("visits_show_what_they_redeem", "visit", "UPDATE customer_visits SET points_redeemed = points_redeemed + 1"),
    ("guests_begin_with_their_bills", "customer", "UPDATE customers SET created_at = created_at - interval '9 days'"),
    (
        "guests_came_when_their_bills_say", "customer",
        "UPDATE customer_activity SET first_visit_at = first_visit_at - interval '1 hour'",
    ),
    (
        "numbers_are_missing_between_others", "visit",
        """INSERT INTO device_gaps (cafe_id, device_id, missing_from, missing_to)
           SELECT cafe_id, device_id, 9, 9 FROM till_devices""",
    ),
    ("each_receipt_is_one_visit", "visit", "DELETE FROM customer_visits"),
    (
        "each_receipt_is_one_visit", "visit",
        """INSERT INTO customer_visits (id, cafe_id, visit_date, device_id, receipt_number, currency_unit)
           SELECT gen_random_uuid(), cafe_id, visit_date, device_id, receipt_number, currency_unit
           FROM customer_visits""",
    ),
    ("days_are_counted", "visit", "DELETE FROM daily_stats"),
    ("days_are_counted", "visit", "UPDATE daily_stats SET total_revenue = total_revenue + 1"),
    (
        "days_are_counted", "visit",
        """INSERT INTO daily_stats
           SELECT cafe_id, CURRENT_DATE - 50, NULL, 1, 1, 7, 7, NULL, now() FROM cafes""",
    ),
    ("days_are_counted", "visit", "UPDATE daily_stats SET known_visits = known_visits + 1"),
    ("days_are_counted", "visit", "UPDATE daily_stats SET hour_visits[1] = hour_visits[1] + 1, hour_visits[24] = 1"),
    ("guests_are_counted_on_their_days", "visit", "DELETE FROM guest_days"),
    (
        "guests_are_counted_on_their_days", "visit",
        "INSERT INTO guest_days SELECT cafe_id, gen_random_uuid(), CURRENT_DATE - 50 FROM cafes",
    ),
    ("months_are_what_guests_did", "visit", "UPDATE guest_months SET guests = guests + 1"),
    ("months_are_what_guests_did", "visit", "UPDATE guest_months SET again_30 = again_30 + 1"),
    ("months_are_what_guests_did", "visit", "DELETE FROM guest_months"),
    (
        "months_are_counted", "visit",
        """UPDATE counted_months SET due_at = NULL;
           INSERT INTO dish_months SELECT cafe_id, month, NULL, 'tea', 1, 1, 1, 1, 0 FROM counted_months""",
    ),
    (
        "months_are_counted", "visit",
        """UPDATE counted_months SET due_at = NULL;
           INSERT INTO branch_months SELECT cafe_id, month, gen_random_uuid(), 3, 1 FROM counted_months""",
    ),
    ("visits_earn_what_they_show", "visit", "UPDATE customer_visits SET points_earned = points_earned + 1"),
    ("visits_earn_what_they_show", "visit", "UPDATE customer_visits SET total_amount = total_amount + 1"),
    ("visits_earn_what_they_show", "visit", "DELETE FROM visit_receipts"),
    ("visits_earn_what_they_show", "loyalty", "DELETE FROM visit_earnings"),
    ("guests_are_as_active_as_their_visits", "customer", "UPDATE customer_activity SET total_visits = 77"),
    ("guests_are_as_active_as_their_visits", "customer", "UPDATE customer_activity SET tier_level = 'platinum'"),
    ("campaigns_add_up", "campaign", "UPDATE campaigns SET recipients = recipients + 1"),
    (
        "campaigns_add_up", "campaign",
        """INSERT INTO campaign_results (cafe_id, campaign_id, outcome, reason, messages)
           SELECT cafe_id, id, 'skipped', 'x', 1 FROM campaigns""",
    ),
    ("answers_are_the_same_where_messages_leave", "campaign", "UPDATE consents SET granted = NOT granted"),
    ("answers_are_the_same_where_messages_leave", "campaign", "DELETE FROM consents"),
    ("answers_are_the_same_at_the_tills", "visit", "UPDATE guest_consents SET granted = NOT granted"),
    ("answers_are_the_same_at_the_tills", "customer", "DELETE FROM consents"),
    (
        "open_cases_hold_advertising", "campaign",
        """INSERT INTO complaint_holds (cafe_id, customer_id, case_id, opened_at)
           SELECT cafe_id, customer_id, gen_random_uuid(), now() FROM contacts""",
    ),
    ("segments_are_counted", "customer", "UPDATE customer_segments SET customer_count = customer_count + 1"),
    ("each_visit_has_a_link", "feedback", "DELETE FROM feedback_links"),
    (
        "nobody_is_messaged_twice", "campaign",
        """DROP INDEX idx_deliveries_campaign;
           INSERT INTO campaign_deliveries (id, cafe_id, campaign_id, customer_id, trigger_id, local_id,
               message_content, delivery_status, queued_at, due_at, expires_at, correlation_id)
           SELECT gen_random_uuid(), cafe_id, id, id, id, abs(hashtext(id::text)::bigint) + n, 'hello', 'sent',
                  now(), now(), now(), id
           FROM campaigns, generate_series(1, 2) n""",
    ),
    (
        "events_leave", "feedback",
        """INSERT INTO crm.outbox (cafe_id, topic, key, type, headers, payload, created_at)
           SELECT cafe_id, 'feedback.events', 'k', 'feedback.received', '[]', '{}', now() - interval '61 s'
           FROM cafes""",
    ),
    ("walls_stand", "visit", "ALTER TABLE customer_visits NO FORCE ROW LEVEL SECURITY; SELECT FROM customer_visits"),
]  # fmt: skip


def visit(number: int, **changes: Any) -> dict[str, Any]:
    """A visit of one of three guests, some hours before the next one."""
    at = datetime.now(UTC) - timedelta(days=3) + timedelta(hours=number)
    return {
        "device_id": "till-1", "receipt_number": str(number), "phone": till.phone_of(number % 3),
        "occurred_at": at.isoformat(), "total": "185000", "currency_unit": "IRT",
        "marketing_consent": number % 2 == 0,
    } | changes  # fmt: skip


async def count_club(house: House) -> None:
    """The figures of the club, until there is nothing more to add."""
    async with house.pools["loyalty"].acquire() as conn, conn.transaction():
        await club.note(conn, datetime.now(UTC))
    while await club.count(house.pools["loyalty"]):
        pass


async def lived_in(house: House) -> UUID:
    """A cafe in which guests came and spent points, bills were corrected and voided, and a stranger left no number."""
    cafe_id, api_key = await house.make_cafe()
    for number in range(VISITS):
        house.hand_in(api_key, "pos.visit_recorded", visit(number))
    house.hand_in(api_key, "pos.visit_recorded", visit(VISITS, phone=None))
    house.hand_in(api_key, "pos.visit_recorded", visit(VISITS + 1, points_to_redeem=100))
    moment = datetime.now(UTC).isoformat()
    house.hand_in(api_key, "pos.visit_corrected", visit(4, total="95000", corrected_at=moment))
    void = {"device_id": "till-1", "receipt_number": "5", "voided_at": moment}
    house.hand_in(api_key, "pos.visit_voided", void)
    await house.settle()
    while await upkeep.count_days(house.pools["visit"]):
        pass
    await count_club(house)
    return cafe_id


@pytest.fixture
async def house(config: Settings, database: Databases) -> House:
    """All services on fresh databases."""
    return await open_house(config, database, random.Random(5))


async def test_books_of_a_cafe_in_order_have_no_breach(house: House) -> None:
    await lived_in(house)
    assert await house.pools["loyalty"].fetchval("SELECT count(*) FROM visit_earnings") == VISITS + 1
    async with audit.opened(house.config) as connections:
        assert await audit.look(connections) == []
        assert await audit.count_parked(connections) == dict.fromkeys(WITH_DATABASE, 0)


async def test_each_damage_is_found_under_its_name_and_in_its_cafe(house: House, database: Databases) -> None:
    damaged, other = await lived_in(house), await lived_in(house)
    for invariant, service, sql in DAMAGES:
        owner = await asyncpg.connect(await database.owner_dsn(service))
        async with audit.opened(house.config) as connections:
            async with undone(owner):
                await owner.execute(f"{sql} WHERE cafe_id = '{damaged}'")
                asked = {**connections, service: owner}
                found = await audit.look(asked)
                assert any(b.invariant == invariant and service in b.services for b in found), (sql, found)
                elsewhere = await audit.look(asked, other)
                assert [b for b in elsewhere if b.cafe_id is not None] == [], sql
            async with undone(owner):
                assert await audit.look({**connections, service: owner}) == []
        await owner.close()


@contextlib.asynccontextmanager
async def undone(connection: Connection) -> AsyncIterator[None]:
    """Whatever is done inside is rolled back."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


async def test_difference_that_is_gone_at_the_second_look_is_no_breach(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, api_key = await house.make_cafe()
    house.hand_in(api_key, "pos.visit_recorded", visit(1))
    await house.deliver(next(queue for queue, records in house.queues.items() if records))
    async with audit.opened(house.config) as connections:
        assert {breach.invariant for breach in await audit.look(connections)} == {
            "visits_earn_what_they_show",
            "each_visit_has_a_link",
            "answers_are_the_same_at_the_tills",
        }
    monkeypatch.setattr(audit, "asyncio", SimpleNamespace(sleep=lambda _: house.settle()))
    assert await audit.audit(house.config) == []


async def test_command_tells_each_breach_and_ends_with_one(house: House, database: Databases) -> None:
    cafe_id = await lived_in(house)
    answer = await asyncio.to_thread(CliRunner().invoke, app, ["audit", "--json"])
    assert (answer.exit_code, answer.stdout) == (0, "")
    answer = await asyncio.to_thread(CliRunner().invoke, app, ["audit", "--types", "--cafe", str(cafe_id)])
    counts = {kind: int(count.replace(",", "")) for kind, count in map(str.split, answer.stdout.splitlines())}
    assert tuple(counts) == get_args(LedgerType)
    # Nobody has a birthday there.
    assert (counts["earned_purchase"] > 0, counts["earned_birthday"], answer.exit_code) == (True, 0, 1)
    owner = await asyncpg.connect(await database.owner_dsn("loyalty"))
    await owner.execute("UPDATE point_lots SET points = points + 1, remaining = remaining + 1")
    await owner.close()
    command = ["audit", "--second-look", "0", "--cafe", str(cafe_id)]
    answer = await asyncio.to_thread(CliRunner().invoke, app, [*command, "--json"])
    lines = [json.loads(line) for line in answer.stdout.splitlines()]
    assert answer.exit_code == 1
    assert {(line["event"], line["invariant"], line["cafe_id"]) for line in lines} == {
        ("audit.breached", "balance_is_the_lots", str(cafe_id))
    }
    answer = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert answer.exit_code == 1
    assert "balance_is_the_lots" in answer.stdout
    assert "3 breaches" in answer.stderr

"""Rebuilding the guests' activity on real PostgreSQL and Kafka: the same rows, damage found, nothing lost or said."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from typer.testing import CliRunner

from deploy.crm.main import app
from deploy.crm.rebuild_commands import lines_of
from services.customer.handlers.customers import erase_customer
from services.customer.handlers.periodic import recalculate
from services.customer.models.values import Act, GuestKey
from services.customer.worker import REACTIONS
from shared import clock
from shared.crashpoints import CRASH_AT
from shared.database.db import Connection, Pool, transaction
from shared.events.base import Event
from shared.events.feedback import FeedbackReceived
from shared.events.loyalty import PointsChanged, PointsEarned, TierChanged
from shared.events.visit import VisitRecorded
from shared.messaging import outbox, parked
from shared.rebuild import replay
from shared.rebuild.rebuild import Projection, rebuild
from shared.rebuild.replay import CannotReplay
from shared.rebuild.shadow import Table
from tests.conftest import Kafka
from tests.customer.given import (
    CAFE,
    STAFF,
    cafe_changed,
    check_counts,
    corrected,
    guest_of,
    learned,
    recorded,
    segment_of,
)
from tests.customer.given import voided as voided_of
from tests.shared.taking import ends, publish, rebuilt, relay, take_in
from tests.support import Databases

GUESTS = 30
ROWS = {
    "customer_activity": (
        "SELECT cafe_id, customer_id, registered_at, segment_mask, first_visit_at, last_visit_at, current_points,"
        " points_version, tier_level, tier_version, total_visits, rating_sum, rating_count, lifetime_spent,"
        " recent_visits FROM customer_activity ORDER BY 1, 2"
    ),
    "ratings": "SELECT * FROM ratings ORDER BY 1, 2",
    "rated_visits": "SELECT * FROM rated_visits ORDER BY 1, 2",
    "segment_members": "SELECT * FROM segment_members ORDER BY 1, 2, 3",
    "customer_segments": "SELECT cafe_id, id, customer_count FROM customer_segments ORDER BY 1, 2",
    "customers": "SELECT cafe_id, id, segment FROM customers ORDER BY 1, 2",
}
TO_BE_EVALUATED = "SELECT customer_id FROM customer_activity WHERE next_check_at IS NOT NULL ORDER BY 1"
LEFT_BEHIND = (
    "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname LIKE 'pg\\_temp%'"
)


def phone_of(number: int) -> str:
    return f"+98912{number:07}"


def tier(guest: GuestKey, at: datetime, **changes: Any) -> TierChanged:
    about = {"cafe_id": guest.cafe_id, "customer_id": guest.customer_id, "occurred_at": at, "previous_tier": "bronze"}
    return TierChanged(**{**about, "starts_on": at.date(), "expires_on": None, **changes})


def life_of(number: int, now: datetime) -> list[Event]:
    """A year of one guest: visits, one corrected, one voided, points, a tier, ratings."""
    chance = random.Random(number)
    guest = guest_of(phone_of(number))
    about: dict[str, Any] = {"cafe_id": CAFE, "customer_id": guest.customer_id}
    visits = [
        recorded(
            guest, now - timedelta(days=chance.choice((1, 3, 8, 20, 29, 40, 300)), minutes=each), f"{each + 1}0000"
        )
        for each in range(chance.randint(2, 9))
    ]
    events: list[Event] = [learned(phone_of(number), occurred_at=now - timedelta(days=number)), *visits]
    first, last = min(v.occurred_at for v in visits), max(v.occurred_at for v in visits)
    if number % 3 == 0:
        events.append(
            corrected(visits[0], final_amount=visits[0].final_amount * 2, first_visit_at=first, last_visit_at=last)
        )
    if number % 4 == 0:
        rest = [v.occurred_at for v in visits[1:]]
        events.append(voided_of(visits[0], first_visit_at=min(rest), last_visit_at=max(rest)))
    for version, visit in enumerate(visits, start=1):
        events.append(
            PointsEarned(
                **about, occurred_at=now, visit_id=visit.visit_id, visit_at=visit.occurred_at, points=10,
                points_change=10, balance_after=10 * version, account_version=version, program_version=1,
                multiplier="1",
            )
        )  # fmt: skip
    events.append(
        PointsChanged(
            **about, occurred_at=now, transaction_id=clock.new_id(), transaction_type="earned_bonus",
            points_change=5, balance_after=10 * len(visits) + 5, account_version=len(visits) + 1,
        )
    )  # fmt: skip
    if number % 5 == 0:
        events.append(tier(guest, now, tier="gold", account_version=len(visits) + 2))
    for rating in range(1, 1 + number % 3):
        events.append(
            FeedbackReceived(
                **about, occurred_at=now, visit_id=visits[0].visit_id, feedback_id=clock.new_id(),
                visit_at=visits[0].occurred_at, source="qr_code", overall_rating=rating,
            )
        )  # fmt: skip
    return events


async def lived_in(kafka: Kafka, pool: Pool, guests: int = GUESTS) -> None:
    """A cafe with guests of every kind, taken in by the customer service; its own events still wait in its outbox."""
    now = clock.now()
    await publish(kafka, [cafe_changed()])
    await take_in(kafka, "customer", pool, REACTIONS)
    while await recalculate(pool):
        pass
    events = [event for number in range(guests) for event in life_of(number, now)]
    nameless = recorded(customer_id=None)
    # The relay of another service died between publishing and deleting: some come twice.
    await publish(kafka, [*events, nameless, *events[-40:]])
    await take_in(kafka, "customer", pool, REACTIONS)
    async with transaction(pool) as conn:
        await erase_customer(conn, guest_of(phone_of(1)), act=Act(STAFF, clock.now(), clock.new_id()))


async def rows(pool: Pool) -> dict[str, list[Any]]:
    return {table: [tuple(row) for row in await pool.fetch(sql)] for table, sql in ROWS.items()}


async def crm_rebuild(*words: str) -> tuple[int, str]:
    """The command, with its exit code and all that it says."""
    done = await asyncio.to_thread(CliRunner().invoke, app, ["rebuild", *words])
    return done.exit_code, done.output


async def moves(pool: Pool) -> int:
    """How many segment moves wait to be published."""
    found: int = await pool.fetchval("SELECT count(*) FROM crm.outbox WHERE type LIKE 'segment.%'")
    return found


async def damage(pool: Pool) -> None:
    """What a slip at the console or a bug of old might leave: every table wrong in every way."""
    for sql in (
        (
            "UPDATE customer_activity SET total_visits = total_visits + 1 WHERE customer_id IN"
            " (SELECT customer_id FROM customer_activity ORDER BY customer_id LIMIT 3)"
        ),
        (
            "UPDATE customer_activity SET recent_visits = '{}' WHERE customer_id ="
            " (SELECT customer_id FROM customer_activity WHERE recent_visits <> '{}' ORDER BY customer_id DESC LIMIT 1)"
        ),
        (
            "DELETE FROM customer_activity WHERE customer_id ="
            " (SELECT customer_id FROM customer_activity WHERE total_visits > 2 ORDER BY 1 DESC OFFSET 3 LIMIT 1)"
        ),
        f"INSERT INTO customer_activity (cafe_id, customer_id, total_visits) VALUES ('{CAFE}', gen_random_uuid(), 7)",
        "DELETE FROM segment_members WHERE customer_id = (SELECT min(customer_id::text)::uuid FROM segment_members)",
        (
            "UPDATE segment_members SET entered_at = entered_at - interval '1 day'"
            " WHERE customer_id = (SELECT max(customer_id::text)::uuid FROM segment_members)"
        ),
        "UPDATE customer_segments SET customer_count = customer_count + 5",
        "UPDATE ratings SET rating = 6 - rating",
        "DELETE FROM rated_visits",
        (
            "UPDATE customers SET segment = 'vip' WHERE is_active AND segment <> 'vip' AND id IN"
            " (SELECT id FROM customers WHERE is_active ORDER BY id LIMIT 9)"
        ),
    ):
        assert not (await pool.execute(sql)).endswith(" 0"), sql


@pytest.fixture
async def pool(database: Databases) -> Pool:
    return await database("customer")


@pytest.mark.parametrize("published", [False, True])
async def test_rebuild_of_a_lived_in_cafe_gives_the_same_rows_and_says_nothing(
    published: bool, pool: Pool, database: Databases, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So few at once that a repeated event comes in another portion than the first.
    monkeypatch.setattr(replay, "RECORDS_AT_ONCE", 10)
    await lived_in(kafka, pool)
    assert await moves(pool) > GUESTS / 2
    if published:
        await relay(kafka, database, "customer", pool)
    before, waiting, said = await rows(pool), await pool.fetch("SELECT id FROM crm.outbox"), await ends(kafka)
    for check in (True, False):
        done = await rebuilt(kafka, database, "customer", check=check)
        assert done.events > GUESTS * 5
        assert lines_of(done) == [f"{table}: the same" for table in ROWS]
    assert await rows(pool) == before
    assert await pool.fetch("SELECT id FROM crm.outbox") == waiting
    assert await ends(kafka) == said
    assert await pool.fetchval("SELECT count(*) FROM segment_recalculations") == 0


async def test_damaged_rows_are_found_by_check_and_right_after_the_swap(
    pool: Pool, database: Databases, kafka: Kafka
) -> None:
    await lived_in(kafka, pool)
    await relay(kafka, database, "customer", pool)
    right, due = await rows(pool), await pool.fetch(TO_BE_EVALUATED)
    await damage(pool)
    wrong, said = await rows(pool), await ends(kafka)
    assert [table for table in ROWS if wrong[table] == right[table]] == []

    found = await rebuilt(kafka, database, "customer", check=True)
    assert await rows(pool) == wrong
    activity = found.differences[0]
    assert (activity.missing, activity.extra, activity.different) == (1, 1, 4)
    assert all(difference.rows for difference in found.differences)
    assert "customer_activity: 1 missing, 1 too many, 4 different" in lines_of(found)

    swapped = await rebuilt(kafka, database, "customer")
    assert [each.rows for each in swapped.differences] == [each.rows for each in found.differences]
    now_right = await rows(pool)
    assert now_right == right
    assert (await ends(kafka), await pool.fetchval("SELECT count(*) FROM crm.outbox")) == (said, 0)
    await check_counts(pool)

    # The worker evaluates the cafe's guests once more, and finds everybody where they were said to be.
    while await recalculate(pool):
        pass
    assert (await moves(pool), await pool.fetch(TO_BE_EVALUATED)) == (0, due)
    assert (await rebuilt(kafka, database, "customer", check=True)).rows_differing == 0


async def test_guests_who_were_stale_by_wrong_sums_are_evaluated_by_the_worker_afterwards(
    pool: Pool, database: Databases, kafka: Kafka
) -> None:
    await lived_in(kafka, pool)
    await relay(kafka, database, "customer", pool)
    guest = guest_of(phone_of(5))
    where = "WHERE customer_id = $1"
    await pool.execute(f"UPDATE customer_activity SET lifetime_spent = 9000000 {where}", guest.customer_id)
    await pool.execute("INSERT INTO segment_recalculations VALUES ($1, now())", CAFE)
    while await recalculate(pool):
        pass
    assert await moves(pool) > 0
    assert await segment_of(pool, guest) == "vip"
    await relay(kafka, database, "customer", pool)

    await rebuilt(kafka, database, "customer")
    assert await pool.fetchval(f"SELECT segment_mask & 4 FROM customer_activity {where}", guest.customer_id) == 4
    assert await moves(pool) == 0
    while await recalculate(pool):
        pass
    assert await pool.fetchval(f"SELECT segment_mask & 4 FROM customer_activity {where}", guest.customer_id) == 0
    assert await moves(pool) > 0
    assert (await rebuilt(kafka, database, "customer", check=True)).rows_differing == 0


async def test_only_what_was_taken_in_counts(pool: Pool, database: Databases, kafka: Kafka) -> None:
    await lived_in(kafka, pool, guests=5)
    guest = guest_of(phone_of(2))
    # Committed to the database, but the process died before it committed the offsets.
    await publish(kafka, [recorded(guest) for _ in range(20)])
    await take_in(kafka, "customer", pool, REACTIONS, commit=False)
    # Still waiting.
    await publish(kafka, [recorded(guest) for _ in range(20)])
    assert (await rebuilt(kafka, database, "customer", check=True)).rows_differing == 0
    await take_in(kafka, "customer", pool, REACTIONS)
    assert (await rebuilt(kafka, database, "customer", check=True)).rows_differing == 0


async def test_what_was_set_aside_does_not_count(pool: Pool, database: Databases, kafka: Kafka) -> None:
    await lived_in(kafka, pool, guests=3)
    guest = guest_of(phone_of(2))
    # No number of the database holds this amount.
    await publish(kafka, [recorded(guest, amount="9" * 30), recorded(guest)])
    await take_in(kafka, "customer", pool, REACTIONS)
    [row] = await pool.fetch("SELECT id FROM crm.parked")
    assert (await rebuilt(kafka, database, "customer", check=True)).rows_differing == 0
    async with transaction(pool) as conn:
        await parked.discard(conn, [row["id"]], "nonsense")
    assert (await rebuilt(kafka, database, "customer", check=True)).rows_differing == 0


async def test_live_traffic_during_the_rebuild_is_not_lost(pool: Pool, database: Databases, kafka: Kafka) -> None:
    await lived_in(kafka, pool)
    await damage(pool)
    stop = asyncio.Event()
    visits: list[VisitRecorded] = []

    async def traffic() -> None:
        while not stop.is_set():
            some = [recorded(guest_of(phone_of(number)), clock.now()) for number in range(2, GUESTS)]
            visits.extend(some)
            await publish(kafka, some)
            await take_in(kafka, "customer", pool, REACTIONS, batch=7)

    running = asyncio.create_task(traffic())
    try:
        for _ in range(3):
            already = len(visits)
            await rebuilt(kafka, database, "customer")
            async with asyncio.timeout(60):
                while len(visits) == already:
                    await asyncio.sleep(0.01)
    finally:
        stop.set()
        await running
    assert len(visits) >= 3 * (GUESTS - 2)
    assert (await rebuilt(kafka, database, "customer", check=True)).rows_differing == 0
    known = await pool.fetchval("SELECT sum(total_visits) FROM customer_activity")
    expected = sum(
        (kind is VisitRecorded) - (kind.__name__ == "VisitVoided")
        for number in range(GUESTS)
        for kind in map(type, life_of(number, clock.now()))
    )
    assert known == expected + len(visits)


async def test_a_crash_in_the_middle_changes_nothing(pool: Pool, database: Databases, kafka: Kafka) -> None:
    await lived_in(kafka, pool, guests=8)
    right = await rows(pool)
    await pool.execute("UPDATE customer_activity SET total_visits = total_visits + 1")
    wrong = await rows(pool)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.crm.main", "rebuild", "customer",
        env={**os.environ, "CRM_HOME": "/nonexistent", CRASH_AT: "rebuild.before_commit"},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said = (await process.communicate())[1].decode()
    assert process.returncode == -signal.SIGKILL, said
    assert await rows(pool) == wrong

    code, said = await crm_rebuild("customer", "--check")
    assert (code, await rows(pool)) == (1, wrong)
    assert "customer_activity: 0 missing, 0 too many, 8 different" in said
    assert phone_of(1)[3:] not in said
    assert ((await crm_rebuild("customer"))[0], await rows(pool)) == (0, right)
    assert (await crm_rebuild("customer", "--check"))[0] == 0
    async with asyncio.timeout(30):
        while await pool.fetchval(LEFT_BEHIND):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("live", ["crm.outbox", "customers"])
async def test_a_reaction_that_would_write_anything_live_is_refused_by_the_database(
    live: str, pool: Pool, database: Databases, kafka: Kafka
) -> None:
    await lived_in(kafka, pool, guests=2)
    waiting = await pool.fetchval("SELECT count(*) FROM crm.outbox")

    async def careless(conn: Connection, events: Sequence[VisitRecorded]) -> None:
        if live == "crm.outbox":
            await outbox.emit(conn, events)
        else:
            await conn.execute("UPDATE customers SET version = version + 1")

    projection = Projection(
        (Table("customer_activity", ("cafe_id", "customer_id"), ("total_visits",)),), {VisitRecorded: careless}
    )
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await rebuild(
            "customer", projection, dsn=await database.owner_dsn("customer"), config=kafka.config, check=False,
            say=lambda _: None,
        )  # fmt: skip
    assert await pool.fetchval("SELECT count(*) FROM crm.outbox") == waiting
    assert await pool.fetchval("SELECT max(version) FROM customers WHERE is_active") == 1


async def test_a_topic_that_lost_its_beginning_is_refused(pool: Pool, database: Databases, kafka: Kafka) -> None:
    await lived_in(kafka, pool, guests=10)
    before = await rows(pool)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.servers)
    await admin.start()
    full = {place: end for place, end in (await ends(kafka)).items() if place.topic.endswith("visit.events") and end}
    await admin.delete_records({place: RecordsToDelete(before_offset=1) for place in full})
    await admin.close()
    with pytest.raises(CannotReplay, match=r"visit\.events.*older are gone"):
        await rebuilt(kafka, database, "customer")
    assert await rows(pool) == before


async def test_a_table_that_is_in_use_is_waited_for(pool: Pool, database: Databases, kafka: Kafka) -> None:
    await lived_in(kafka, pool, guests=3)
    await pool.execute("UPDATE customer_activity SET total_visits = total_visits + 1")
    async with transaction(pool) as conn:
        await conn.execute("UPDATE customer_activity SET total_visits = total_visits + 1")
        task = asyncio.create_task(rebuilt(kafka, database, "customer"))
        async with asyncio.timeout(30):
            while not await pool.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                await asyncio.sleep(0.02)
    done = await task
    assert done.differences[0].different == 3
    assert (await rebuilt(kafka, database, "customer", check=True)).rows_differing == 0


def test_these_guests_are_of_every_kind() -> None:
    kinds = {kind for number in range(GUESTS) for kind in map(type, life_of(number, clock.now()))}
    assert len(kinds) == 8

"""What the service listens to, and records applied by the consumer as they come from Kafka."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.customer.handlers import evaluating, periodic
from services.customer.handlers.periodic import recalculate
from services.customer.models.values import GuestKey
from services.customer.store import activity
from services.customer.store import segments as store
from services.customer.worker import JOBS, REACTIONS
from shared.clock import now
from shared.database.db import Connection, Pool, transaction
from shared.events.base import Event
from shared.events.identity import AccessGranted, AccessRevoked
from shared.messaging.consumer import Consumer
from tests.customer.given import (
    CAFE,
    DAY,
    KEYS,
    STAFF,
    cafe_changed,
    check_counts,
    guests,
    keys_of,
    learned,
    recorded,
    segment_of,
    voided,
)
from tests.customer.test_segments import add_segment
from tests.shared.records import record_of


async def consume(pool: Pool, *events: Event) -> None:
    await Consumer("customer", pool, REACTIONS, KEYS).handle([record_of(event) for event in events])


def test_worker_reads_everything_a_guest_is_evaluated_by() -> None:
    assert REACTIONS.topics == [
        "campaign.events", "feedback.events", "identity.events", "loyalty.events", "visit.contacts", "visit.events",
    ]  # fmt: skip
    assert {job.name for job in JOBS} == {
        "customer.reevaluate_guests",
        "customer.recalculate_segments",
        "customer.announce_segments",
        "customer.list_guests",
        "customer.prune_views",
        "customer.prune_segment_days",
        "customer.tell_birthdays",
    }


async def test_due_guests_are_evaluated_side_by_side_and_a_failed_chunk_takes_back_only_its_own(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, long_ago = await database("customer"), now() - 40 * DAY
    take, evaluate, together = activity.take_due, evaluating.reevaluate_due, asyncio.Barrier(2)
    taken, evaluated = list[GuestKey](), list[int]()

    async def take_one_each(conn: Connection, moment: datetime, aside: Sequence[UUID], most: int) -> list[GuestKey]:
        if len(taken) == 2:
            return []
        own = await take(conn, moment, aside, most)
        taken.extend(own)
        await together.wait()
        return own

    async def evaluate_then_fail_once(conn: Connection, due: Sequence[GuestKey], *, now: datetime) -> int:
        evaluated.append(await evaluate(conn, due, now=now))
        if len(evaluated) == 1:
            raise ConnectionResetError
        return evaluated[-1]

    await consume(pool, cafe_changed())
    await guests(pool, *(learned(f"+98912000000{n}", occurred_at=long_ago) for n in (1, 2)), now=long_ago)
    with monkeypatch.context() as patch:
        patch.setattr(periodic, "GUESTS_OF_A_CHUNK", 1)
        patch.setattr(activity, "take_due", take_one_each)
        patch.setattr(evaluating, "reevaluate_due", evaluate_then_fail_once)
        with pytest.raises(ConnectionResetError):
            await periodic.reevaluate_due(pool)
    assert evaluated == [1, 1]
    assert await periodic.reevaluate_due(pool) == 1
    await check_counts(pool)


async def test_a_batch_with_repeats_registers_counts_and_evaluates_once(database: Any) -> None:
    pool = await database("customer")
    await consume(pool, cafe_changed())
    while await recalculate(pool):
        pass
    moment = now()
    four = [recorded(at=moment - timedelta(hours=hours)) for hours in range(4)]
    await consume(pool, *four, learned(occurred_at=moment), *four, learned(occurred_at=moment))
    assert await pool.fetchval("SELECT total_visits FROM customer_activity") == 4
    assert await keys_of(pool) == {"regular_customers"}
    assert await segment_of(pool) == "regular"
    await consume(pool, voided(four[0], first_visit_at=four[3].occurred_at, last_visit_at=four[1].occurred_at), *four)
    assert await keys_of(pool) == {"new_customers"}
    assert await pool.fetchval("SELECT count(*) FROM crm.parked") == 0
    await check_counts(pool)


async def test_a_contact_that_does_not_open_is_parked_alone(database: Any) -> None:
    pool = await database("customer")
    await consume(pool, cafe_changed())
    good = learned("+989350000000")
    bad = learned(phone_sealed=good.phone_sealed)
    await consume(pool, good, bad, recorded())
    assert await pool.fetchval("SELECT count(*) FROM customers") == 1
    assert await pool.fetchval("SELECT count(*) FROM customer_activity") == 2
    parked = await pool.fetch("SELECT reason, detail FROM crm.parked")
    assert [row["reason"] for row in parked] == ["cannot_unseal"]


async def test_a_recalculation_goes_on_in_rounds_until_everybody_is_right(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = await database("customer")
    await consume(pool, cafe_changed(), *(learned(f"+98912{number:07}") for number in range(25)))
    await add_segment(pool, {"visit_count": {"max": 0}})
    monkeypatch.setattr(evaluating, "STALE_AT_ONCE", 10)
    rounds = 0
    while await recalculate(pool):
        rounds += 1
    assert rounds == 3
    own = await pool.fetchrow(
        "SELECT customer_count, last_calculated_at FROM customer_segments WHERE segment_key = 'own'"
    )
    assert own["customer_count"] == 25
    assert own["last_calculated_at"] is not None
    assert await pool.fetchval("SELECT count(*) FROM segment_members") == 50
    await check_counts(pool)


async def test_a_definition_that_changes_during_a_recalculation_starts_it_again(database: Any) -> None:
    pool = await database("customer")
    await consume(pool, cafe_changed(), learned())
    async with transaction(pool) as conn:
        waiting = await store.next_recalculation(conn, now(), [])
    assert waiting is not None
    await add_segment(pool, {"visit_count": {"max": 0}}, now=now())
    async with transaction(pool) as conn:
        await store.end_recalculation(conn, *waiting, now())
    assert await pool.fetchval("SELECT count(*) FROM segment_recalculations") == 1
    assert await pool.fetchval("SELECT count(last_calculated_at) FROM customer_segments") == 0


async def test_people_are_given_and_lose_access(database: Any) -> None:
    pool = await database("customer")
    facts = {"cafe_id": CAFE, "occurred_at": now(), "user_id": STAFF}
    await consume(pool, cafe_changed(), AccessGranted(version=1, role="staff", **facts))
    assert await pool.fetchval("SELECT role FROM user_cafe_access") == "staff"
    await consume(pool, AccessRevoked(version=2, **facts), learned())
    assert await pool.fetchval("SELECT role FROM user_cafe_access") is None

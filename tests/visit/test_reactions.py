"""What other services' events leave on a visit, once and whatever comes late."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.visit.handlers import reactions
from services.visit.worker import REACTIONS
from shared.clock import new_id
from shared.database import db
from shared.database.db import Pool
from shared.events.customer import CustomerProfiled
from shared.events.feedback import FeedbackReceived
from shared.events.loyalty import PointsEarned, RedemptionCompleted, RedemptionRefused, RedemptionReversed
from shared.events.visit import ContactLearned
from shared.messaging.consumer import Consumer
from shared.security.crypto import seal
from tests.shared.records import record_of
from tests.support import Databases
from tests.visit.given import CAFE, KEYS, NOON, branch, emitted, react, record, take, visit_row


@pytest.fixture
async def pool(database: Databases) -> Pool:
    return await database("visit")


@pytest.fixture
async def visit(pool: Pool) -> dict[str, Any]:
    await take(pool, record(notes="مهمان ویژه", attributes={"a": 1}, guest_name="مریم"))
    return await visit_row(pool)


def earned(visit: dict[str, Any], points: int, version: int, **facts: Any) -> PointsEarned:
    known: dict[str, Any] = {"visit_id": visit["id"], "visit_at": visit["visit_date"]}
    return PointsEarned(
        cafe_id=CAFE, occurred_at=NOON, customer_id=visit["customer_id"], points=points, points_change=points,
        balance_after=points, account_version=version, program_version=1, multiplier="1", **known | facts,
    )  # fmt: skip


def received(visit: dict[str, Any], rating: int, minutes: int = 0, **facts: Any) -> FeedbackReceived:
    known: dict[str, Any] = {
        "visit_id": visit["id"], "visit_at": visit["visit_date"], "occurred_at": NOON + timedelta(minutes=minutes),
    }  # fmt: skip
    return FeedbackReceived(
        cafe_id=CAFE, customer_id=visit["customer_id"], feedback_id=new_id(), source="sms_link",
        overall_rating=rating, **known | facts,
    )  # fmt: skip


async def test_points_are_set_to_the_newest_state(pool: Pool, visit: dict[str, Any]) -> None:
    await react(pool, reactions.on_points_earned, earned(visit, 185, 1), earned(visit, 200, 3), earned(visit, 190, 2))
    assert (await visit_row(pool))["points_earned"] == 200
    await react(pool, reactions.on_points_earned, earned(visit, 190, 2))
    assert (await visit_row(pool))["points_earned"] == 200
    await react(pool, reactions.on_points_earned, earned(visit, 0, 4))
    assert (await visit_row(pool))["points_earned"] == 0


async def test_points_change_no_index(pool: Pool, visit: dict[str, Any]) -> None:
    async with db.transaction(pool) as conn:
        await reactions.on_points_earned(conn, [earned(visit, 185, 1)])
        updated, hot = await conn.fetchrow(
            "SELECT sum(pg_stat_get_xact_tuples_updated(oid)), sum(pg_stat_get_xact_tuples_hot_updated(oid))"
            " FROM pg_class WHERE relname LIKE 'customer_visits%' AND relkind = 'r'"
        ) or (0, 0)
    assert (updated, hot) == (1, 1)


async def test_redemptions_add_up_and_are_taken_back(pool: Pool, visit: dict[str, Any]) -> None:
    place = {"visit_id": visit["id"], "visit_at": NOON}
    common: dict[str, Any] = {"cafe_id": CAFE, "occurred_at": NOON, "customer_id": visit["customer_id"], **place}
    two = [RedemptionCompleted(redemption_id=new_id(), points=points, **common) for points in (50, 30)]
    await react(pool, reactions.on_redemption_completed, *two)
    assert (await visit_row(pool))["points_redeemed"] == 80
    back = RedemptionReversed(redemption_id=two[0].redemption_id, points=50, **common)
    await react(pool, reactions.on_redemption_reversed, back)
    assert (await visit_row(pool))["points_redeemed"] == 30


async def test_refusal_is_noted_until_the_points_are_spent_after_all(pool: Pool, visit: dict[str, Any]) -> None:
    about: dict[str, Any] = {
        "cafe_id": CAFE, "occurred_at": NOON, "customer_id": visit["customer_id"], "visit_id": visit["id"],
        "visit_at": NOON, "redemption_id": visit["id"], "points": 80,
    }  # fmt: skip
    await react(pool, reactions.on_redemption_refused, RedemptionRefused(reason="insufficient_points", **about))
    row = await visit_row(pool)
    assert (row["points_redeemed"], row["redemption_refusal"]) == (0, "insufficient_points")
    await react(pool, reactions.on_redemption_completed, RedemptionCompleted(**about))
    row = await visit_row(pool)
    assert (row["points_redeemed"], row["redemption_refusal"]) == (80, None)


async def test_redemption_without_a_visit_changes_nothing(pool: Pool, visit: dict[str, Any]) -> None:
    loose = RedemptionCompleted(
        cafe_id=CAFE, occurred_at=NOON, customer_id=visit["customer_id"], redemption_id=new_id(), points=5
    )
    await react(pool, reactions.on_redemption_completed, loose)
    assert await visit_row(pool) == visit


async def test_latest_rating_stays_on_the_visit(pool: Pool, visit: dict[str, Any]) -> None:
    first = received(visit, 2, 0, categories=["service", "price"], has_comment=True)
    await react(pool, reactions.on_feedback_received, first, received(visit, 5, 10, categories=["coffee"]))
    await react(pool, reactions.on_feedback_received, first)
    row = await visit_row(pool)
    assert (row["feedback_rating"], row["feedback_categories"], row["feedback_has_comment"]) == (5, ["coffee"], False)


async def test_rating_finds_its_visit_without_a_date(pool: Pool, visit: dict[str, Any]) -> None:
    await react(pool, reactions.on_feedback_received, received(visit, 3, visit_at=None, has_comment=True))
    row = await visit_row(pool)
    assert (row["feedback_rating"], row["feedback_has_comment"]) == (3, True)


async def test_events_of_unknown_visits_are_no_fault(pool: Pool, visit: dict[str, Any]) -> None:
    stranger = visit | {"id": new_id()}
    await react(pool, reactions.on_points_earned, earned(stranger, 9, 1))
    await react(pool, reactions.on_feedback_received, received(stranger, 1), received(visit, 1, visit_id=None))
    assert await visit_row(pool) == visit


def profiled(customer_id: UUID, phone: str, **facts: Any) -> CustomerProfiled:
    sealed = seal(KEYS, phone, table="customer.profiles", column="phone", row=customer_id)
    known: dict[str, Any] = {"version": 1, "registered_at": NOON, "phone_sealed": sealed}
    return CustomerProfiled(cafe_id=CAFE, occurred_at=NOON, customer_id=customer_id, **known | facts)


async def test_profile_says_whose_a_number_is(pool: Pool) -> None:
    customer_id, later = new_id(), new_id()
    old, new = profiled(customer_id, "+989120000001"), profiled(later, "+989120000001", name_sealed="s1.x.y")
    await react(pool, reactions.on_customer_profiled, new, old, keys=KEYS)
    await react(pool, reactions.on_customer_profiled, old, keys=KEYS)
    [outcome] = await take(pool, record(phone="09120000001", guest_name="مریم"))
    assert outcome.customer_id == later
    assert await emitted(pool, ContactLearned) == []


async def test_unreadable_profile_is_parked_and_the_others_are_kept(pool: Pool) -> None:
    customer_id = new_id()
    good, bad = profiled(customer_id, "+989120000001"), profiled(new_id(), "+989120000002", phone_sealed="s1.no.no")
    await Consumer("visit", pool, REACTIONS, KEYS).handle([record_of(bad), record_of(good)])
    assert await pool.fetchval("SELECT reason FROM crm.parked") == "cannot_unseal"
    assert await pool.fetchval("SELECT customer_id FROM guests") == customer_id


async def test_newest_version_of_a_branch_counts(pool: Pool) -> None:
    old = branch("OLD")
    new = branch("NEW", branch_id=old.branch_id, version=2)
    await react(pool, reactions.on_branch_changed, new, old)
    await react(pool, reactions.on_branch_changed, old)
    assert await pool.fetchval("SELECT code FROM branches") == "NEW"

"""Why guests enter and leave segments, as others are told: what starts a journey hangs on it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.customer.handlers import rebuilding, segments
from services.customer.handlers.activity import (
    on_points_changed,
    on_tier_changed,
    on_visit_corrected,
    on_visit_recorded,
    on_visit_voided,
)
from services.customer.models.http import ChangeSegment
from services.customer.models.values import Cause
from services.customer.rules.causes import cause_of, of_all_visits, together
from shared.clock import new_id
from shared.database.db import Pool, transaction
from shared.events.base import Event
from shared.events.customer import SegmentEntered, SegmentLeft
from shared.events.loyalty import PointsEarned, TierChanged
from tests.customer.given import (
    CAFE,
    DAY,
    NOON,
    add_segment,
    cafe,
    corrected,
    emitted,
    guest_of,
    guests,
    learned,
    recalculated,
    recorded,
    time_passes,
    visits,
    voided,
)

TWICE = {"visit_count": {"min": 2}}


async def moves(pool: Pool, key: str = "own") -> list[tuple[str, str | None, datetime | None]]:
    """Who was said to enter ("in") or leave ("out") our segment, and why; the outbox is emptied."""
    return [
        ("in" if isinstance(event, SegmentEntered) else "out", event.reason, event.visit_at)
        for event in await emitted(pool)
        if isinstance(event, SegmentEntered | SegmentLeft) and event.segment_key == key
    ]


async def say(pool: Pool, react: Any, *events: Event) -> None:
    async with transaction(pool) as conn:
        await react(conn, events, now=NOON)


@pytest.fixture
async def pool(database: Any) -> Pool:
    opened: Pool = await database("customer")
    await cafe(opened)
    return opened


@pytest.fixture
async def own(pool: Pool) -> Any:
    """A guest, and a segment of those who came twice."""
    await guests(pool)
    view = await add_segment(pool, TWICE)
    await recalculated(pool)
    await emitted(pool)
    return view


async def test_visit_that_alone_crosses_the_line_is_the_reason(own: Any, pool: Pool) -> None:
    await visits(pool, [recorded(at=NOON - 200 * DAY)])
    await visits(pool, [recorded(at=NOON)])
    assert await moves(pool) == [("in", "visit", NOON)]
    history = await pool.fetchval("SELECT reason FROM segment_history WHERE segment_id = $1", own.id)
    assert history == "visit"


async def test_late_visit_says_when_it_was_and_a_fresh_one_does_not_speak_for_it(own: Any, pool: Pool) -> None:
    await visits(pool, [recorded(at=NOON), recorded(at=NOON - 48 * DAY)])
    assert await moves(pool) == [("in", "visit", NOON - 48 * DAY)]


async def test_changed_definition_is_the_reason_until_all_are_evaluated_by_it(own: Any, pool: Pool) -> None:
    await visits(pool, [recorded()])
    async with transaction(pool) as conn:
        command = ChangeSegment(criteria={"visit_count": {"min": 1}})
        await segments.change_segment(conn, CAFE, own.id, command, now=NOON)
    # A visit is quicker than the recalculation.
    await visits(pool, [recorded()])
    assert await moves(pool) == [("in", "definition", None)]
    await recalculated(pool)
    async with transaction(pool) as conn:
        command = ChangeSegment(criteria={"visit_count": {"min": 9}})
        await segments.change_segment(conn, CAFE, own.id, command, now=NOON)
    await recalculated(pool)
    assert await moves(pool) == [("out", "definition", None)]


async def test_rebuild_is_the_reason_until_all_are_evaluated_again(own: Any, pool: Pool) -> None:
    await visits(pool, [recorded()])
    await pool.execute("UPDATE customer_activity SET total_visits = 2")
    async with transaction(pool) as conn:
        await rebuilding.evaluate_again(conn, [CAFE])
    await visits(pool, [recorded()])
    await recalculated(pool)
    assert await moves(pool) == [("in", "rebuild", None)]


async def test_corrections_and_voids_are_reasons_of_their_own(own: Any, pool: Pool) -> None:
    view = await add_segment(pool, {"lifetime_spent": {"min": 500_000}}, key="rich")
    await recalculated(pool)
    first, second = recorded(at=NOON - DAY), recorded()
    await visits(pool, [first, second])
    assert await moves(pool) == [("in", "visit", NOON - DAY)]
    bounds = {"first_visit_at": first.occurred_at, "last_visit_at": second.occurred_at}
    await say(pool, on_visit_corrected, corrected(second, final_amount=Decimal(450_000), **bounds))
    assert await moves(pool, view.segment_key) == [("in", "visit_corrected", None)]
    await say(pool, on_visit_voided, voided(second, first_visit_at=first.occurred_at, last_visit_at=first.occurred_at))
    assert await moves(pool) == [("out", "visit_voided", None)]


async def test_time_is_the_reason_when_days_went_by(own: Any, pool: Pool) -> None:
    await add_segment(pool, {"last_visit_days": {"min": 30}}, key="away")
    await recalculated(pool)
    await visits(pool, [recorded(at=NOON - DAY)])
    await time_passes(pool, NOON + 29 * DAY)
    assert await moves(pool, "away") == [("in", "time", None)]
    await visits(pool, [recorded(at=NOON + 30 * DAY)], now=NOON + 30 * DAY)
    assert await moves(pool, "away") == [("out", "visit", NOON + 30 * DAY)]


async def test_guest_who_is_known_last_of_all_came_with_the_oldest_visit(pool: Pool) -> None:
    await add_segment(pool, TWICE)
    await recalculated(pool)
    await visits(pool, [recorded(at=NOON - 90 * DAY), recorded()])
    await guests(pool)
    assert await moves(pool) == [("in", "visit", NOON - 90 * DAY)]


async def test_guest_whom_a_correction_made_known_did_nothing_today(pool: Pool) -> None:
    await cafe(pool)
    await guests(pool, learned(is_correction=True))
    assert await moves(pool, "new_customers") == [("in", "visit_corrected", None)]


def tier(version: int, visit_at: datetime | None) -> TierChanged:
    guest = guest_of()
    return TierChanged(
        cafe_id=CAFE, customer_id=guest.customer_id, occurred_at=NOON, tier="gold", previous_tier="bronze",
        starts_on=NOON.date(), expires_on=None, account_version=version, visit_at=visit_at,
    )  # fmt: skip


@pytest.mark.parametrize(("visit_at", "reason"), [(NOON - DAY, "visit"), (None, "tier")])
async def test_tier_that_a_visit_brought_is_that_visits_doing(
    visit_at: datetime | None, reason: str, own: Any, pool: Pool
) -> None:
    await add_segment(pool, {"tier_level": ["gold"]}, key="gold")
    await recalculated(pool)
    await say(pool, on_tier_changed, tier(2, visit_at))
    assert await moves(pool, "gold") == [("in", reason, visit_at)]


@pytest.mark.parametrize(("is_new", "reason"), [(True, "visit"), (False, "points"), (None, "points")])
async def test_points_of_a_new_visit_are_its_doing(is_new: bool | None, reason: str, own: Any, pool: Pool) -> None:
    await add_segment(pool, {"points": {"min": 100}}, key="collectors")
    await recalculated(pool)
    earned = PointsEarned(
        cafe_id=CAFE, customer_id=guest_of().customer_id, occurred_at=NOON, visit_id=new_id(), visit_at=NOON,
        points=100, points_change=100, balance_after=100, account_version=1, program_version=1, multiplier="1",
        is_new=is_new,
    )  # fmt: skip
    await say(pool, on_points_changed, earned)
    assert await moves(pool, "collectors") == [("in", reason, NOON if is_new else None)]


# --- which of several ---


@pytest.mark.parametrize(
    ("causes", "reason", "visit_at"),
    [
        ([Cause("visit", visit_at=NOON), Cause("visit", visit_at=NOON - DAY)], "visit", NOON - DAY),
        ([Cause("visit", visit_at=NOON - DAY), Cause("visit", visit_at=NOON)], "visit", NOON - DAY),
        ([Cause("visit", visit_at=NOON), Cause("tier")], "tier", None),
        ([Cause("tier"), Cause("visit", visit_at=NOON)], "tier", None),
    ],
)
def test_safest_of_two_causes_counts(causes: Sequence[Cause], reason: str, visit_at: datetime | None) -> None:
    both = together(*causes)
    assert (both.reason, both.visit_at) == (reason, visit_at)


def test_first_evaluating_is_as_old_as_its_oldest_visit() -> None:
    cause = cause_of(recorded(at=NOON))
    assert of_all_visits(cause, NOON - timedelta(days=9)).visit_at == NOON - 9 * DAY
    assert of_all_visits(cause, None).visit_at == NOON


async def test_events_of_one_batch_are_told_with_the_last_of_them(own: Any, pool: Pool) -> None:
    two = [recorded(at=NOON), recorded(at=NOON - DAY)]
    await say(pool, on_visit_recorded, *two)
    [entered] = [e for e in await emitted(pool) if isinstance(e, SegmentEntered)]
    assert entered.causation_id == two[-1].event_id

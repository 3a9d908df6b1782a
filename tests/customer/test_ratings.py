"""A rating counts for its guest while its visit stands, whatever was heard first."""

import itertools
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import pytest

from services.customer.handlers import activity
from services.customer.models.values import GuestKey
from shared.clock import new_id
from shared.database.db import Pool
from shared.events.base import Event
from shared.events.customer import SegmentEntered, SegmentLeft
from shared.events.feedback import FeedbackReceived
from shared.events.visit import VisitClaimed, VisitRecorded, VisitVoided
from tests.customer.given import (
    CAFE,
    DAY,
    NOON,
    OTHER_CAFE,
    add_segment,
    cafe,
    emitted,
    guest_of,
    guests,
    learned,
    recalculated,
    recorded,
    visits,
    voided,
)
from tests.customer.test_handlers import react


@pytest.fixture
async def pool(database: Any) -> Pool:
    opened: Pool = await database("customer")
    await cafe(opened)
    return opened


def said(visit: VisitRecorded, stars: int, **changes: Any) -> FeedbackReceived:
    about: dict[str, Any] = {
        "cafe_id": CAFE, "customer_id": visit.customer_id, "occurred_at": NOON, "visit_id": visit.visit_id,
        "feedback_id": new_id(), "visit_at": NOON, "source": "sms_link", "overall_rating": stars,
    }  # fmt: skip
    return FeedbackReceived(**about | changes)


def claimed(visit: VisitRecorded, guest: GuestKey) -> VisitClaimed:
    fields = {name: getattr(visit, name) for name in visit.__struct_fields__}
    return VisitClaimed(
        **fields | {"event_id": new_id(), "customer_id": guest.customer_id, "claimed_at": visit.occurred_at + DAY}
    )


HANDLERS: dict[type[Event], Any] = {
    VisitRecorded: activity.on_visit_recorded,
    VisitClaimed: activity.on_visit_claimed,
    VisitVoided: activity.on_visit_voided,
    FeedbackReceived: activity.on_feedback_received,
}


async def hear(pool: Pool, *events: Event) -> None:
    for event in events:
        await react(pool, HANDLERS[type(event)], event)


async def average(pool: Pool, guest: GuestKey | None = None) -> tuple[int, int]:
    row = await pool.fetchrow(
        "SELECT rating_sum, rating_count FROM customer_activity WHERE customer_id = $1",
        (guest or guest_of()).customer_id,
    )
    return (row["rating_sum"], row["rating_count"]) if row else (0, 0)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_rating_of_a_voided_visit_leaves_the_average_in_any_order(pool: Pool, order: tuple[int, ...]) -> None:
    await guests(pool)
    kept, gone = recorded(), recorded(at=NOON - DAY)
    await hear(pool, kept, gone, said(kept, 4))
    events = [said(gone, 1), said(gone, 2, source="manual"), voided(gone)]
    await hear(pool, *(events[place] for place in order))
    assert await average(pool) == (4, 1)


async def test_segments_that_ask_for_ratings_follow_a_void(pool: Pool) -> None:
    await guests(pool)
    await add_segment(pool, {"avg_rating": {"max": 2}}, "unhappy")
    await recalculated(pool)
    visit = recorded()
    await hear(pool, visit, said(visit, 1))
    members = """
        SELECT count(*) FROM segment_members m JOIN customer_segments s ON s.id = m.segment_id
        WHERE s.segment_key = 'unhappy'
    """
    assert await pool.fetchval(members) == 1
    await hear(pool, voided(visit))
    assert await pool.fetchval(members) == 0


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_what_nobody_said_is_the_claimers_until_the_visit_is_void(pool: Pool, order: tuple[int, ...]) -> None:
    await guests(pool)
    nobodys, guest = recorded(customer_id=None), guest_of()
    await visits(pool, [nobodys])
    claim = claimed(nobodys, guest)
    events = [said(nobodys, 3), claim, said(nobodys, 5, source="qr_code")]
    await hear(pool, *(events[place] for place in order))
    assert await average(pool) == (8, 2)
    row = await pool.fetchrow("SELECT total_visits FROM customer_activity WHERE customer_id = $1", guest.customer_id)
    assert row is not None
    assert row["total_visits"] == 1
    void = msgspec.structs.replace(voided(nobodys), customer_id=guest.customer_id)
    await hear(pool, voided(nobodys), msgspec.structs.replace(void, event_id=new_id()))
    assert await average(pool) == (0, 0)


async def test_what_moves_a_guest_says_which_cafes_event_it_followed(pool: Pool) -> None:
    here, there = guest_of(), guest_of(cafe_id=OTHER_CAFE)
    await cafe(pool, OTHER_CAFE)
    await guests(pool, learned(), learned(cafe_id=OTHER_CAFE))
    for cafe_id in (CAFE, OTHER_CAFE):
        await add_segment(pool, {"avg_rating": {"max": 2}}, "unhappy", cafe_id=cafe_id)
    await recalculated(pool)
    bills = [recorded(guest, customer_id=None) for guest in (here, there)]
    await visits(pool, bills)
    await hear(pool, *(claimed(bill, guest) for bill, guest in zip(bills, (here, there), strict=True)))
    await emitted(pool)

    ratings = [said(bill, 1, cafe_id=bill.cafe_id) for bill in bills]
    await react(pool, activity.on_feedback_received, *ratings)
    entered = [event for event in await emitted(pool) if isinstance(event, SegmentEntered)]
    assert causes(entered) == {(rating.cafe_id, rating.event_id, rating.correlation_id) for rating in ratings}

    voids = [voided(bill) for bill in bills]
    await react(pool, activity.on_visit_voided, *voids)
    left = [event for event in await emitted(pool) if isinstance(event, SegmentLeft) and event.segment_key == "unhappy"]
    assert causes(left) == {(void.cafe_id, void.event_id, void.correlation_id) for void in voids}


def causes(events: Sequence[Event]) -> set[tuple[UUID, UUID | None, UUID]]:
    """By which events of which cafes these were caused."""
    return {(event.cafe_id, event.causation_id, event.correlation_id) for event in events}

"""What of this service follows from events alone, and can be counted anew from them.

Memberships are what was published of them, not what the rules say today: so every service keeps telling the same. Where
a guest's sums were wrong, the guest is evaluated afterwards as always, and what follows is published as always.
"""

from collections.abc import Sequence
from uuid import UUID

from services.customer.models.values import GuestKey
from services.customer.rules.segments import SYSTEM, segment_of
from services.customer.store import activity, rebuilding, segments
from shared import clock
from shared.database.db import Connection
from shared.events.campaign import ReplyReceived
from shared.events.customer import SegmentEntered, SegmentLeft
from shared.rebuild.shadow import Table

# How far back a row reaches depends on when it was last written; nobody is evaluated by more than the last 30 days.
_EVALUATED_BY = """ARRAY(
    SELECT moment FROM unnest({row}.recent_visits) AS moment WHERE moment > now() - interval '30 days'
    ORDER BY moment DESC LIMIT 100
)"""

TABLES = (
    Table(
        "customer_activity",
        ("cafe_id", "customer_id"),
        (
            "registered_at", "segment_mask", "first_visit_at", "last_visit_at", "current_points", "points_version",
            "tier_level", "tier_version", "total_visits", "rating_sum", "rating_count", "lifetime_spent",
            "recent_visits",
        ),
        alike={"recent_visits": _EVALUATED_BY},
    ),
    Table("ratings", ("cafe_id", "feedback_id"), ("visit_id", "customer_id", "rating", "counted_for")),
    Table("rated_visits", ("cafe_id", "visit_id"), ("customer_id", "voided_at")),
    Table("segment_members", ("cafe_id", "segment_id", "customer_id"), ("entered_at",)),
    Table("customer_segments", ("cafe_id", "id"), ("customer_count",), part=True),
    Table("customers", ("cafe_id", "id"), ("segment", "created_at"), part=True),
)  # fmt: skip


async def keep_replied(conn: Connection, events: Sequence[ReplyReceived]) -> None:
    """A guest whose answer was kept has a row."""
    if kept := [GuestKey(event.cafe_id, event.customer_id) for event in events if event.opted_out or event.rejoined]:
        await activity.lock(conn, kept)


async def keep_moves(conn: Connection, events: Sequence[SegmentEntered | SegmentLeft]) -> None:
    """Guests are in the segments that they were said to enter and not to leave."""
    await rebuilding.move(
        conn,
        [GuestKey(event.cafe_id, event.customer_id) for event in events],
        [event.segment_id for event in events],
        [event.occurred_at for event in events],
        [isinstance(event, SegmentEntered) for event in events],
    )


async def begin(conn: Connection) -> None:
    """Adds a row for everybody who is registered now."""
    await rebuilding.add_registered(conn)


async def finish(conn: Connection) -> None:
    """Adds what follows from the guests' own rows, from the definitions and from what was counted."""
    await rebuilding.add_registered(conn)
    bits = range(1 << len(SYSTEM))
    await rebuilding.add_derived(conn, [segment_of(mask) for mask in bits], segment_of(None))


async def evaluate_again(conn: Connection, cafe_ids: Sequence[UUID]) -> None:
    """Guests of these cafes were not what they should be: the worker evaluates them when it comes round."""
    await segments.request_recalculation(conn, cafe_ids, clock.now(), "rebuild")

"""Which ratings count, and for whom: one row for each rating, and one for each visit of which more is to be known."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.customer.models.values import GuestKey
from shared.database.columns import columns
from shared.database.db import Connection
from shared.events.feedback import FeedbackReceived
from shared.events.visit import VisitClaimed, VisitVoided

# Everybody who says something about a visit's ratings holds its row first.
NOTE_VISITS = """
INSERT INTO rated_visits AS kept (cafe_id, visit_id, customer_id, voided_at)
SELECT DISTINCT ON (cafe_id, visit_id) * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[])
    AS t (cafe_id, visit_id, customer_id, voided_at)
ORDER BY cafe_id, visit_id
ON CONFLICT (cafe_id, visit_id) DO UPDATE
SET customer_id = coalesce(kept.customer_id, excluded.customer_id),
    voided_at = coalesce(kept.voided_at, excluded.voided_at)
"""
ADD = """
INSERT INTO ratings (cafe_id, feedback_id, visit_id, customer_id, rating)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::int[])
ON CONFLICT DO NOTHING
"""
# A rating counts for its guest, or for the one who claimed the visit, while the visit stands.
SETTLE = """
WITH told AS (
    SELECT r.* FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, visit_id) JOIN ratings r USING (cafe_id, visit_id)
    UNION
    SELECT r.* FROM unnest($1::uuid[], $3::uuid[]) AS t (cafe_id, feedback_id)
    JOIN ratings r USING (cafe_id, feedback_id)
), now AS (
    SELECT t.cafe_id, t.feedback_id, t.rating, t.counted_for AS before,
           CASE WHEN v.voided_at IS NULL THEN coalesce(t.customer_id, v.customer_id) END AS after
    FROM told t LEFT JOIN rated_visits v ON v.cafe_id = t.cafe_id AND v.visit_id = t.visit_id
), moved AS (
    UPDATE ratings r SET counted_for = n.after
    FROM now n
    WHERE r.cafe_id = n.cafe_id AND r.feedback_id = n.feedback_id AND n.after IS DISTINCT FROM n.before
    RETURNING n.cafe_id, r.visit_id, n.before, n.after, n.rating
)
SELECT cafe_id, customer_id, sum(rating)::int AS rating_sum, sum(ratings)::int AS rating_count,
       min(visit_id::text)::uuid AS visit_id
FROM (
    SELECT cafe_id, visit_id, after AS customer_id, rating, 1 AS ratings FROM moved
    UNION ALL SELECT cafe_id, visit_id, before, -rating, -1 FROM moved
) AS each WHERE customer_id IS NOT NULL
GROUP BY cafe_id, customer_id ORDER BY cafe_id, customer_id
"""


@dataclass(frozen=True)
class RatingChange:
    """What is to be added to a guest's ratings, or (below zero) taken out. `visit_id` is one of the rated visits; none
    where no visit was rated."""

    guest: GuestKey
    rating_sum: int
    rating_count: int
    visit_id: UUID | None


async def add(conn: Connection, events: Sequence[FeedbackReceived]) -> list[RatingChange]:
    """Keeps ratings that may ever be a guest's; returns what they change."""
    events = [event for event in events if event.visit_id or event.customer_id]
    of_visits = [event for event in events if event.visit_id]
    await _note(conn, [(event.cafe_id, event.visit_id) for event in of_visits])
    await conn.execute(
        ADD,
        *columns(events, "cafe_id", "feedback_id", "visit_id", "customer_id", "overall_rating"),
    )
    return await _settle(conn, events)


async def void(conn: Connection, events: Sequence[VisitVoided]) -> list[RatingChange]:
    """Ratings of these visits count no longer, and never will; returns what that changes."""
    keys = [(event.cafe_id, event.visit_id) for event in events]
    await conn.execute(NOTE_VISITS, *columns(keys, 0, 1), [None] * len(keys), [event.voided_at for event in events])
    return await _settle(conn, events)


async def claim(conn: Connection, events: Sequence[VisitClaimed]) -> list[RatingChange]:
    """What nobody said about these visits is their guests'; returns what that changes."""
    keys = [(event.cafe_id, event.visit_id) for event in events]
    await conn.execute(NOTE_VISITS, *columns(keys, 0, 1), [event.customer_id for event in events], [None] * len(keys))
    return await _settle(conn, events)


async def _note(conn: Connection, keys: Sequence[tuple[UUID, UUID | None]]) -> None:
    if keys:
        await conn.execute(NOTE_VISITS, *columns(keys, 0, 1), [None] * len(keys), [None] * len(keys))


async def _settle(
    conn: Connection, events: Sequence[FeedbackReceived] | Sequence[VisitVoided] | Sequence[VisitClaimed]
) -> list[RatingChange]:
    rows = await conn.fetch(
        SETTLE,
        *columns(events, "cafe_id", "visit_id"),
        [event.feedback_id if isinstance(event, FeedbackReceived) else None for event in events],
    )
    return [
        RatingChange(
            GuestKey(row["cafe_id"], row["customer_id"]), row["rating_sum"], row["rating_count"], row["visit_id"]
        )
        for row in rows
    ]

"""The links to the page of a visit, from their making to their end."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.feedback.models.values import Link, UsedLink
from services.feedback.store.visits import VISIT_DATE, visit_of
from shared.clock import new_id
from shared.database.columns import columns
from shared.database.db import Connection
from shared.events.visit import VisitClaimed, VisitCorrected, VisitRecorded, VisitVoided
from shared.security.crypto import sha256

PRUNE_AT_ONCE = 1000
MAKE_LINKS = """
INSERT INTO feedback_links (cafe_id, visit_id, id, customer_id, token_sha256, correlation_id, created_at, expires_at,
                            closed_at)
SELECT t.cafe_id, t.visit_id, t.id, v.customer_id, t.token_sha256, t.correlation_id, t.created_at, t.expires_at,
       coalesce(v.voided_at, e.erased_at)
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bytea[], $5::uuid[], $6::timestamptz[], $7::timestamptz[])
    AS t (cafe_id, visit_id, id, token_sha256, correlation_id, created_at, expires_at)
JOIN visits v USING (cafe_id, visit_id)
LEFT JOIN erased_guests e
    ON e.cafe_id = v.cafe_id AND e.customer_id = v.customer_id AND e.erased_at >= v.visit_at
ORDER BY t.cafe_id, t.visit_id
ON CONFLICT DO NOTHING
"""
# The guest that a claimed visit now belongs to is the one who may use its link, and whose words it was answered with.
MOVE_LINKS = """
UPDATE feedback_links l SET customer_id = v.customer_id
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, visit_id)
JOIN visits v USING (cafe_id, visit_id)
WHERE l.cafe_id = t.cafe_id AND l.visit_id = t.visit_id AND l.customer_id IS DISTINCT FROM v.customer_id
"""
MOVE_FEEDBACK = """
WITH moved AS (
    UPDATE customer_feedback f SET customer_id = v.customer_id, updated_at = now()
    FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, visit_id)
    JOIN visits v USING (cafe_id, visit_id)
    WHERE f.cafe_id = t.cafe_id AND f.visit_id = t.visit_id AND f.customer_id IS NULL AND v.customer_id IS NOT NULL
    RETURNING f.cafe_id, f.id, f.customer_id, f.visit_id
)
UPDATE feedback_cases k SET customer_id = m.customer_id
FROM moved m WHERE k.cafe_id = m.cafe_id AND k.feedback_id = m.id
RETURNING k.cafe_id, k.id AS case_id, k.feedback_id, m.customer_id, m.visit_id, k.opened_at, k.due_at, k.status
"""
CORRECT_CONTEXT = """
UPDATE customer_feedback f
SET order_amount = v.final_amount, currency_unit = v.currency_unit,
    visit_date = (v.visit_at AT TIME ZONE coalesce(c.time_zone, 'Asia/Tehran'))::date, updated_at = now()
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, visit_id)
JOIN visits v USING (cafe_id, visit_id)
LEFT JOIN cafes c USING (cafe_id)
WHERE f.cafe_id = t.cafe_id AND f.visit_id = t.visit_id
"""
CLOSE_LINKS_OF_VISITS = """
UPDATE feedback_links l SET closed_at = t.closed_at
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (cafe_id, visit_id, closed_at)
WHERE l.cafe_id = t.cafe_id AND l.visit_id = t.visit_id AND l.closed_at IS NULL
"""
FIND_LINK = f"""
SELECT l.id, l.cafe_id, l.correlation_id, l.expires_at, l.used_at, l.closed_at, l.customer_id,
       c.name AS cafe_name, coalesce(c.calendar, 'jalali') AS calendar,
       v.visit_id, v.visit_at, v.final_amount, v.currency_unit, v.table_number, {VISIT_DATE}
FROM feedback_links l
JOIN visits v USING (cafe_id, visit_id)
LEFT JOIN cafes c USING (cafe_id)
WHERE l.token_sha256 = $1
"""  # noqa: S608
# Of two submissions at once only one finds the link unused.
USE_LINK = """
UPDATE feedback_links SET used_at = $2
WHERE token_sha256 = $1 AND used_at IS NULL AND closed_at IS NULL AND expires_at > $2
RETURNING customer_id
"""
# Counted up to so many on one day.
NOTE_OPENING = """
WITH link AS (
    SELECT cafe_id, visit_id, customer_id, correlation_id FROM feedback_links
    WHERE token_sha256 = $1 AND closed_at IS NULL AND expires_at > $2
),
noted AS (
    INSERT INTO link_openings AS kept (cafe_id, visit_id, times, day, times_that_day)
    SELECT cafe_id, visit_id, 1, $3, 1 FROM link
    ON CONFLICT (cafe_id, visit_id) DO UPDATE
    SET times = kept.times + 1, day = excluded.day,
        times_that_day = CASE WHEN kept.day = excluded.day THEN kept.times_that_day + 1 ELSE 1 END
    WHERE kept.day <> excluded.day OR kept.times_that_day < $4
    RETURNING cafe_id, visit_id, times
)
SELECT cafe_id, visit_id, customer_id, correlation_id, times FROM noted JOIN link USING (cafe_id, visit_id)
"""
DEAD_LINKS = """
SELECT cafe_id, token_sha256 FROM feedback_links WHERE expires_at < $1 AND cafe_id <> ALL($2::uuid[])
ORDER BY expires_at LIMIT $3
"""
PRUNE_LINKS = "DELETE FROM feedback_links WHERE token_sha256 = ANY($1::bytea[])"


async def make_links(
    conn: Connection, events: Sequence[VisitRecorded], tokens: Sequence[str], expiries: Sequence[datetime]
) -> None:
    """One link for each visit that has none; `tokens` and `expiries` in the order of `events`."""
    await conn.execute(
        MAKE_LINKS,
        *columns(events, "cafe_id", "visit_id"),
        [new_id() for _ in events],
        [sha256(token) for token in tokens],
        *columns(events, "correlation_id", "recorded_at"),
        expiries,
    )


async def follow_visits(conn: Connection, events: Sequence[VisitCorrected]) -> None:
    """The links of corrected visits, and the feedback about them, follow the visits."""
    places = columns(events, "cafe_id", "visit_id")
    await conn.execute(MOVE_LINKS, *places)
    await conn.execute(CORRECT_CONTEXT, *places)


async def move_to_guests(conn: Connection, events: Sequence[VisitClaimed]) -> list[dict[str, Any]]:
    """The links of claimed visits, and what was said about them by nobody, are the guests'. Returns their cases."""
    places = columns(events, "cafe_id", "visit_id")
    await conn.execute(MOVE_LINKS, *places)
    return [dict(row) for row in await conn.fetch(MOVE_FEEDBACK, *places)]


async def close_links(conn: Connection, events: Sequence[VisitVoided]) -> None:
    """Nobody can use the links of voided visits any more."""
    await conn.execute(
        CLOSE_LINKS_OF_VISITS,
        *columns(events, "cafe_id", "visit_id", "voided_at"),
    )


async def find_link(conn: Connection, token: str) -> Link | None:
    """The link with that token, and its visit."""
    row = await conn.fetchrow(FIND_LINK, sha256(token))
    if row is None:
        return None
    return Link(
        link_id=row["id"],
        cafe_id=row["cafe_id"],
        correlation_id=row["correlation_id"],
        expires_at=row["expires_at"],
        used_at=row["used_at"],
        closed_at=row["closed_at"],
        cafe_name=row["cafe_name"],
        calendar=row["calendar"],
        visit=visit_of(row),
    )


async def use_link(conn: Connection, token: str, moment: datetime) -> UsedLink | None:
    """Whose the link is, if it could still be used; now it is."""
    row = await conn.fetchrow(USE_LINK, sha256(token), moment)
    return UsedLink(row["customer_id"]) if row else None


async def note_opening(conn: Connection, token: str, moment: datetime, most_a_day: int) -> dict[str, Any] | None:
    """Counts an opening of the link; None when it can't be used, or was opened often enough today."""
    row = await conn.fetchrow(NOTE_OPENING, sha256(token), moment, moment.date(), most_a_day)
    return dict(row) if row else None


async def list_dead_links(
    conn: Connection, expired_before: datetime, aside: Sequence[UUID]
) -> list[tuple[UUID, bytes]]:
    """Some links (cafe, token's digest) that nobody can use any more, but for those of the cafes `aside`."""
    return [tuple(row) for row in await conn.fetch(DEAD_LINKS, expired_before, aside, PRUNE_AT_ONCE)]


async def prune_links(conn: Connection, links: Sequence[tuple[UUID, bytes]]) -> int:
    """Delete these links. Returns how many."""
    return count_of(await conn.execute(PRUNE_LINKS, [digest for _, digest in links]))


def count_of(tag: str) -> int:
    """How many rows a command touched, by what PostgreSQL answered."""
    return int(tag.rpartition(" ")[2])

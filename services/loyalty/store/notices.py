"""What guests are told before it happens, and when a cafe's guests are looked through for it."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec

from shared.database.columns import columns
from shared.database.db import Connection

ASK = """
INSERT INTO notice_turns (cafe_id, due_at) SELECT * FROM unnest($1::uuid[], $2::timestamptz[]) ON CONFLICT DO NOTHING
"""
DUE = """
SELECT cafe_id, due_at FROM notice_turns WHERE due_at <= $1 AND cafe_id <> ALL($2::uuid[])
ORDER BY due_at, cafe_id LIMIT $3 FOR UPDATE SKIP LOCKED
"""
END = """
DELETE FROM notice_turns AS n USING unnest($1::uuid[], $2::timestamptz[]) AS t (cafe_id, due_at)
WHERE n.cafe_id = t.cafe_id AND n.due_at = t.due_at
"""
FORGET = """
DELETE FROM notices AS n USING unnest($1::uuid[], $2::date[]) AS t (cafe_id, today)
WHERE n.cafe_id = t.cafe_id AND n.last_day < t.today
"""
# Each day on which points lapse, by guest, with the shortest step that has come; the last moment of a lot is the one
# before it lapses.
POINTS = """
WITH near AS (
    SELECT a.cafe_id, a.days, a.today, l.customer_id, l.day, sum(l.remaining)::bigint AS points
    FROM unnest($1::uuid[], $2::text[], $3::date[], $4::timestamptz[], $5::text[])
        AS a (cafe_id, zone, today, until, days)
    CROSS JOIN LATERAL (
        SELECT customer_id, remaining, ((expires_at - interval '1 microsecond') AT TIME ZONE a.zone)::date AS day
        FROM point_lots
        WHERE cafe_id = a.cafe_id AND remaining > 0 AND expires_at > $6 AND expires_at <= a.until
    ) AS l
    GROUP BY a.cafe_id, a.days, a.today, l.customer_id, l.day
), due AS (
    SELECT n.cafe_id, n.customer_id, n.day, n.points, s.step, n.day || '/' || s.step AS occasion
    FROM near AS n
    CROSS JOIN LATERAL (
        SELECT min(step) AS step FROM unnest(n.days::integer[]) AS step WHERE step >= n.day - n.today
    ) AS s
    WHERE s.step IS NOT NULL AND NOT EXISTS (
        SELECT FROM notices AS o
        WHERE o.cafe_id = n.cafe_id AND o.customer_id = n.customer_id AND o.kind = 'points.expiring'
            AND o.occasion = n.day || '/' || s.step
    )
    LIMIT $7
), told AS (
    INSERT INTO notices (cafe_id, customer_id, kind, occasion, last_day, told_at)
    SELECT cafe_id, customer_id, 'points.expiring', occasion, day, $6 FROM due
    ON CONFLICT DO NOTHING
    RETURNING cafe_id, customer_id, occasion
)
SELECT due.cafe_id, due.customer_id, due.day, due.points, due.step, due.occasion
FROM due JOIN told USING (cafe_id, customer_id, occasion)
ORDER BY due.cafe_id, due.customer_id, due.day
"""
TIERS = """
WITH due AS (
    SELECT a.cafe_id, l.customer_id, l.tier_level::text AS tier, l.tier_expires_date AS day, s.step,
           l.tier_level || '/' || l.tier_expires_date || '/' || s.step AS occasion,
           CASE WHEN l.tier_period_ends_on >= a.today THEN l.tier_period_points ELSE 0 END AS period_points
    FROM unnest($1::uuid[], $2::date[], $3::date[], $4::text[]) AS a (cafe_id, today, until, days)
    JOIN customer_loyalty AS l
        ON l.cafe_id = a.cafe_id AND l.tier_expires_date >= a.today AND l.tier_expires_date <= a.until
    CROSS JOIN LATERAL (
        SELECT min(step) AS step FROM unnest(a.days::integer[]) AS step WHERE step >= l.tier_expires_date - a.today
    ) AS s
    WHERE s.step IS NOT NULL AND NOT EXISTS (
        SELECT FROM notices AS o
        WHERE o.cafe_id = a.cafe_id AND o.customer_id = l.customer_id AND o.kind = 'tier.expiring'
            AND o.occasion = l.tier_level || '/' || l.tier_expires_date || '/' || s.step
    )
    LIMIT $6
), told AS (
    INSERT INTO notices (cafe_id, customer_id, kind, occasion, last_day, told_at)
    SELECT cafe_id, customer_id, 'tier.expiring', occasion, day, $5 FROM due
    ON CONFLICT DO NOTHING
    RETURNING cafe_id, customer_id, occasion
)
SELECT due.cafe_id, due.customer_id, due.tier, due.day, due.step, due.occasion, due.period_points
FROM due JOIN told USING (cafe_id, customer_id, occasion)
ORDER BY due.cafe_id, due.customer_id
"""


class NoticeTurn(msgspec.Struct, frozen=True):
    """A cafe whose guests are to be looked through."""

    cafe_id: UUID
    due_at: datetime


class Search(msgspec.Struct, frozen=True):
    """What is looked for in a cafe on its day `today`: what ends within some of `days`, the last of which is over at
    `until`."""

    cafe_id: UUID
    zone: str
    today: date
    last_day: date
    until: datetime
    days: str


async def ask_turns(conn: Connection, turns: Sequence[NoticeTurn]) -> None:
    """Has the guests of these cafes looked through."""
    if turns:
        await conn.execute(ASK, *columns(turns, "cafe_id", "due_at"))


async def due_turns(conn: Connection, moment: datetime, aside: Sequence[UUID], limit: int) -> list[NoticeTurn]:
    """Whose turn it is, locked; those of the cafes `aside` wait."""
    return [NoticeTurn(**row) for row in await conn.fetch(DUE, moment, aside, limit)]


async def end_turns(conn: Connection, turns: Sequence[NoticeTurn]) -> None:
    """These are done."""
    await conn.execute(END, *columns(turns, "cafe_id", "due_at"))


async def forget(conn: Connection, days: Sequence[tuple[UUID, date]]) -> None:
    """Drops what was told of days before the one of each cafe."""
    await conn.execute(FORGET, *columns(days, 0, 1))


async def note_points(
    conn: Connection, searches: Sequence[Search], moment: datetime, limit: int
) -> list[Mapping[str, Any]]:
    """Notes whose points lapse soon, at most so many that nobody was told of: guest, day, points and step."""
    wanted = columns(searches, "cafe_id", "zone", "today", "until", "days")
    return [dict(row) for row in await conn.fetch(POINTS, *wanted, moment, limit)] if searches else []


async def note_tiers(
    conn: Connection, searches: Sequence[Search], moment: datetime, limit: int
) -> list[Mapping[str, Any]]:
    """Notes whose tiers end soon: guest, tier, its last day, the step, and the points of the present period."""
    wanted = columns(searches, "cafe_id", "today", "last_day", "days")
    return [dict(row) for row in await conn.fetch(TIERS, *wanted, moment, limit)] if searches else []

"""The figures of a cafe's club: counted from what changed, read without looking at guests."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from services.loyalty.models.figures import ClubFigure
from shared.database.db import Connection

PROGRESS = "SELECT summed_until, lapsing_counted_at FROM crm.club_progress FOR UPDATE"
OLDEST_OPEN = "SELECT crm.oldest_open($1)"
# What an entry is to the club, as `post` in `rules/ledger.py` books it. The sums of what is outstanding follow from the
# balance before and after each entry, in whatever order they come.
SUM_LEDGER = """
WITH sums AS (
    SELECT t.cafe_id, f.day, f.what, sum(f.amount)::bigint AS amount
    FROM loyalty_transactions AS t
    LEFT JOIN cafes AS c ON c.cafe_id = t.cafe_id
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN t.redemption_id IS NOT NULL OR t.transaction_type IN ('redeemed_discount', 'redeemed_item')
            THEN 'redeemed'
            WHEN t.transaction_type = 'expired' THEN 'lapsed'
            WHEN t.visit_id IS NOT NULL THEN 'earned'
            WHEN t.points_change > 0 THEN 'given'
            ELSE 'taken'
        END AS kind, t.balance_after - t.points_change AS balance_before,
        ((t.created_at + (crm.present() - now())) AT TIME ZONE coalesce(c.time_zone, 'Asia/Tehran'))::date AS day
    ) AS k
    CROSS JOIN LATERAL (
        VALUES (k.day, k.kind, CASE WHEN k.kind IN ('earned', 'given') THEN t.points_change ELSE -t.points_change END),
               (NULL, 'outstanding', greatest(t.balance_after, 0) - greatest(k.balance_before, 0)),
               (NULL, 'owed', greatest(-t.balance_after, 0) - greatest(-k.balance_before, 0))
    ) AS f (day, what, amount)
    WHERE t.created_at >= $1 AND t.created_at < $2
    GROUP BY t.cafe_id, f.day, f.what
), noted AS (
    INSERT INTO club_changes (cafe_id, day, what, amount)
    SELECT cafe_id, day, what, amount FROM sums WHERE amount <> 0
    RETURNING 1
), moved AS (
    UPDATE crm.club_progress SET summed_until = $2
)
SELECT count(*) FROM noted
"""
# What is kept and what is on its way there make the figure that the lots are compared with.
COUNT_LAPSING = """
WITH counted AS (
    SELECT cafe_id, sum(remaining)::bigint AS points, count(DISTINCT customer_id) AS guests
    FROM point_lots WHERE remaining > 0 AND expires_at IS NOT NULL AND expires_at <= $1 GROUP BY cafe_id
), there AS (
    SELECT cafe_id, what, amount FROM club_figures WHERE day IS NULL AND what IN ('lapsing', 'lapsing_guests')
    UNION ALL
    SELECT cafe_id, what, amount FROM club_changes WHERE day IS NULL AND what IN ('lapsing', 'lapsing_guests')
    UNION ALL
    SELECT cafe_id, 'lapsing', -points FROM counted
    UNION ALL
    SELECT cafe_id, 'lapsing_guests', -guests FROM counted
), noted AS (
    INSERT INTO club_changes (cafe_id, what, amount)
    SELECT cafe_id, what, -sum(amount) FROM there GROUP BY cafe_id, what HAVING sum(amount) <> 0
    RETURNING 1
), moved AS (
    UPDATE crm.club_progress SET lapsing_counted_at = $2
)
SELECT count(*) FROM noted
"""
CHANGED = """
SELECT DISTINCT cafe_id FROM (SELECT cafe_id FROM club_changes WHERE cafe_id <> ALL($1::uuid[]) LIMIT $2) AS next
"""
ADD = """
WITH taken AS (
    DELETE FROM club_changes AS q
    USING (SELECT cafe_id, id FROM club_changes WHERE cafe_id = ANY($1::uuid[]) LIMIT $2) AS next
    WHERE q.cafe_id = next.cafe_id AND q.id = next.id
    RETURNING q.cafe_id, q.day, q.what, q.tier, q.amount
), added AS (
    INSERT INTO club_figures AS f (cafe_id, day, what, tier, amount)
    SELECT cafe_id, day, what, tier, sum(amount) FROM taken GROUP BY cafe_id, day, what, tier
    ON CONFLICT (cafe_id, day, what, tier) DO UPDATE SET amount = f.amount + excluded.amount
)
SELECT count(*) FROM taken
"""
FIGURES = """
SELECT what, tier::text, sum(amount)::bigint AS amount FROM club_figures
WHERE cafe_id = $1 AND (day IS NULL OR day BETWEEN $2 AND $3)
GROUP BY what, tier
"""
TODAY = "SELECT ($2 AT TIME ZONE time_zone)::date FROM cafes WHERE cafe_id = $1"
ENDING = """
SELECT day, sum(amount)::bigint AS points FROM club_figures
WHERE cafe_id = $1 AND day IS NOT NULL AND what = 'ending' AND amount <> 0 GROUP BY day
"""
# What is kept by days of another time zone is moved to those of the present one.
RECOUNT_ENDING = """
WITH there AS (
    SELECT day, amount FROM club_figures WHERE cafe_id = $1 AND what = 'ending'
    UNION ALL
    SELECT day, amount FROM club_changes WHERE cafe_id = $1 AND what = 'ending'
    UNION ALL
    SELECT crm.last_day(l.expires_at, c.time_zone), -l.remaining
    FROM point_lots AS l LEFT JOIN cafes AS c ON c.cafe_id = l.cafe_id
    WHERE l.cafe_id = $1 AND l.remaining > 0 AND l.expires_at IS NOT NULL
)
INSERT INTO club_changes (cafe_id, day, what, amount)
SELECT $1, day, 'ending', -sum(amount) FROM there GROUP BY day HAVING sum(amount) <> 0
"""
# The guests of the lots that lapse first, with all of theirs that lapse in that time.
LAPSING = """
SELECT s.customer_id, l.points, s.lapses_at
FROM (
    SELECT customer_id, min(expires_at) AS lapses_at
    FROM (
        SELECT customer_id, expires_at FROM point_lots
        WHERE cafe_id = $1 AND remaining > 0 AND expires_at > $2 AND expires_at <= $3 ORDER BY expires_at LIMIT $4
    ) AS soonest
    GROUP BY customer_id ORDER BY min(expires_at), customer_id LIMIT $5
) AS s
CROSS JOIN LATERAL (
    SELECT sum(remaining)::bigint AS points FROM point_lots
    WHERE cafe_id = $1 AND customer_id = s.customer_id AND remaining > 0 AND expires_at > $2 AND expires_at <= $3
) AS l
ORDER BY s.lapses_at, s.customer_id
"""
EXPIRY = """
SELECT crm.last_day(l.expires_at, c.time_zone) AS day, sum(l.remaining)::bigint AS points
FROM point_lots AS l LEFT JOIN cafes AS c ON c.cafe_id = l.cafe_id
WHERE l.cafe_id = $1 AND l.customer_id = $2 AND l.remaining > 0 AND l.expires_at IS NOT NULL
    AND ($3::timestamptz IS NULL OR l.expires_at <= $3)
GROUP BY 1 ORDER BY 1 LIMIT $4
"""
# A guest of the list has several lots; among no more than these the first guests are looked for.
LOTS_LOOKED_AT = 2000


async def progress(conn: Connection) -> tuple[datetime, datetime]:
    """Up to when the ledger is summed, and when the lots were counted last; locked."""
    row = await conn.fetchrow(PROGRESS)
    assert row is not None
    return row["summed_until"], row["lapsing_counted_at"]


async def oldest_open(conn: Connection, moment: datetime) -> datetime:
    """Before it everything is committed: `moment`, or the beginning of the oldest open transaction."""
    oldest: datetime = await conn.fetchval(OLDEST_OPEN, moment)
    return oldest


async def sum_ledger(conn: Connection, since: datetime, until: datetime) -> int:
    """Notes what the entries from `since` to before `until` change, of all cafes; how many figures change."""
    return int(await conn.fetchval(SUM_LEDGER, since, until))


async def count_lapsing(conn: Connection, until: datetime, moment: datetime) -> int:
    """Notes by how much other points lapse until then than was counted before; how many figures change."""
    return int(await conn.fetchval(COUNT_LAPSING, until, moment))


async def list_changed(conn: Connection, aside: Sequence[UUID], limit: int) -> list[UUID]:
    """Cafes that have changes among `limit` of them, but for those `aside`."""
    return [row["cafe_id"] for row in await conn.fetch(CHANGED, aside, limit)]


async def add_changes(conn: Connection, cafe_ids: Sequence[UUID], limit: int) -> int:
    """Adds at most `limit` changes to the figures; how many."""
    return int(await conn.fetchval(ADD, cafe_ids, limit))


async def figures(conn: Connection, cafe_id: UUID, since: date, until: date) -> list[ClubFigure]:
    """What came and went on these days, both included, and how it stands."""
    return [ClubFigure(**row) for row in await conn.fetch(FIGURES, cafe_id, since, until)]


async def ending(conn: Connection, cafe_id: UUID) -> dict[date, int]:
    """How many points of the cafe's guests end with which day."""
    return {row["day"]: row["points"] for row in await conn.fetch(ENDING, cafe_id)}


async def recount_ending(conn: Connection, cafe_id: UUID) -> None:
    """Notes by how much the days on which the cafe's points end are other than was noted."""
    await conn.execute(RECOUNT_ENDING, cafe_id)


async def local_date(conn: Connection, cafe_id: UUID, moment: datetime) -> date | None:
    """The cafe's day; None of a cafe that nobody has told of."""
    day: date | None = await conn.fetchval(TODAY, cafe_id, moment)
    return day


async def list_lapsing(
    conn: Connection, cafe_id: UUID, moment: datetime, within: timedelta, limit: int
) -> list[Mapping[str, Any]]:
    """Guests whose points lapse soonest."""
    rows = await conn.fetch(LAPSING, cafe_id, moment, moment + within, LOTS_LOOKED_AT, limit)
    return [dict(row) for row in rows]


async def expiry(
    conn: Connection, cafe_id: UUID, customer_id: UUID, until: datetime | None, limit: int
) -> list[Mapping[str, Any]]:
    """How many of a guest's points lapse on which day, the soonest first; those that lapse later than `until` aside."""
    return [dict(row) for row in await conn.fetch(EXPIRY, cafe_id, customer_id, until, limit)]

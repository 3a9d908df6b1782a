"""The projection that segments are evaluated by: one narrow row per guest."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from services.customer.models.values import Evaluation, GuestKey, Judged, MaskChange, Revision, Sums
from services.customer.store.ratings import RatingChange
from shared.database.columns import columns
from shared.database.db import Connection
from shared.events.base import Tier

# Longer than the 30 days that criteria look back, so that a clock a little behind misses nothing.
RECENT = timedelta(days=31)
# One more than the most that criteria can ask for. A number shared by all nameless guests would grow without end.
NEWEST_KEPT = 101

LOCK = """
INSERT INTO customer_activity AS kept (cafe_id, customer_id)
SELECT DISTINCT * FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id) ORDER BY 1, 2
ON CONFLICT (cafe_id, customer_id) DO UPDATE SET total_visits = kept.total_visits
"""
# Returns whose first visit is another one than before.
ADD_VISITS = """
WITH t AS MATERIALIZED (
    SELECT
        cafe_id, customer_id, count(*) AS visits, sum(spent) AS spent, min(visited_at) AS first_at,
        max(visited_at) AS last_at,
        (coalesce(
            array_agg(visited_at ORDER BY visited_at DESC) FILTER (WHERE visited_at > $5), ARRAY[]::timestamptz[]
        ))[:$6::int] AS recent
    FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::numeric[]) AS t (cafe_id, customer_id, visited_at, spent)
    GROUP BY cafe_id, customer_id
), added AS (
INSERT INTO customer_activity AS kept (
    cafe_id, customer_id, total_visits, lifetime_spent, first_visit_at, last_visit_at, recent_visits
)
SELECT cafe_id, customer_id, visits, spent, first_at, last_at, recent FROM t
ORDER BY cafe_id, customer_id
ON CONFLICT (cafe_id, customer_id) DO UPDATE
SET total_visits = kept.total_visits + excluded.total_visits,
    lifetime_spent = kept.lifetime_spent + excluded.lifetime_spent,
    first_visit_at = least(kept.first_visit_at, excluded.first_visit_at),
    last_visit_at = greatest(kept.last_visit_at, excluded.last_visit_at),
    recent_visits = ARRAY(
        SELECT moment FROM unnest(excluded.recent_visits || kept.recent_visits) AS moment
        WHERE moment > $5 ORDER BY moment DESC LIMIT $6::int
    )
RETURNING cafe_id, customer_id, total_visits, first_visit_at, registered_at
)
SELECT cafe_id, customer_id FROM added JOIN t USING (cafe_id, customer_id)
WHERE registered_at > first_visit_at OR (registered_at < first_visit_at AND total_visits = visits)
"""
REVISE_VISITS = """
WITH revised AS (
    SELECT
        cafe_id, customer_id, sum(visits) AS visits, sum(spent) AS spent,
        array_agg(removed_at) AS removed,
        coalesce(array_agg(added_at) FILTER (WHERE added_at IS NOT NULL), ARRAY[]::timestamptz[]) AS added,
        (array_agg(first_at ORDER BY place DESC))[1] AS first_at,
        (array_agg(last_at ORDER BY place DESC))[1] AS last_at
    FROM ROWS FROM (
        unnest($1::uuid[], $2::uuid[], $3::int[], $4::numeric[], $5::timestamptz[], $6::timestamptz[],
               $7::timestamptz[], $8::timestamptz[])
    ) WITH ORDINALITY
    AS t (cafe_id, customer_id, visits, spent, removed_at, added_at, first_at, last_at, place)
    GROUP BY cafe_id, customer_id
)
UPDATE customer_activity AS kept
SET total_visits = kept.total_visits + revised.visits,
    lifetime_spent = kept.lifetime_spent + revised.spent,
    first_visit_at = revised.first_at,
    last_visit_at = revised.last_at,
    recent_visits = ARRAY(
        SELECT moment FROM (
            SELECT unnest(kept.recent_visits || revised.added) AS moment EXCEPT ALL SELECT unnest(revised.removed)
        ) AS remaining
        WHERE moment > $9 ORDER BY moment DESC LIMIT $10
    )
FROM revised
WHERE kept.cafe_id = revised.cafe_id AND kept.customer_id = revised.customer_id
"""
SET_POINTS = """
INSERT INTO customer_activity AS kept (cafe_id, customer_id, current_points, points_version)
SELECT DISTINCT ON (cafe_id, customer_id) cafe_id, customer_id, points, version
FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[]) WITH ORDINALITY
    AS t (cafe_id, customer_id, points, version, place)
ORDER BY cafe_id, customer_id, version DESC, place DESC
ON CONFLICT (cafe_id, customer_id) DO UPDATE
SET current_points = excluded.current_points, points_version = excluded.points_version
WHERE kept.points_version <= excluded.points_version
"""
SET_TIER = """
INSERT INTO customer_activity AS kept (cafe_id, customer_id, tier_level, tier_version)
SELECT DISTINCT ON (cafe_id, customer_id) cafe_id, customer_id, tier::loyalty_tier_enum, version
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[]) WITH ORDINALITY
    AS t (cafe_id, customer_id, tier, version, place)
ORDER BY cafe_id, customer_id, version DESC, place DESC
ON CONFLICT (cafe_id, customer_id) DO UPDATE
SET tier_level = excluded.tier_level, tier_version = excluded.tier_version
WHERE kept.tier_version <= excluded.tier_version
"""
ADD_RATINGS = """
INSERT INTO customer_activity AS kept (cafe_id, customer_id, rating_sum, rating_count)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::int[])
ORDER BY 1, 2
ON CONFLICT (cafe_id, customer_id) DO UPDATE
SET rating_sum = kept.rating_sum + excluded.rating_sum, rating_count = kept.rating_count + excluded.rating_count
"""
SET_REGISTERED = """
UPDATE customer_activity AS kept SET registered_at = t.registered_at
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (cafe_id, customer_id, registered_at)
WHERE kept.cafe_id = t.cafe_id AND kept.customer_id = t.customer_id
RETURNING kept.cafe_id, kept.customer_id, kept.first_visit_at <> kept.registered_at AS differs
"""
FORGET = """
UPDATE customer_activity AS kept SET registered_at = NULL, segment_mask = NULL, next_check_at = NULL
FROM customer_activity AS old
WHERE kept.cafe_id = $1 AND kept.customer_id = $2 AND old.cafe_id = kept.cafe_id AND old.customer_id = kept.customer_id
RETURNING old.segment_mask
"""

CUSTOMER_JOIN = "LEFT JOIN customers AS c ON c.cafe_id = a.cafe_id AND c.id = a.customer_id"
# A stored moment that is too early does no harm; one that is too late, or has passed, must be replaced. The rows are
# locked, so each keeps its ctid until it is updated.
EVALUATE = """
WITH evaluated AS MATERIALIZED (
    SELECT
        t.place, a.ctid, a.segment_mask AS old_mask, a.next_check_at AS old_check,
        {mask} AS new_mask, {check_at} AS new_check
    FROM unnest($2::uuid[], $3::uuid[], $4::int[]) WITH ORDINALITY AS t (cafe_id, customer_id, ruleset, place)
    JOIN customer_activity AS a ON a.cafe_id = t.cafe_id AND a.customer_id = t.customer_id
    WHERE a.registered_at IS NOT NULL
),
compared AS (
    SELECT *, old_check IS DISTINCT FROM new_check
        AND (old_check IS NULL OR old_check <= $1 OR new_check < old_check) AS check_moved
    FROM evaluated
)
UPDATE customer_activity AS a
SET segment_mask = j.new_mask, next_check_at = CASE WHEN j.check_moved THEN j.new_check ELSE j.old_check END
FROM compared AS j
WHERE a.ctid = j.ctid AND (j.old_mask IS DISTINCT FROM j.new_mask OR j.check_moved)
RETURNING j.place, j.old_mask, j.new_mask, a.first_visit_at
"""
COUNT_DUE = """
SELECT count(*) FROM (
    SELECT FROM customer_activity WHERE next_check_at <= $1 AND cafe_id <> ALL($2::uuid[]) LIMIT $3
) AS due
"""
# This waits for no row, so it may take rows in any order.
TAKE_DUE = """
SELECT cafe_id, customer_id FROM customer_activity WHERE next_check_at <= $1 AND cafe_id <> ALL($2::uuid[])
ORDER BY next_check_at LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED
"""
# `$1` is mentioned so that PostgreSQL knows its type also where no criterion asks for the time.
# The planner believes that nearly every guest is stale: with a mere LIMIT it would walk an index from guest to guest.
# Materialized, the search is planned as a scan of all guests, which it is; it still ends early.
FIND_STALE_MEMBERSHIPS = """
WITH stale AS MATERIALIZED (
    SELECT a.customer_id FROM customer_activity AS a
    {join}
    WHERE a.cafe_id = $2 AND a.registered_at IS NOT NULL AND $1::timestamptz IS NOT NULL
        AND (a.segment_mask IS DISTINCT FROM {mask} OR {check_at} < coalesce(a.next_check_at, 'infinity'))
)
SELECT customer_id FROM stale LIMIT $3
"""
FOR_ALL_GUESTS = """
SELECT set_config('parallel_setup_cost', '0', true), set_config('parallel_tuple_cost', '0', true),
       set_config('work_mem', '64MB', true)
"""
# One reading of all guests; what it finds is kept for the rest of the statement.
JUDGE_ALL = """
WITH judged AS MATERIALIZED (
    SELECT a.customer_id, a.last_visit_at, {mask} = 1 AS fits,
        coalesce(a.segment_mask >> $3::int & 1 = 1, false) AS is_member, coalesce(l.reachable, false) AS reachable
    FROM customer_activity AS a
    {join}
    LEFT JOIN listed_guests AS l ON l.cafe_id = a.cafe_id AND l.customer_id = a.customer_id
    WHERE a.cafe_id = $2 AND a.registered_at IS NOT NULL AND $1::timestamptz IS NOT NULL
)
SELECT count(*), count(*) FILTER (WHERE fits), count(*) FILTER (WHERE fits AND reachable),
    count(*) FILTER (WHERE fits AND NOT is_member), count(*) FILTER (WHERE is_member AND NOT fits),
    ARRAY(SELECT customer_id FROM judged WHERE fits ORDER BY last_visit_at DESC NULLS LAST LIMIT $4::int),
    ARRAY(
        SELECT customer_id FROM judged WHERE fits AND NOT is_member ORDER BY last_visit_at DESC NULLS LAST LIMIT $4
    ),
    ARRAY(
        SELECT customer_id FROM judged WHERE is_member AND NOT fits ORDER BY last_visit_at DESC NULLS LAST LIMIT $4
    )
FROM judged
"""
NO_LONGER_THAN = "SELECT set_config('statement_timeout', $1, true)"


async def lock(conn: Connection, guests: Sequence[GuestKey]) -> None:
    """Locks the guests' activity rows until the transaction ends, making those that are missing."""
    await conn.execute(LOCK, *columns(guests, "cafe_id", "customer_id"))


async def add_visits(conn: Connection, visits: Sequence[Sums], now: datetime) -> list[GuestKey]:
    """Adds new visits to their guests' sums. Returns the guests whose first visit is not where they began any more."""
    rows = await conn.fetch(
        ADD_VISITS,
        *columns([visit.guest for visit in visits], "cafe_id", "customer_id"),
        *columns(visits, "visited_at", "spent"),
        now - RECENT,
        NEWEST_KEPT,
    )
    return [GuestKey(*row) for row in rows]


async def revise_visits(conn: Connection, revisions: Sequence[Revision], now: datetime) -> None:
    """Applies corrected and voided visits in their order. The rows must exist: `lock` first."""
    await conn.execute(
        REVISE_VISITS,
        *columns([revision.guest for revision in revisions], "cafe_id", "customer_id"),
        *columns(revisions, "visits", "spent", "removed_at", "added_at", "first_at", "last_at"),
        now - RECENT,
        NEWEST_KEPT,
    )


async def set_points(
    conn: Connection, guests: Sequence[GuestKey], points: Sequence[int], versions: Sequence[int]
) -> None:
    """Keeps each guest's points of the highest account version."""
    await conn.execute(SET_POINTS, *columns(guests, "cafe_id", "customer_id"), points, versions)


async def set_tier(
    conn: Connection, guests: Sequence[GuestKey], tiers: Sequence[Tier], versions: Sequence[int]
) -> None:
    """Keeps each guest's tier of the highest account version."""
    await conn.execute(SET_TIER, *columns(guests, "cafe_id", "customer_id"), tiers, versions)


async def add_ratings(conn: Connection, changes: Sequence[RatingChange]) -> None:
    """Adds to the guests' averages, each guest named once."""
    await conn.execute(
        ADD_RATINGS,
        *columns([change.guest for change in changes], "cafe_id", "customer_id"),
        *columns(changes, "rating_sum", "rating_count"),
    )


async def set_registered(conn: Connection, guests: Sequence[GuestKey], moments: Sequence[datetime]) -> list[GuestKey]:
    """From now on these guests are evaluated. Returns those whose first visit is known and was at another moment. The
    rows must exist: `lock` first."""
    rows = await conn.fetch(SET_REGISTERED, *columns(guests, "cafe_id", "customer_id"), moments)
    return [GuestKey(cafe_id, customer_id) for cafe_id, customer_id, differs in rows if differs]


async def forget(conn: Connection, guest: GuestKey) -> int:
    """The guest is not evaluated any more; the sums stay. Returns the mask as it was."""
    return await conn.fetchval(FORGET, guest.cafe_id, guest.customer_id) or 0


async def evaluate(
    conn: Connection, guests: Sequence[GuestKey], rulesets: Sequence[int], evaluation: Evaluation, now: datetime
) -> list[MaskChange]:
    """Evaluates the guests, each by the rule set with its index, keeps what changed and returns that. Lock them first.

    `evaluation` is compiled by key, with its parameters from number 5 on.
    """
    rows = await conn.fetch(
        _filled(EVALUATE, evaluation),
        now,
        *columns(guests, "cafe_id", "customer_id"),
        rulesets,
        *evaluation.values_at(now),
    )
    return [MaskChange(guests[index - 1], old, new, first_visit_at) for index, old, new, first_visit_at in rows]


async def count_due(conn: Connection, now: datetime, aside: Sequence[UUID], limit: int) -> int:
    """How many guests time alone may have moved by now; no more than `limit` are counted."""
    return int(await conn.fetchval(COUNT_DUE, now, aside, limit))


async def take_due(conn: Connection, now: datetime, aside: Sequence[UUID], limit: int) -> list[GuestKey]:
    """Locks guests whom time alone may have moved by now, longest waiting first, and says which. Those in use by others
    and those of the cafes `aside` are left out."""
    return [GuestKey(*row) for row in await conn.fetch(TAKE_DUE, now, aside, limit)]


async def find_stale_memberships(
    conn: Connection, cafe_id: UUID, evaluation: Evaluation, now: datetime, limit: int
) -> list[GuestKey]:
    """Guests of the cafe whose stored bits or next moment the evaluation (parameters from 4 on) does not confirm."""
    await conn.execute(FOR_ALL_GUESTS)
    rows = await conn.fetch(
        _filled(FIND_STALE_MEMBERSHIPS, evaluation), now, cafe_id, limit, *evaluation.values_at(now)
    )
    return [GuestKey(cafe_id, row["customer_id"]) for row in rows]


async def judge_all(
    conn: Connection,
    cafe_id: UUID,
    slot: int | None,
    evaluation: Evaluation,
    now: datetime,
    *,
    faces: int,
    seconds: int,
) -> Judged | None:
    """What bit 0 of the evaluation (parameters from 5 on) finds among the cafe's guests, compared with the members of
    the segment in that slot; None when it took longer than so many seconds, after which the transaction is lost."""
    await conn.execute(FOR_ALL_GUESTS)
    await conn.execute(NO_LONGER_THAN, f"{seconds}s")
    try:
        row = await conn.fetchrow(_filled(JUDGE_ALL, evaluation), now, cafe_id, slot, faces, *evaluation.values_at(now))
    except asyncpg.QueryCanceledError:
        return None
    assert row is not None
    return Judged(*row)


def _filled(template: str, evaluation: Evaluation) -> str:
    join = CUSTOMER_JOIN if evaluation.needs_customer else ""
    return template.format(mask=evaluation.mask, check_at=evaluation.check_at, join=join)

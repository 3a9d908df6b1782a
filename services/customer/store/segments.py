"""Segment definitions, and who is in them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from services.customer.models.values import GuestKey, Move, MovesOfDay, Segmentation
from services.customer.store.customers import CARD, MARKETING_CONSENT
from shared.database.columns import columns
from shared.database.db import Connection

# A lock of each cafe: shared by whoever evaluates its guests, exclusive for whoever changes one of its definitions, so
# that nobody evaluates by a definition that is older than a recalculation. Everybody takes these locks in the same
# order.
DEFINITIONS_LOCK = 6_021_946
LOCK_SHARED = """
SELECT pg_advisory_xact_lock_shared($1, cafe) FROM (
    SELECT DISTINCT hashtext(t.cafe_id::text) AS cafe FROM unnest($2::uuid[]) AS t (cafe_id) ORDER BY cafe
) AS each
"""
LOCK_EXCLUSIVE = LOCK_SHARED.replace("xact_lock_shared", "xact_lock")
LOAD = """
SELECT s.cafe_id, s.id, s.slot, s.segment_key, s.criteria::text, s.is_active AND s.deleted_at IS NULL AS in_force,
       r.reason AS recalculated_for
FROM customer_segments AS s LEFT JOIN segment_recalculations AS r ON r.cafe_id = s.cafe_id
WHERE s.cafe_id = any($1) AND s.slot IS NOT NULL ORDER BY s.cafe_id, s.slot
"""
INSERT = """
INSERT INTO customer_segments (
    cafe_id, id, slot, name, description, segment_key, criteria, is_system_segment, is_active, color_hex, icon_name,
    display_order, created_at, updated_at, created_by
)
SELECT *, $13::timestamptz, $13::timestamptz, $14::uuid
FROM unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::boolean[],
            $9::boolean[], $10::text[], $11::text[], $12::int[])
ON CONFLICT DO NOTHING RETURNING cafe_id
"""
TAKEN_SLOTS = "SELECT slot FROM customer_segments WHERE cafe_id = $1 AND slot IS NOT NULL"
# Who may be written to is counted some seconds after who is in it.
SHOWN = """
SELECT s.*, least(greatest(coalesce(r.reachable, 0), 0), s.customer_count) AS reachable_count,
    EXISTS (SELECT FROM segment_recalculations AS w WHERE w.cafe_id = s.cafe_id) AS is_being_calculated
FROM customer_segments AS s LEFT JOIN segment_reach AS r ON r.cafe_id = s.cafe_id AND r.slot = s.slot
WHERE s.cafe_id = $1 AND s.deleted_at IS NULL
"""
LIST = f"{SHOWN} ORDER BY s.display_order, s.slot"
GET = f"{SHOWN} AND s.id = $2"
UPDATE = """
UPDATE customer_segments
SET name = $3, description = $4, criteria = $5, is_active = $6, color_hex = $7, icon_name = $8, display_order = $9,
    updated_at = $10, is_told = is_told AND is_active = $6
WHERE cafe_id = $1 AND id = $2
"""
DELETE = """
UPDATE customer_segments SET deleted_at = $3, updated_at = $3, is_told = false WHERE cafe_id = $1 AND id = $2
"""
UNTOLD = "SELECT DISTINCT cafe_id FROM customer_segments WHERE NOT is_told AND cafe_id <> ALL($1::uuid[]) LIMIT $2"
# The whole list of each cafe, locked: what changes meanwhile is told after it.
TO_TELL = """
SELECT cafe_id, id, segment_key, is_active, deleted_at IS NOT NULL AS is_deleted FROM customer_segments
WHERE cafe_id = any($1::uuid[]) ORDER BY cafe_id, id FOR NO KEY UPDATE
"""
TOLD = "UPDATE customer_segments SET is_told = true WHERE cafe_id = any($1::uuid[]) AND NOT is_told"
ENTER = """
WITH entered AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::uuid[], $7::uuid[])
        AS t (cafe_id, customer_id, segment_id, reason, event_id, visit_id, trace)
),
members AS (
    INSERT INTO segment_members (cafe_id, segment_id, customer_id, entered_at)
    SELECT cafe_id, segment_id, customer_id, $8::timestamptz FROM entered
)
INSERT INTO segment_history AS kept (
    cafe_id, customer_id, segment_id, entered_at, reason, entered_by, entered_with_visit, entered_under
)
SELECT cafe_id, customer_id, segment_id, $8::timestamptz, reason, event_id, visit_id, trace FROM entered
ON CONFLICT (cafe_id, customer_id, segment_id, entered_at) DO UPDATE
SET left_at = NULL, left_reason = NULL, left_by = NULL, left_with_visit = NULL, left_under = NULL
"""
LEAVE = """
WITH gone AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::uuid[], $7::uuid[])
        AS t (cafe_id, customer_id, segment_id, reason, event_id, visit_id, trace)
),
members AS (
    DELETE FROM segment_members AS m USING gone
    WHERE m.cafe_id = gone.cafe_id AND m.segment_id = gone.segment_id AND m.customer_id = gone.customer_id
)
UPDATE segment_history AS h
SET left_at = $8, left_reason = gone.reason, left_by = gone.event_id, left_with_visit = gone.visit_id,
    left_under = gone.trace
FROM gone
WHERE h.cafe_id = gone.cafe_id AND h.customer_id = gone.customer_id AND h.segment_id = gone.segment_id
    AND h.left_at IS NULL
"""
MOVE_FIELDS = ("guest.cafe_id", "guest.customer_id", "segment_id", "reason", "event_id", "visit_id", "trace")
# The day is written under the lock of its segment.
COUNT = """
WITH moves AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::int[]) AS t (cafe_id, id, entered, gone)
),
locked AS (
    SELECT s.cafe_id, s.id FROM customer_segments AS s WHERE (s.cafe_id, s.id) IN (SELECT cafe_id, id FROM moves)
    ORDER BY s.cafe_id, s.id FOR NO KEY UPDATE
),
counted AS (
    UPDATE customer_segments AS s SET customer_count = s.customer_count + moves.entered - moves.gone
    FROM moves JOIN locked USING (cafe_id, id)
    WHERE s.cafe_id = moves.cafe_id AND s.id = moves.id
    RETURNING s.cafe_id, s.id, s.customer_count, moves.entered, moves.gone
)
INSERT INTO segment_days AS kept (cafe_id, day, segment_id, entered, gone, members)
SELECT c.cafe_id, ($5::timestamptz AT TIME ZONE coalesce(f.time_zone, 'Asia/Tehran'))::date, c.id, c.entered, c.gone,
    c.customer_count
FROM counted AS c LEFT JOIN cafes AS f ON f.cafe_id = c.cafe_id
ON CONFLICT (cafe_id, day, segment_id) DO UPDATE
SET entered = kept.entered + excluded.entered, gone = kept.gone + excluded.gone, members = excluded.members
"""
DAYS = """
SELECT segment_id, day, entered, gone, members FROM segment_days
WHERE cafe_id = $1 AND day >= $2 AND ($3::uuid IS NULL OR segment_id = $3)
"""
OLD_DAYS = """
SELECT DISTINCT cafe_id, day FROM segment_days WHERE day < $1 AND cafe_id <> ALL($2::uuid[]) LIMIT $3
"""
PRUNE_DAYS = """
DELETE FROM segment_days AS d USING unnest($1::uuid[], $2::date[]) AS t (cafe_id, day)
WHERE d.cafe_id = t.cafe_id AND d.day = t.day
"""
REQUEST_RECALCULATION = """
INSERT INTO segment_recalculations (cafe_id, requested_at, reason) SELECT unnest($1::uuid[]), $2::timestamptz, $3::text
ON CONFLICT (cafe_id) DO UPDATE SET requested_at = excluded.requested_at, reason = excluded.reason
"""
# The cafes take turns: a small one does not wait until a large one is done.
NEXT_RECALCULATION = """
UPDATE segment_recalculations AS r SET turn_at = $1
FROM (
    SELECT cafe_id FROM segment_recalculations WHERE cafe_id <> ALL($2::uuid[])
    ORDER BY coalesce(turn_at, requested_at), cafe_id LIMIT 1
) AS next
WHERE r.cafe_id = next.cafe_id
RETURNING r.cafe_id, r.requested_at
"""
END_RECALCULATION = "DELETE FROM segment_recalculations WHERE cafe_id = $1 AND requested_at = $2 RETURNING cafe_id"
SET_CALCULATED = """
UPDATE customer_segments
SET last_calculated_at = $2, slot = CASE WHEN deleted_at IS NULL THEN slot END
WHERE cafe_id = $1 AND slot IS NOT NULL
"""
MEMBERS = f"""
SELECT {CARD}, m.entered_at
FROM segment_members AS m
JOIN customers AS c ON c.cafe_id = m.cafe_id AND c.id = m.customer_id
JOIN customer_activity AS a ON a.cafe_id = m.cafe_id AND a.customer_id = m.customer_id
{MARKETING_CONSENT}
WHERE m.cafe_id = $1 AND m.segment_id = $2 AND ($3::uuid IS NULL OR m.customer_id > $3)
ORDER BY m.customer_id LIMIT $4
"""  # noqa: S608
STAYS = """
SELECT h.*, s.segment_key, s.name
FROM segment_history AS h JOIN customer_segments AS s ON s.cafe_id = h.cafe_id AND s.id = h.segment_id
WHERE h.cafe_id = $1 AND h.customer_id = $2 ORDER BY h.entered_at DESC, s.display_order LIMIT 500
"""


async def hold_definitions(conn: Connection, cafe_ids: Collection[UUID]) -> None:
    """No definition of these cafes changes until the transaction ends; waits for one that is being changed."""
    await conn.execute(LOCK_SHARED, DEFINITIONS_LOCK, cafe_ids)


async def change_definitions(conn: Connection, cafe_ids: Collection[UUID]) -> None:
    """Nobody evaluates guests of these cafes until the transaction ends; waits for those who do."""
    await conn.execute(LOCK_EXCLUSIVE, DEFINITIONS_LOCK, cafe_ids)


async def load(conn: Connection, cafe_ids: Iterable[UUID]) -> list[Segmentation]:
    """All segments of the cafes that still own a bit, by cafe and slot."""
    return [Segmentation(*row) for row in await conn.fetch(LOAD, list(cafe_ids))]


async def insert(conn: Connection, rows: Sequence[Mapping[str, Any]], now: datetime, author: UUID | None) -> list[UUID]:
    """Adds segments, skipping those whose key or slot is taken. Returns the cafe of each one added."""
    names = (
        "cafe_id", "id", "slot", "name", "description", "segment_key", "criteria", "is_system_segment", "is_active",
        "color_hex", "icon_name", "display_order",
    )  # fmt: skip
    added = await conn.fetch(INSERT, *([row[name] for row in rows] for name in names), now, author)
    return [row["cafe_id"] for row in added]


async def taken_slots(conn: Connection, cafe_id: UUID) -> set[int]:
    """The bits in use, also by segments whose last guests have not left yet."""
    return {row["slot"] for row in await conn.fetch(TAKEN_SLOTS, cafe_id)}


async def list_segments(conn: Connection, cafe_id: UUID) -> list[dict[str, Any]]:
    """The cafe's segments in their order of display."""
    return [dict(row) for row in await conn.fetch(LIST, cafe_id)]


async def get(conn: Connection, cafe_id: UUID, segment_id: UUID) -> dict[str, Any] | None:
    """One segment, unless it is deleted."""
    row = await conn.fetchrow(GET, cafe_id, segment_id)
    return dict(row) if row else None


async def update(conn: Connection, cafe_id: UUID, row: Mapping[str, Any], now: datetime) -> None:
    """Writes everything about the segment that may change."""
    names = ("id", "name", "description", "criteria", "is_active", "color_hex", "icon_name", "display_order")
    await conn.execute(UPDATE, cafe_id, *(row[name] for name in names), now)


async def delete(conn: Connection, cafe_id: UUID, segment_id: UUID, now: datetime) -> None:
    """Marks the segment as deleted; a recalculation lets its guests go and frees its slot."""
    await conn.execute(DELETE, cafe_id, segment_id, now)


async def enter(conn: Connection, moves: Sequence[Move], now: datetime) -> None:
    """Guests enter segments."""
    await conn.execute(ENTER, *columns(moves, *MOVE_FIELDS), now)


async def leave(conn: Connection, moves: Sequence[Move], now: datetime) -> None:
    """Guests leave segments."""
    await conn.execute(LEAVE, *columns(moves, *MOVE_FIELDS), now)


async def count(conn: Connection, moves: Mapping[tuple[UUID, UUID], tuple[int, int]], now: datetime) -> None:
    """Counts how many guests entered and left each (cafe, segment), also for the cafe's day that `now` is in."""
    entered, gone = [change[0] for change in moves.values()], [change[1] for change in moves.values()]
    await conn.execute(COUNT, [key[0] for key in moves], [key[1] for key in moves], entered, gone, now)


async def days(conn: Connection, cafe_id: UUID, since: date, segment_id: UUID | None = None) -> list[MovesOfDay]:
    """What happened to the cafe's segments, or to one of them, on each day since then on which anything did."""
    return [MovesOfDay(*row) for row in await conn.fetch(DAYS, cafe_id, since, segment_id)]


async def old_days(conn: Connection, before: date, aside: Sequence[UUID], limit: int) -> list[tuple[UUID, date]]:
    """Cafes and days that are older."""
    return [(row["cafe_id"], row["day"]) for row in await conn.fetch(OLD_DAYS, before, aside, limit)]


async def prune_days(conn: Connection, rows: Sequence[tuple[UUID, date]]) -> None:
    """Deletes these days."""
    await conn.execute(PRUNE_DAYS, *columns(rows, 0, 1))


async def request_recalculation(
    conn: Connection, cafe_ids: Iterable[UUID], now: datetime, reason: str = "definition"
) -> None:
    """All guests of these cafes must be evaluated again; until they are, `reason` is what moves them."""
    await conn.execute(REQUEST_RECALCULATION, sorted(set(cafe_ids)), now, reason)


async def next_recalculation(conn: Connection, now: datetime, aside: Sequence[UUID]) -> tuple[UUID, datetime] | None:
    """The cafe whose turn it is, and since when it waits. Those `aside` are left out."""
    row = await conn.fetchrow(NEXT_RECALCULATION, now, aside)
    return (row["cafe_id"], row["requested_at"]) if row else None


async def end_recalculation(conn: Connection, cafe_id: UUID, requested_at: datetime, now: datetime) -> None:
    """All guests of the cafe have been evaluated, unless a definition changed again since `requested_at`."""
    if await conn.fetchval(END_RECALCULATION, cafe_id, requested_at):
        await conn.execute(SET_CALCULATED, cafe_id, now)


async def members(
    conn: Connection, cafe_id: UUID, segment_id: UUID, after: UUID | None, limit: int
) -> list[dict[str, Any]]:
    """Guests in the segment, by id."""
    return [dict(row) for row in await conn.fetch(MEMBERS, cafe_id, segment_id, after, limit)]


async def stays(conn: Connection, guest: GuestKey) -> list[dict[str, Any]]:
    """The guest's stays in segments, newest first."""
    return [dict(row) for row in await conn.fetch(STAYS, guest.cafe_id, guest.customer_id)]


async def untold(conn: Connection, aside: Sequence[UUID], limit: int) -> list[tuple[UUID]]:
    """Cafes whose list others have not heard as it stands."""
    return [(row["cafe_id"],) for row in await conn.fetch(UNTOLD, aside, limit)]


async def take_lists(conn: Connection, cafe_ids: Sequence[UUID]) -> list[dict[str, Any]]:
    """All segments of the cafes, also deleted ones, locked until the transaction ends and noted as told."""
    rows = [dict(row) for row in await conn.fetch(TO_TELL, cafe_ids)]
    await conn.execute(TOLD, cafe_ids)
    return rows

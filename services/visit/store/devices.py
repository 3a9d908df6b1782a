"""Tills: one queue per device, its numbering and the gaps in it; and the branches they stand in."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from services.visit.models.values import DeviceKey, Gap, SequenceSpan
from services.visit.store.receipts import IS_OLD_SPELLING, OLD_DEVICE
from shared.database.columns import columns
from shared.database.db import Connection
from shared.events.identity import BranchChanged

# Whether receipts of the device are kept in an old spelling. Few devices have any, so it is asked along with the row.
LOCK = f"""
INSERT INTO till_devices AS kept (cafe_id, device_id)
SELECT * FROM unnest($1::uuid[], $2::text[])
ON CONFLICT (cafe_id, device_id) DO UPDATE SET last_seen_at = now()
RETURNING cafe_id, device_id, lowest_sequence, highest_sequence, EXISTS (
    SELECT FROM visit_receipts AS r
    WHERE r.cafe_id = kept.cafe_id AND {OLD_DEVICE} = kept.device_id AND {IS_OLD_SPELLING}
) AS has_old_spellings
"""  # noqa: S608
ADVANCE = """
UPDATE till_devices d SET lowest_sequence = t.lowest, highest_sequence = t.highest
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[]) AS t (cafe_id, device_id, lowest, highest)
WHERE d.cafe_id = t.cafe_id AND d.device_id = t.device_id
"""
OPEN_GAPS = """
INSERT INTO device_gaps (cafe_id, device_id, missing_from, missing_to)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[])
"""
TAKE_GAPS = """
DELETE FROM device_gaps g USING unnest($1::uuid[], $2::text[], $3::bigint[]) AS t (cafe_id, device_id, number)
WHERE g.cafe_id = t.cafe_id AND g.device_id = t.device_id AND t.number BETWEEN g.missing_from AND g.missing_to
RETURNING g.cafe_id, g.device_id, g.missing_from, g.missing_to
"""
LIST = """
SELECT d.device_id, d.highest_sequence, d.first_seen_at, d.last_seen_at,
       coalesce(
           jsonb_agg(
               jsonb_build_object('missing_from', g.missing_from, 'missing_to', g.missing_to)
               ORDER BY g.missing_from
           ) FILTER (WHERE g.missing_from IS NOT NULL),
           '[]'
       ) AS gaps
FROM till_devices d LEFT JOIN device_gaps g USING (cafe_id, device_id)
WHERE d.cafe_id = $1
GROUP BY d.cafe_id, d.device_id
ORDER BY d.device_id
"""
BRANCHES = "SELECT cafe_id, branch_id, code FROM branches WHERE cafe_id = any($1::uuid[])"
KEEP_BRANCHES = """
INSERT INTO branches AS kept (cafe_id, branch_id, version, code, name, is_active)
SELECT DISTINCT ON (t.cafe_id, t.branch_id) t.*
FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::text[], $6::boolean[])
    AS t (cafe_id, branch_id, version, code, name, is_active)
ORDER BY t.cafe_id, t.branch_id, t.version DESC
ON CONFLICT (cafe_id, branch_id) DO UPDATE
SET version = excluded.version, code = excluded.code, name = excluded.name, is_active = excluded.is_active
WHERE kept.version < excluded.version
"""


async def lock(conn: Connection, devices: set[DeviceKey]) -> tuple[dict[DeviceKey, SequenceSpan], set[DeviceKey]]:
    """Holds the devices' rows until the end of the transaction.

    Returns the lowest and highest number each has sent, and those of whose receipts some have an old spelling.
    """
    keys = sorted(devices)
    rows = await conn.fetch(LOCK, *columns(keys, 0, 1))
    spans = {(row["cafe_id"], row["device_id"]): (row["lowest_sequence"], row["highest_sequence"]) for row in rows}
    return spans, {(row["cafe_id"], row["device_id"]) for row in rows if row["has_old_spellings"]}


async def advance(conn: Connection, spans: Mapping[DeviceKey, SequenceSpan]) -> None:
    """Writes the lowest and highest number of each device."""
    await conn.execute(
        ADVANCE,
        *columns(spans, 0, 1),
        [lowest for lowest, _ in spans.values()],
        [highest for _, highest in spans.values()],
    )


async def open_gaps(conn: Connection, gaps: Sequence[tuple[DeviceKey, Gap]]) -> None:
    """Writes the ranges that devices skipped."""
    await conn.execute(
        OPEN_GAPS,
        [cafe_id for (cafe_id, _), _ in gaps],
        [device_id for (_, device_id), _ in gaps],
        [start for _, (start, _) in gaps],
        [end for _, (_, end) in gaps],
    )


async def take_gaps(conn: Connection, numbers: Sequence[tuple[DeviceKey, int]]) -> dict[DeviceKey, set[Gap]]:
    """Removes and returns the gaps that these numbers fall into."""
    rows = await conn.fetch(
        TAKE_GAPS,
        [cafe_id for (cafe_id, _), _ in numbers],
        [device_id for (_, device_id), _ in numbers],
        [number for _, number in numbers],
    )
    taken: dict[DeviceKey, set[Gap]] = {}
    for row in rows:
        taken.setdefault((row["cafe_id"], row["device_id"]), set()).add((row["missing_from"], row["missing_to"]))
    return taken


async def list_devices(conn: Connection, cafe_id: UUID) -> list[dict[str, Any]]:
    """The cafe's devices with the numbers that are missing from each."""
    return [dict(row) for row in await conn.fetch(LIST, cafe_id)]


async def branches(conn: Connection, cafes: set[UUID]) -> list[tuple[UUID, UUID, str]]:
    """Cafe, id and code of each branch of these cafes."""
    rows = await conn.fetch(BRANCHES, list(cafes))
    return [(row["cafe_id"], row["branch_id"], row["code"]) for row in rows]


async def keep_branches(conn: Connection, events: Sequence[BranchChanged]) -> None:
    """Keeps the newest version of each branch."""
    await conn.execute(
        KEEP_BRANCHES,
        *columns(events, "cafe_id", "branch_id", "version", "code", "name", "is_active"),
    )

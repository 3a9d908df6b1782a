"""One guest's row as criteria see it, and the guest's moves."""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from services.customer.models.explaining import Defined, GuestRow, MoveRow
from services.customer.models.values import Evaluation, GuestKey
from services.customer.store.activity import CUSTOMER_JOIN
from shared.database.db import Connection

DEFINED = """
SELECT id, segment_key, name, criteria::text FROM customer_segments
WHERE cafe_id = $1 AND slot IS NOT NULL AND is_active AND deleted_at IS NULL ORDER BY slot
"""
SEE = """
SELECT a.registered_at IS NOT NULL AS is_registered, ARRAY[{held}]::bigint[] AS held,
       ARRAY[{changes}]::timestamptz[] AS changes_at{values}
FROM customer_activity AS a
{join}
WHERE a.cafe_id = $1 AND a.customer_id = $2
"""
MOVES = """
SELECT m.entered, m.at, h.segment_id, s.segment_key, s.name, coalesce(m.reason, 'unknown'), m.event_id, m.visit_id
FROM segment_history AS h
CROSS JOIN LATERAL (VALUES
    (true, h.entered_at, h.reason, h.entered_by, h.entered_with_visit),
    (false, h.left_at, h.left_reason, h.left_by, h.left_with_visit)
) AS m (entered, at, reason, event_id, visit_id)
JOIN customer_segments AS s ON s.cafe_id = h.cafe_id AND s.id = h.segment_id
WHERE h.cafe_id = $1 AND h.customer_id = $2 AND m.at >= $3 AND m.at < $4
    AND ($5::uuid IS NULL OR m.visit_id = $5)
ORDER BY m.at DESC, h.segment_id LIMIT $6
"""


async def defined(conn: Connection, cafe_id: UUID) -> list[Defined]:
    """The cafe's segments in force."""
    return [Defined(*row) for row in await conn.fetch(DEFINED, cafe_id)]


async def see(
    conn: Connection, guest: GuestKey, conditions: Collection[Evaluation], attributes: Mapping[str, str], now: datetime
) -> GuestRow | None:
    """What the guest's row says, by conditions with parameters from number 3 on and attributes with their SQL. None
    without a row."""
    query = SEE.format(
        held=", ".join(each.mask for each in conditions),
        changes=", ".join(each.check_at for each in conditions),
        values="".join(f", {sql} AS {name}" for name, sql in attributes.items()),
        join=CUSTOMER_JOIN,
    )
    row = await conn.fetchrow(query, *guest, *(value for each in conditions for value in each.values_at(now)))
    if row is None:
        return None
    values = {name: row[name] for name in attributes}
    return GuestRow(row["is_registered"], [bool(each) for each in row["held"]], row["changes_at"], values)


async def moves(
    conn: Connection, guest: GuestKey, since: datetime, before: datetime, visit_id: UUID | None, limit: int
) -> list[MoveRow]:
    """The guest's moves between two moments, the newest first; with a `visit_id` those that it caused."""
    rows = await conn.fetch(MOVES, *guest, since, before, visit_id, limit)
    return [MoveRow(*row) for row in rows]

"""Points given or taken by hand."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.loyalty.models.accounts import Adjustment, AdjustmentState, GuestKey
from shared.database.columns import columns
from shared.database.db import Connection

INSERT = """
INSERT INTO adjustments (cafe_id, id, customer_id, transaction_type, points, reason, campaign_id, order_reference,
                         state, created_by, created_at, decided_by, decided_at, redemption_id)
VALUES ($1, $2, $3, $4::text::loyalty_transaction_enum, $5, $6, $7, $8, $9::text::adjustment_state_enum, $10, $11, $12,
        $13, $14)
ON CONFLICT DO NOTHING
RETURNING id
"""
FIND = """
SELECT cafe_id, id AS adjustment_id, customer_id, transaction_type::text AS type, points, reason, campaign_id,
       order_reference, state::text, created_by, created_at, decided_by, decided_at, redemption_id
FROM adjustments WHERE cafe_id = $1 AND id = $2 FOR UPDATE
"""
LIST_PENDING = """
SELECT cafe_id, id AS adjustment_id, customer_id, transaction_type::text AS type, points, reason, campaign_id,
       order_reference, state::text, created_by, created_at, decided_by, decided_at, redemption_id
FROM adjustments WHERE cafe_id = $1 AND state = 'pending' ORDER BY created_at LIMIT $2
"""
# `before` is the one that the page before ended with.
LIST = """
SELECT cafe_id, id AS adjustment_id, customer_id, transaction_type::text AS type, points, reason, campaign_id,
       order_reference, state::text, created_by, created_at, decided_by, decided_at, redemption_id
FROM adjustments
WHERE cafe_id = $1 AND ($2::text IS NULL OR state::text = $2) AND ($3::uuid IS NULL OR customer_id = $3)
  AND ($4::uuid IS NULL OR (created_at, id) < (SELECT b.created_at, b.id FROM adjustments AS b
                                               WHERE b.cafe_id = $1 AND b.id = $4))
ORDER BY created_at DESC, id DESC LIMIT $5
"""
# What somebody else approved was judged by somebody else, and is not counted.
DONE_ALONE = """
SELECT coalesce(sum(points), 0)::bigint FROM (
    SELECT points FROM adjustments
    WHERE cafe_id = $1 AND created_by = $2 AND created_at >= $3 AND state = 'posted' AND decided_by IS NULL
    UNION ALL
    SELECT total_points FROM grant_runs
    WHERE cafe_id = $1 AND created_by = $2 AND created_at >= $3 AND state IN ('approved', 'done')
        AND decided_by IS NULL
) AS alone
"""
DECIDE = """
UPDATE adjustments SET state = $3::text::adjustment_state_enum, decided_by = $4, decided_at = $5
WHERE cafe_id = $1 AND id = $2
"""
FORGET = """
UPDATE adjustments AS a
SET reason = NULL, order_reference = NULL, state = CASE a.state WHEN 'pending' THEN 'declined' ELSE a.state END
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id)
WHERE a.cafe_id = t.cafe_id AND a.customer_id = t.customer_id
"""


async def insert(conn: Connection, adjustment: Adjustment) -> bool:
    """Keeps a new adjustment; False when there is one with that id."""
    values: tuple[Any, ...] = (
        adjustment.cafe_id, adjustment.adjustment_id, adjustment.customer_id, adjustment.type, adjustment.points,
        adjustment.reason, adjustment.campaign_id, adjustment.order_reference, adjustment.state,
        adjustment.created_by, adjustment.created_at, adjustment.decided_by, adjustment.decided_at,
        adjustment.redemption_id,
    )  # fmt: skip
    return await conn.fetchval(INSERT, *values) is not None


async def find(conn: Connection, cafe_id: UUID, adjustment_id: UUID) -> Adjustment | None:
    """The adjustment, locked."""
    row = await conn.fetchrow(FIND, cafe_id, adjustment_id)
    return Adjustment(**row) if row else None


async def list_pending(conn: Connection, cafe_id: UUID, limit: int) -> list[Adjustment]:
    """Those that wait for a second manager, the oldest first."""
    return [Adjustment(**row) for row in await conn.fetch(LIST_PENDING, cafe_id, limit)]


async def list_newest(
    conn: Connection,
    cafe_id: UUID,
    state: AdjustmentState | None,
    customer_id: UUID | None,
    before: UUID | None,
    limit: int,
) -> list[Adjustment]:
    """Adjustments, the newest first, of one state or one guest if asked for, from after `before` on."""
    return [Adjustment(**row) for row in await conn.fetch(LIST, cafe_id, state, customer_id, before, limit)]


async def done_alone(conn: Connection, cafe_id: UUID, author: UUID, since: datetime) -> int:
    """The points that somebody gave and took since then without anybody else's word: both count up."""
    return int(await conn.fetchval(DONE_ALONE, cafe_id, author, since))


async def decide(conn: Connection, adjustment: Adjustment) -> None:
    """Writes the decision about a pending adjustment."""
    await conn.execute(
        DECIDE, adjustment.cafe_id, adjustment.adjustment_id, adjustment.state, adjustment.decided_by,
        adjustment.decided_at,
    )  # fmt: skip


async def forget(conn: Connection, guests: Sequence[GuestKey]) -> None:
    """Empties what people wrote about erased guests; what was still pending is off."""
    await conn.execute(FORGET, *columns(guests, 0, 1))

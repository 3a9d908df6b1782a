"""Redemptions, by whomever they were asked for."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from services.loyalty.models.accounts import GuestKey, Posting, Redemption
from services.loyalty.models.rewards import RewardKey
from services.loyalty.store import rewards
from shared.database.columns import columns
from shared.database.db import Connection
from shared.errors import Rejected

RedemptionKey = tuple[UUID, UUID]

COLUMNS = """
    r.id, r.cafe_id, r.customer_id, r.kind::text, r.points, r.state::text, r.refusal, r.visit_id, r.order_reference,
    r.lot_ids, r.lot_points, r.created_by, r.till_key_id, r.created_at, r.reversed_at, r.undone_by_bill,
    r.reserved_until, r.reward_id, r.reward_version
"""
FIND = f"""
SELECT {COLUMNS} FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, id)
JOIN redemptions AS r ON r.cafe_id = t.cafe_id AND r.id = t.id
"""  # noqa: S608
OF_GUESTS = f"""
SELECT {COLUMNS} FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id)
JOIN redemptions AS r ON r.cafe_id = t.cafe_id AND r.customer_id = t.customer_id
"""  # noqa: S608
LIST_REFUSED = f"""
SELECT {COLUMNS} FROM redemptions AS r
WHERE r.cafe_id = $1 AND r.state = 'refused' ORDER BY r.created_at DESC LIMIT $2
"""  # noqa: S608
FORGET = """
UPDATE redemptions AS r SET order_reference = NULL
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id)
WHERE r.cafe_id = t.cafe_id AND r.customer_id = t.customer_id AND r.order_reference IS NOT NULL
"""
OVERDUE = """
SELECT DISTINCT cafe_id, customer_id FROM (
    SELECT cafe_id, customer_id FROM redemptions
    WHERE reserved_until <= $1 AND cafe_id <> ALL($2::uuid[]) ORDER BY reserved_until LIMIT $3
) AS due
"""
# The lists of lots travel as text, because unnest would flatten a list of lists. A statement sees the rows as they were
# before it, and the accounts are locked: so each row says itself whether a piece of its reward was taken or came back.
SAVE = """
WITH t AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::uuid[], $9::text[],
        $10::text[], $11::text[], $12::uuid[], $13::text[], $14::timestamptz[], $15::timestamptz[],
        $16::boolean[], $17::timestamptz[], $18::uuid[], $19::integer[]
    ) AS t (cafe_id, id, customer_id, kind, points, state, refusal, visit_id, order_reference, lot_ids, lot_points,
            created_by, till_key_id, created_at, reversed_at, undone_by_bill, reserved_until, reward_id, reward_version)
), saved AS (
    INSERT INTO redemptions (cafe_id, id, customer_id, kind, points, state, refusal, visit_id, order_reference, lot_ids,
                             lot_points, created_by, till_key_id, created_at, reversed_at, undone_by_bill,
                             reserved_until, reward_id, reward_version)
    SELECT cafe_id, id, customer_id, kind::redemption_kind_enum, points, state::redemption_state_enum, refusal,
           visit_id, order_reference, lot_ids::uuid[], lot_points::bigint[], created_by, till_key_id, created_at,
           reversed_at, undone_by_bill, reserved_until, reward_id, reward_version
    FROM t
    ON CONFLICT (cafe_id, id) DO UPDATE
    SET points = excluded.points, state = excluded.state, refusal = excluded.refusal, visit_id = excluded.visit_id,
        order_reference = excluded.order_reference, lot_ids = excluded.lot_ids, lot_points = excluded.lot_points,
        reversed_at = excluded.reversed_at, undone_by_bill = excluded.undone_by_bill,
        reserved_until = excluded.reserved_until
    WHERE redemptions.customer_id = excluded.customer_id
    RETURNING cafe_id, id, state, reward_id
)
SELECT saved.cafe_id, saved.reward_id,
       (saved.state = 'completed')::int - (before.state IS NOT DISTINCT FROM 'completed')::int AS pieces
FROM saved LEFT JOIN redemptions AS before ON before.cafe_id = saved.cafe_id AND before.id = saved.id
"""


async def forget(conn: Connection, guests: Sequence[GuestKey]) -> None:
    """Empties what somebody typed as a reference of erased guests' redemptions."""
    await conn.execute(FORGET, *columns(guests, 0, 1))


async def find(conn: Connection, keys: Sequence[RedemptionKey]) -> dict[RedemptionKey, Redemption]:
    """Those of the redemptions (cafe_id, redemption_id) that exist."""
    rows = await conn.fetch(FIND, *zip(*keys, strict=True))
    return {(row["cafe_id"], row["id"]): _redemption(row) for row in rows}


async def list_of_guests(conn: Connection, guests: Sequence[GuestKey]) -> list[Redemption]:
    """All redemptions of these guests, refused ones and those given back too."""
    return [_redemption(row) for row in await conn.fetch(OF_GUESTS, *zip(*guests, strict=True))] if guests else []


async def list_with_overdue(conn: Connection, moment: datetime, aside: Sequence[UUID], limit: int) -> list[GuestKey]:
    """Guests of whom something is reserved whose time is over, but for those of the cafes `aside`."""
    return sorted((row["cafe_id"], row["customer_id"]) for row in await conn.fetch(OVERDUE, moment, aside, limit))


async def list_refused(conn: Connection, cafe_id: UUID, limit: int) -> list[Redemption]:
    """Refused redemptions of a cafe, the newest first."""
    return [_redemption(row) for row in await conn.fetch(LIST_REFUSED, cafe_id, limit)]


async def save(conn: Connection, outcomes: Sequence[Posting]) -> None:
    """Writes the redemptions of guests whose accounts the caller has locked; the stock of their rewards follows.

    Raises Rejected when somebody used one of the ids for another guest since the caller looked, or nothing is left of a
    reward.
    """
    rows = [_row(redemption) for outcome in outcomes for redemption in outcome.redemptions]
    if not rows:
        return
    saved = await conn.fetch(SAVE, *zip(*rows, strict=True))
    if len(saved) < len(rows):
        raise Rejected(
            "redemption_id_taken",
            "That redemption id belongs to another redemption; make up a new one.",
            "این شناسه از آنِ استفادهٔ دیگری است؛ شناسهٔ تازه‌ای بسازید.",
            status=409,
        )
    moved: Counter[RewardKey] = Counter()
    for row in saved:
        if row["reward_id"] and row["pieces"]:
            moved[row["cafe_id"], row["reward_id"]] += row["pieces"]
    if moved:
        await rewards.move(conn, moved)


def _redemption(row: asyncpg.Record) -> Redemption:
    return Redemption(
        redemption_id=row["id"],
        cafe_id=row["cafe_id"],
        customer_id=row["customer_id"],
        kind=row["kind"],
        points=row["points"],
        state=row["state"],
        refusal=row["refusal"],
        visit_id=row["visit_id"],
        order_reference=row["order_reference"],
        drawn=tuple(zip(row["lot_ids"], row["lot_points"], strict=True)),
        created_by=row["created_by"],
        till_key_id=row["till_key_id"],
        created_at=row["created_at"],
        reversed_at=row["reversed_at"],
        undone_by_bill=row["undone_by_bill"],
        reserved_until=row["reserved_until"],
        reward_id=row["reward_id"],
        reward_version=row["reward_version"],
    )


def _row(redemption: Redemption) -> tuple[Any, ...]:
    return (
        redemption.cafe_id, redemption.redemption_id, redemption.customer_id, redemption.kind, redemption.points,
        redemption.state, redemption.refusal, redemption.visit_id, redemption.order_reference,
        _array(lot_id for lot_id, _ in redemption.drawn), _array(points for _, points in redemption.drawn),
        redemption.created_by, redemption.till_key_id, redemption.created_at, redemption.reversed_at,
        redemption.undone_by_bill, redemption.reserved_until, redemption.reward_id, redemption.reward_version,
    )  # fmt: skip


def _array(values: Iterable[object]) -> str:
    return "{" + ",".join(map(str, values)) + "}"

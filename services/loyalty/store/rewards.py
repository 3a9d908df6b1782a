"""Rewards, their versions, and how many of each are taken."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.loyalty.models.rewards import Conditions, Reward, RewardKey, Terms
from shared.database.columns import columns
from shared.database.db import Connection
from shared.errors import Rejected

COLUMNS = """
    r.cafe_id, r.reward_id, r.key, r.version, r.is_active, r.stock, r.taken, r.created_by, r.created_at,
    v.name, v.kind::text, v.cost_points, v.value, v.minimum_bill, v.conditions
"""
OF_CAFE = f"""
SELECT {COLUMNS} FROM rewards AS r JOIN reward_versions AS v USING (cafe_id, reward_id, version)
WHERE r.cafe_id = $1 AND (r.is_active OR NOT $2) ORDER BY r.created_at, r.key LIMIT $3
"""  # noqa: S608
FIND = f"""
SELECT {COLUMNS} FROM rewards AS r JOIN reward_versions AS v USING (cafe_id, reward_id, version)
WHERE r.cafe_id = $1 AND r.reward_id = $2
"""  # noqa: S608
LOCK = "SELECT FROM rewards WHERE cafe_id = $1 AND reward_id = $2 FOR UPDATE"
ADD = """
INSERT INTO rewards (cafe_id, reward_id, key, version, is_active, stock, created_by, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT DO NOTHING
RETURNING true
"""
ADD_VERSION = """
INSERT INTO reward_versions (cafe_id, reward_id, version, name, kind, cost_points, value, minimum_bill, conditions,
                             created_by, created_at)
VALUES ($1, $2, $3, $4, $5::redemption_kind_enum, $6, $7, $8, $9, $10, $11)
"""
CHANGE = """
UPDATE rewards SET version = $3, is_active = $4, stock = $5 WHERE cafe_id = $1 AND reward_id = $2
"""
NAMES = """
SELECT DISTINCT v.cafe_id, v.reward_id, v.version, v.name
FROM unnest($1::uuid[], $2::uuid[], $3::integer[]) AS t (cafe_id, reward_id, version)
JOIN reward_versions AS v USING (cafe_id, reward_id, version)
"""
# How many of each reward a guest has, each from its own moment on.
HAD = """
SELECT t.reward_id, count(*) AS pieces
FROM unnest($3::uuid[], $4::timestamptz[]) AS t (reward_id, since)
JOIN redemptions AS r ON r.reward_id = t.reward_id AND r.created_at >= t.since
WHERE r.cafe_id = $1 AND r.customer_id = $2 AND r.state = 'completed'
GROUP BY t.reward_id
"""
TAKE = """
UPDATE rewards SET taken = taken + $3
WHERE cafe_id = $1 AND reward_id = $2 AND (stock IS NULL OR taken + $3 <= stock)
RETURNING true
"""
# In the order of their keys, so that those who give several back don't wait for each other.
GIVE_BACK = """
WITH held AS (
    SELECT r.cafe_id, r.reward_id, t.pieces
    FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS t (cafe_id, reward_id, pieces)
    JOIN rewards AS r USING (cafe_id, reward_id)
    ORDER BY r.cafe_id, r.reward_id
    FOR UPDATE OF r
)
UPDATE rewards AS r SET taken = r.taken - held.pieces
FROM held WHERE r.cafe_id = held.cafe_id AND r.reward_id = held.reward_id
"""


async def list_of_cafe(conn: Connection, cafe_id: UUID, limit: int, *, only_active: bool = False) -> list[Reward]:
    """A cafe's rewards, the oldest first."""
    return [_reward(row) for row in await conn.fetch(OF_CAFE, cafe_id, only_active, limit)]


async def find(conn: Connection, cafe_id: UUID, reward_id: UUID) -> Reward | None:
    """The reward as it is offered now."""
    row = await conn.fetchrow(FIND, cafe_id, reward_id)
    return _reward(row) if row else None


async def lock(conn: Connection, cafe_id: UUID, reward_id: UUID) -> Reward | None:
    """The same, locked for who changes it."""
    # By itself: whoever waited for the row would look for the version that it had before.
    await conn.execute(LOCK, cafe_id, reward_id)
    return await find(conn, cafe_id, reward_id)


async def add(conn: Connection, reward: Reward) -> bool:
    """Adds a reward with its first version; False when its id or its key is taken."""
    row = (reward.cafe_id, reward.reward_id, reward.key, reward.version, reward.is_active, reward.stock)
    if not await conn.fetchval(ADD, *row, reward.created_by, reward.created_at):
        return False
    await _add_version(conn, reward, reward.created_by, reward.created_at)
    return True


async def change(conn: Connection, before: Reward, after: Reward, author: UUID, moment: datetime) -> None:
    """Writes a reward that the caller has locked; a version when there is a new one."""
    if after.version != before.version:
        await _add_version(conn, after, author, moment)
    await conn.execute(CHANGE, after.cafe_id, after.reward_id, after.version, after.is_active, after.stock)


async def names(conn: Connection, versions: Sequence[tuple[UUID, UUID, int]]) -> dict[tuple[UUID, UUID, int], str]:
    """What versions (cafe_id, reward_id, version) are called."""
    rows = await conn.fetch(NAMES, *columns(versions, 0, 1, 2)) if versions else []
    return {(row["cafe_id"], row["reward_id"], row["version"]): row["name"] for row in rows}


async def had(conn: Connection, cafe_id: UUID, customer_id: UUID, since: Mapping[UUID, datetime]) -> dict[UUID, int]:
    """How many of each reward the guest has, counted from its moment in `since`."""
    if not since:
        return {}
    rows = await conn.fetch(HAD, cafe_id, customer_id, list(since), list(since.values()))
    return {row["reward_id"]: row["pieces"] for row in rows}


async def move(conn: Connection, changes: Mapping[RewardKey, int]) -> None:
    """Takes pieces of rewards (above zero), or gives them back (below).

    Raises Rejected when there are not as many.
    """
    for (cafe_id, reward_id), pieces in sorted(changes.items()):
        if pieces > 0 and not await conn.fetchval(TAKE, cafe_id, reward_id, pieces):
            raise out_of_stock()
    if back := [(*key, -pieces) for key, pieces in changes.items() if pieces < 0]:
        await conn.execute(GIVE_BACK, *columns(back, 0, 1, 2))


def out_of_stock() -> Rejected:
    """The answer to who asks for the piece after the last."""
    return Rejected(
        "out_of_stock",
        "None of this reward is left.",
        "موجودی این پاداش تمام شده است.",
        status=409,
    )


async def _add_version(conn: Connection, reward: Reward, author: UUID, moment: datetime) -> None:
    terms = reward.terms
    await conn.execute(
        ADD_VERSION, reward.cafe_id, reward.reward_id, reward.version, terms.name, terms.kind, terms.cost_points,
        terms.value, terms.minimum_bill, msgspec.to_builtins(terms.conditions), author, moment,
    )  # fmt: skip


def _reward(row: asyncpg.Record) -> Reward:
    fields: dict[str, Any] = dict(row)
    terms = {name: fields.pop(name) for name in ("name", "kind", "cost_points", "value", "minimum_bill")}
    conditions = msgspec.convert(fields.pop("conditions"), Conditions)
    return Reward(terms=Terms(conditions=conditions, **terms), **fields)

"""Who has come to what a reward costs, from what the ledger has gained."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from services.loyalty.models.reached import Reached
from shared.database.columns import columns
from shared.database.db import Connection

PROGRESS = "SELECT seen_until FROM crm.reward_progress FOR UPDATE"
# The balance before and after all that happened to a guest in that time: who came to the cost and fell again has not
# reached it.
NOTE = """
WITH changed AS (
    SELECT t.cafe_id, t.customer_id,
           (array_agg(t.balance_after - t.points_change ORDER BY t.account_version))[1] AS before,
           (array_agg(t.balance_after ORDER BY t.account_version DESC))[1] AS after
    FROM loyalty_transactions AS t
    WHERE t.created_at >= $1 AND t.created_at < $2
        AND EXISTS (SELECT FROM rewards AS r WHERE r.cafe_id = t.cafe_id AND r.is_active)
    GROUP BY t.cafe_id, t.customer_id
), noted AS (
    INSERT INTO reached_rewards (cafe_id, customer_id, reward_id, reward_version, cost_points, balance)
    SELECT c.cafe_id, c.customer_id, r.reward_id, r.version, v.cost_points, c.after
    FROM changed AS c
    JOIN rewards AS r ON r.cafe_id = c.cafe_id AND r.is_active
    JOIN reward_versions AS v ON v.cafe_id = r.cafe_id AND v.reward_id = r.reward_id AND v.version = r.version
    WHERE c.before < v.cost_points AND c.after >= v.cost_points
    RETURNING 1
), moved AS (
    UPDATE crm.reward_progress SET seen_until = $2
)
SELECT count(*) FROM noted
"""
WAITING = """
SELECT cafe_id, id, customer_id, reward_id, reward_version, cost_points, balance FROM reached_rewards
WHERE cafe_id <> ALL($1::uuid[]) LIMIT $2
"""
TAKE = """
DELETE FROM reached_rewards AS q USING unnest($1::uuid[], $2::bigint[]) AS t (cafe_id, id)
WHERE q.cafe_id = t.cafe_id AND q.id = t.id
RETURNING q.cafe_id, q.id, q.customer_id, q.reward_id, q.reward_version, q.cost_points, q.balance
"""
TELL = """
INSERT INTO notices (cafe_id, customer_id, kind, occasion, last_day, told_at)
SELECT cafe_id, customer_id, 'reward.reached', occasion, last_day, $5
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::date[]) AS t (cafe_id, customer_id, occasion, last_day)
ON CONFLICT DO NOTHING
RETURNING cafe_id, customer_id, occasion
"""


ToldReward = tuple[UUID, UUID, str, date]
"""(cafe_id, customer_id, occasion, last day on which it may come again)."""


async def seen_until(conn: Connection) -> datetime:
    """Up to when the ledger has been looked through; locked."""
    until: datetime = await conn.fetchval(PROGRESS)
    return until


async def note(conn: Connection, since: datetime, until: datetime) -> int:
    """Notes who came to the cost of a reward by what was written from `since` to before `until`; how many."""
    return int(await conn.fetchval(NOTE, since, until))


async def waiting(conn: Connection, aside: Sequence[UUID], limit: int) -> list[Reached]:
    """Those who are to be told; those of the cafes `aside` wait."""
    return [Reached(**row) for row in await conn.fetch(WAITING, aside, limit)]


async def take(conn: Connection, reached: Sequence[Reached]) -> list[Reached]:
    """Takes them away to be told: those that nobody else has taken."""
    return [Reached(**row) for row in await conn.fetch(TAKE, *columns(reached, "cafe_id", "id"))]


async def tell(conn: Connection, occasions: Sequence[ToldReward], moment: datetime) -> set[tuple[UUID, UUID, str]]:
    """Notes the occasions; those of which nobody was told before."""
    rows = await conn.fetch(TELL, *columns(occasions, 0, 1, 2, 3), moment)
    return {(row["cafe_id"], row["customer_id"], row["occasion"]) for row in rows}

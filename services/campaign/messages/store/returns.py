"""Guests who came back within a week of a campaign's message: noted with the message, by the visits themselves."""

from collections.abc import Sequence

import asyncpg

from services.campaign.messages.models.values import ComingBack
from shared.database.columns import columns
from shared.database.db import Connection

# A message counts from when it was handed over, as its provider's answer may come after the visit.
NEAR = """
SELECT o.cafe_id, o.id, o.returned_by = '{{}}' AS was_none, t.visit_id
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[]) AS t (cafe_id, customer_id, visit_id, at)
JOIN campaign_deliveries o
    ON o.cafe_id = t.cafe_id AND o.customer_id = t.customer_id
    AND o.sending_at >= t.at - interval '7 days' AND o.sending_at < t.at
WHERE o.trigger_id = o.campaign_id AND {condition}
ORDER BY o.cafe_id, o.id
FOR UPDATE OF o
"""
ADD = f"""
WITH near AS ({NEAR.format(condition="t.visit_id <> ALL(o.returned_by)")}), told AS (
    SELECT cafe_id, id, was_none, array_agg(DISTINCT visit_id) AS visits FROM near GROUP BY 1, 2, 3
)
UPDATE campaign_deliveries d SET returned_by = d.returned_by || told.visits
FROM told WHERE d.cafe_id = told.cafe_id AND d.id = told.id
RETURNING d.cafe_id, d.campaign_id, told.was_none AND d.delivered_at IS NOT NULL AS changes
"""  # noqa: S608
TAKE_BACK = f"""
WITH near AS ({NEAR.format(condition="t.visit_id = ANY(o.returned_by)")}), told AS (
    SELECT cafe_id, id, array_agg(DISTINCT visit_id) AS visits FROM near GROUP BY 1, 2
)
UPDATE campaign_deliveries d
SET returned_by = ARRAY(SELECT visit_id FROM unnest(d.returned_by) AS v (visit_id) WHERE visit_id <> ALL(told.visits))
FROM told WHERE d.cafe_id = told.cafe_id AND d.id = told.id
RETURNING d.cafe_id, d.campaign_id, d.returned_by = '{{}}' AND d.delivered_at IS NOT NULL AS changes
"""  # noqa: S608


async def add(conn: Connection, visits: Sequence[ComingBack]) -> list[asyncpg.Record]:
    """Notes visits with the messages before them; returns the messages, and whether each counts as answered by a visit
    from now on (`changes`)."""
    return await conn.fetch(ADD, *columns(visits, "cafe_id", "customer_id", "visit_id", "at"))


async def take_back(conn: Connection, visits: Sequence[ComingBack]) -> list[asyncpg.Record]:
    """The same of visits that never were: `changes` where none is left."""
    return await conn.fetch(TAKE_BACK, *columns(visits, "cafe_id", "customer_id", "visit_id", "at"))

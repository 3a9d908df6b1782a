"""What became of the link in a message: opened, answered."""

from collections.abc import Sequence

import asyncpg

from services.campaign.messages.models.values import Opening
from shared.database.columns import columns
from shared.database.db import Connection

# An opened link proves that the message arrived; of one whose call has not been answered yet, that is settled then.
OPENED = """
UPDATE campaign_deliveries d
SET delivery_status = CASE WHEN old.is_settled THEN 'opened' ELSE d.delivery_status END,
    opened_at = least(d.opened_at, old.at),
    link_openings = greatest(d.link_openings, old.times), link_answers = d.link_answers + old.answers,
    link_clicks = greatest(d.link_clicks, d.link_openings, old.times, d.link_answers + old.answers),
    delivered_at = CASE WHEN old.is_settled THEN coalesce(d.delivered_at, old.at) ELSE d.delivered_at END,
    check_at = CASE WHEN old.is_settled THEN NULL ELSE d.check_at END
FROM (
    SELECT o.cafe_id, o.id, t.at, t.times, t.answers, o.opened_at IS NULL AS first_opened,
           o.delivery_status <> 'sending' AS is_settled,
           o.delivery_status <> 'sending' AND o.delivered_at IS NULL AS arrived,
           o.returned_by <> '{}' AS is_returned
    FROM (
        SELECT cafe_id, customer_id, visit_id, min(at) AS at, max(times) AS times, sum(answers)::int AS answers
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::int[], $6::int[])
            AS a (cafe_id, customer_id, visit_id, at, times, answers)
        GROUP BY cafe_id, customer_id, visit_id
    ) AS t
    JOIN campaign_deliveries o
        ON o.cafe_id = t.cafe_id AND o.customer_id = t.customer_id AND o.visit_id = t.visit_id
    WHERE o.delivery_status IN ('sending', 'sent', 'delivered', 'opened')
    ORDER BY o.cafe_id, o.id
    FOR UPDATE OF o
) AS old
WHERE d.cafe_id = old.cafe_id AND d.id = old.id
RETURNING d.cafe_id, d.id, d.campaign_id, d.customer_id, d.correlation_id, old.at, old.first_opened, old.arrived,
          old.is_returned
"""


async def mark_opened(conn: Connection, openings: Sequence[Opening]) -> list[asyncpg.Record]:
    """Notes openings of messages' links; returns the messages concerned."""
    return await conn.fetch(
        OPENED,
        *columns(openings, "cafe_id", "customer_id", "visit_id", "at", "times", "answers"),
    )

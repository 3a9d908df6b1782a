"""What became of each campaign's messages: counted with every change of them, under the lock of the campaign's row."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from services.campaign.messages.models.values import CounterChange, Ends
from shared.database.columns import columns
from shared.database.db import Connection

COUNT = """
UPDATE campaigns c
SET messages_sent = c.messages_sent + t.sent, messages_delivered = c.messages_delivered + t.delivered,
    messages_failed = c.messages_failed + t.failed, messages_opened = c.messages_opened + t.opened,
    recipients = c.recipients + CASE WHEN c.recount_at IS NULL THEN t.recipients ELSE 0 END,
    messages_replied = c.messages_replied + t.replied, guests_returned = greatest(0, c.guests_returned + t.returned),
    actual_cost = greatest(0, c.actual_cost + t.cost), reserved_cost = greatest(0, c.reserved_cost + t.reserved),
    sent_date = CASE WHEN t.sent > 0 THEN $9 ELSE c.sent_date END, updated_at = $9
FROM (
    SELECT given.* FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::int[], $5::int[], $6::int[], $7::numeric[],
                               $8::numeric[], $10::int[], $11::int[], $12::int[])
        AS given (cafe_id, id, sent, delivered, failed, opened, cost, reserved, recipients, replied, returned)
    JOIN campaigns l USING (cafe_id, id) ORDER BY cafe_id, id FOR NO KEY UPDATE OF l
) AS t
WHERE c.cafe_id = t.cafe_id AND c.id = t.id
"""
# A campaign that is still to be counted as a whole is left to that.
COUNT_ENDS = """
INSERT INTO campaign_results AS kept (cafe_id, campaign_id, outcome, reason, messages)
SELECT t.cafe_id, t.campaign_id, t.outcome, left(t.reason, 50), sum(t.messages)
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::int[])
    AS t (cafe_id, campaign_id, outcome, reason, messages)
JOIN campaigns c ON c.cafe_id = t.cafe_id AND c.id = t.campaign_id AND c.recount_at IS NULL
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
ON CONFLICT (cafe_id, campaign_id, outcome, reason) DO UPDATE SET messages = kept.messages + excluded.messages
"""
LIST = """
SELECT campaign_id, outcome, reason, messages FROM campaign_results
WHERE cafe_id = $1 AND campaign_id = any($2::uuid[]) AND messages > 0 ORDER BY messages DESC, outcome, reason
"""
TO_RECOUNT = """
SELECT cafe_id, id FROM campaigns WHERE recount_at <= $1 AND cafe_id <> ALL($2::uuid[]) ORDER BY recount_at LIMIT 1
FOR NO KEY UPDATE SKIP LOCKED
"""
FORGET = "DELETE FROM campaign_results WHERE cafe_id = $1 AND campaign_id = $2"
RECOUNT = """
INSERT INTO campaign_results (cafe_id, campaign_id, outcome, reason, messages)
SELECT cafe_id, campaign_id, CASE WHEN sent_at IS NULL THEN delivery_status::text ELSE 'undelivered' END,
       coalesce(error_code, 'unknown'), count(*)
FROM campaign_deliveries
WHERE cafe_id = $1 AND campaign_id = $2 AND NOT is_test
  AND (delivery_status = 'failed' OR delivery_status = 'bounced' OR (delivery_status = 'skipped' AND sent_at IS NULL))
GROUP BY 1, 2, 3, 4
"""
RECOUNTED = """
UPDATE campaigns c
SET recount_at = NULL, recipients = d.recipients, messages_replied = d.replied, guests_returned = d.returned
FROM (
    SELECT count(*) AS recipients, count(*) FILTER (WHERE reply_received) AS replied,
           count(*) FILTER (WHERE delivered_at IS NOT NULL AND returned_by <> '{}') AS returned
    FROM campaign_deliveries WHERE cafe_id = $1 AND campaign_id = $2 AND NOT is_test
) AS d
WHERE c.cafe_id = $1 AND c.id = $2
"""


async def count_ends(conn: Connection, ended: Sequence[tuple[UUID, UUID, Ends]]) -> None:
    """Adds to what (cafe, campaign) ended with; lock the campaigns first."""
    totals: Counter[tuple[UUID, UUID, str, str]] = Counter()
    for cafe_id, campaign_id, ends in ended:
        for (outcome, reason), messages in ends.items():
            totals[cafe_id, campaign_id, outcome, reason] += messages
    if totals:
        arrays = [[key[i] for key in totals] for i in range(4)]
        await conn.execute(COUNT_ENDS, *arrays, list(totals.values()))


async def of_campaigns(conn: Connection, cafe_id: UUID, ids: Sequence[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    """How the messages of each campaign ended that were not sent, the most frequent reason first."""
    found: dict[UUID, list[dict[str, Any]]] = {}
    for row in await conn.fetch(LIST, cafe_id, ids):
        entry = dict(row)
        found.setdefault(entry.pop("campaign_id"), []).append(entry)
    return found


async def to_recount(conn: Connection, moment: datetime, aside: Sequence[UUID]) -> list[tuple[UUID, UUID]]:
    """A campaign (cafe, id) that is to be counted as a whole, locked."""
    return [(row["cafe_id"], row["id"]) for row in await conn.fetch(TO_RECOUNT, moment, aside)]


async def recount(conn: Connection, campaigns: Sequence[tuple[UUID, UUID]]) -> int:
    """Counts campaigns as a whole; from then on changes are added. Returns how many."""
    for campaign in campaigns:
        await conn.execute(FORGET, *campaign)
        await conn.execute(RECOUNT, *campaign)
        await conn.execute(RECOUNTED, *campaign)
    return len(campaigns)


async def count(conn: Connection, changes: Sequence[CounterChange], at: datetime) -> None:
    """Adds to the counters of campaigns, one statement for any number."""
    totals: dict[tuple[UUID, UUID], list[Any]] = {}
    for c in changes:
        total = totals.setdefault((c.cafe_id, c.campaign_id), [0, 0, 0, 0, Decimal(0), Decimal(0), 0, 0, 0])
        amounts = (c.sent, c.delivered, c.failed, c.opened, c.cost, c.reserved, c.recipients, c.replied, c.returned)
        for i, amount in enumerate(amounts):
            total[i] += amount
    if totals:
        keys = sorted(totals)
        await conn.execute(
            COUNT, *columns(keys, 0, 1),
            *([totals[key][i] for key in keys] for i in range(6)), at,
            *([totals[key][i] for key in keys] for i in range(6, 9)),
        )  # fmt: skip
        await count_ends(conn, [(c.cafe_id, c.campaign_id, c.ended) for c in changes if c.ended])

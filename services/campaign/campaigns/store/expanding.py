"""Campaigns under way: their recipients become messages bit by bit, each campaign's in its turn."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from shared.database.columns import columns
from shared.database.db import Connection

# How many campaigns are asked at once whether all of their messages are through.
FINISHED_AT_ONCE: Final = 50
# Takes the one that was looked at longest ago; one that is not finished then waits for the others.
TAKE_DUE = """
SELECT cafe_id, id, target_segment, template_content, status::text AS status, expanded_to, scheduled_date,
       campaign_type::text AS channel
FROM campaigns
WHERE expanded_at IS NULL AND scheduled_date IS NOT NULL AND status IN ('scheduled', 'sending')
  AND coalesce(look_at, scheduled_date) <= $1 AND scheduled_date <= $1
  AND (status = 'sending' OR approved_at IS NOT NULL) AND paused_at IS NULL AND cafe_id <> ALL($2::uuid[])
ORDER BY coalesce(look_at, scheduled_date) LIMIT 1
FOR NO KEY UPDATE SKIP LOCKED
"""
NEXT_RECIPIENTS = """
SELECT g.customer_id FROM contacts g
WHERE g.cafe_id = $1 AND g.customer_id > $2 AND g.erased_at IS NULL
  AND ($3::text[] IS NULL OR EXISTS (
      SELECT FROM segment_members m
      WHERE m.cafe_id = g.cafe_id AND m.customer_id = g.customer_id AND m.segment_key = any($3) AND m.is_member
  ))
ORDER BY g.customer_id LIMIT $4
"""
EXPANDED = """
UPDATE campaigns SET status = 'sending', expanded_to = coalesce($3, expanded_to), expanded_at = $4, updated_at = $5,
                     look_at = $5
WHERE cafe_id = $1 AND id = $2
"""
FAIL = """
UPDATE campaigns SET status = 'failed', failure_reason = $3, updated_at = $4 WHERE cafe_id = $1 AND id = $2
"""
TAKE_UNFINISHED = """
SELECT cafe_id, id FROM campaigns
WHERE expanded_at IS NOT NULL AND status IN ('sending', 'sent') AND coalesce(look_at, expanded_at) <= $1
  AND cafe_id <> ALL($2::uuid[])
ORDER BY coalesce(look_at, expanded_at) LIMIT $3
FOR NO KEY UPDATE SKIP LOCKED
"""
# 'sent': nothing is left to hand over; 'completed': nothing is left to hear of either. One that is not finished is
# looked at again after a quarter of the time that it has taken so far, because each look reads all of its messages.
FINISH = """
WITH state AS (
    SELECT due.cafe_id, due.id,
           EXISTS (SELECT FROM campaign_deliveries d WHERE d.cafe_id = due.cafe_id AND d.campaign_id = due.id
                   AND d.delivery_status IN ('queued', 'sending')) AS under_way,
           EXISTS (SELECT FROM campaign_deliveries d WHERE d.cafe_id = due.cafe_id AND d.campaign_id = due.id
                   AND d.delivery_status = 'sent' AND d.check_at IS NOT NULL) AS awaited
    FROM unnest($2::uuid[], $3::uuid[]) AS due (cafe_id, id)
)
UPDATE campaigns c
SET status = CASE WHEN s.under_way THEN c.status::text
                  WHEN c.messages_sent = 0 AND c.messages_failed > 0 THEN 'failed'
                  WHEN s.awaited THEN 'sent'
                  ELSE 'completed' END::campaign_status_enum,
    updated_at = CASE WHEN s.under_way OR (s.awaited AND c.status = 'sent') THEN c.updated_at ELSE $1 END,
    look_at = $1 + greatest(interval '5 seconds', least(interval '15 minutes', ($1 - c.expanded_at) / 4))
FROM state s
WHERE c.cafe_id = s.cafe_id AND c.id = s.id
"""


TAKE_TO_WAKE = """
SELECT cafe_id, id FROM campaigns WHERE wake_at <= $1 AND cafe_id <> ALL($2::uuid[]) ORDER BY wake_at LIMIT 1
FOR NO KEY UPDATE SKIP LOCKED
"""
# Whoever decides about one of them now has seen that the campaign goes on. Without its reason it leaves the index by
# which the next ones are found.
WAKE = """
UPDATE campaign_deliveries d SET due_at = $3, error_code = NULL
FROM (
    SELECT cafe_id, id FROM campaign_deliveries
    WHERE cafe_id = $1 AND campaign_id = $2 AND delivery_status = 'queued' AND error_code = 'paused' AND due_at > $3
    LIMIT $4 FOR UPDATE SKIP LOCKED
) AS own
WHERE d.cafe_id = own.cafe_id AND d.id = own.id RETURNING d.id
"""
WOKEN = "UPDATE campaigns SET wake_at = $3 WHERE cafe_id = $1 AND id = $2"


async def take_to_wake(conn: Connection, moment: datetime, aside: Sequence[UUID]) -> list[asyncpg.Record]:
    """A campaign (cafe, id) that goes on after a rest, locked."""
    return await conn.fetch(TAKE_TO_WAKE, moment, aside)


async def wake(conn: Connection, cafe_id: UUID, campaign_id: UUID, moment: datetime, limit: int) -> int:
    """Makes due what was held while it rested, at most `limit`; returns how many. What is left waits for the other
    campaigns' turns."""
    woken = len(await conn.fetch(WAKE, cafe_id, campaign_id, moment, limit))
    await conn.execute(WOKEN, cafe_id, campaign_id, moment if woken == limit else None)
    return woken


async def take_due(conn: Connection, moment: datetime, aside: Sequence[UUID]) -> list[asyncpg.Record]:
    """An approved campaign whose date has come or whose expansion is not finished, locked; each gets its turn."""
    return await conn.fetch(TAKE_DUE, moment, aside)


async def next_recipients(
    conn: Connection, cafe_id: UUID, after: UUID, segments: Sequence[str] | None, limit: int
) -> list[UUID]:
    """The next guests of a target in the order of their ids."""
    return [row["customer_id"] for row in await conn.fetch(NEXT_RECIPIENTS, cafe_id, after, segments, limit)]


async def fail(conn: Connection, cafe_id: UUID, campaign_id: UUID, reason: str, at: datetime) -> None:
    """Ends a campaign that can't begin."""
    await conn.execute(FAIL, cafe_id, campaign_id, reason, at)


async def note_expanded(
    conn: Connection, cafe_id: UUID, campaign_id: UUID, to: UUID | None, finished_at: datetime | None, at: datetime
) -> None:
    """Remembers how far a campaign has been turned into messages."""
    await conn.execute(EXPANDED, cafe_id, campaign_id, to, finished_at, at)


async def take_unfinished(conn: Connection, at: datetime, aside: Sequence[UUID]) -> list[asyncpg.Record]:
    """Campaigns (cafe, id) whose turn it is to be asked whether they are over, locked."""
    return await conn.fetch(TAKE_UNFINISHED, at, aside, FINISHED_AT_ONCE)


async def finish(conn: Connection, campaigns: Sequence[tuple[UUID, UUID]], at: datetime) -> None:
    """Moves those campaigns on that have nothing left to send, or to hear of."""
    await conn.execute(FINISH, at, *columns(campaigns, 0, 1))

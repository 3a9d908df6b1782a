"""Whom a campaign would reach if it began now, by the same questions as its messages are asked when they are sent."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from shared.consent import Channel, Purpose
from shared.database.db import Connection

# In the order of the checks (messages/decide.py). What hangs on the moment of sending is asked then: hours, caps,
# budgets, accounts, and whether a number is a mobile's.
JUDGED = """
SELECT g.customer_id, g.phone_sealed, g.name_sealed,
       CASE WHEN g.phone_sealed IS NULL THEN 'contact'
            WHEN g.status <> 'active' AND NOT (g.status = 'inactive' AND $3::text = 'service') THEN 'status'
            WHEN g.line_blocked_at IS NOT NULL THEN 'line'
            WHEN NOT coalesce(s.granted, $3 = 'service') THEN 'consent'
            WHEN $3 = 'marketing' AND EXISTS (
                SELECT FROM complaint_holds h
                WHERE h.cafe_id = g.cafe_id AND h.customer_id = g.customer_id
                  AND h.opened_at > coalesce(h.closed_at, '-infinity')
            ) THEN 'complaint'
            ELSE 'send' END AS outcome
FROM contacts g
LEFT JOIN consents s ON s.cafe_id = g.cafe_id AND s.customer_id = g.customer_id AND s.channel = $4::campaign_type_enum
    AND s.purpose = $3::message_purpose_enum
WHERE g.cafe_id = $1 AND g.erased_at IS NULL
  AND ($2::text[] IS NULL OR EXISTS (
      SELECT FROM segment_members m
      WHERE m.cafe_id = g.cafe_id AND m.customer_id = g.customer_id AND m.segment_key = any($2) AND m.is_member
  ))
"""
COUNT = f"""
SELECT outcome, count(*)::int AS guests FROM ({JUDGED}) AS judged GROUP BY outcome ORDER BY guests DESC, outcome
"""  # noqa: S608
SAMPLE = f"""
SELECT customer_id, phone_sealed, name_sealed FROM ({JUDGED} LIMIT $6) AS judged WHERE outcome = 'send' LIMIT $5
"""  # noqa: S608


async def count(
    conn: Connection, cafe_id: UUID, segments: Sequence[str] | None, purpose: Purpose, channel: Channel
) -> dict[str, int]:
    """How many guests would be sent it ("send"), and how many not, by the check that says no."""
    return {row["outcome"]: row["guests"] for row in await conn.fetch(COUNT, cafe_id, segments, purpose, channel)}


async def sample(
    conn: Connection,
    cafe_id: UUID,
    segments: Sequence[str] | None,
    purpose: Purpose,
    channel: Channel,
    limit: int,
    among: int | None,
) -> list[asyncpg.Record]:
    """Some of the guests who would be sent it, of all or `among` so many."""
    return await conn.fetch(SAMPLE, cafe_id, segments, purpose, channel, limit, among)

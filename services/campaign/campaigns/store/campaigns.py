"""Campaigns."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from services.campaign.campaigns.models.values import NewCampaign
from services.campaign.messages.models.values import CampaignStatus
from shared.consent import Channel, Purpose
from shared.database.db import Connection

SELECTED = """
SELECT id, name, description, campaign_type::text AS campaign_type, purpose::text AS purpose, ignores_quiet_hours,
target_segment, estimated_recipients, template_content, template_variables, scheduled_date, sent_date,
status::text AS status, currency_unit, budget, estimated_cost, actual_cost, cost_per_message, messages_sent,
messages_delivered, messages_failed, messages_opened, created_at, updated_at, created_by, approved_by, approved_at,
version, edited_by, approved_alone, failure_reason, paused_at, wanted_date, at_once, expanded_at, reserved_cost,
messages_replied, guests_returned, recipients, recount_at IS NULL AS is_counted,
(SELECT j.id FROM journeys j WHERE j.cafe_id = campaigns.cafe_id AND j.campaign_id = campaigns.id) AS journey_id
FROM campaigns
"""
LIST = SELECTED + "WHERE cafe_id = $1 ORDER BY created_at DESC, id LIMIT $2"
GET = SELECTED + "WHERE cafe_id = $1 AND id = $2"
LOCK = f"{GET} FOR NO KEY UPDATE"
INSERT = """
INSERT INTO campaigns (cafe_id, id, name, description, campaign_type, purpose, ignores_quiet_hours, target_segment,
                       template_content, template_variables, budget, created_at, updated_at, created_by,
                       wanted_date, recount_at)
VALUES ($1, $2, $3, $4, 'sms', $5::message_purpose_enum, $6, $7, $8, $9, $10, $11, $11, $12, $13, NULL)
"""
REPLACE = """
UPDATE campaigns SET name = $3, description = $4, purpose = $5::message_purpose_enum, ignores_quiet_hours = $6,
                     target_segment = $7, template_content = $8, template_variables = $9, budget = $10,
                     updated_at = $11, edited_by = $12, version = version + 1, status = 'draft', scheduled_date = NULL,
                     estimated_recipients = NULL, estimated_cost = NULL, wanted_date = $13, at_once = false,
                     paused_at = NULL, approved_by = NULL, approved_at = NULL, approved_alone = false
WHERE cafe_id = $1 AND id = $2
"""
# Only these moves exist; anything else leaves the row as it is.
MOVE = """
UPDATE campaigns SET status = $4::campaign_status_enum, updated_at = $5,
                     wake_at = CASE WHEN $4 = 'cancelled' AND paused_at IS NOT NULL THEN $5 ELSE wake_at END,
                     paused_at = CASE WHEN $4 <> 'cancelled' THEN paused_at END
WHERE cafe_id = $1 AND id = $2 AND status::text = any($3::text[]) RETURNING id
"""
APPROVE = """
UPDATE campaigns SET approved_by = $3, approved_at = $4, updated_at = $4, approved_alone = $5,
                     scheduled_date = CASE WHEN at_once THEN greatest(scheduled_date, $4) ELSE scheduled_date END
WHERE cafe_id = $1 AND id = $2
"""
LIST_WAITING = (
    SELECTED
    + """
WHERE cafe_id = $1 AND status = 'scheduled' AND approved_at IS NULL ORDER BY updated_at, id LIMIT $2
"""
)
# Another date is another decision: the approval is asked for again.
SCHEDULE = """
UPDATE campaigns SET scheduled_date = $3, estimated_recipients = $4, estimated_cost = $5, updated_at = $6,
                     edited_by = $7, version = version + 1, at_once = $8,
                     approved_by = NULL, approved_at = NULL, approved_alone = false
WHERE cafe_id = $1 AND id = $2
"""
# Messages that were held for it are made due again by a job (`wake_at`).
PAUSE = "UPDATE campaigns SET paused_at = $3, wake_at = NULL, updated_at = $3 WHERE cafe_id = $1 AND id = $2"
RESUME = "UPDATE campaigns SET paused_at = NULL, wake_at = $3, updated_at = $3 WHERE cafe_id = $1 AND id = $2"
COUNT_RECIPIENTS = """
SELECT count(*)::int FROM contacts g
WHERE g.cafe_id = $1 AND g.phone_sealed IS NOT NULL AND g.status = 'active' AND g.line_blocked_at IS NULL
  AND ($2::text[] IS NULL OR EXISTS (
      SELECT FROM segment_members m
      WHERE m.cafe_id = g.cafe_id AND m.customer_id = g.customer_id AND m.segment_key = any($2) AND m.is_member
  ))
  AND CASE WHEN $3 = 'marketing' THEN EXISTS (
      SELECT FROM consents s
      WHERE s.cafe_id = g.cafe_id AND s.customer_id = g.customer_id AND s.channel = $4::campaign_type_enum
        AND s.purpose = 'marketing' AND s.granted
  ) ELSE NOT EXISTS (
      SELECT FROM consents s
      WHERE s.cafe_id = g.cafe_id AND s.customer_id = g.customer_id AND s.channel = $4::campaign_type_enum
        AND s.purpose = 'service' AND NOT s.granted
  ) END
"""


async def list_campaigns(conn: Connection, cafe_id: UUID, limit: int) -> list[dict[str, Any]]:
    """The cafe's newest campaigns, the standing ones of journeys included."""
    return [dict(row) for row in await conn.fetch(LIST, cafe_id, limit)]


async def get(conn: Connection, cafe_id: UUID, campaign_id: UUID, *, lock: bool = True) -> dict[str, Any] | None:
    """One campaign. Whoever counts its messages waits for the lock, with the messages of other cafes in hand."""
    row = await conn.fetchrow(LOCK if lock else GET, cafe_id, campaign_id)
    return dict(row) if row else None


async def insert(conn: Connection, new: NewCampaign, at: datetime) -> None:
    """Adds a draft."""
    await conn.execute(
        INSERT, new.cafe_id, new.id, new.name, new.description, new.purpose, new.ignores_quiet_hours,
        new.target_segment, new.template, new.fallbacks, new.budget, at, new.created_by, new.wanted_date,
    )  # fmt: skip


async def replace(conn: Connection, new: NewCampaign, at: datetime) -> None:
    """Rewrites a draft: a new version by `created_by`, with no date and no approval. Its author stays."""
    await conn.execute(
        REPLACE, new.cafe_id, new.id, new.name, new.description, new.purpose, new.ignores_quiet_hours,
        new.target_segment, new.template, new.fallbacks, new.budget, at, new.created_by, new.wanted_date,
    )  # fmt: skip


async def move(
    conn: Connection,
    cafe_id: UUID,
    campaign_id: UUID,
    allowed: Sequence[CampaignStatus],
    to: CampaignStatus,
    at: datetime,
) -> bool:
    """Changes the status from one of `allowed`; False when it was another."""
    return await conn.fetchval(MOVE, cafe_id, campaign_id, allowed, to, at) is not None


async def approve(
    conn: Connection, cafe_id: UUID, campaign_id: UUID, user_id: UUID, at: datetime, *, alone: bool
) -> None:
    """Writes down who approved; `alone`: nobody else was needed."""
    await conn.execute(APPROVE, cafe_id, campaign_id, user_id, at, alone)


async def list_waiting(conn: Connection, cafe_id: UUID, limit: int) -> list[dict[str, Any]]:
    """Scheduled campaigns that nobody has approved, the oldest first."""
    return [dict(row) for row in await conn.fetch(LIST_WAITING, cafe_id, limit)]


async def schedule(
    conn: Connection, cafe_id: UUID, campaign_id: UUID, by: UUID, when: datetime, recipients: int, cost: Decimal,
    at: datetime, *, at_once: bool,
) -> None:  # fmt: skip
    """Sets the date with the estimate it was decided on (cost in Rial): a new version, with no approval."""
    await conn.execute(SCHEDULE, cafe_id, campaign_id, when, recipients, cost, at, by, at_once)


async def pause(conn: Connection, cafe_id: UUID, campaign_id: UUID, at: datetime) -> None:
    """Lets a campaign rest."""
    await conn.execute(PAUSE, cafe_id, campaign_id, at)


async def resume(conn: Connection, cafe_id: UUID, campaign_id: UUID, at: datetime) -> None:
    """Lets it go on."""
    await conn.execute(RESUME, cafe_id, campaign_id, at)


async def count_recipients(
    conn: Connection, cafe_id: UUID, segments: Sequence[str] | None, purpose: Purpose, channel: Channel
) -> int:
    """Guests who could be sent this now; `segments` None is everybody."""
    return int(await conn.fetchval(COUNT_RECIPIENTS, cafe_id, segments, purpose, channel))

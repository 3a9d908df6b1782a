"""Journeys."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.campaign.journeys.models.values import SYSTEM_USER, Journey, NewJourney, StartReason
from services.campaign.texts.models.values import Trigger
from shared.database.columns import columns
from shared.database.db import Connection

INSERT_TEMPLATES = """
INSERT INTO campaign_templates (id, cafe_id, name, template_type, content, variables, category, is_system_template,
                                created_at)
SELECT id, cafe_id, name, 'sms', content, variables, category, true, $7
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::jsonb[], $6::text[])
    AS t (id, cafe_id, name, content, variables, category)
"""
INSERT_STANDING = """
INSERT INTO campaigns (id, cafe_id, name, description, campaign_type, purpose, template_content, template_variables,
                       status, created_at, updated_at, created_by, recount_at)
SELECT id, cafe_id, name, description, 'sms', purpose::message_purpose_enum, content, variables, 'sending', $8, $8, $9,
       NULL
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[])
    AS t (id, cafe_id, name, description, purpose, content, variables)
"""
INSERT_JOURNEYS = """
INSERT INTO journeys (id, cafe_id, journey_key, name, trigger, segment_key, delay_minutes, campaign_id, created_at,
                      updated_at)
SELECT id, cafe_id, journey_key, name, trigger::journey_trigger_enum, segment_key, delay, campaign_id, $9, $9
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::uuid[])
    AS t (id, cafe_id, journey_key, name, trigger, segment_key, delay, campaign_id)
"""
ACTIVE = """
SELECT id, cafe_id, trigger::text AS trigger, segment_key, delay_minutes, max_age_minutes, campaign_id, starts_on,
       reentry, reentry_days
FROM journeys WHERE cafe_id = any($1::uuid[]) AND trigger = $2::journey_trigger_enum AND is_active
"""
LIST = """
SELECT j.id, j.journey_key, j.name, j.trigger::text AS trigger, j.segment_key, j.delay_minutes, j.max_age_minutes,
       j.starts_on, j.reentry, j.reentry_days, j.is_active, j.campaign_id, c.purpose::text AS purpose,
       c.ignores_quiet_hours, c.template_content, c.template_variables,
       c.budget, c.actual_cost, c.cost_per_message, c.messages_sent, c.messages_delivered,
       c.messages_failed, c.messages_opened, c.sent_date, c.version
FROM journeys j JOIN campaigns c ON c.cafe_id = j.cafe_id AND c.id = j.campaign_id
WHERE j.cafe_id = $1 AND ($2::uuid IS NULL OR j.id = $2) ORDER BY j.journey_key
"""
UPDATE_JOURNEY = """
UPDATE journeys SET is_active = $3, delay_minutes = $4, max_age_minutes = $5, reentry = $6, reentry_days = $7,
                    updated_at = $8
WHERE cafe_id = $1 AND id = $2
"""
START_ON = "UPDATE journeys SET starts_on = $3, updated_at = $4 WHERE cafe_id = $1 AND id = $2"


async def insert_journeys(conn: Connection, new: Sequence[NewJourney], at: datetime) -> None:
    """Adds journeys, each with its template and its standing campaign."""
    cafes, names = columns(new, "cafe_id", "name")
    contents, fallbacks = columns(new, "content", "fallbacks")
    await conn.execute(
        INSERT_TEMPLATES, [n.template_id for n in new], cafes, names, contents, fallbacks,
        [n.category for n in new], at,
    )  # fmt: skip
    await conn.execute(
        INSERT_STANDING, [n.campaign_id for n in new], cafes, names,
        *columns(new, "journey_key", "purpose"), contents, fallbacks, at, SYSTEM_USER,
    )  # fmt: skip
    await conn.execute(
        INSERT_JOURNEYS, [n.id for n in new], cafes, [n.journey_key for n in new], names,
        *columns(new, "trigger", "segment_key", "delay_minutes", "campaign_id"), at,
    )  # fmt: skip


async def active_journeys(conn: Connection, cafe_ids: Sequence[UUID], trigger: Trigger) -> dict[UUID, list[Journey]]:
    """Running journeys of these cafes on that trigger, by cafe."""
    found: dict[UUID, list[Journey]] = {}
    for row in await conn.fetch(ACTIVE, cafe_ids, trigger):
        found.setdefault(row["cafe_id"], []).append(Journey(**row))
    return found


async def list_journeys(conn: Connection, cafe_id: UUID, journey_id: UUID | None = None) -> list[dict[str, Any]]:
    """The cafe's journeys, or the one, with their texts and what they have sent."""
    return [dict(row) for row in await conn.fetch(LIST, cafe_id, journey_id)]


async def update_journey(conn: Connection, cafe_id: UUID, journey: Mapping[str, Any], at: datetime) -> None:
    """Writes everything about the journey that may change by itself."""
    names = ("id", "is_active", "delay_minutes", "max_age_minutes", "reentry", "reentry_days")
    await conn.execute(UPDATE_JOURNEY, cafe_id, *(journey[name] for name in names), at)


async def start_on(
    conn: Connection, cafe_id: UUID, journey_id: UUID, reasons: Sequence[StartReason], at: datetime
) -> None:
    """The journey begins for these reasons from now on."""
    await conn.execute(START_ON, cafe_id, journey_id, reasons, at)

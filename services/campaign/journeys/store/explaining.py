"""A guest's ways through journeys, and the journeys that did not begin."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.campaign.journeys.models.explaining import KnownJourney, RunRow, StayRow
from services.campaign.journeys.models.values import Journey
from services.campaign.messages.store.deliveries import DECISIONS_OF
from shared.database.db import Connection

JOURNEYS = """
SELECT id, cafe_id, trigger::text AS trigger, segment_key, delay_minutes, max_age_minutes, campaign_id, starts_on,
       reentry, reentry_days, journey_key, is_active, created_at
FROM journeys WHERE cafe_id = $1 ORDER BY journey_key
"""
RUN = "r.journey_id, r.trigger_id, r.occurred_at, r.due_at, r.state::text, r.reason, r.created_at"
RUNS = f"""
SELECT {RUN} FROM journey_runs r
WHERE r.cafe_id = $1 AND r.customer_id = $2 AND r.occurred_at >= $3 AND r.occurred_at < $4
ORDER BY r.occurred_at DESC, r.journey_id, r.trigger_id LIMIT $5
"""  # noqa: S608
# What else followed from the same bill has its trace id.
RUNS_OF_VISIT = f"""
SELECT {RUN} FROM journey_runs r
WHERE r.cafe_id = $1 AND r.customer_id = $2 AND (r.trigger_id = $3 OR r.correlation_id IN (
    SELECT f.correlation_id FROM journey_runs f
    WHERE f.cafe_id = $1 AND f.customer_id = $2 AND f.trigger_id = $3
))
ORDER BY r.occurred_at DESC, r.journey_id, r.trigger_id LIMIT $4
"""  # noqa: S608
STAYS = """
SELECT j.id, m.segment_id, m.changed_at, coalesce(m.reason, 'unknown'), e.last_at
FROM journeys j
JOIN segment_members m ON m.cafe_id = j.cafe_id AND m.segment_key = j.segment_key AND m.customer_id = $2
LEFT JOIN journey_entries e ON e.cafe_id = j.cafe_id AND e.journey_id = j.id AND e.customer_id = $2
WHERE j.cafe_id = $1 AND m.is_member AND m.changed_at >= $3 AND m.changed_at < $4
ORDER BY m.changed_at DESC, j.journey_key
"""
MESSAGE = """
       d.id, d.campaign_id, c.name AS campaign, c.purpose::text AS purpose, d.trigger_id, d.visit_id,
       d.delivery_status::text AS delivery_status, d.delivery_attempts, d.queued_at, d.due_at, d.sent_at,
       d.delivered_at, d.opened_at, d.error_code, d.message_cost, d.currency_unit, d.parts, d.is_test
FROM campaign_deliveries d JOIN campaigns c ON c.cafe_id = d.cafe_id AND c.id = d.campaign_id
WHERE d.cafe_id = $1 AND d.customer_id = $2 AND
"""
MESSAGES = f"SELECT {MESSAGE} d.queued_at >= $3 AND d.queued_at < $4 ORDER BY d.queued_at DESC, d.id LIMIT $5"
MESSAGES_OF = f"SELECT {MESSAGE} (d.visit_id = $3 OR d.trigger_id = ANY($4::uuid[])) ORDER BY d.queued_at DESC LIMIT $5"


async def journeys(conn: Connection, cafe_id: UUID) -> dict[UUID, KnownJourney]:
    """All journeys of the cafe."""
    found = {}
    for row in await conn.fetch(JOURNEYS, cafe_id):
        *values, key, is_active, created_at = row.values()
        found[row["id"]] = KnownJourney(Journey(*values), key, is_active, created_at)
    return found


async def runs(
    conn: Connection, cafe_id: UUID, customer_id: UUID, since: datetime, before: datetime, limit: int
) -> list[RunRow]:
    """The guest's ways through journeys, the newest first."""
    return [RunRow(*row) for row in await conn.fetch(RUNS, cafe_id, customer_id, since, before, limit)]


async def runs_of_visit(conn: Connection, cafe_id: UUID, customer_id: UUID, visit_id: UUID, limit: int) -> list[RunRow]:
    """The ways through journeys that a visit led to."""
    return [RunRow(*row) for row in await conn.fetch(RUNS_OF_VISIT, cafe_id, customer_id, visit_id, limit)]


async def stays(conn: Connection, cafe_id: UUID, customer_id: UUID, since: datetime, before: datetime) -> list[StayRow]:
    """The segments that the guest is in and journeys are about, by when the guest entered."""
    return [StayRow(*row) for row in await conn.fetch(STAYS, cafe_id, customer_id, since, before)]


async def messages(
    conn: Connection, cafe_id: UUID, customer_id: UUID, since: datetime, before: datetime, limit: int
) -> list[dict[str, Any]]:
    """The guest's messages with their decisions, the newest first."""
    rows = await conn.fetch(MESSAGES, cafe_id, customer_id, since, before, limit)
    return await _decided(conn, cafe_id, [dict(row) for row in rows])


async def messages_of(
    conn: Connection, cafe_id: UUID, customer_id: UUID, visit_id: UUID, triggers: Sequence[UUID], limit: int
) -> list[dict[str, Any]]:
    """The messages about a visit, or about one of the triggers."""
    rows = await conn.fetch(MESSAGES_OF, cafe_id, customer_id, visit_id, triggers, limit)
    return await _decided(conn, cafe_id, [dict(row) for row in rows])


async def _decided(conn: Connection, cafe_id: UUID, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    decisions: dict[UUID, list[dict[str, Any]]] = {}
    for found in await conn.fetch(DECISIONS_OF, cafe_id, [row["id"] for row in rows]):
        decisions.setdefault(found["delivery_id"], []).append(dict(found))
    return [{**row, "decisions": decisions.get(row["id"], [])} for row in rows]

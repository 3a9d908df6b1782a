"""Journeys, and guests on their way through them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from services.campaign.models import SYSTEM_USER, Journey, Place, Purpose, Run, StartReason, Trigger, Turn
from services.campaign.store.turns import RUN_SECOND, columns_of
from shared.database.db import Connection

CAFES_WITHOUT_DEFAULTS = """
SELECT cafe_id FROM unnest($1::uuid[]) AS t (cafe_id)
WHERE NOT EXISTS (SELECT FROM messaging_settings s WHERE s.cafe_id = t.cafe_id) ORDER BY cafe_id
"""
INSERT_SETTINGS = """
INSERT INTO messaging_settings (cafe_id) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING cafe_id
"""
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
INSERT_RUNS = """
INSERT INTO journey_runs (cafe_id, journey_id, trigger_id, customer_id, occurred_at, due_at, state, reason,
                          correlation_id, causation_id, created_at)
SELECT cafe_id, journey_id, trigger_id, customer_id, occurred_at, due_at, state::run_state_enum, reason,
       correlation_id, causation_id, $11
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::timestamptz[], $7::text[],
            $8::text[], $9::uuid[], $10::uuid[])
    AS t (cafe_id, journey_id, trigger_id, customer_id, occurred_at, due_at, state, reason, correlation_id,
          causation_id)
ON CONFLICT DO NOTHING
"""
# Also those that are messages already: one that comes back from its provider is not sent by another.
CANCEL_RUNS = """
UPDATE journey_runs r SET state = 'cancelled', reason = 'visit_voided'
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, visit_id)
JOIN journeys j ON j.cafe_id = t.cafe_id AND j.trigger = 'visit.recorded'
WHERE r.cafe_id = t.cafe_id AND r.journey_id = j.id AND r.trigger_id = t.visit_id
  AND r.state IN ('waiting', 'queued')
"""
CANCEL_QUEUED = """
UPDATE campaign_deliveries d SET delivery_status = 'skipped', error_code = 'visit_voided'
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, visit_id)
JOIN journeys j ON j.cafe_id = t.cafe_id AND j.trigger = 'visit.recorded'
WHERE d.cafe_id = t.cafe_id AND d.campaign_id = j.campaign_id AND d.trigger_id = t.visit_id
  AND d.delivery_status = 'queued'
RETURNING d.cafe_id, d.campaign_id
"""
# Locked rows stay where they are, so the update finds them by their places.
TAKE_DUE = f"""
WITH due AS MATERIALIZED (
    SELECT r.ctid, r.cafe_id, j.trigger::text AS trigger, j.is_active, j.max_age_minutes, j.campaign_id,
           CASE WHEN j.segment_key IS NOT NULL THEN ARRAY[j.segment_key]::text[] END AS segments,
           j.reentry = 'every_stay' AS of_this_stay
    FROM unnest($2::uuid[], $3::int[]) AS turn (cafe_id, share)
    CROSS JOIN LATERAL (
        SELECT own.*
        FROM unnest($4::uuid[], $5::timestamptz[]) AS place (cafe_id, second)
        CROSS JOIN LATERAL (
            SELECT q.ctid, q.cafe_id, q.journey_id FROM journey_runs q
            WHERE q.state = 'waiting' AND {RUN_SECOND.format("q.")} = place.second
              AND q.cafe_id = place.cafe_id AND q.due_at <= $1
            ORDER BY q.due_at
            FOR NO KEY UPDATE OF q SKIP LOCKED
        ) AS own
        WHERE place.cafe_id = turn.cafe_id
        LIMIT turn.share
    ) AS r
    JOIN journeys j ON j.cafe_id = r.cafe_id AND j.id = r.journey_id
)
UPDATE journey_runs r
SET state = CASE WHEN due.is_active THEN 'queued' ELSE 'cancelled' END::run_state_enum,
    reason = CASE WHEN NOT due.is_active THEN 'journey_disabled' END
FROM due JOIN campaigns c ON c.cafe_id = due.cafe_id AND c.id = due.campaign_id
WHERE r.ctid = due.ctid
RETURNING r.cafe_id, r.trigger_id, r.customer_id, r.occurred_at, r.correlation_id, r.causation_id,
          due.trigger, due.is_active, due.max_age_minutes, due.segments, due.of_this_stay, c.id AS campaign_id,
          c.template_content AS template, c.template_variables AS fallbacks, c.purpose::text AS purpose,
          c.ignores_quiet_hours, c.budget, c.actual_cost + c.reserved_cost AS spent, c.reserved_cost AS reserved,
          c.status::text AS campaign_status
"""  # noqa: S608
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
# A guest whom an earlier version welcomed has a run whose trigger is the segment itself.
LAST_ENTRIES = """
SELECT t.cafe_id, t.journey_id, t.customer_id, greatest(e.last_at, r.occurred_at) AS last_at
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[]) AS t (cafe_id, journey_id, segment_id, customer_id)
LEFT JOIN journey_entries e
    ON e.cafe_id = t.cafe_id AND e.journey_id = t.journey_id AND e.customer_id = t.customer_id
LEFT JOIN journey_runs r
    ON r.cafe_id = t.cafe_id AND r.journey_id = t.journey_id AND r.trigger_id = t.segment_id
    AND r.customer_id = t.customer_id AND r.state <> 'skipped'
"""
KEEP_ENTRIES = """
INSERT INTO journey_entries AS kept (cafe_id, journey_id, customer_id, last_at)
SELECT cafe_id, journey_id, customer_id, max(at)
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[]) AS t (cafe_id, journey_id, customer_id, at)
GROUP BY cafe_id, journey_id, customer_id ORDER BY cafe_id, journey_id, customer_id
ON CONFLICT (cafe_id, journey_id, customer_id) DO UPDATE SET last_at = greatest(kept.last_at, excluded.last_at)
"""
# The segments that the guest is in and journeys are about.
STAYS_OF_GUEST = """
SELECT j.id AS journey_id, j.journey_key, m.segment_key, m.segment_id, m.changed_at AS entered_at, m.reason
FROM journeys j
JOIN segment_members m ON m.cafe_id = j.cafe_id AND m.segment_key = j.segment_key AND m.customer_id = $2
WHERE j.cafe_id = $1 AND m.is_member ORDER BY m.changed_at DESC, j.journey_key
"""
RUNS_FOR = """
SELECT r.journey_id, r.trigger_id
FROM unnest($3::uuid[], $4::uuid[]) AS t (journey_id, trigger_id)
JOIN journey_runs r
    ON r.cafe_id = $1 AND r.journey_id = t.journey_id AND r.trigger_id = t.trigger_id AND r.customer_id = $2
"""
RUNS_OF_GUEST = """
SELECT r.trigger_id, r.occurred_at, r.due_at, r.state::text AS state, r.reason, j.journey_key
FROM journey_runs r JOIN journeys j ON j.cafe_id = r.cafe_id AND j.id = r.journey_id
WHERE r.cafe_id = $1 AND r.customer_id = $2 ORDER BY r.due_at DESC, r.trigger_id LIMIT $3
"""


@dataclass(frozen=True)
class NewJourney:
    """A journey with its standing campaign and the template it starts from; ids are made by the caller."""

    id: UUID
    campaign_id: UUID
    template_id: UUID
    cafe_id: UUID
    journey_key: str
    name: str
    trigger: Trigger
    segment_key: str | None
    delay_minutes: int
    purpose: Purpose
    content: str
    fallbacks: Mapping[str, str]
    category: str


async def insert_settings(conn: Connection, cafe_ids: Sequence[UUID]) -> list[UUID]:
    """Gives cafes their messaging settings; returns those that had none."""
    missing = [row["cafe_id"] for row in await conn.fetch(CAFES_WITHOUT_DEFAULTS, cafe_ids)]
    return [row["cafe_id"] for row in await conn.fetch(INSERT_SETTINGS, missing)] if missing else []


async def insert_journeys(conn: Connection, new: Sequence[NewJourney], at: datetime) -> None:
    """Adds journeys, each with its template and its standing campaign."""
    cafes, names = [n.cafe_id for n in new], [n.name for n in new]
    contents, fallbacks = [n.content for n in new], [n.fallbacks for n in new]
    await conn.execute(
        INSERT_TEMPLATES, [n.template_id for n in new], cafes, names, contents, fallbacks,
        [n.category for n in new], at,
    )  # fmt: skip
    await conn.execute(
        INSERT_STANDING, [n.campaign_id for n in new], cafes, names, [n.journey_key for n in new],
        [n.purpose for n in new], contents, fallbacks, at, SYSTEM_USER,
    )  # fmt: skip
    await conn.execute(
        INSERT_JOURNEYS, [n.id for n in new], cafes, [n.journey_key for n in new], names, [n.trigger for n in new],
        [n.segment_key for n in new], [n.delay_minutes for n in new], [n.campaign_id for n in new], at,
    )  # fmt: skip


async def active_journeys(conn: Connection, cafe_ids: Sequence[UUID], trigger: Trigger) -> dict[UUID, list[Journey]]:
    """Running journeys of these cafes on that trigger, by cafe."""
    found: dict[UUID, list[Journey]] = {}
    for row in await conn.fetch(ACTIVE, cafe_ids, trigger):
        found.setdefault(row["cafe_id"], []).append(Journey(**row))
    return found


async def insert_runs(conn: Connection, runs: Sequence[Run], at: datetime) -> None:
    """Puts guests on their way; who is already on the same way stays where they are."""
    if not runs:
        return
    await conn.execute(
        INSERT_RUNS,
        [r.cafe_id for r in runs],
        [r.journey_id for r in runs],
        [r.trigger_id for r in runs],
        [r.customer_id for r in runs],
        [r.occurred_at for r in runs],
        [r.due_at for r in runs],
        [r.state for r in runs],
        [r.reason for r in runs],
        [r.correlation_id for r in runs],
        [r.causation_id for r in runs],
        at,
    )


async def last_entries(
    conn: Connection, wanted: Sequence[tuple[UUID, UUID, UUID, UUID]]
) -> dict[tuple[UUID, UUID, UUID], datetime]:
    """For which moment each guest was taken last, by cafe, journey and guest, of (cafe, journey, segment, guest).

    The membership's row must be locked, as whoever keeps a move does.
    """
    rows = await conn.fetch(LAST_ENTRIES, *([each[i] for each in wanted] for i in range(4)))
    return {(cafe, journey, guest): last_at for cafe, journey, guest, last_at in rows if last_at is not None}


async def keep_entries(conn: Connection, runs: Sequence[Run]) -> None:
    """Notes for which moment journeys took these guests last."""
    if runs:
        await conn.execute(
            KEEP_ENTRIES,
            [run.cafe_id for run in runs],
            [run.journey_id for run in runs],
            [run.customer_id for run in runs],
            [run.occurred_at for run in runs],
        )


async def cancel_visits(conn: Connection, visits: Sequence[tuple[UUID, UUID]]) -> list[tuple[UUID, UUID]]:
    """Takes back what was going to be said about (cafe, visit), as far as it has not been handed to a provider. Returns
    whose messages (cafe, campaign) these were, one entry for each."""
    cafes, ids = [cafe for cafe, _ in visits], [visit for _, visit in visits]
    # A run that becomes a delivery at this moment is locked: the second statement then sees the delivery.
    await conn.execute(CANCEL_RUNS, cafes, ids)
    return [(row["cafe_id"], row["campaign_id"]) for row in await conn.fetch(CANCEL_QUEUED, cafes, ids)]


async def take_due(
    conn: Connection, moment: datetime, turns: Sequence[Turn], places: Sequence[Place]
) -> list[asyncpg.Record]:
    """Runs whose time has come, each cafe's share of them, with what their campaign says: from now on queued, or
    cancelled where the journey is not active any more."""
    return await conn.fetch(TAKE_DUE, moment, *columns_of(turns, places, "run"))


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


async def stays_of_guest(conn: Connection, cafe_id: UUID, customer_id: UUID) -> list[dict[str, Any]]:
    """The segments that the guest is in and journeys are about, with why the guest entered, newest first."""
    return [dict(row) for row in await conn.fetch(STAYS_OF_GUEST, cafe_id, customer_id)]


async def find_runs(
    conn: Connection, cafe_id: UUID, customer_id: UUID, wanted: Sequence[tuple[UUID, UUID]]
) -> set[tuple[UUID, UUID]]:
    """Those of the (journey, trigger) for which the guest has a run."""
    columns = [[each[i] for each in wanted] for i in range(2)]
    return {
        (row["journey_id"], row["trigger_id"]) for row in await conn.fetch(RUNS_FOR, cafe_id, customer_id, *columns)
    }


async def runs_of_guest(conn: Connection, cafe_id: UUID, customer_id: UUID, limit: int) -> list[dict[str, Any]]:
    """The guest's ways through journeys, newest first."""
    return [dict(row) for row in await conn.fetch(RUNS_OF_GUEST, cafe_id, customer_id, limit)]

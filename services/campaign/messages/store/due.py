"""What is due, and each cafe's share of it, taken under locks.

Cafes are found by jumping through an index from one to the next: never by reading all that is due, nor all cafes.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg

from services.campaign.messages.models.values import Pending, Place, Turn
from shared.database.db import Connection

# At most so many jumps through one index, from either end. A cafe between both ends was within reach of the newer one
# before.
JUMPS: Final = 1000
RUN_SECOND: Final = "date_bin('1 second', greatest({0}due_at, {0}created_at), timestamptz '2000-01-01 00:00:00+00')"
DELIVERY_SECOND: Final = "date_bin('1 second', {0}due_at, timestamptz '2000-01-01 00:00:00+00')"
CHECK_SECOND: Final = "date_bin('1 second', {0}check_at, timestamptz '2000-01-01 00:00:00+00')"


def _jumping(name: str, table: str, second: str, waiting: str, *, newest_first: bool) -> str:
    second, order, beyond = second.format(""), "DESC" if newest_first else "ASC", "<" if newest_first else ">"
    ordered = f"ORDER BY {second} {order}, cafe_id {order} LIMIT 1"
    return f"""{name} AS (
    (
        SELECT {second} AS second, cafe_id, 1 AS jump FROM {table}
        WHERE {waiting} AND {second} <= $1 {ordered}
    )
    UNION ALL
    SELECT next.second, next.cafe_id, {name}.jump + 1
    FROM {name} CROSS JOIN LATERAL (
        SELECT {second} AS second, cafe_id FROM {table}
        WHERE {waiting} AND {second} <= $1 AND ({second}, cafe_id) {beyond} ({name}.second, {name}.cafe_id) {ordered}
    ) AS next
    WHERE {name}.jump < $2
)"""  # noqa: S608


def _due(*, newest_first: bool) -> str:
    runs = _jumping("runs", "journey_runs", RUN_SECOND, "state = 'waiting'", newest_first=newest_first)
    queued = _jumping(
        "queued", "campaign_deliveries", DELIVERY_SECOND, "delivery_status = 'queued'", newest_first=newest_first
    )
    return f"""
WITH RECURSIVE {runs}, {queued}
SELECT 'run' AS kind, second, cafe_id FROM runs UNION ALL SELECT 'delivery', second, cafe_id FROM queued
"""  # noqa: S608


def _unsettled(*, newest_first: bool) -> str:
    waiting = "check_at IS NOT NULL AND delivery_status = $3::delivery_status_enum"
    asked = _jumping("asked", "campaign_deliveries", CHECK_SECOND, waiting, newest_first=newest_first)
    return f"WITH RECURSIVE {asked} SELECT 'delivery' AS kind, second, cafe_id FROM asked"  # noqa: S608


DUE: Final = (_due(newest_first=True), _due(newest_first=False))
UNSETTLED: Final = (_unsettled(newest_first=True), _unsettled(newest_first=False))


async def due_places(conn: Connection, moment: datetime) -> list[Place]:
    """Where runs and queued messages are due, by cafe and second."""
    return await _places(conn, DUE, moment)


async def unsettled_places(conn: Connection, moment: datetime, status: str) -> list[Place]:
    """Where providers should be asked about messages in `status`, by cafe and second."""
    return await _places(conn, UNSETTLED, moment, status)


async def _places(conn: Connection, statements: Sequence[str], moment: datetime, *more: str) -> list[Place]:
    newer, older = statements
    found = {Place(**row) for row in await conn.fetch(newer, moment, JUMPS, *more)}
    if len(found) >= JUMPS:
        found |= {Place(**row) for row in await conn.fetch(older, moment, JUMPS, *more)}
    return sorted(found, key=lambda place: (place.second, place.cafe_id, place.kind))


def columns_of(turns: Sequence[Turn], places: Sequence[Place], kind: str) -> tuple[list[Any], ...]:
    """Parameters of a statement that takes by turns: cafes and shares, and where these cafes have `kind` due, the
    oldest first."""
    shares = {turn.cafe_id: turn.share for turn in turns}
    own = [place for place in places if place.kind == kind and place.cafe_id in shares]
    cafes = list(dict.fromkeys(place.cafe_id for place in own))
    return (
        cafes,
        [shares[cafe_id] for cafe_id in cafes],
        [place.cafe_id for place in own],
        [place.second for place in own],
    )


TAKE_DELIVERIES = f"""
SELECT d.id, d.cafe_id, d.campaign_id, d.customer_id, d.trigger_id, d.visit_id, d.local_id,
       d.message_content AS template,
       c.template_variables AS fallbacks, d.channel::text AS channel, c.purpose::text AS purpose,
       c.ignores_quiet_hours, c.budget,
       c.actual_cost + c.reserved_cost AS spent, c.reserved_cost AS reserved,
       CASE WHEN NOT j.is_active THEN 'cancelled' ELSE c.status::text END AS campaign_status,
       d.queued_at, d.expires_at, d.delivery_attempts AS attempts, d.provider_id, d.refused_by, d.correlation_id,
       d.causation_id, d.error_code AS held_for,
       CASE WHEN j.segment_key IS NOT NULL THEN ARRAY[j.segment_key]::text[]
            WHEN c.target_segment ? 'segments'
            THEN ARRAY(SELECT jsonb_array_elements_text(c.target_segment -> 'segments')) END AS segments,
       coalesce(j.reentry = 'every_stay', false) AS of_this_stay,
       CASE WHEN r.state = 'cancelled' THEN r.reason END AS cancelled_for, c.paused_at IS NOT NULL AS is_paused,
       CASE WHEN d.is_test THEN d.recipient_phone_sealed END AS test_phone_sealed
FROM unnest($2::uuid[], $3::int[]) AS turn (cafe_id, share)
CROSS JOIN LATERAL (
    SELECT own.*
    FROM unnest($4::uuid[], $5::timestamptz[]) AS place (cafe_id, second)
    CROSS JOIN LATERAL (
        SELECT q.* FROM campaign_deliveries q
        WHERE q.delivery_status = 'queued' AND {DELIVERY_SECOND.format("q.")} = place.second
          AND q.cafe_id = place.cafe_id AND q.due_at <= $1
        ORDER BY q.due_at
        FOR UPDATE OF q SKIP LOCKED
    ) AS own
    WHERE place.cafe_id = turn.cafe_id
    LIMIT turn.share
) AS d
JOIN campaigns c ON c.cafe_id = d.cafe_id AND c.id = d.campaign_id
LEFT JOIN journeys j ON j.cafe_id = d.cafe_id AND j.campaign_id = d.campaign_id
LEFT JOIN journey_runs r
    ON r.cafe_id = d.cafe_id AND r.journey_id = j.id AND r.trigger_id = d.trigger_id AND r.customer_id = d.customer_id
"""  # noqa: S608


async def take_deliveries(
    conn: Connection, moment: datetime, turns: Sequence[Turn], places: Sequence[Place]
) -> list[Pending]:
    """Messages whose time has come, each cafe's share of them, locked; those another process is deciding on are passed
    over."""
    return [Pending(**row) for row in await conn.fetch(TAKE_DELIVERIES, moment, *columns_of(turns, places, "delivery"))]


# Locked rows stay where they are, so the update finds them by their places.
TAKE_RUNS = f"""
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
          c.template_content AS template, c.template_variables AS fallbacks, c.campaign_type::text AS channel,
          c.purpose::text AS purpose,
          c.ignores_quiet_hours, c.budget, c.actual_cost + c.reserved_cost AS spent, c.reserved_cost AS reserved,
          c.status::text AS campaign_status
"""  # noqa: S608


async def take_runs(
    conn: Connection, moment: datetime, turns: Sequence[Turn], places: Sequence[Place]
) -> list[asyncpg.Record]:
    """Runs whose time has come, each cafe's share of them, with what their campaign says: from now on queued, or
    cancelled where the journey is not active any more."""
    return await conn.fetch(TAKE_RUNS, moment, *columns_of(turns, places, "run"))

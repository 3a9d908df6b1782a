"""Guests on their way through journeys."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.campaign.journeys.models.values import Run
from shared.database.columns import columns
from shared.database.db import Connection

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


async def insert_runs(conn: Connection, runs: Sequence[Run], at: datetime) -> None:
    """Puts guests on their way; who is already on the same way stays where they are."""
    if not runs:
        return
    await conn.execute(
        INSERT_RUNS,
        *columns(
            runs,
            "cafe_id",
            "journey_id",
            "trigger_id",
            "customer_id",
            "occurred_at",
            "due_at",
            "state",
            "reason",
            "correlation_id",
            "causation_id",
        ),
        at,
    )


async def last_entries(
    conn: Connection, wanted: Sequence[tuple[UUID, UUID, UUID, UUID]]
) -> dict[tuple[UUID, UUID, UUID], datetime]:
    """The moment for which each guest was last taken, by cafe, journey and guest. `wanted`: (cafe, journey, segment,
    guest).

    The membership's row must be locked, as whoever keeps a move does.
    """
    rows = await conn.fetch(LAST_ENTRIES, *([each[i] for each in wanted] for i in range(4)))
    return {(cafe, journey, guest): last_at for cafe, journey, guest, last_at in rows if last_at is not None}


async def keep_entries(conn: Connection, runs: Sequence[Run]) -> None:
    """Notes for which moment journeys took these guests last."""
    if runs:
        await conn.execute(
            KEEP_ENTRIES,
            *columns(runs, "cafe_id", "journey_id", "customer_id", "occurred_at"),
        )


async def cancel_visits(conn: Connection, visits: Sequence[tuple[UUID, UUID]]) -> list[tuple[UUID, UUID]]:
    """Takes back what was going to be said about (cafe, visit), unless a provider has it already. Returns (cafe,
    campaign) of each message that was taken back."""
    cafes, ids = columns(visits, 0, 1)
    # A run that becomes a delivery at this moment is locked: the second statement then sees the delivery.
    await conn.execute(CANCEL_RUNS, cafes, ids)
    return [(row["cafe_id"], row["campaign_id"]) for row in await conn.fetch(CANCEL_QUEUED, cafes, ids)]


async def stays_of_guest(conn: Connection, cafe_id: UUID, customer_id: UUID) -> list[dict[str, Any]]:
    """The segments that the guest is in and journeys are about, with why the guest entered, newest first."""
    return [dict(row) for row in await conn.fetch(STAYS_OF_GUEST, cafe_id, customer_id)]


async def find_runs(
    conn: Connection, cafe_id: UUID, customer_id: UUID, wanted: Sequence[tuple[UUID, UUID]]
) -> set[tuple[UUID, UUID]]:
    """Those of the (journey, trigger) for which the guest has a run."""
    arrays = [[each[i] for each in wanted] for i in range(2)]
    return {(row["journey_id"], row["trigger_id"]) for row in await conn.fetch(RUNS_FOR, cafe_id, customer_id, *arrays)}


async def runs_of_guest(conn: Connection, cafe_id: UUID, customer_id: UUID, limit: int) -> list[dict[str, Any]]:
    """The guest's ways through journeys, newest first."""
    return [dict(row) for row in await conn.fetch(RUNS_OF_GUEST, cafe_id, customer_id, limit)]

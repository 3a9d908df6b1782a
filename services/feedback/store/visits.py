"""The visits that guests may say something about."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.feedback.models.values import RatedVisit
from shared.database.columns import columns
from shared.database.db import Connection
from shared.events.visit import VisitCorrected, VisitRecorded, VisitVoided

# A correction or a void may come first; then the record only adds what those do not say.
RECORD_VISITS = """
INSERT INTO visits AS kept (cafe_id, visit_id, customer_id, visit_at, final_amount, currency_unit, table_number)
SELECT t.cafe_id, t.visit_id, t.customer_id, t.visit_at, t.amount, t.unit,
       CASE WHEN e.customer_id IS NULL THEN left(t.table_number, 10) END
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::numeric[], $6::text[], $7::text[])
    AS t (cafe_id, visit_id, customer_id, visit_at, amount, unit, table_number)
LEFT JOIN erased_guests e
    ON e.cafe_id = t.cafe_id AND e.customer_id = t.customer_id AND e.erased_at >= t.visit_at
ORDER BY t.cafe_id, t.visit_id
ON CONFLICT (cafe_id, visit_id) DO UPDATE
SET table_number = coalesce(excluded.table_number, kept.table_number),
    customer_id = coalesce(kept.customer_id, excluded.customer_id)
"""
# Between two corrections of one moment the visit service has chosen: the one that it publishes last stands.
CORRECT_VISITS = """
INSERT INTO visits AS kept (cafe_id, visit_id, customer_id, visit_at, final_amount, currency_unit, corrected_at)
SELECT *
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::numeric[], $6::text[], $7::timestamptz[])
    AS t (cafe_id, visit_id, customer_id, visit_at, amount, unit, corrected_at)
ORDER BY cafe_id, visit_id
ON CONFLICT (cafe_id, visit_id) DO UPDATE
SET customer_id = coalesce(excluded.customer_id, kept.customer_id), visit_at = excluded.visit_at,
    final_amount = excluded.final_amount, currency_unit = excluded.currency_unit, corrected_at = excluded.corrected_at
WHERE kept.corrected_at IS NULL OR kept.corrected_at <= excluded.corrected_at
"""
VOID_VISITS = """
INSERT INTO visits AS kept (cafe_id, visit_id, customer_id, visit_at, final_amount, currency_unit, voided_at)
SELECT *
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::numeric[], $6::text[], $7::timestamptz[])
    AS t (cafe_id, visit_id, customer_id, visit_at, amount, unit, voided_at)
ORDER BY cafe_id, visit_id
ON CONFLICT (cafe_id, visit_id) DO UPDATE SET voided_at = coalesce(kept.voided_at, excluded.voided_at)
"""
VISIT_DATE = "(v.visit_at AT TIME ZONE coalesce(c.time_zone, 'Asia/Tehran'))::date AS visit_date"
FIND_VISIT = f"""
SELECT v.visit_id, v.customer_id, v.visit_at, v.final_amount, v.currency_unit, v.table_number, {VISIT_DATE}
FROM visits v LEFT JOIN cafes c USING (cafe_id)
WHERE v.cafe_id = $1 AND v.visit_id = $2 AND v.voided_at IS NULL
"""  # noqa: S608


OF_A_VISIT = ("cafe_id", "visit_id", "customer_id", "occurred_at", "final_amount", "currency_unit")


async def record_visits(conn: Connection, events: Sequence[VisitRecorded]) -> None:
    """Keep the visits, each named once in `events`."""
    await conn.execute(RECORD_VISITS, *columns(events, *OF_A_VISIT), [event.table_number for event in events])


async def correct_visits(conn: Connection, events: Sequence[VisitCorrected]) -> None:
    """The newest state of each visit."""
    await conn.execute(CORRECT_VISITS, *columns(events, *OF_A_VISIT), [event.corrected_at for event in events])


async def void_visits(conn: Connection, events: Sequence[VisitVoided]) -> None:
    """Mark the visits as void, for good."""
    await conn.execute(VOID_VISITS, *columns(events, *OF_A_VISIT), [event.voided_at for event in events])


async def find_visit(conn: Connection, cafe_id: UUID, visit_id: UUID) -> RatedVisit | None:
    """The visit, unless it is unknown or void."""
    row = await conn.fetchrow(FIND_VISIT, cafe_id, visit_id)
    return visit_of(row) if row else None


def visit_of(row: Any) -> RatedVisit:
    """The visit in a row that has its columns."""
    return RatedVisit(
        row["visit_id"],
        row["customer_id"],
        row["visit_at"],
        row["visit_date"],
        row["final_amount"],
        row["currency_unit"],
        row["table_number"],
    )

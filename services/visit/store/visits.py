"""Visit rows after they are written: corrections, voids, what other services add, and reading them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from services.visit.models.values import BillDraft, StoredVisit, VisitKey, VisitQuery, VoidVisit
from services.visit.store.statistics import NOTE_DAYS
from shared.database.columns import columns
from shared.database.db import Connection
from shared.inputs.bounds import MOST_POINTS

# The bounds on visit_date let PostgreSQL leave out all partitions but one or two.
FETCH = """
SELECT v.cafe_id, v.id AS visit_id, v.visit_date, v.customer_id, v.branch_id, v.final_amount, v.currency_unit,
       v.forgotten_at IS NOT NULL AS is_forgotten
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (cafe_id, id, visit_date)
JOIN customer_visits v ON v.cafe_id = t.cafe_id AND v.visit_date = t.visit_date AND v.id = t.id
WHERE v.visit_date BETWEEN $4 AND $5
"""
# A refusal stays until loyalty says otherwise: loyalty does not repeat it when the same is asked for again.
CORRECT = """
UPDATE customer_visits v
SET visit_date = t.new_date, branch_id = t.branch_id, total_amount = t.total, discount_amount = t.discount,
    currency_unit = t.unit, payment_method = t.payment_method::payment_method_enum, items_ordered = t.items::jsonb,
    item_count = t.item_count, table_number = t.table_number, server_name = t.server_name,
    service_duration = t.service_duration, visit_notes = NULL, attributes = '{}', words_sealed = t.words,
    corrected_at = t.corrected_at, updated_at = now(), points_to_redeem = t.points_to_redeem
FROM unnest(
    $1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::uuid[], $6::numeric[], $7::numeric[], $8::text[],
    $9::text[], $10::text[], $11::int[], $12::text[], $13::text[], $14::int[], $15::text[], $16::timestamptz[],
    $17::int[]
) AS t (
    cafe_id, id, visit_date, new_date, branch_id, total, discount, unit, payment_method, items, item_count,
    table_number, server_name, service_duration, words, corrected_at, points_to_redeem
)
WHERE v.cafe_id = t.cafe_id AND v.visit_date = t.visit_date AND v.id = t.id AND v.visit_date BETWEEN $18 AND $19
"""
# A visit that an erasure emptied is nobody's for ever.
FETCH_NOBODYS = """
SELECT v.* FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (cafe_id, id, visit_date)
JOIN customer_visits v ON v.cafe_id = t.cafe_id AND v.visit_date = t.visit_date AND v.id = t.id
WHERE v.visit_date BETWEEN $4 AND $5 AND v.customer_id IS NULL AND v.forgotten_at IS NULL
"""
CLAIM = """
UPDATE customer_visits v SET customer_id = t.customer_id, visit_number = t.number, updated_at = now()
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $6::uuid[], $7::int[])
    AS t (cafe_id, id, visit_date, customer_id, number)
WHERE v.cafe_id = t.cafe_id AND v.visit_date = t.visit_date AND v.id = t.id AND v.visit_date BETWEEN $4 AND $5
"""
VOID = """
UPDATE customer_visits v SET voided_at = t.voided_at, void_reason = t.reason, updated_at = now()
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::text[])
    AS t (cafe_id, id, visit_date, voided_at, reason)
WHERE v.cafe_id = t.cafe_id AND v.visit_date = t.visit_date AND v.id = t.id AND v.visit_date BETWEEN $6 AND $7
"""
LOCATE = """
SELECT r.cafe_id, r.visit_id, r.visit_date
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, visit_id) JOIN visit_receipts r USING (cafe_id, visit_id)
"""
SET_POINTS = """
UPDATE customer_visits v SET points_earned = t.points, points_version = t.version, updated_at = now()
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $6::int[], $7::bigint[])
    AS t (cafe_id, id, visit_date, points, version)
WHERE v.cafe_id = t.cafe_id AND v.visit_date = t.visit_date AND v.id = t.id AND v.visit_date BETWEEN $4 AND $5
  AND (v.points_version IS NULL OR v.points_version < t.version)
RETURNING v.cafe_id, v.id
"""
ADD_REDEEMED = f"""
UPDATE customer_visits v
SET points_redeemed = greatest(-{MOST_POINTS}, least(v.points_redeemed::bigint + t.points, {MOST_POINTS})),
    redemption_refusal = CASE WHEN t.points > 0 THEN NULL ELSE v.redemption_refusal END, updated_at = now()
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $6::int[]) AS t (cafe_id, id, visit_date, points)
WHERE v.cafe_id = t.cafe_id AND v.visit_date = t.visit_date AND v.id = t.id AND v.visit_date BETWEEN $4 AND $5
RETURNING v.cafe_id, v.id
"""  # noqa: S608
SET_REFUSAL = """
UPDATE customer_visits v SET redemption_refusal = t.reason, updated_at = now()
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $6::text[]) AS t (cafe_id, id, visit_date, reason)
WHERE v.cafe_id = t.cafe_id AND v.visit_date = t.visit_date AND v.id = t.id AND v.visit_date BETWEEN $4 AND $5
RETURNING v.cafe_id, v.id
"""
SET_RATING = f"""
WITH rated AS (
    UPDATE customer_visits v
    SET feedback_rating = t.rating, feedback_has_comment = t.has_comment, feedback_at = t.received_at,
        updated_at = now(), feedback_categories = ARRAY(SELECT jsonb_array_elements_text(t.categories::jsonb))
    FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $6::int[], $7::boolean[], $8::timestamptz[], $9::text[])
        AS t (cafe_id, id, visit_date, rating, has_comment, received_at, categories)
    WHERE v.cafe_id = t.cafe_id AND v.visit_date = t.visit_date AND v.id = t.id AND v.visit_date BETWEEN $4 AND $5
      AND (v.feedback_at IS NULL OR v.feedback_at < t.received_at)
    RETURNING v.cafe_id, v.id, v.visit_date
), noted AS ({NOTE_DAYS.format(visits="rated AS t")})
SELECT cafe_id, id FROM rated
"""  # noqa: S608
WANTED = """
v.visit_date >= $2 AND (v.visit_date, v.id) < ($3, $4)
  AND ($5::uuid IS NULL OR v.customer_id = $5) AND ($6::uuid IS NULL OR v.branch_id = $6)
  AND ($7::numeric IS NULL OR in_toman(v.final_amount, v.currency_unit) >= $7)
  AND ($8::int IS NULL OR v.feedback_rating <= $8) AND ($9 OR v.voided_at IS NULL)
  AND ($11::text IS NULL OR v.device_id = $11) AND (NOT $12::boolean OR v.customer_id IS NULL)
ORDER BY v.visit_date DESC, v.id DESC LIMIT $10
"""
LIST = f"SELECT v.* FROM customer_visits v WHERE v.cafe_id = $1 AND {WANTED}"  # noqa: S608
# Receipts have no index by their number alone. A cafe has few devices, and with a device they are found by their key.
LIST_OF_RECEIPT = f"""
SELECT v.* FROM till_devices d
JOIN visit_receipts r ON r.cafe_id = d.cafe_id AND r.device_id = d.device_id AND r.receipt_number = $13::text
JOIN customer_visits v ON v.cafe_id = r.cafe_id AND v.visit_date = r.visit_date AND v.id = r.visit_id
WHERE d.cafe_id = $1 AND {WANTED}
"""  # noqa: S608
GET = """
SELECT v.* FROM visit_receipts r
JOIN customer_visits v ON v.cafe_id = r.cafe_id AND v.visit_date = r.visit_date AND v.id = r.visit_id
WHERE r.cafe_id = $1 AND r.visit_id = $2
"""

Values = Mapping[VisitKey, tuple[Any, ...]]


async def fetch(conn: Connection, visits: Mapping[VisitKey, datetime]) -> dict[VisitKey, StoredVisit]:
    """The visits at their present dates."""
    if not visits:
        return {}
    rows = await conn.fetch(FETCH, *_places(visits))
    return {(row["cafe_id"], row["visit_id"]): StoredVisit(**row) for row in rows}


async def correct(
    conn: Connection, stored: Sequence[StoredVisit], drafts: Sequence[BillDraft], words_sealed: Sequence[str | None]
) -> None:
    """Overwrites each stored visit by its draft; the rating and the points stay."""
    bodies = [draft.command.body for draft in drafts]
    dates = [visit.visit_date for visit in stored]
    await conn.execute(
        CORRECT,
        *columns(stored, "cafe_id", "visit_id"),
        dates,
        [body.occurred_at for body in bodies],
        [draft.branch_id for draft in drafts],
        *columns(bodies, "total", "discount", "currency_unit", "payment_method"),
        [_json(draft.lines) for draft in drafts],
        [draft.item_count for draft in drafts],
        *columns(bodies, "table_number", "server_name", "service_duration"),
        words_sealed,
        [draft.corrected_at for draft in drafts],
        [body.points_to_redeem for body in bodies],
        min(dates),
        max(dates),
    )


async def fetch_nobodys(conn: Connection, visits: Mapping[VisitKey, datetime]) -> dict[VisitKey, dict[str, Any]]:
    """Those of the visits that may become a guest's, with all their columns."""
    rows = await conn.fetch(FETCH_NOBODYS, *_places(visits))
    return {(row["cafe_id"], row["id"]): dict(row) for row in rows}


async def claim(
    conn: Connection, visits: Mapping[VisitKey, datetime], claims: Mapping[VisitKey, tuple[UUID, int]]
) -> None:
    """Gives each visit its guest and the number that it has among the guest's."""
    given = [claims[key] for key in visits]
    await conn.execute(CLAIM, *_places(visits), *columns(given, 0, 1))


async def void(conn: Connection, stored: Sequence[StoredVisit], voids: Sequence[VoidVisit]) -> None:
    """Marks each stored visit as void."""
    dates = [visit.visit_date for visit in stored]
    await conn.execute(
        VOID,
        *columns(stored, "cafe_id", "visit_id"),
        dates,
        *columns(voids, "voided_at", "reason"),
        min(dates),
        max(dates),
    )


async def set_points(conn: Connection, dates: Mapping[VisitKey, datetime | None], points: Values) -> None:
    """Sets what each visit earned: (points, version); a lower version than the kept one changes nothing."""
    await _apply(conn, SET_POINTS, dates, points)


async def add_redeemed(conn: Connection, dates: Mapping[VisitKey, datetime | None], points: Values) -> None:
    """Adds to what was redeemed at each visit: (points,), negative when a redemption was reversed."""
    await _apply(conn, ADD_REDEEMED, dates, points)


async def set_refusal(conn: Connection, dates: Mapping[VisitKey, datetime | None], reasons: Values) -> None:
    """Sets why the points that a visit asks for were refused: (reason,)."""
    await _apply(conn, SET_REFUSAL, dates, reasons)


async def set_rating(conn: Connection, dates: Mapping[VisitKey, datetime | None], ratings: Values) -> None:
    """Sets the rating of each visit: (rating, has a comment, received at, categories); the latest stays."""
    await _apply(
        conn, SET_RATING, dates, {key: (*rest, _json(categories)) for key, (*rest, categories) in ratings.items()}
    )


async def _apply(conn: Connection, statement: str, dates: Mapping[VisitKey, datetime | None], values: Values) -> None:
    """Updates the visits at the date that the event names, and those not found there at the date they were moved to."""
    named = {key: date for key, date in dates.items() if date is not None}
    missed = set(dates) - await _update(conn, statement, named, values)
    if missed:
        await _update(conn, statement, await _locate(conn, missed), values)


async def _update(
    conn: Connection, statement: str, dates: Mapping[VisitKey, datetime], values: Values
) -> set[VisitKey]:
    if not dates:
        return set()
    ordered = {key: dates[key] for key in sorted(dates, key=lambda key: (key[0], dates[key], key[1]))}
    arrays = zip(*(values[key] for key in ordered), strict=True)
    rows = await conn.fetch(statement, *_places(ordered), *(list(column) for column in arrays))
    return {(row["cafe_id"], row["id"]) for row in rows}


async def _locate(conn: Connection, visits: set[VisitKey]) -> dict[VisitKey, datetime]:
    rows = await conn.fetch(LOCATE, *columns(visits, 0, 1))
    return {(row["cafe_id"], row["visit_id"]): row["visit_date"] for row in rows}


async def list_visits(conn: Connection, cafe_id: UUID, wanted: VisitQuery) -> list[dict[str, Any]]:
    """Visits since a moment and before a place in the list, newest first."""
    values = [
        cafe_id, wanted.since, *wanted.before, wanted.customer_id, wanted.branch_id, wanted.least_amount,
        wanted.highest_rating, wanted.with_voided, wanted.limit, wanted.device_id, wanted.unknown_guest,
    ]  # fmt: skip
    if wanted.receipt_number is None:
        rows = await conn.fetch(LIST, *values)
    else:
        rows = await conn.fetch(LIST_OF_RECEIPT, *values, wanted.receipt_number)
    return [dict(row) for row in rows]


async def get_visit(conn: Connection, cafe_id: UUID, visit_id: UUID) -> dict[str, Any] | None:
    """One visit with all its columns."""
    row = await conn.fetchrow(GET, cafe_id, visit_id)
    return dict(row) if row else None


def _places(
    visits: Mapping[VisitKey, datetime],
) -> tuple[list[UUID], list[UUID], list[datetime], datetime, datetime]:
    dates = list(visits.values())
    return [cafe_id for cafe_id, _ in visits], [visit_id for _, visit_id in visits], dates, min(dates), max(dates)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()

"""The visits that earned, which a guest can be counted from anew."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from services.loyalty.models.accounts import Counted, Earning, GuestKey, Posting, Visit
from shared.database.columns import columns
from shared.database.db import Connection

COLUMNS = """
    e.cafe_id, e.customer_id, e.visit_id, e.state, e.occurred_at, e.device_id, e.receipt_number, e.final_amount,
    e.currency_unit, e.corrected_at, e.points_to_redeem, e.redemption_id, e.voided_at,
    e.points, (e.multiplier * 100)::integer AS multiplier, e.program_version, e.facts, e.parts
"""
FIND = f"""
SELECT {COLUMNS}
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS t (cafe_id, customer_id, visit_id)
JOIN visit_earnings AS e
ON e.cafe_id = t.cafe_id AND e.customer_id = t.customer_id AND e.visit_id = t.visit_id
"""  # noqa: S608
LOAD_HISTORIES = f"""
SELECT {COLUMNS}
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id)
JOIN visit_earnings AS e ON e.cafe_id = t.cafe_id AND e.customer_id = t.customer_id
"""  # noqa: S608
SAVE = """
INSERT INTO visit_earnings (cafe_id, customer_id, visit_id, state, occurred_at, device_id, receipt_number,
                            final_amount, currency_unit, corrected_at, points, multiplier, program_version,
                            points_to_redeem, redemption_id, voided_at, facts, parts)
SELECT cafe_id, customer_id, visit_id, state, occurred_at, device_id, receipt_number, final_amount, currency_unit,
       corrected_at, points, multiplier * 0.01, program_version, points_to_redeem, redemption_id, voided_at,
       facts, parts
FROM unnest(
    $1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::text[], $7::text[], $8::numeric[],
    $9::text[], $10::timestamptz[], $11::bigint[], $12::integer[], $13::integer[], $14::bigint[], $15::uuid[],
    $16::timestamptz[], $17::bytea[], $18::jsonb[]
) AS t (cafe_id, customer_id, visit_id, state, occurred_at, device_id, receipt_number, final_amount, currency_unit,
        corrected_at, points, multiplier, program_version, points_to_redeem, redemption_id, voided_at, facts, parts)
ON CONFLICT (cafe_id, customer_id, visit_id) DO UPDATE
SET state = excluded.state, occurred_at = excluded.occurred_at, device_id = excluded.device_id,
    receipt_number = excluded.receipt_number, final_amount = excluded.final_amount,
    currency_unit = excluded.currency_unit, corrected_at = excluded.corrected_at, points = excluded.points,
    multiplier = excluded.multiplier, program_version = excluded.program_version,
    points_to_redeem = excluded.points_to_redeem, redemption_id = excluded.redemption_id,
    voided_at = excluded.voided_at, facts = excluded.facts, parts = excluded.parts
"""
HAS_ANY = "SELECT EXISTS (SELECT FROM visit_earnings WHERE cafe_id = $1)"

History = dict[UUID, Counted]


async def find(conn: Connection, keys: Sequence[tuple[UUID, UUID, UUID]]) -> dict[GuestKey, History]:
    """Those of the visits (cafe_id, customer_id, visit_id) that we have heard of."""
    histories: dict[GuestKey, History] = {}
    for row in await conn.fetch(FIND, *zip(*keys, strict=True)):
        histories.setdefault((row["cafe_id"], row["customer_id"]), {})[row["visit_id"]] = counted_of(row)
    return histories


async def load_histories(conn: Connection, guests: Sequence[GuestKey]) -> dict[GuestKey, History]:
    """All visits of each of `guests`, by visit id."""
    histories: dict[GuestKey, History] = {guest: {} for guest in guests}
    rows = await conn.fetch(LOAD_HISTORIES, *columns(guests, 0, 1))
    for row in rows:
        histories[row["cafe_id"], row["customer_id"]][row["visit_id"]] = counted_of(row)
    return histories


async def save(conn: Connection, outcomes: Sequence[Posting]) -> None:
    """Writes what the visits are and earn now, apart from purchases."""
    rows = [
        _row(outcome.after.guest, counted)
        for outcome in outcomes
        for counted in outcome.counted
        if not (outcome.only_purchases and counted.points)
    ]
    if rows:
        await conn.execute(SAVE, *zip(*rows, strict=True))


async def has_any(conn: Connection, cafe_id: UUID) -> bool:
    """Whether the cafe's guests have earned or visited at all."""
    return bool(await conn.fetchval(HAS_ANY, cafe_id))


def counted_of(row: asyncpg.Record) -> Counted:
    """The visit of a row of these columns."""
    # By their places: by their names takes three times as long, and a guest is counted from all of them.
    (
        _, _, visit_id, state, occurred_at, device_id, receipt_number, final_amount, currency_unit, corrected_at,
        points_to_redeem, redemption_id, voided_at, points, multiplier, program_version, facts, parts,
    ) = row  # fmt: skip
    visit = Visit(
        visit_id, state, occurred_at, device_id, receipt_number, final_amount, currency_unit, corrected_at,
        points_to_redeem, redemption_id, voided_at, facts,
    )  # fmt: skip
    return Counted(visit, None if state == "voided" else Earning(points, multiplier, program_version, parts))


def _row(guest: GuestKey, counted: Counted) -> tuple[Any, ...]:
    visit, earning = counted.visit, counted.earning
    return (
        *guest, visit.visit_id, visit.state, visit.occurred_at, visit.device_id, visit.receipt_number,
        visit.final_amount, visit.currency_unit, visit.corrected_at, counted.points,
        earning.multiplier if earning else None, earning.program_version if earning else None,
        visit.points_to_redeem, visit.redemption_id, visit.voided_at, visit.facts, earning.parts if earning else None,
    )  # fmt: skip

"""The ledger, which only grows, and the lots of points behind each balance."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.loyalty.models.accounts import Fact, GuestKey, LedgerEntry, Lot, Posting
from shared.database.columns import columns
from shared.database.db import Connection

APPEND = """
INSERT INTO loyalty_transactions (
    cafe_id, customer_id, account_version, balance_after, id, transaction_type, points_change, occurred_at, description,
    notes, visit_id, redemption_id, campaign_id, order_reference, related_amount, currency_unit, created_by
)
SELECT cafe_id, customer_id, account_version, balance_after, id, transaction_type::loyalty_transaction_enum,
       points_change, occurred_at, description, notes, visit_id, redemption_id, campaign_id, order_reference,
       related_amount, currency_unit, created_by
FROM unnest(
    $1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::uuid[], $6::text[], $7::bigint[], $8::timestamptz[],
    $9::text[], $10::text[], $11::uuid[], $12::uuid[], $13::uuid[], $14::text[], $15::numeric[], $16::text[],
    $17::uuid[]
) AS t (
    cafe_id, customer_id, account_version, balance_after, id, transaction_type, points_change, occurred_at, description,
    notes, visit_id, redemption_id, campaign_id, order_reference, related_amount, currency_unit, created_by
)
"""
ADD_PURCHASES = """
WITH t AS (
    SELECT * FROM unnest(
        $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::timestamptz[], $7::text[], $8::text[], $9::bigint[],
        $10::text[], $11::timestamptz[], $12::bigint[], $13::integer[], $14::integer[], $15::timestamptz[],
        $16::uuid[], $17::bigint[], $18::bigint[], $19::bytea[], $20::jsonb[]
    ) AS t (cafe_id, customer_id, visit_id, state, occurred_at, device_id, receipt_number, hundredths, currency_unit,
            corrected_at, points, multiplier, program_version, expires_at, entry_id, account_version, balance_after,
            facts, parts)
), of_visits AS (
    INSERT INTO visit_earnings (cafe_id, customer_id, visit_id, state, occurred_at, device_id, receipt_number,
                                final_amount, currency_unit, corrected_at, points, multiplier, program_version,
                                points_to_redeem, facts, parts)
    SELECT cafe_id, customer_id, visit_id, state, occurred_at, device_id, receipt_number, hundredths * 0.01,
           currency_unit, corrected_at, points, multiplier * 0.01, program_version, 0, facts, parts
    FROM t
), of_lots AS (
    INSERT INTO point_lots (cafe_id, customer_id, lot_id, points, remaining, earned_at, expires_at)
    SELECT cafe_id, customer_id, visit_id, points, points, occurred_at, expires_at FROM t
)
INSERT INTO loyalty_transactions (cafe_id, customer_id, account_version, balance_after, id, transaction_type,
                                  points_change, occurred_at, description, notes, visit_id, order_reference,
                                  related_amount, currency_unit)
SELECT cafe_id, customer_id, account_version, balance_after, entry_id, 'earned_purchase', points, occurred_at, $1,
       'v' || program_version || ' x' || trim_scale(multiplier * 0.01), visit_id, receipt_number, hundredths * 0.01,
       currency_unit
FROM t
"""
LOAD_LOTS = """
SELECT l.cafe_id, l.customer_id, l.lot_id, l.points, l.remaining, l.earned_at, l.expires_at, l.available_at
FROM unnest($1::uuid[], $2::uuid[], $4::boolean[]) AS t (cafe_id, customer_id, with_spent)
JOIN point_lots AS l ON l.cafe_id = t.cafe_id AND l.customer_id = t.customer_id
WHERE l.remaining <> 0 OR l.lot_id = ANY($3::uuid[]) OR (t.with_spent AND l.remaining < l.points)
"""
SAVE_LOTS = """
INSERT INTO point_lots AS l (cafe_id, customer_id, lot_id, points, remaining, earned_at, expires_at, available_at,
                             activates_at)
SELECT t.*, t.available_at FROM unnest(
    $1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::timestamptz[], $7::timestamptz[],
    $8::timestamptz[]
) AS t (cafe_id, customer_id, lot_id, points, remaining, earned_at, expires_at, available_at)
ON CONFLICT (cafe_id, customer_id, lot_id) DO UPDATE
SET points = excluded.points, remaining = excluded.remaining, earned_at = excluded.earned_at,
    expires_at = excluded.expires_at, available_at = excluded.available_at,
    -- What somebody was told is not told again.
    activates_at = CASE WHEN l.available_at IS NULL OR l.activates_at IS NOT NULL THEN excluded.available_at END
"""
FORGET = "SELECT forget_references($1, $2)"
FACTS = """
SELECT l.cafe_id, l.customer_id, coalesce(least(g.available_at, g.taken_back_at), l.occurred_at) AS occurred_at,
       l.points_change
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id)
JOIN loyalty_transactions AS l ON l.cafe_id = t.cafe_id AND l.customer_id = t.customer_id
LEFT JOIN grants AS g ON g.cafe_id = l.cafe_id AND g.grant_id = l.id AND g.available_at IS NOT NULL
WHERE l.visit_id IS NULL AND l.redemption_id IS NULL
"""
LAPSED = """
SELECT cafe_id, customer_id FROM point_lots
WHERE remaining > 0 AND expires_at <= $1 AND cafe_id <> ALL($2::uuid[]) ORDER BY expires_at LIMIT $3
"""
PAGE = """
SELECT id, account_version, transaction_type::text AS type, points_change, balance_after, visit_id, redemption_id,
       campaign_id, order_reference, description, notes, related_amount, currency_unit, occurred_at, created_at,
       created_by
FROM loyalty_transactions
WHERE cafe_id = $1 AND customer_id = $2 AND account_version < $3
ORDER BY account_version DESC LIMIT $4
"""
# Versions never reach it.
BEFORE_ALL = 2**62


async def forget(conn: Connection, guests: Sequence[GuestKey]) -> None:
    """Empties what somebody typed as a reference of erased guests' entries. All else in the ledger stays as it is."""
    await conn.execute(FORGET, *columns(guests, 0, 1))


async def add_purchases(conn: Connection, outcomes: Sequence[Posting], description: str) -> None:
    """Adds the new visits of guests to whom nothing else happened, each with its entry and its lot, at once: three
    statements would send the same columns three times, and sending costs more than writing."""
    rows = [row for outcome in outcomes if outcome.only_purchases for row in _purchases(outcome)]
    if rows:
        await conn.execute(ADD_PURCHASES, description, *zip(*rows, strict=True))


async def append(conn: Connection, outcomes: Sequence[Posting]) -> None:
    """Adds the entries, apart from purchases."""
    rows = [
        _row(outcome.after.guest, entry)
        for outcome in outcomes
        if not outcome.only_purchases
        for entry in outcome.entries
    ]
    if rows:
        await conn.execute(APPEND, *zip(*rows, strict=True))


async def load_lots(
    conn: Connection, guests: Sequence[GuestKey], also: Sequence[UUID], given_back: Collection[GuestKey] = ()
) -> dict[GuestKey, dict[UUID, Lot]]:
    """The lots of each of `guests` that hold something, or a debt, and those with an id among `also`; of whom something
    is `given_back` also those that were spent from."""
    lots: dict[GuestKey, dict[UUID, Lot]] = {guest: {} for guest in guests}
    cafes, customers = columns(guests, 0, 1)
    for row in await conn.fetch(LOAD_LOTS, cafes, customers, also, [guest in given_back for guest in guests]):
        cafe_id, customer_id, *values = row
        lots[cafe_id, customer_id][row["lot_id"]] = Lot(*values)
    return lots


async def load_facts(conn: Connection, guests: Sequence[GuestKey]) -> dict[GuestKey, list[Fact]]:
    """What was given to each guest and taken by hand, and what lapsed."""
    facts: dict[GuestKey, list[Fact]] = {guest: [] for guest in guests}
    for row in await conn.fetch(FACTS, *columns(guests, 0, 1)):
        facts[row["cafe_id"], row["customer_id"]].append(Fact(row["occurred_at"], row["points_change"]))
    return facts


async def save_lots(conn: Connection, outcomes: Sequence[Posting]) -> None:
    """Writes the lots that changed, apart from those of purchases."""
    rows = [
        (*outcome.after.guest, lot.lot_id, lot.points, lot.remaining, lot.earned_at, lot.expires_at, lot.available_at)
        for outcome in outcomes
        if not outcome.only_purchases
        for lot in outcome.lots
    ]
    if rows:
        await conn.execute(SAVE_LOTS, *zip(*rows, strict=True))


async def list_with_lapsed_lots(
    conn: Connection, moment: datetime, aside: Sequence[UUID], limit: int
) -> list[GuestKey]:
    """Guests who hold points whose time is over, but for those of the cafes `aside`."""
    return sorted({(row["cafe_id"], row["customer_id"]) for row in await conn.fetch(LAPSED, moment, aside, limit)})


async def page(
    conn: Connection, cafe_id: UUID, customer_id: UUID, before: int | None, limit: int
) -> list[Mapping[str, Any]]:
    """A guest's rows, the newest first, from the one before version `before` on."""
    rows = await conn.fetch(PAGE, cafe_id, customer_id, before or BEFORE_ALL, limit)
    return [dict(row) for row in rows]


def _purchases(outcome: Posting) -> Iterator[tuple[Any, ...]]:
    with_points = (counted for counted in outcome.counted if counted.points)
    for counted, entry, lot in zip(with_points, outcome.entries, outcome.lots, strict=True):
        visit, earning = counted.visit, counted.earning
        assert earning is not None
        yield (
            *outcome.after.guest, visit.visit_id, visit.state, visit.occurred_at, visit.device_id,
            visit.receipt_number, int(visit.final_amount * 100), visit.currency_unit, visit.corrected_at,
            earning.points, earning.multiplier, earning.program_version, lot.expires_at, entry.draft.entry_id,
            entry.account_version, entry.balance_after, visit.facts, earning.parts,
        )  # fmt: skip


def _row(guest: GuestKey, entry: LedgerEntry) -> tuple[Any, ...]:
    draft = entry.draft
    return (
        *guest, entry.account_version, entry.balance_after, draft.entry_id, draft.type, draft.change,
        draft.occurred_at, draft.description, draft.notes, draft.visit_id, draft.redemption_id, draft.campaign_id,
        draft.order_reference, draft.related_amount, draft.currency_unit, draft.created_by,
    )  # fmt: skip

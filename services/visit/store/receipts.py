"""Receipts: what is known of a bill before it is taken in, and the bill's way into the tables."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.visit.models.values import (
    BillDraft,
    CommandFacts,
    KnownGuest,
    KnownReceipt,
    NewVisit,
    Receipt,
    ReceiptKey,
    VoidVisit,
)
from services.visit.store.guests import answer_in
from shared.database.columns import columns
from shared.database.db import Connection

# The same expressions as in the index visit_receipts_old_spellings (sql/visit/0113).
_DIGITS = "'۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩０１２３４５６７８９', '012345678901234567890123456789'"
IS_OLD_SPELLING = "r.device_id || r.receipt_number ~ '[۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩０１２３４５６７８９]'"
OLD_DEVICE = f"translate(r.device_id, {_DIGITS})"
FIND_OLD_SPELLINGS = f"""
SELECT t.place, r.device_id, r.receipt_number
FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY AS t (cafe_id, device_id, receipt_number, place)
JOIN visit_receipts AS r
ON r.cafe_id = t.cafe_id AND {OLD_DEVICE} = t.device_id
    AND translate(r.receipt_number, {_DIGITS}) = t.receipt_number AND {IS_OLD_SPELLING}
WHERE NOT EXISTS (
    SELECT FROM visit_receipts AS e
    WHERE e.cafe_id = t.cafe_id AND e.device_id = t.device_id AND e.receipt_number = t.receipt_number
)
ORDER BY r.device_id, r.receipt_number
"""  # noqa: S608
FIND = """
SELECT r.cafe_id IS NOT NULL AS is_known, r.visit_id, r.visit_date, r.customer_id, r.visit_number, r.fingerprint,
       r.corrected_at, r.corrected_fingerprint, r.voided_at, r.void_reason, r.claimed_at, r.dated_ahead,
       g.customer_id AS guest_id, g.name_known, c.granted, c.source, c.changed_at, e.erased_at,
       t.event_id IS NOT NULL AND r.visit_id IS NULL AND EXISTS (
           SELECT FROM visit_receipts e
           WHERE e.cafe_id = t.cafe_id AND e.event_id = t.event_id
             AND (e.device_id, e.receipt_number) <> (t.device_id, t.receipt_number)
       ) AS event_reused
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::bytea[], $6::uuid[]) WITH ORDINALITY
    AS t (cafe_id, device_id, receipt_number, event_id, phone_hash, own_id, place)
LEFT JOIN visit_receipts r
    ON r.cafe_id = t.cafe_id AND r.device_id = t.device_id AND r.receipt_number = t.receipt_number
LEFT JOIN guests g ON g.cafe_id = t.cafe_id AND g.phone_hash = t.phone_hash
LEFT JOIN guest_consents c ON c.cafe_id = g.cafe_id AND c.customer_id = g.customer_id
LEFT JOIN erased_guests e
    ON e.cafe_id = t.cafe_id AND e.customer_id = coalesce(g.customer_id, t.own_id, r.customer_id)
ORDER BY t.place
"""
# A row that is there already is a void that came before its record; its reason moves to the visit.
INSERT = """
WITH t AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::int[], $6::uuid[], $7::text[], $8::text[],
        $9::numeric[], $10::numeric[], $11::text[], $12::text[], $13::text[], $14::int[], $15::text[], $16::text[],
        $17::int[], $18::uuid[], $19::text[], $20::timestamptz[], $21::timestamptz[], $22::timestamptz[], $23::text[],
        $24::uuid[], $25::bytea[], $26::bytea[], $27::int[]
    ) AS t (
        id, cafe_id, customer_id, visit_date, visit_number, branch_id, device_id, receipt_number,
        total_amount, discount_amount, currency_unit, payment_method, items, item_count, table_number, server_name,
        service_duration, created_by, words_sealed, forgotten_at, corrected_at, voided_at, void_reason,
        event_id, fingerprint, corrected_fingerprint, points_to_redeem
    )
), receipts AS (
    INSERT INTO visit_receipts AS kept (cafe_id, device_id, receipt_number, event_id, fingerprint, visit_id, visit_date,
                                        customer_id, visit_number, corrected_at, corrected_fingerprint)
    SELECT cafe_id, device_id, receipt_number, event_id, fingerprint, id, visit_date, customer_id, visit_number,
           corrected_at, corrected_fingerprint
    FROM t
    ON CONFLICT (cafe_id, device_id, receipt_number) DO UPDATE
    SET event_id = excluded.event_id, fingerprint = excluded.fingerprint, visit_id = excluded.visit_id,
        visit_date = excluded.visit_date, customer_id = excluded.customer_id, visit_number = excluded.visit_number,
        corrected_at = excluded.corrected_at, corrected_fingerprint = excluded.corrected_fingerprint,
        void_reason = NULL
    WHERE kept.visit_id IS NULL
)
INSERT INTO customer_visits (
    id, cafe_id, customer_id, visit_date, visit_number, branch_id, device_id, receipt_number, total_amount,
    discount_amount, currency_unit, payment_method, items_ordered, item_count, table_number, server_name,
    service_duration, created_by, words_sealed, forgotten_at, corrected_at, voided_at, void_reason,
    points_to_redeem
)
SELECT id, cafe_id, customer_id, visit_date, visit_number, branch_id, device_id, receipt_number, total_amount,
       discount_amount, currency_unit, payment_method::payment_method_enum, items::jsonb, item_count, table_number,
       server_name, service_duration, created_by, words_sealed, forgotten_at, corrected_at, voided_at, void_reason,
       points_to_redeem
FROM t
"""
# A record of nobody whose correction came first and named a guest: that correction was a claim.
NOTE_RECORDS = """
UPDATE visit_receipts r
SET fingerprint = t.fingerprint, event_id = coalesce(t.event_id, r.event_id),
    claimed_at = CASE WHEN t.is_nobodys AND r.customer_id IS NOT NULL THEN coalesce(r.claimed_at, r.corrected_at)
                 ELSE r.claimed_at END
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::bytea[], $6::boolean[])
    AS t (cafe_id, device_id, receipt_number, event_id, fingerprint, is_nobodys)
WHERE r.cafe_id = t.cafe_id AND r.device_id = t.device_id AND r.receipt_number = t.receipt_number
"""
NOTE_CLAIMS = """
UPDATE visit_receipts r SET customer_id = t.customer_id, visit_number = t.number, claimed_at = t.claimed_at
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::int[], $6::timestamptz[])
    AS t (cafe_id, device_id, receipt_number, customer_id, number, claimed_at)
WHERE r.cafe_id = t.cafe_id AND r.device_id = t.device_id AND r.receipt_number = t.receipt_number
"""
NOTE_CORRECTIONS = """
UPDATE visit_receipts r
SET visit_date = t.visit_date, corrected_at = t.corrected_at, corrected_fingerprint = t.fingerprint
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bytea[])
    AS t (cafe_id, device_id, receipt_number, visit_date, corrected_at, fingerprint)
WHERE r.cafe_id = t.cafe_id AND r.device_id = t.device_id AND r.receipt_number = t.receipt_number
"""
# At most 50 corrections of one receipt are remembered: a till whose clock is ahead does not correct a bill more often.
NOTE_AHEAD = """
UPDATE visit_receipts r SET dated_ahead = t.heard || r.dated_ahead
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[]) AS t (cafe_id, device_id, receipt_number, heard)
WHERE r.cafe_id = t.cafe_id AND r.device_id = t.device_id AND r.receipt_number = t.receipt_number
  AND (SELECT count(*) FROM jsonb_object_keys(r.dated_ahead)) < 50
"""
# The reason waits here for a visit that is not there yet.
NOTE_VOIDS = """
INSERT INTO visit_receipts AS kept (cafe_id, device_id, receipt_number, voided_at, void_reason)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::text[])
ON CONFLICT (cafe_id, device_id, receipt_number) DO UPDATE
SET voided_at = excluded.voided_at
WHERE kept.voided_at IS NULL
"""
SHOW = """
SELECT r.visit_id, r.customer_id, v.corrected_at, r.voided_at, v.points_earned, v.points_redeemed, v.points_to_redeem,
       v.redemption_refusal
FROM visit_receipts r
LEFT JOIN customer_visits v ON v.cafe_id = r.cafe_id AND v.visit_date = r.visit_date AND v.id = r.visit_id
WHERE r.cafe_id = $1 AND r.device_id = $2 AND r.receipt_number = $3
"""
RECEIPT_OF = """
SELECT device_id, receipt_number FROM visit_receipts WHERE cafe_id = $1 AND visit_id = $2
"""


async def old_spellings(conn: Connection, receipts: Sequence[Receipt]) -> dict[int, tuple[str, str]]:
    """Index -> device and receipt number as they are kept, of receipts that are kept in an old spelling."""
    rows = await conn.fetch(FIND_OLD_SPELLINGS, *columns(receipts, "cafe_id", "device_id", "receipt_number"))
    return {row["place"] - 1: (row["device_id"], row["receipt_number"]) for row in reversed(rows)}


async def find(
    conn: Connection,
    receipts: Sequence[Receipt],
    phone_hashes: Sequence[bytes | None],
    own_ids: Sequence[UUID | None],
) -> list[CommandFacts]:
    """What the tables say about each command, in the order of the commands; `own_ids` as in `BillDraft`."""
    rows = await conn.fetch(
        FIND,
        *columns(receipts, "cafe_id", "device_id", "receipt_number", "event_id"),
        phone_hashes,
        own_ids,
    )
    return [
        CommandFacts(
            receipt=_known(row) if row["is_known"] else None,
            guest=_guest(row) if row["guest_id"] else None,
            event_reused=row["event_reused"],
            erased_at=row["erased_at"],
        )
        for row in rows
    ]


def _known(row: asyncpg.Record) -> KnownReceipt:
    return KnownReceipt(
        visit_id=row["visit_id"],
        visit_date=row["visit_date"],
        customer_id=row["customer_id"],
        visit_number=row["visit_number"],
        fingerprint=row["fingerprint"],
        corrected_at=row["corrected_at"],
        corrected_fingerprint=row["corrected_fingerprint"],
        voided_at=row["voided_at"],
        void_reason=row["void_reason"],
        claimed_at=row["claimed_at"],
        dated_ahead={mark: datetime.fromisoformat(heard) for mark, heard in row["dated_ahead"].items()},
    )


def _guest(row: asyncpg.Record) -> KnownGuest:
    return KnownGuest(row["guest_id"], row["name_known"], answer_in(row))


async def insert(conn: Connection, visits: Sequence[NewVisit]) -> None:
    """Writes new visits and their receipts."""
    bills = [visit.draft.command for visit in visits]
    drafts = [visit.draft for visit in visits]
    bodies = [bill.body for bill in bills]
    arrays = (
        [visit.visit_id for visit in visits],
        [bill.cafe_id for bill in bills],
        [visit.customer_id for visit in visits],
        [body.occurred_at for body in bodies],
        [visit.visit_number for visit in visits],
        [draft.branch_id for draft in drafts],
        [bill.device_id for bill in bills],
        [bill.receipt_number for bill in bills],
        [body.total for body in bodies],
        [body.discount for body in bodies],
        [body.currency_unit for body in bodies],
        [body.payment_method for body in bodies],
        [_json(draft.lines) for draft in drafts],
        [draft.item_count for draft in drafts],
        [body.table_number for body in bodies],
        [body.server_name for body in bodies],
        [body.service_duration for body in bodies],
        [bill.created_by for bill in bills],
        [visit.words_sealed for visit in visits],
        [visit.forgotten_at for visit in visits],
        [draft.corrected_at for draft in drafts],
        [visit.void and visit.void.voided_at for visit in visits],
        [visit.void.void_reason if visit.void and not visit.forgotten_at else None for visit in visits],
        [bill.event_id for bill in bills],
        [None if draft.corrected_at else draft.fingerprint for draft in drafts],
        [draft.fingerprint if draft.corrected_at else None for draft in drafts],
        [body.points_to_redeem for body in bodies],
    )
    await conn.execute(INSERT, *arrays)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


async def note_records(conn: Connection, drafts: Sequence[BillDraft]) -> None:
    """Remembers records whose correction came first, so that their repeats are known."""
    await conn.execute(
        NOTE_RECORDS,
        *columns(
            drafts, "command.cafe_id", "command.device_id", "command.receipt_number", "command.event_id", "fingerprint"
        ),
        [draft.own_id is None for draft in drafts],
    )


async def note_claims(conn: Connection, claims: Sequence[tuple[BillDraft, UUID, int]]) -> None:
    """Remembers whose the receipts of nobody are now: by which correction, the guest, and the visit's number."""
    await conn.execute(
        NOTE_CLAIMS,
        *columns([draft.command for draft, _, _ in claims], "cafe_id", "device_id", "receipt_number"),
        [guest for _, guest, _ in claims],
        [number for _, _, number in claims],
        [draft.corrected_at for draft, _, _ in claims],
    )


async def note_corrections(conn: Connection, drafts: Sequence[BillDraft]) -> None:
    """Remembers which correction stands."""
    await conn.execute(
        NOTE_CORRECTIONS,
        *columns(
            drafts,
            "command.cafe_id",
            "command.device_id",
            "command.receipt_number",
            "command.body.occurred_at",
            "corrected_at",
            "fingerprint",
        ),
    )


async def note_ahead(conn: Connection, heard: Mapping[ReceiptKey, Mapping[str, datetime]]) -> None:
    """Remembers when corrections came that bear a later date, by their marks."""
    await conn.execute(
        NOTE_AHEAD,
        [cafe_id for cafe_id, _, _ in heard],
        [device_id for _, device_id, _ in heard],
        [receipt_number for _, _, receipt_number in heard],
        [{mark: at.isoformat() for mark, at in marks.items()} for marks in heard.values()],
    )


async def note_voids(conn: Connection, voids: Sequence[VoidVisit]) -> None:
    """Remembers voids, also of receipts that have not come yet."""
    await conn.execute(NOTE_VOIDS, *columns(voids, "cafe_id", "device_id", "receipt_number", "voided_at", "reason"))


async def show(conn: Connection, cafe_id: UUID, device_id: str, receipt_number: str) -> dict[str, Any] | None:
    """What became of a receipt, also one that was kept as it had been typed; None when it never came."""
    row = await conn.fetchrow(SHOW, cafe_id, device_id, receipt_number)
    if row is None:
        old = await conn.fetch(FIND_OLD_SPELLINGS, [cafe_id], [device_id], [receipt_number])
        row = await conn.fetchrow(SHOW, cafe_id, old[0]["device_id"], old[0]["receipt_number"]) if old else None
    return dict(row) if row else None


async def receipt_of(conn: Connection, cafe_id: UUID, visit_id: UUID) -> tuple[str, str] | None:
    """Device and receipt number of a visit, or None when there is no such visit."""
    row = await conn.fetchrow(RECEIPT_OF, cafe_id, visit_id)
    return (row["device_id"], row["receipt_number"]) if row else None

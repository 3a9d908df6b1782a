"""Vouchers: what guests' completed cards give."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.loyalty.models.accounts import GuestKey, Posting
from services.loyalty.models.cards import CardStates, Voucher
from shared.database.columns import columns
from shared.database.db import Connection

VoucherKey = tuple[UUID, UUID]
"""(cafe_id, voucher_id)"""

COLUMNS = """
    v.voucher_id, v.cafe_id, v.customer_id, v.card_key, v.number, v.card_name, v.reward, v.visit_id, v.earned_at,
    v.program_version, v.expires_at, v.state, v.used_at, v.used_by, v.till_key_id, v.request_id, v.undone_request_id,
    v.order_reference
"""
FIND = f"""
SELECT {COLUMNS} FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, voucher_id)
JOIN vouchers AS v ON v.cafe_id = t.cafe_id AND v.voucher_id = t.voucher_id
"""  # noqa: S608
OF_GUESTS = f"""
SELECT {COLUMNS} FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id)
JOIN vouchers AS v ON v.cafe_id = t.cafe_id AND v.customer_id = t.customer_id
"""  # noqa: S608
# Those used beyond what the guest's cards say are owed.
STANDING = f"""
SELECT {COLUMNS} FROM vouchers AS v
LEFT JOIN unnest($3::text[], $4::integer[]) AS c (card_key, completed) ON c.card_key = v.card_key
WHERE v.cafe_id = $1 AND v.customer_id = $2
    AND (v.state = 'open' OR (v.state = 'used' AND v.number > coalesce(c.completed, 0)))
ORDER BY v.earned_at, v.card_key, v.number
"""  # noqa: S608
NEWEST = f"""
SELECT {COLUMNS} FROM vouchers AS v
WHERE v.cafe_id = $1 AND v.customer_id = $2 ORDER BY v.earned_at DESC, v.card_key, v.number DESC LIMIT $3
"""  # noqa: S608
SAVE = """
INSERT INTO vouchers (voucher_id, cafe_id, customer_id, card_key, number, card_name, reward, visit_id, earned_at,
                      program_version, expires_at, state, used_at, used_by, till_key_id, request_id,
                      undone_request_id, order_reference)
SELECT * FROM unnest(
    $1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::integer[], $6::text[], $7::text[], $8::uuid[],
    $9::timestamptz[], $10::integer[], $11::timestamptz[], $12::text[], $13::timestamptz[], $14::uuid[], $15::text[],
    $16::uuid[], $17::uuid[], $18::text[]
)
ON CONFLICT (cafe_id, voucher_id) DO UPDATE
SET card_name = excluded.card_name, reward = excluded.reward, visit_id = excluded.visit_id,
    earned_at = excluded.earned_at, program_version = excluded.program_version, expires_at = excluded.expires_at,
    state = excluded.state
"""
SAVE_USE = """
UPDATE vouchers
SET state = $3, used_at = $4, used_by = $5, till_key_id = $6, request_id = $7, undone_request_id = $8,
    order_reference = $9
WHERE cafe_id = $1 AND voucher_id = $2
"""
FORGET = """
UPDATE vouchers AS v SET order_reference = NULL
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id)
WHERE v.cafe_id = t.cafe_id AND v.customer_id = t.customer_id AND v.order_reference IS NOT NULL
"""


async def find(conn: Connection, keys: Sequence[VoucherKey]) -> list[Voucher]:
    """Those of the vouchers that there are."""
    return [Voucher(**row) for row in await conn.fetch(FIND, *zip(*keys, strict=True))] if keys else []


async def list_of_guests(conn: Connection, guests: Sequence[GuestKey]) -> list[Voucher]:
    """All vouchers of these guests, withdrawn ones too."""
    return [Voucher(**row) for row in await conn.fetch(OF_GUESTS, *columns(guests, 0, 1))] if guests else []


async def list_standing(conn: Connection, guest: GuestKey, states: CardStates) -> list[Voucher]:
    """A guest's open vouchers, the oldest first, and those used that are owed by what the cards say."""
    keys, completed = [each.key for each in states], [each.completed for each in states]
    return [Voucher(**row) for row in await conn.fetch(STANDING, *guest, keys, completed)]


async def list_newest(conn: Connection, guest: GuestKey, limit: int) -> list[Voucher]:
    """A guest's vouchers of any state, those earned last first."""
    return [Voucher(**row) for row in await conn.fetch(NEWEST, *guest, limit)]


async def save(conn: Connection, outcomes: Sequence[Posting]) -> None:
    """Writes the vouchers that changed of guests whose accounts the caller has locked."""
    if rows := [_row(voucher) for outcome in outcomes for voucher in outcome.vouchers]:
        await conn.execute(SAVE, *zip(*rows, strict=True))


async def save_use(conn: Connection, voucher: Voucher) -> None:
    """Writes whether and by whom the voucher is used. The caller has locked its guest's account."""
    await conn.execute(
        SAVE_USE, voucher.cafe_id, voucher.voucher_id, voucher.state, voucher.used_at, voucher.used_by,
        voucher.till_key_id, voucher.request_id, voucher.undone_request_id, voucher.order_reference,
    )  # fmt: skip


async def forget(conn: Connection, guests: Sequence[GuestKey]) -> None:
    """Empties what somebody typed as a reference where erased guests' vouchers were used."""
    await conn.execute(FORGET, *columns(guests, 0, 1))


def _row(voucher: Voucher) -> tuple[Any, ...]:
    return (
        voucher.voucher_id, voucher.cafe_id, voucher.customer_id, voucher.card_key, voucher.number, voucher.card_name,
        voucher.reward, voucher.visit_id, voucher.earned_at, voucher.program_version, voucher.expires_at,
        voucher.state, voucher.used_at, voucher.used_by, voucher.till_key_id, voucher.request_id,
        voucher.undone_request_id, voucher.order_reference,
    )  # fmt: skip

"""What people enter, void and claim by hand: what each did on a day, and what waits for a second person."""

from collections.abc import Sequence
from dataclasses import astuple
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from services.visit.models.values import DeskEntry, GuestKey
from shared.database.columns import columns
from shared.database.db import Connection

COLUMNS = """
    id, cafe_id, kind, customer_id, visit_id, amount, points, body_sealed, state, created_by, created_at, decided_by,
    decided_at
"""
INSERT = f"""
INSERT INTO hand_entries ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""  # noqa: S608
FIND = f"SELECT {COLUMNS} FROM hand_entries WHERE cafe_id = $1 AND id = $2 FOR UPDATE"  # noqa: S608
FIND_WAITING = f"""
SELECT {COLUMNS} FROM hand_entries WHERE cafe_id = $1 AND visit_id = $2 AND kind = $3 AND state = 'pending'
"""  # noqa: S608
LIST_PENDING = f"""
SELECT {COLUMNS} FROM hand_entries WHERE cafe_id = $1 AND state = 'pending' ORDER BY created_at LIMIT $2
"""  # noqa: S608
# What somebody else approved was judged by somebody else, and is not counted.
DONE_ALONE = """
SELECT coalesce(sum(amount), 0) AS amount, coalesce(sum(points), 0)::bigint AS points FROM hand_entries
WHERE cafe_id = $1 AND created_by = $2 AND created_at >= $3 AND state = 'entered' AND decided_by IS NULL
"""
DECIDE = """
UPDATE hand_entries SET state = $3, visit_id = $4, decided_by = $5, decided_at = $6, body_sealed = NULL
WHERE cafe_id = $1 AND id = $2
"""
IS_TAKEN = """
SELECT EXISTS (
    SELECT FROM visit_receipts
    WHERE cafe_id = $1 AND device_id = $2 AND receipt_number = $3 AND visit_id IS NOT NULL
)
"""
WHOSE = "SELECT customer_id FROM guests WHERE cafe_id = $1 AND phone_hash = $2"
FORGET = """
UPDATE hand_entries AS e SET state = 'declined', body_sealed = NULL
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id)
WHERE e.cafe_id = t.cafe_id AND e.customer_id = t.customer_id AND e.state = 'pending'
"""


async def insert(conn: Connection, entry: DeskEntry) -> None:
    """Keeps what was done, or what waits."""
    await conn.execute(INSERT, *astuple(entry))


async def find(conn: Connection, cafe_id: UUID, entry_id: UUID) -> DeskEntry | None:
    """The entry, locked."""
    row = await conn.fetchrow(FIND, cafe_id, entry_id)
    return DeskEntry(**row) if row else None


async def find_waiting(
    conn: Connection, cafe_id: UUID, visit_id: UUID, kind: Literal["void", "claim"]
) -> DeskEntry | None:
    """The void or the claim of that visit that waits."""
    row = await conn.fetchrow(FIND_WAITING, cafe_id, visit_id, kind)
    return DeskEntry(**row) if row else None


async def list_pending(conn: Connection, cafe_id: UUID, limit: int) -> list[DeskEntry]:
    """Those that wait for a second person, the oldest first."""
    return [DeskEntry(**row) for row in await conn.fetch(LIST_PENDING, cafe_id, limit)]


async def done_alone(conn: Connection, cafe_id: UUID, author: UUID, since: datetime) -> tuple[Decimal, int]:
    """Toman that somebody entered and voided since then without anybody else's word, and points so given back."""
    row = await conn.fetchrow(DONE_ALONE, cafe_id, author, since)
    assert row is not None
    return row["amount"], row["points"]


async def decide(conn: Connection, entry: DeskEntry) -> None:
    """Writes what became of an entry that waited, and empties its words."""
    await conn.execute(DECIDE, entry.cafe_id, entry.id, entry.state, entry.visit_id, entry.decided_by, entry.decided_at)


async def is_taken(conn: Connection, cafe_id: UUID, device_id: str, receipt_number: str) -> bool:
    """Whether a visit has that receipt already."""
    return bool(await conn.fetchval(IS_TAKEN, cafe_id, device_id, receipt_number))


async def customer_of(conn: Connection, cafe_id: UUID, phone_hash: bytes) -> UUID | None:
    """Whose a number is; None when nobody is known by it."""
    found: UUID | None = await conn.fetchval(WHOSE, cafe_id, phone_hash)
    return found


async def forget(conn: Connection, guests: Sequence[GuestKey]) -> None:
    """Declines and empties what waits about erased guests."""
    await conn.execute(FORGET, *columns(guests, 0, 1))

"""Who the guests are. Personal fields arrive here sealed."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from services.customer.models.http import FindCustomers
from services.customer.models.values import CafeClock, GuestKey, GuestStatus
from shared.database.columns import columns
from shared.database.db import Connection
from shared.events.base import Segment
from shared.persian.text import name_key

# The columns of a new guest, in the order of REGISTER's parameters.
NEW = (
    "cafe_id", "id", "phone_sealed", "phone_hash", "phone_last4", "name", "name_english", "email_sealed", "birthday",
    "anniversary", "notes_sealed", "preferences", "address_sealed", "city", "postal_code", "created_at", "updated_at",
    "created_by", "known_since",
)  # fmt: skip
# What staff may change, in the order of CHANGE's parameters.
CHANGEABLE = (
    "name", "name_english", "email_sealed", "birthday", "anniversary", "notes_sealed", "preferences",
    "address_sealed", "city", "postal_code",
)  # fmt: skip

# An erased guest comes back only by something that happened after the erasure: a late visit from before does not count.
REGISTER = """
INSERT INTO customers AS kept (
    cafe_id, id, phone_sealed, phone_hash, phone_last4, name, name_english, email_sealed, birthday, anniversary,
    notes_sealed, preferences, address_sealed, city, postal_code, created_at, updated_at, created_by, known_since,
    updated_by
)
SELECT *, created_by
FROM unnest(
    $1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::text[], $8::text[], $9::date[],
    $10::date[], $11::text[], $12::jsonb[], $13::text[], $14::text[], $15::text[], $16::timestamptz[],
    $17::timestamptz[], $18::uuid[], $19::timestamptz[]
) AS t (
    cafe_id, id, phone_sealed, phone_hash, phone_last4, name, name_english, email_sealed, birthday, anniversary,
    notes_sealed, preferences, address_sealed, city, postal_code, created_at, updated_at, created_by,
    known_since
)
ORDER BY cafe_id, id
ON CONFLICT (cafe_id, id) DO UPDATE
SET phone_sealed = excluded.phone_sealed, phone_hash = excluded.phone_hash, phone_last4 = excluded.phone_last4,
    name = excluded.name, name_english = excluded.name_english, email_sealed = excluded.email_sealed,
    birthday = excluded.birthday, anniversary = excluded.anniversary, notes_sealed = excluded.notes_sealed,
    preferences = excluded.preferences, address_sealed = excluded.address_sealed, city = excluded.city,
    postal_code = excluded.postal_code, created_at = excluded.created_at, updated_at = excluded.updated_at,
    created_by = excluded.created_by, known_since = NULL, updated_by = excluded.updated_by, deleted_at = NULL,
    status = 'active', segment = 'new', version = kept.version + 1
WHERE kept.deleted_at < excluded.created_at
RETURNING cafe_id, id, version
"""
# The guest begins with the first bill that stands; with none, when we first heard of the guest.
BEGIN_WITH_BILLS = """
WITH moved AS (
    UPDATE customers AS c SET created_at = coalesce(a.first_visit_at, c.known_since)
    FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, id)
    JOIN customer_activity AS a ON a.cafe_id = t.cafe_id AND a.customer_id = t.id
    WHERE c.cafe_id = t.cafe_id AND c.id = t.id AND c.known_since IS NOT NULL AND c.is_active
        AND c.created_at <> coalesce(a.first_visit_at, c.known_since)
    RETURNING c.cafe_id, c.id, c.created_at
)
UPDATE customer_activity AS a SET registered_at = moved.created_at
FROM moved WHERE a.cafe_id = moved.cafe_id AND a.customer_id = moved.id
"""
FILL_NAMES = """
UPDATE customers AS c SET name = t.name, updated_at = $4, version = c.version + 1
FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS t (cafe_id, id, name)
WHERE c.cafe_id = t.cafe_id AND c.id = t.id AND c.name IS NULL AND c.is_active
RETURNING c.*
"""
ERASED = """
SELECT c.cafe_id, c.id, c.deleted_at FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, id)
JOIN customers AS c ON c.cafe_id = t.cafe_id AND c.id = t.id WHERE c.deleted_at IS NOT NULL
"""
GET = "SELECT * FROM customers WHERE cafe_id = $1 AND id = $2 AND is_active"
GET_FOR_UPDATE = "SELECT * FROM customers WHERE cafe_id = $1 AND id = $2 AND is_active FOR NO KEY UPDATE"
CHANGE = """
UPDATE customers
SET name = $3, name_english = $4, email_sealed = $5, birthday = $6, anniversary = $7, notes_sealed = $8,
    preferences = $9, address_sealed = $10, city = $11, postal_code = $12,
    updated_at = $13, updated_by = $14, version = version + 1
WHERE cafe_id = $1 AND id = $2 RETURNING *
"""
SET_STATUS = """
UPDATE customers SET status = $3::text::customer_status_enum, updated_at = $4, updated_by = $5, version = version + 1
WHERE cafe_id = $1 AND id = $2 RETURNING *
"""
SET_SEGMENTS = """
UPDATE customers AS c SET segment = t.segment::customer_segment_enum, updated_at = $4
FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS t (cafe_id, id, segment)
WHERE c.cafe_id = t.cafe_id AND c.id = t.id
"""
ERASE = """
UPDATE customers
SET phone_sealed = NULL, phone_hash = NULL, phone_last4 = NULL, name = NULL, name_english = NULL, email_sealed = NULL,
    birthday = NULL, anniversary = NULL, notes_sealed = NULL, preferences = DEFAULT, address_sealed = NULL, city = NULL,
    postal_code = NULL, deleted_at = $3, erased_at = $3, updated_at = $3, updated_by = $4, version = version + 1
WHERE cafe_id = $1 AND id = $2
"""
FIND = """
SELECT id, name FROM customers
WHERE cafe_id = $1 AND is_active
    AND ($2::text IS NULL OR name_key LIKE $2)
    AND ($3::bytea IS NULL OR phone_hash = $3)
    AND ($4::text IS NULL OR phone_last4 = $4)
    AND ($5::text IS NULL OR status = $5::customer_status_enum)
    AND ($6::text IS NULL OR segment = $6::customer_segment_enum)
    AND ($7::uuid IS NULL OR (created_at, id) < (SELECT created_at, id FROM customers WHERE cafe_id = $1 AND id = $7))
"""
# Of a frequent name only so many are put in order: among more than that nobody finds theirs by reading.
MOST_OF_A_NAME = 1000
FIND_BY_NAME = f"SELECT id FROM ({FIND} LIMIT {MOST_OF_A_NAME}) AS found ORDER BY name, id LIMIT $8"  # noqa: S608
FIND_NEWEST = FIND + "ORDER BY created_at DESC, id DESC LIMIT $8"
# What a card shows of `c` (customers), `a` (customer_activity) and `k`, joined by MARKETING_CONSENT.
CARD = """
    c.id, c.name, c.name_english, c.phone_last4, c.status::text, c.segment::text, a.total_visits,
    a.last_visit_at AS last_visit, a.tier_level::text, a.current_points,
    c.status = 'active' AND coalesce(k.granted, false) AS marketing_reachable
"""
MARKETING_CONSENT = """
LEFT JOIN consents AS k
    ON k.cafe_id = c.cafe_id AND k.customer_id = c.id AND k.channel = 'sms' AND k.purpose = 'marketing'
"""
CARDS = f"""
SELECT {CARD}
FROM unnest($2::uuid[]) WITH ORDINALITY AS t (id, place)
JOIN customers AS c ON c.cafe_id = $1 AND c.id = t.id AND c.is_active
JOIN customer_activity AS a ON a.cafe_id = c.cafe_id AND a.customer_id = c.id
{MARKETING_CONSENT}
ORDER BY t.place
"""  # noqa: S608
BORN_ON = """
SELECT id FROM customers WHERE cafe_id = $1 AND is_active AND birthday = any($2::date[]) ORDER BY name, id LIMIT $3
"""
SUMMARY = "SELECT * FROM customer_summary WHERE cafe_id = $1 AND id = $2"
CLOCK = "SELECT coalesce(time_zone, 'Asia/Tehran'), coalesce(calendar, 'jalali') FROM cafes WHERE cafe_id = $1"


async def register(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> dict[GuestKey, int]:
    """Adds the guests that are not there, or were erased before `created_at`; returns those with their version.

    Each row has the fields of `NEW`. Lock the guests' activity rows first.
    """
    added = await conn.fetch(REGISTER, *([row[column] for row in rows] for column in NEW))
    return {GuestKey(row["cafe_id"], row["id"]): row["version"] for row in added}


async def begin_with_bills(conn: Connection, guests: Collection[GuestKey]) -> None:
    """Sets since when guests whom a till made known are guests, by their bills. Lock their activity rows first."""
    keys = sorted({(guest.cafe_id, guest.customer_id) for guest in guests})
    await conn.execute(BEGIN_WITH_BILLS, *columns(keys, 0, 1))


async def fill_names(conn: Connection, names: Mapping[GuestKey, str], now: datetime) -> list[dict[str, Any]]:
    """Gives guests without a name the one that was learned. Returns the changed rows."""
    ids = columns(names, "cafe_id", "customer_id")
    return [dict(row) for row in await conn.fetch(FILL_NAMES, *ids, list(names.values()), now)]


async def erased(conn: Connection, guests: Collection[GuestKey]) -> dict[GuestKey, datetime]:
    """Those of the guests who are erased, with when."""
    rows = await conn.fetch(ERASED, *columns(guests, "cafe_id", "customer_id"))
    return {GuestKey(row["cafe_id"], row["id"]): row["deleted_at"] for row in rows}


async def get(conn: Connection, guest: GuestKey, *, for_update: bool = False) -> dict[str, Any] | None:
    """The guest's row, unless erased; locked until the transaction ends when it will be changed."""
    row = await conn.fetchrow(GET_FOR_UPDATE if for_update else GET, guest.cafe_id, guest.customer_id)
    return dict(row) if row else None


async def change(
    conn: Connection, guest: GuestKey, row: Mapping[str, Any], author: UUID, now: datetime
) -> dict[str, Any]:
    """Writes all `CHANGEABLE` fields and returns the new row."""
    values = [row[column] for column in CHANGEABLE]
    return await _changed(conn, CHANGE, guest, *values, now, author)


async def set_status(
    conn: Connection, guest: GuestKey, status: GuestStatus, author: UUID, now: datetime
) -> dict[str, Any]:
    """Writes the status and returns the new row."""
    return await _changed(conn, SET_STATUS, guest, status, now, author)


async def set_segments(conn: Connection, segments: Mapping[GuestKey, Segment], now: datetime) -> None:
    """Writes the one segment shown on each guest."""
    ids = columns(segments, "cafe_id", "customer_id")
    await conn.execute(SET_SEGMENTS, *ids, list(segments.values()), now)


async def erase(conn: Connection, guest: GuestKey, author: UUID, now: datetime) -> None:
    """Empties the guest's row."""
    await conn.execute(ERASE, guest.cafe_id, guest.customer_id, now, author)


async def find(conn: Connection, cafe_id: UUID, search: FindCustomers, phone_hash: bytes | None) -> list[UUID]:
    """Ids of the guests that match: by name when a name was given, otherwise the newest first.

    Run it as the service. For people row level security evaluates each row before any condition on the name, so no
    index on names could serve them; they are shown rows of these ids only as far as their own policies let them.
    """
    pattern = None if search.name is None else f"%{_literal(name_key(search.name))}%"
    statement = FIND_NEWEST if pattern is None else FIND_BY_NAME
    rows = await conn.fetch(
        statement,
        cafe_id,
        pattern,
        phone_hash,
        search.last_four,
        search.status,
        search.segment,
        search.after,
        search.limit,
    )
    return [row["id"] for row in rows]


async def cards(conn: Connection, cafe_id: UUID, ids: Sequence[UUID]) -> list[dict[str, Any]]:
    """What a list shows of these guests, in the order of `ids`. Who is unknown or erased is left out."""
    return [dict(row) for row in await conn.fetch(CARDS, cafe_id, ids)]


async def born_on(conn: Connection, cafe_id: UUID, dates: Sequence[date], limit: int) -> list[UUID]:
    """Ids of the guests born on one of these dates, by name."""
    return [row["id"] for row in await conn.fetch(BORN_ON, cafe_id, dates, limit)]


async def summary(conn: Connection, guest: GuestKey) -> dict[str, Any] | None:
    """The guest's line of the customer_summary view."""
    row = await conn.fetchrow(SUMMARY, guest.cafe_id, guest.customer_id)
    return dict(row) if row else None


async def clock_of(conn: Connection, cafe_id: UUID) -> CafeClock:
    """The cafe's clock and calendar; for a cafe that is not known yet, those of most cafes."""
    row = await conn.fetchrow(CLOCK, cafe_id)
    return CafeClock(*row) if row else CafeClock("Asia/Tehran", "jalali")


async def _changed(conn: Connection, statement: str, guest: GuestKey, *values: Any) -> dict[str, Any]:
    row = await conn.fetchrow(statement, guest.cafe_id, guest.customer_id, *values)
    assert row is not None
    return dict(row)


def _literal(key: str) -> str:
    for special in ("\\", "%", "_"):
        key = key.replace(special, f"\\{special}")
    return key

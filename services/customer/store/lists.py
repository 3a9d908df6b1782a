"""Guests of a cafe in any order, a page at a time, at a bounded cost however rare a matching guest is.

A page walks along the index of its order and keeps the guests that match. After so many guests it ends, full or not,
and the next page goes on from there. The few guests of a small segment are all read and sorted instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from services.customer.models.values import Bookmark, Direction, GuestKey, GuestSort
from shared.database.columns import columns
from shared.database.db import Connection
from shared.events.base import Tier

# Some 30 ms each; fewer where every guest has to be looked up in another table.
WALKED_AT_ONCE: Final = 6_000
LOOKED_UP_AT_ONCE: Final = 2_000
# Guests of a segment up to this size are found by their membership, not among all others.
SMALL_SEGMENT: Final = 5_000

# Each key with its type. A bookmark is bound as text, so that an end of the list is a bookmark like any other.
KEYS: Final[Mapping[GuestSort, tuple[str, str]]] = {
    "last_visit": ("l.last_visit_at", "timestamptz"),
    "points": ("l.current_points", "bigint"),
    "spent": ("l.lifetime_spent", "numeric"),
    "visits": ("l.total_visits", "integer"),
    "created": ("c.created_at", "timestamptz"),
}
ENDS: Final[Mapping[str, tuple[str, str]]] = {
    "timestamptz": ("-infinity", "infinity"),
    "bigint": (str(-(2**63)), str(2**63 - 1)),
    "integer": (str(-(2**31)), str(2**31 - 1)),
    "numeric": ("-infinity", "infinity"),
}
COMPARED: Final[Mapping[Direction, Mapping[str, str]]] = {
    "asc": {"beyond": ">", "before": "<=", "direction": "ASC"},
    "desc": {"beyond": "<", "before": ">=", "direction": "DESC"},
}

# No guest's id is greater.
LAST: Final = UUID(int=2**128 - 1)

ALL: Final = "FROM listed_guests AS l WHERE l.cafe_id = $1"
# Ordered by a column of customers, whose index has it.
BY_CUSTOMERS: Final = """
FROM customers AS c JOIN listed_guests AS l ON l.cafe_id = c.cafe_id AND l.customer_id = c.id
WHERE c.cafe_id = $1 AND c.is_active
"""
MEMBERS: Final = """
FROM segment_members AS m
JOIN listed_guests AS l ON l.cafe_id = m.cafe_id AND l.customer_id = m.customer_id
JOIN customers AS c ON c.cafe_id = m.cafe_id AND c.id = m.customer_id
WHERE m.cafe_id = $1 AND m.segment_id = $7 AND c.is_active
"""
WALK: Final = """
SELECT l.*, {key} AS key
{source} AND ({key}, {id}) {beyond} ($2::text::{kind}, $3::uuid) AND ({key}, {id}) {before} ($4::text::{kind}, $5::uuid)
ORDER BY {key} {direction}, {id} {direction}
"""
FIND: Final = """
SELECT l.key::text AS key, l.customer_id
FROM ({walk} LIMIT $6::int) AS l
WHERE ($7::uuid IS NULL OR (l.segment_mask >> $8::int) & 1 = 1)
    AND ($9::text IS NULL OR l.tier_level = $9::loyalty_tier_enum)
    AND ($10::timestamptz IS NULL OR l.last_visit_at <= $10 AND l.last_visit_at > '-infinity')
    AND ($11::boolean IS NULL OR l.reachable = $11)
    AND ($12::date[] IS NULL OR EXISTS (
        SELECT FROM customers AS c
        WHERE c.cafe_id = l.cafe_id AND c.id = l.customer_id AND c.birthday = any($12)
    ))
ORDER BY l.key {direction}, l.customer_id {direction} LIMIT $13::int
"""
REACHED: Final = """
SELECT key::text AS key, customer_id FROM ({walk}) AS walked OFFSET $6::int - 1 LIMIT 1
"""
# In the order in which they changed, so that a cafe where much happens holds up nobody.
CHANGED = "SELECT cafe_id, id, customer_id FROM guests_to_list WHERE cafe_id <> ALL($1::uuid[]) ORDER BY id LIMIT $2"
# From before it was kept.
UNKNOWN_REACH = """
SELECT cafe_id, customer_id FROM listed_guests WHERE reachable IS NULL AND cafe_id <> ALL($1::uuid[]) LIMIT $2
"""
TAKEN = "DELETE FROM guests_to_list WHERE id = ANY($1::bigint[])"
# OFFSET 0 makes PostgreSQL look up each guest by key, even while it takes a table that was just filled for an empty
# one.
LIST_AGAIN = """
WITH t AS MATERIALIZED (SELECT DISTINCT * FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id)),
found AS MATERIALIZED (
    SELECT t.cafe_id, t.customer_id, a.*, EXISTS (
        SELECT FROM customers AS c
        JOIN consents AS k ON k.cafe_id = c.cafe_id AND k.customer_id = c.id
        WHERE c.cafe_id = t.cafe_id AND c.id = t.customer_id AND c.status = 'active'
            AND k.channel = 'sms' AND k.purpose = 'marketing' AND k.granted
    ) AS reachable
    FROM t LEFT JOIN LATERAL (
        SELECT a.last_visit_at, a.current_points, a.lifetime_spent, a.total_visits, a.tier_level, a.segment_mask,
            a.registered_at
        FROM customer_activity AS a WHERE a.cafe_id = t.cafe_id AND a.customer_id = t.customer_id OFFSET 0
    ) AS a ON true
),
gone AS (
    DELETE FROM listed_guests WHERE ctid = ANY(ARRAY(
        SELECT l.ctid FROM found CROSS JOIN LATERAL (
            SELECT l.ctid FROM listed_guests AS l
            WHERE l.cafe_id = found.cafe_id AND l.customer_id = found.customer_id OFFSET 0
        ) AS l
        WHERE found.registered_at IS NULL
    ))
)
INSERT INTO listed_guests AS kept
SELECT cafe_id, customer_id, coalesce(last_visit_at, '-infinity'), current_points, lifetime_spent, total_visits,
    tier_level, coalesce(segment_mask, 0), reachable
FROM found WHERE registered_at IS NOT NULL
ON CONFLICT (cafe_id, customer_id) DO UPDATE
SET last_visit_at = excluded.last_visit_at, current_points = excluded.current_points,
    lifetime_spent = excluded.lifetime_spent, total_visits = excluded.total_visits, tier_level = excluded.tier_level,
    segment_mask = excluded.segment_mask, reachable = excluded.reachable
WHERE (kept.*) IS DISTINCT FROM (excluded.*)
"""


class GuestToList(NamedTuple):
    """A row saying that a guest may have moved in the lists."""

    cafe_id: UUID
    id: int
    customer_id: UUID


@dataclass(frozen=True)
class GuestListQuery:
    """Which guests a list shows, and from where on. None asks for nothing."""

    sort: GuestSort
    direction: Direction
    start: Bookmark
    end: Bookmark
    limit: int
    segment_id: UUID | None = None
    slot: int | None = None
    in_small_segment: bool = False
    tier: Tier | None = None
    reachable: bool | None = None
    last_visit_until: datetime | None = None
    birthdays: Sequence[date] | None = None

    @property
    def walked(self) -> int:
        """How many guests a page of this looks at, at most."""
        looks_up = self.sort == "created" or self.birthdays is not None
        return LOOKED_UP_AT_ONCE if looks_up else WALKED_AT_ONCE


def ends(sort: GuestSort, direction: Direction, until: datetime | None = None) -> tuple[Bookmark, Bookmark]:
    """The bookmarks before and behind everybody in that order; of last visits only those until that moment."""
    lowest, highest = ENDS[KEYS[sort][1]]
    low, high = Bookmark(lowest, UUID(int=0)), Bookmark(highest, LAST)
    if sort == "last_visit" and until is not None:
        low, high = Bookmark(lowest, LAST), Bookmark(until.isoformat(), LAST)
    return (low, high) if direction == "asc" else (high, low)


async def find(conn: Connection, cafe_id: UUID, wanted: GuestListQuery) -> tuple[list[UUID], Bookmark | None]:
    """Ids of the guests that fit, in order, and where the list goes on, if it may. Run it as the service, as every
    search among all guests."""
    statement, values = finding(cafe_id, wanted)
    rows = await conn.fetch(statement, *values)
    full = len(rows) == wanted.limit
    reached = Bookmark(*rows[-1]) if full else await _reached(conn, cafe_id, wanted)
    return [row["customer_id"] for row in rows], reached


def finding(cafe_id: UUID, wanted: GuestListQuery) -> tuple[str, list[Any]]:
    """The statement of a page, and the values of its parameters."""
    filters = (wanted.tier, wanted.last_visit_until, wanted.reachable, wanted.birthdays)
    return _filled(FIND, wanted), [*_walk(cafe_id, wanted), wanted.segment_id, wanted.slot, *filters, wanted.limit]


async def _reached(conn: Connection, cafe_id: UUID, wanted: GuestListQuery) -> Bookmark | None:
    segment = [wanted.segment_id] if wanted.in_small_segment else []
    row = await conn.fetchrow(_filled(REACHED, wanted), *_walk(cafe_id, wanted), *segment)
    return Bookmark(*row) if row else None


def _walk(cafe_id: UUID, wanted: GuestListQuery) -> list[Any]:
    return [cafe_id, *wanted.start, *wanted.end, wanted.walked]


def _filled(statement: str, wanted: GuestListQuery) -> str:
    key, kind = KEYS[wanted.sort]
    source, guest = (BY_CUSTOMERS, "c.id") if wanted.sort == "created" else (ALL, "l.customer_id")
    if wanted.in_small_segment:
        source = MEMBERS
    compared = COMPARED[wanted.direction]
    walk = WALK.format(key=key, kind=kind, source=source, id=guest, **compared)
    return statement.format(walk=walk, direction=compared["direction"])


async def changed(conn: Connection, aside: Sequence[UUID], limit: int) -> list[GuestToList]:
    """Guests to list again, but for those of the cafes `aside`."""
    return [GuestToList(*row) for row in await conn.fetch(CHANGED, aside, limit)]


async def taken(conn: Connection, guests: Sequence[GuestToList]) -> None:
    """These changes have been taken in."""
    await conn.execute(TAKEN, *columns(guests, "id"))


async def of_unknown_reach(conn: Connection, aside: Sequence[UUID], limit: int) -> list[GuestKey]:
    """Guests in the lists of whom nobody has looked up yet whether they may be written to."""
    return [GuestKey(*row) for row in await conn.fetch(UNKNOWN_REACH, aside, limit)]


async def list_again(conn: Connection, guests: Sequence[GuestToList] | Sequence[GuestKey]) -> None:
    """Brings these guests' rows up to date, and takes away those of the erased."""
    await conn.execute(LIST_AGAIN, *columns(guests, "cafe_id", "customer_id"))

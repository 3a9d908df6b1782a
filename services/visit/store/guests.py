"""Guests: whose a number is, the counter of their visits, and what erasure leaves."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from services.visit.models.values import GuestKey, KnownGuest, PhoneKey
from shared.consent import Answer, rank_sql
from shared.database.columns import columns
from shared.database.db import Connection

FIND = """
SELECT g.cafe_id, g.phone_hash, g.customer_id, g.name_known, c.granted, c.source, c.changed_at
FROM unnest($1::uuid[], $2::bytea[]) AS t (cafe_id, phone_hash) JOIN guests g USING (cafe_id, phone_hash)
LEFT JOIN guest_consents c ON c.cafe_id = g.cafe_id AND c.customer_id = g.customer_id
"""
RAISE_COUNTER = """
ON CONFLICT (cafe_id, customer_id) DO UPDATE SET last_number = kept.last_number + excluded.last_number
"""
KEEP_ANSWERS = f"""
INSERT INTO guest_consents AS kept (cafe_id, customer_id, granted, changed_at, source)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::timestamptz[], $5::text[])
ON CONFLICT (cafe_id, customer_id) DO UPDATE
SET granted = excluded.granted, changed_at = excluded.changed_at, source = excluded.source
WHERE {rank_sql("kept")} < {rank_sql("excluded")}
"""  # noqa: S608
CONTRADICTING = """
SELECT c.cafe_id, c.customer_id, c.changed_at
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id) JOIN guest_consents c USING (cafe_id, customer_id)
WHERE NOT c.granted
"""
# One round trip for everything, because each makes a till wait. A stranger's visits count only if nobody else has just
# written the number, which may then be another guest's.
NOTE_VISITS = f"""
WITH added AS (
    INSERT INTO guests (cafe_id, phone_hash, customer_id, name_known)
    SELECT * FROM unnest($7::uuid[], $8::bytea[], $9::uuid[], $10::boolean[])
    ON CONFLICT DO NOTHING
    RETURNING cafe_id, phone_hash
), told AS (
    UPDATE guests g
    SET name_known = true
    FROM (
        SELECT cafe_id, phone_hash
        FROM unnest($5::uuid[], $6::bytea[]) AS t (cafe_id, phone_hash) JOIN guests k USING (cafe_id, phone_hash)
        ORDER BY cafe_id, phone_hash
        FOR UPDATE OF k
    ) t
    WHERE g.cafe_id = t.cafe_id AND g.phone_hash = t.phone_hash
), answered AS (
    INSERT INTO guest_consents AS kept (cafe_id, customer_id, granted, changed_at, source)
    SELECT t.cafe_id, t.customer_id, t.granted, t.changed_at, t.source
    FROM unnest($11::uuid[], $12::bytea[], $13::uuid[], $14::boolean[], $15::timestamptz[], $16::text[])
        AS t (cafe_id, stranger, customer_id, granted, changed_at, source)
    WHERE t.stranger IS NULL OR (t.cafe_id, t.stranger) IN (SELECT * FROM added)
    ORDER BY t.cafe_id, t.customer_id
    ON CONFLICT (cafe_id, customer_id) DO UPDATE
    SET granted = excluded.granted, changed_at = excluded.changed_at, source = excluded.source
    WHERE {rank_sql("kept")} < {rank_sql("excluded")}
), counted AS (
    INSERT INTO visit_counters AS kept (cafe_id, customer_id, last_number)
    SELECT t.cafe_id, t.customer_id, sum(t.visits)
    FROM unnest($1::uuid[], $2::bytea[], $3::uuid[], $4::int[]) AS t (cafe_id, stranger, customer_id, visits)
    WHERE t.stranger IS NULL OR (t.cafe_id, t.stranger) IN (SELECT * FROM added)
    GROUP BY t.cafe_id, t.customer_id
    ORDER BY t.cafe_id, t.customer_id
    {RAISE_COUNTER.strip()}
    RETURNING cafe_id, customer_id, last_number
)
SELECT cafe_id, customer_id, last_number, NULL::bytea AS added FROM counted
UNION ALL SELECT cafe_id, NULL, NULL, phone_hash FROM added
"""  # noqa: S608
LOCK = """
SELECT FROM visit_counters c
WHERE (c.cafe_id, c.customer_id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))
ORDER BY c.cafe_id, c.customer_id FOR UPDATE
"""
SPANS = """
SELECT t.cafe_id, t.customer_id, f.visit_date AS first_visit_at, l.visit_date AS last_visit_at
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id)
LEFT JOIN LATERAL (
    SELECT v.visit_date FROM customer_visits v
    WHERE v.cafe_id = t.cafe_id AND v.customer_id = t.customer_id AND v.voided_at IS NULL
    ORDER BY v.visit_date LIMIT 1
) f ON true
LEFT JOIN LATERAL (
    SELECT v.visit_date FROM customer_visits v
    WHERE v.cafe_id = t.cafe_id AND v.customer_id = t.customer_id AND v.voided_at IS NULL
    ORDER BY v.visit_date DESC LIMIT 1
) l ON true
"""
# The profile knows best whose a number is; the newest of a number wins, and none survives the guest's erasure.
PROFILE = """
INSERT INTO guests AS kept (cafe_id, phone_hash, customer_id, name_known, profiled_at)
SELECT DISTINCT ON (t.cafe_id, t.phone_hash) t.*
FROM unnest($1::uuid[], $2::bytea[], $3::uuid[], $4::boolean[], $5::timestamptz[])
    AS t (cafe_id, phone_hash, customer_id, name_known, profiled_at)
WHERE NOT EXISTS (
    SELECT FROM erased_guests e
    WHERE e.cafe_id = t.cafe_id AND e.customer_id = t.customer_id AND e.erased_at >= t.profiled_at
)
ORDER BY t.cafe_id, t.phone_hash, t.profiled_at DESC
ON CONFLICT (cafe_id, phone_hash) DO UPDATE
SET customer_id = excluded.customer_id, name_known = excluded.name_known, profiled_at = excluded.profiled_at
WHERE kept.profiled_at IS NULL OR kept.profiled_at < excluded.profiled_at
"""
REMEMBER_ERASED = """
INSERT INTO erased_guests AS kept (cafe_id, customer_id, erased_at)
SELECT cafe_id, customer_id, max(erased_at)
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (cafe_id, customer_id, erased_at)
GROUP BY cafe_id, customer_id ORDER BY cafe_id, customer_id
ON CONFLICT (cafe_id, customer_id) DO UPDATE
SET erased_at = greatest(kept.erased_at, excluded.erased_at),
    checked_at = CASE WHEN kept.erased_at >= excluded.erased_at THEN kept.checked_at END
"""
# A guest whose row is newer than the erasure has come back: their number was learned anew.
FORGET = """
DELETE FROM guests g USING unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (cafe_id, customer_id, erased_at)
WHERE g.cafe_id = t.cafe_id AND g.customer_id = t.customer_id
  AND g.created_at <= t.erased_at AND (g.profiled_at IS NULL OR g.profiled_at <= t.erased_at)
"""
FORGET_ANSWERS = """
DELETE FROM guest_consents c USING unnest($1::uuid[], $2::uuid[], $3::timestamptz[])
    AS t (cafe_id, customer_id, erased_at)
WHERE c.cafe_id = t.cafe_id AND c.customer_id = t.customer_id AND c.changed_at <= t.erased_at
"""
# Sums and numbers stay; whatever somebody typed goes, the names of dishes too.
BLANK_VISITS = """
UPDATE customer_visits v
SET visit_notes = NULL, attributes = '{}', words_sealed = NULL, table_number = NULL, server_name = NULL,
    void_reason = NULL, forgotten_at = t.erased_at, updated_at = now(),
    items_ordered = coalesce((
        SELECT jsonb_agg(
            jsonb_strip_nulls(jsonb_build_object('name', '', 'quantity', l.line -> 'quantity',
                                                 'amount', l.line -> 'amount'))
            ORDER BY l.place
        )
        FROM jsonb_array_elements(v.items_ordered) WITH ORDINALITY AS l (line, place)
    ), '[]')
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (cafe_id, customer_id, erased_at)
WHERE v.cafe_id = t.cafe_id AND v.customer_id = t.customer_id
  AND (v.visit_date <= t.erased_at OR v.created_at <= t.erased_at)
  AND (v.forgotten_at IS NULL OR v.forgotten_at < t.erased_at)
"""
BLANK_RECEIPTS = """
UPDATE visit_receipts r SET void_reason = NULL
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (cafe_id, customer_id, erased_at)
WHERE r.cafe_id = t.cafe_id AND r.customer_id = t.customer_id AND r.void_reason IS NOT NULL
"""
UNCHECKED = """
SELECT cafe_id, customer_id, erased_at FROM erased_guests
WHERE checked_at IS NULL AND erased_at < $1 AND cafe_id <> ALL ($3::uuid[]) ORDER BY erased_at LIMIT $2
"""
CHECKED = """
UPDATE erased_guests e SET checked_at = now()
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (cafe_id, customer_id, erased_at)
WHERE e.cafe_id = t.cafe_id AND e.customer_id = t.customer_id AND e.erased_at = t.erased_at
"""
# Longer than any transaction lasts.
CHECK_AFTER = timedelta(minutes=5)
MOST_ERASURES = 200


# cafe, phone hash, guest, whether the profile names them, when the profile was written
ProfileRow = tuple[UUID, bytes, UUID, bool, datetime]
# cafe, guest, when they were erased
Erasure = tuple[UUID, UUID, datetime]


async def find(conn: Connection, keys: Sequence[PhoneKey]) -> dict[PhoneKey, KnownGuest]:
    """The guests of these numbers."""
    rows = await conn.fetch(FIND, *columns(keys, 0, 1))
    return {
        (row["cafe_id"], row["phone_hash"]): KnownGuest(row["customer_id"], row["name_known"], answer_in(row))
        for row in rows
    }


def answer_in(row: asyncpg.Record) -> Answer | None:
    """The guest's answer in a row that names its columns as the table does; None where there is none."""
    return None if row["granted"] is None else Answer(row["granted"], row["source"], row["changed_at"])


async def note_visits(
    conn: Connection,
    visits: Mapping[PhoneKey, tuple[UUID, int]],
    named: Collection[PhoneKey],
    answered: Mapping[PhoneKey, KnownGuest],
    strangers: Mapping[PhoneKey, KnownGuest],
) -> tuple[dict[GuestKey, int], set[PhoneKey]]:
    """Adds guests seen for the first time, and to each guest's counter the visits, holding its row.

    Also writes what guests have told: a name once known stays known, and of answers the one that counts.

    Args:
        visits: whose a number is and how many visits it made.
        named: known guests whose name is known from now on.
        answered: guests with an answer that was not known.

    Returns the counters as they are now, and those of the strangers whom somebody else has just written: their visits
    are not counted.
    """
    # In the order in which everybody takes the rows.
    new = sorted(strangers)
    answers = _one_each(answered)
    rows = await conn.fetch(
        NOTE_VISITS,
        [cafe_id for cafe_id, _ in visits],
        [phone[1] if phone in strangers else None for phone in visits],
        [customer_id for customer_id, _ in visits.values()],
        [count for _, count in visits.values()],
        *columns(named, 0, 1),
        *columns(new, 0, 1),
        [strangers[phone].customer_id for phone in new],
        [strangers[phone].name_known for phone in new],
        [phone[0] for phone, _, _ in answers],
        [phone[1] if phone in strangers else None for phone, _, _ in answers],
        [customer_id for _, customer_id, _ in answers],
        [answer.granted for _, _, answer in answers],
        [answer.at for _, _, answer in answers],
        [answer.source for _, _, answer in answers],
    )
    counters = {(row["cafe_id"], row["customer_id"]): row["last_number"] for row in rows if row["added"] is None}
    return counters, set(strangers) - {(row["cafe_id"], row["added"]) for row in rows}


def _one_each(answered: Mapping[PhoneKey, KnownGuest]) -> list[tuple[PhoneKey, UUID, Answer]]:
    """The answer that counts of each guest, who may have two numbers."""
    best: dict[GuestKey, tuple[PhoneKey, UUID, Answer]] = {}
    for phone, guest in answered.items():
        key = phone[0], guest.customer_id
        if guest.answer and (key not in best or best[key][2].rank < guest.answer.rank):
            best[key] = phone, guest.customer_id, guest.answer
    return list(best.values())


async def keep_answers(conn: Connection, answers: Mapping[GuestKey, Answer]) -> list[tuple[GuestKey, datetime]]:
    """Keeps answers that were given elsewhere. Returns guests whose later no at a till overrules such a yes, with its
    moment."""
    keys = sorted(answers)
    arrays = columns(keys, 0, 1)
    given = [answers[key] for key in keys]
    await conn.execute(
        KEEP_ANSWERS, *arrays, *columns(given, "granted", "at", "source"),
    )  # fmt: skip
    refused = {
        (row["cafe_id"], row["customer_id"]): row["changed_at"] for row in await conn.fetch(CONTRADICTING, *arrays)
    }
    return [(key, refused[key]) for key in keys if answers[key].granted and key in refused]


async def lock(conn: Connection, guests: set[GuestKey]) -> None:
    """Holds the guests' rows until the end of the transaction, so that the events of one guest keep an order."""
    await conn.execute(LOCK, *columns(guests, 0, 1))


async def spans(conn: Connection, guests: set[GuestKey]) -> dict[GuestKey, tuple[datetime | None, datetime | None]]:
    """First and last visit of each guest that was not voided; None where none is left."""
    rows = await conn.fetch(SPANS, *columns(guests, 0, 1))
    return {(row["cafe_id"], row["customer_id"]): (row["first_visit_at"], row["last_visit_at"]) for row in rows}


async def profile(conn: Connection, profiles: Sequence[ProfileRow]) -> None:
    """Keeps whose a number is, as the guests' profiles say."""
    await conn.execute(PROFILE, *columns(profiles, *range(5)))


async def unchecked(conn: Connection, moment: datetime, without: Sequence[UUID]) -> list[Erasure]:
    """The oldest erasures that nobody has gone through again by `moment`, not in these cafes."""
    rows = await conn.fetch(UNCHECKED, moment - CHECK_AFTER, MOST_ERASURES, without)
    return [(row["cafe_id"], row["customer_id"], row["erased_at"]) for row in rows]


async def check(conn: Connection, erasures: Sequence[Erasure]) -> None:
    """Goes through these erasures again, for good."""
    await erase(conn, erasures)
    await conn.execute(CHECKED, *columns(sorted(erasures), 0, 1, 2))


async def erase(conn: Connection, guests: Sequence[Erasure]) -> None:
    """Empties what could name these guests. Amounts, days and numbers stay."""
    await lock(conn, {(cafe_id, customer_id) for cafe_id, customer_id, _ in guests})
    arrays = [list(column) for column in zip(*sorted(guests), strict=True)]
    for statement in (REMEMBER_ERASED, FORGET, FORGET_ANSWERS, BLANK_VISITS, BLANK_RECEIPTS):
        await conn.execute(statement, *arrays)

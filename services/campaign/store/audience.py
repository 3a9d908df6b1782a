"""Guests as this service knows them: contacts, consents, memberships."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import asyncpg

from services.campaign.models import CampaignType, ContactStatus, KnownSegments, Purpose
from services.campaign.store import holds
from shared.consent import TICK, rank_sql
from shared.database.db import Connection

KEEP_CONTACTS = """
INSERT INTO contacts AS kept (cafe_id, customer_id, version, phone_sealed, phone_hash, name_sealed, status, status_at,
                              language)
SELECT DISTINCT ON (cafe_id, customer_id) cafe_id, customer_id, version, phone_sealed, phone_hash, name_sealed,
       status::contact_status_enum, at, language
FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::bytea[], $6::text[], $7::text[], $8::timestamptz[],
            $9::text[], $10::timestamptz[])
    AS t (cafe_id, customer_id, version, phone_sealed, phone_hash, name_sealed, status, at, language, registered_at)
WHERE NOT EXISTS (
    SELECT FROM contacts c
    WHERE c.cafe_id = t.cafe_id AND c.customer_id = t.customer_id AND c.erased_at >= t.registered_at
)
ORDER BY cafe_id, customer_id, version DESC
ON CONFLICT (cafe_id, customer_id) DO UPDATE
SET version = excluded.version, phone_sealed = excluded.phone_sealed, phone_hash = excluded.phone_hash,
    name_sealed = excluded.name_sealed, language = excluded.language, erased_at = NULL,
    status = CASE WHEN kept.status_at > excluded.status_at THEN kept.status ELSE excluded.status END,
    status_at = greatest(kept.status_at, excluded.status_at)
WHERE kept.version < excluded.version
"""
SET_STATUS = """
INSERT INTO contacts AS kept (cafe_id, customer_id, status, status_at)
SELECT DISTINCT ON (cafe_id, customer_id) cafe_id, customer_id, status::contact_status_enum, at
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[]) AS t (cafe_id, customer_id, status, at)
ORDER BY cafe_id, customer_id, at DESC
ON CONFLICT (cafe_id, customer_id) DO UPDATE SET status = excluded.status, status_at = excluded.status_at
WHERE kept.status_at IS NULL OR kept.status_at <= excluded.status_at
"""
# The contact's row is what a sender locks before it reads consents: whoever changes one takes the same lock first.
LOCK_CONTACTS = """
INSERT INTO contacts AS kept (cafe_id, customer_id)
SELECT DISTINCT cafe_id, customer_id FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id)
ORDER BY cafe_id, customer_id
ON CONFLICT (cafe_id, customer_id) DO UPDATE SET version = kept.version
"""
KEEP_CONSENTS = f"""
INSERT INTO consents AS kept (cafe_id, customer_id, channel, purpose, granted, changed_at, source)
SELECT DISTINCT ON (cafe_id, customer_id, channel, purpose) cafe_id, customer_id, channel::campaign_type_enum,
       purpose::message_purpose_enum, granted, at, source
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::boolean[], $6::timestamptz[], $7::text[])
    AS t (cafe_id, customer_id, channel, purpose, granted, at, source)
ORDER BY cafe_id, customer_id, channel, purpose, {rank_sql("t", "at")} DESC, at
ON CONFLICT (cafe_id, customer_id, channel, purpose) DO UPDATE
SET granted = excluded.granted, changed_at = excluded.changed_at, source = excluded.source
WHERE {rank_sql("kept")} < {rank_sql("excluded")}
"""  # noqa: S608
# A guest who says yes again after blocking the line has had it opened.
UNBLOCK_LINES = """
UPDATE contacts c SET line_blocked_at = NULL
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (cafe_id, customer_id, at)
WHERE c.cafe_id = t.cafe_id AND c.customer_id = t.customer_id AND c.line_blocked_at < t.at
"""
BLOCK_LINES = """
UPDATE contacts c SET line_blocked_at = $3
FROM (
    SELECT b.cafe_id, b.customer_id
    FROM contacts b
    JOIN unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id) USING (cafe_id, customer_id)
    ORDER BY b.cafe_id, b.customer_id
    FOR NO KEY UPDATE OF b
) AS locked
WHERE c.cafe_id = locked.cafe_id AND c.customer_id = locked.customer_id
"""
EMPTY_CONTACTS = """
INSERT INTO contacts AS kept (cafe_id, customer_id, erased_at)
SELECT cafe_id, customer_id, max(at) FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[])
    AS t (cafe_id, customer_id, at)
GROUP BY cafe_id, customer_id ORDER BY cafe_id, customer_id
ON CONFLICT (cafe_id, customer_id) DO UPDATE
SET version = 0, phone_sealed = NULL, phone_hash = NULL, name_sealed = NULL,
    erased_at = greatest(kept.erased_at, excluded.erased_at)
"""
EMPTY_DELIVERIES = """
UPDATE campaign_deliveries d
SET recipient_phone_sealed = NULL, recipient_phone_hash = NULL, recipient_name_sealed = NULL,
    personalized_content_sealed = NULL, error_message = NULL,
    error_code = CASE WHEN d.delivery_status = 'queued' THEN 'erased' ELSE d.error_code END,
    delivery_status = CASE WHEN d.delivery_status = 'queued' THEN 'skipped' ELSE d.delivery_status END
FROM (
    SELECT o.cafe_id, o.id, o.delivery_status = 'queued' AND NOT o.is_test AS was_queued
    FROM campaign_deliveries o
    JOIN unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id) USING (cafe_id, customer_id)
    ORDER BY o.cafe_id, o.id
    FOR UPDATE OF o
) AS own
WHERE d.cafe_id = own.cafe_id AND d.id = own.id
RETURNING d.cafe_id, d.campaign_id, own.was_queued
"""
CANCEL_RUNS = """
UPDATE journey_runs r SET state = 'cancelled', reason = 'erased'
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id)
WHERE r.cafe_id = t.cafe_id AND r.customer_id = t.customer_id AND r.state = 'waiting'
"""
DROP_CONSENTS = """
DELETE FROM consents c USING unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (cafe_id, customer_id, at)
WHERE c.cafe_id = t.cafe_id AND c.customer_id = t.customer_id AND c.changed_at <= t.at
"""
DROP_REPLIES = """
DELETE FROM unclear_replies r USING unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id)
WHERE r.cafe_id = t.cafe_id AND r.customer_id = t.customer_id
"""
DROP_MEMBERSHIPS = """
DELETE FROM segment_members m USING unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id)
WHERE m.cafe_id = t.cafe_id AND m.customer_id = t.customer_id
"""
KEEP_MEMBERS = """
INSERT INTO segment_members AS kept (cafe_id, segment_key, customer_id, segment_id, is_member, changed_at, reason)
SELECT DISTINCT ON (cafe_id, segment_key, customer_id) cafe_id, segment_key, customer_id, segment_id, is_member, at,
       reason
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::boolean[], $6::timestamptz[], $7::text[])
    AS t (cafe_id, segment_key, customer_id, segment_id, is_member, at, reason)
ORDER BY cafe_id, segment_key, customer_id, at DESC
ON CONFLICT (cafe_id, segment_key, customer_id) DO UPDATE
SET segment_id = excluded.segment_id, is_member = excluded.is_member, changed_at = excluded.changed_at,
    reason = excluded.reason
WHERE kept.changed_at <= excluded.changed_at
"""
KEEP_SEGMENTS = """
INSERT INTO cafe_segments AS kept (cafe_id, keys, off_keys, told_at)
SELECT DISTINCT ON (cafe_id) cafe_id, ARRAY(SELECT jsonb_array_elements_text(list -> 'on')),
       ARRAY(SELECT jsonb_array_elements_text(list -> 'off')), at
FROM unnest($1::uuid[], $2::jsonb[], $3::timestamptz[]) AS t (cafe_id, list, at)
ORDER BY cafe_id, at DESC
ON CONFLICT (cafe_id) DO UPDATE
SET keys = excluded.keys, off_keys = excluded.off_keys, told_at = excluded.told_at
WHERE kept.told_at <= excluded.told_at
"""
# Of what was there before lists were told, guests know that it is there.
SEGMENTS_OF_CAFE = """
SELECT coalesce(s.keys, '{}') AS keys, coalesce(s.off_keys, '{}') AS off_keys, ARRAY(
    SELECT w.key FROM unnest($2::text[]) AS w (key)
    WHERE s.cafe_id IS NULL AND EXISTS (
        SELECT FROM segment_members m WHERE m.cafe_id = $1 AND m.segment_key = w.key AND m.is_member
    )
) AS with_members
FROM (SELECT) AS always LEFT JOIN cafe_segments s ON s.cafe_id = $1
"""
TAKE_CONTACTS = """
SELECT c.cafe_id, c.customer_id, c.phone_sealed, c.phone_hash, c.name_sealed, c.status::text AS status,
       c.line_blocked_at IS NOT NULL AS line_blocked, c.erased_at IS NOT NULL AS erased
FROM contacts c
JOIN unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id) USING (cafe_id, customer_id)
ORDER BY c.cafe_id, c.customer_id
FOR NO KEY UPDATE OF c
"""
SMS_CONSENTS = """
SELECT c.cafe_id, c.customer_id, c.purpose::text AS purpose, c.granted
FROM consents c
JOIN unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id) USING (cafe_id, customer_id)
WHERE c.channel = 'sms'
"""
MEMBERSHIPS = """
SELECT m.cafe_id, m.customer_id, m.segment_key, m.segment_id, m.changed_at
FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS t (cafe_id, customer_id, segment_key)
JOIN segment_members m USING (cafe_id, segment_key, customer_id)
WHERE m.is_member
"""
FIND_BY_PHONE = "SELECT customer_id FROM contacts WHERE cafe_id = $1 AND phone_hash = $2"


@dataclass(frozen=True)
class Profile:
    """A version of a guest's profile; phone and name in the envelopes they travelled in."""

    cafe_id: UUID
    customer_id: UUID
    version: int
    phone_sealed: str = field(repr=False)
    phone_hash: bytes = field(repr=False)
    name_sealed: str | None = field(repr=False)
    status: ContactStatus
    language: str
    at: datetime
    registered_at: datetime


@dataclass(frozen=True)
class Consent:
    """What a guest said about one channel and purpose, and when."""

    cafe_id: UUID
    customer_id: UUID
    channel: CampaignType
    purpose: Purpose
    granted: bool
    at: datetime
    source: str


@dataclass(frozen=True)
class Membership:
    """A guest entered or left a segment."""

    cafe_id: UUID
    segment_key: str
    customer_id: UUID
    segment_id: UUID
    is_member: bool
    at: datetime
    reason: str | None


@dataclass(frozen=True)
class SegmentList:
    """All segments of a cafe: those in use, and those that are switched off."""

    cafe_id: UUID
    keys: Sequence[str]
    off_keys: Sequence[str]
    at: datetime


Guest = tuple[UUID, UUID]


async def keep_contacts(conn: Connection, profiles: Sequence[Profile]) -> None:
    """Keeps the newest version of each profile; one that is older than the guest's erasure changes nothing."""
    await conn.execute(
        KEEP_CONTACTS,
        [p.cafe_id for p in profiles],
        [p.customer_id for p in profiles],
        [p.version for p in profiles],
        [p.phone_sealed for p in profiles],
        [p.phone_hash for p in profiles],
        [p.name_sealed for p in profiles],
        [p.status for p in profiles],
        [p.at for p in profiles],
        [p.language for p in profiles],
        [p.registered_at for p in profiles],
    )


async def set_status(conn: Connection, changes: Sequence[tuple[UUID, UUID, ContactStatus, datetime]]) -> None:
    """Sets (cafe, guest, status, since when); the latest wins, whatever order they arrive in."""
    await conn.execute(SET_STATUS, *_columns(changes, 4))


async def lock_contacts(conn: Connection, guests: Sequence[Guest]) -> None:
    """Takes the lock that senders take before they read what they decide by."""
    await conn.execute(LOCK_CONTACTS, *_columns(guests, 2))


async def keep_consents(conn: Connection, consents: Sequence[Consent]) -> None:
    """Keeps each guest's latest word per channel and purpose, under the lock that senders take."""
    await lock_contacts(conn, [(c.cafe_id, c.customer_id) for c in consents])
    await conn.execute(
        KEEP_CONSENTS,
        [c.cafe_id for c in consents],
        [c.customer_id for c in consents],
        [c.channel for c in consents],
        [c.purpose for c in consents],
        [c.granted for c in consents],
        [c.at for c in consents],
        [c.source for c in consents],
    )
    # A tick that stands on a bill opens no line.
    yes = [c for c in consents if c.granted and c.channel == "sms" and c.source != TICK]
    if yes:
        await conn.execute(UNBLOCK_LINES, [c.cafe_id for c in yes], [c.customer_id for c in yes], [c.at for c in yes])


async def block_lines(conn: Connection, guests: Sequence[Guest], at: datetime) -> None:
    """Notes that these guests can't be reached on our line any more."""
    if guests:
        await conn.execute(BLOCK_LINES, *_columns(guests, 2), at)


async def erase(conn: Connection, erasures: Sequence[tuple[UUID, UUID, datetime]]) -> list[tuple[UUID, UUID]]:
    """Empties all that is personal of (cafe, guest, when), and takes their waiting messages back. Returns whose (cafe,
    campaign) these were, one entry for each."""
    cafes, guests, _ = _columns(erasures, 3)
    # Deliveries before contacts: the order in which the sender locks them.
    emptied = await conn.fetch(EMPTY_DELIVERIES, cafes, guests)
    await conn.execute(CANCEL_RUNS, cafes, guests)
    await forget(conn, erasures)
    await conn.execute(DROP_REPLIES, cafes, guests)
    return [(row["cafe_id"], row["campaign_id"]) for row in emptied if row["was_queued"]]


async def forget(conn: Connection, erasures: Sequence[tuple[UUID, UUID, datetime]]) -> None:
    """Empties what is kept of (cafe, guest, when) as somebody who can be reached."""
    cafes, guests, _ = _columns(erasures, 3)
    await conn.execute(EMPTY_CONTACTS, *_columns(erasures, 3))
    await conn.execute(DROP_CONSENTS, *_columns(erasures, 3))
    await conn.execute(DROP_MEMBERSHIPS, cafes, guests)
    await holds.forget(conn, erasures)


async def keep_members(conn: Connection, memberships: Sequence[Membership]) -> None:
    """Keeps the latest word about each guest and segment."""
    await conn.execute(
        KEEP_MEMBERS,
        [m.cafe_id for m in memberships],
        [m.segment_key for m in memberships],
        [m.customer_id for m in memberships],
        [m.segment_id for m in memberships],
        [m.is_member for m in memberships],
        [m.at for m in memberships],
        [m.reason for m in memberships],
    )


async def memberships(conn: Connection, wanted: Sequence[tuple[UUID, UUID, str]]) -> list[asyncpg.Record]:
    """Those of the (cafe, guest, segment) in which the guest is now, with since when."""
    return await conn.fetch(MEMBERSHIPS, *_columns(wanted, 3))


async def keep_segments(conn: Connection, lists: Sequence[SegmentList]) -> None:
    """Keeps the latest list of each cafe's segments."""
    await conn.execute(
        KEEP_SEGMENTS,
        [each.cafe_id for each in lists],
        [{"on": list(each.keys), "off": list(each.off_keys)} for each in lists],
        [each.at for each in lists],
    )


async def known_segments(conn: Connection, cafe_id: UUID, wanted: Sequence[str]) -> KnownSegments:
    """The segments that the cafe has; of the wanted keys also those that guests are in."""
    (row,) = await conn.fetch(SEGMENTS_OF_CAFE, cafe_id, wanted)
    return KnownSegments(**row)


async def take_contacts(conn: Connection, guests: Sequence[Guest]) -> list[asyncpg.Record]:
    """The contacts of these guests, locked until the transaction ends: no consent changes meanwhile."""
    return await conn.fetch(TAKE_CONTACTS, *_columns(guests, 2))


async def sms_consents(conn: Connection, guests: Sequence[Guest]) -> dict[Guest, dict[Purpose, bool]]:
    """What each guest said about SMS, by purpose."""
    found: dict[Guest, dict[Purpose, bool]] = {}
    for row in await conn.fetch(SMS_CONSENTS, *_columns(guests, 2)):
        found.setdefault((row["cafe_id"], row["customer_id"]), {})[row["purpose"]] = row["granted"]
    return found


async def find_by_phone(conn: Connection, cafe_id: UUID, phone_hash: bytes) -> UUID | None:
    """The guest with that number."""
    guest: UUID | None = await conn.fetchval(FIND_BY_PHONE, cafe_id, phone_hash)
    return guest


def _columns(rows: Sequence[Sequence[object]], width: int) -> list[list[object]]:
    return [[row[column] for row in rows] for column in range(width)]

"""Contacts and consents: how a guest may be reached."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from services.campaign.audience.models.values import Consent, ContactStatus, ContactVersion, GuestKey
from services.campaign.audience.store import complaints
from shared.consent import TICK, Channel, Purpose, rank_sql
from shared.database.columns import columns
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
DROP_CONSENTS = """
DELETE FROM consents c USING unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (cafe_id, customer_id, at)
WHERE c.cafe_id = t.cafe_id AND c.customer_id = t.customer_id AND c.changed_at <= t.at
"""
DROP_MEMBERSHIPS = """
DELETE FROM segment_members m USING unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id)
WHERE m.cafe_id = t.cafe_id AND m.customer_id = t.customer_id
"""
TAKE_CONTACTS = """
SELECT c.cafe_id, c.customer_id, c.phone_sealed, c.phone_hash, c.name_sealed, c.status::text AS status,
       c.line_blocked_at IS NOT NULL AS line_blocked, c.erased_at IS NOT NULL AS erased
FROM contacts c
JOIN unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id) USING (cafe_id, customer_id)
ORDER BY c.cafe_id, c.customer_id
FOR NO KEY UPDATE OF c
"""
CONSENTS = """
SELECT c.cafe_id, c.customer_id, c.channel::text AS channel, c.purpose::text AS purpose, c.granted
FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS t (cafe_id, customer_id, channel)
JOIN consents c
    ON c.cafe_id = t.cafe_id AND c.customer_id = t.customer_id AND c.channel = t.channel::campaign_type_enum
"""
FIND_BY_PHONE = "SELECT customer_id FROM contacts WHERE cafe_id = $1 AND phone_hash = $2"


async def keep_contacts(conn: Connection, profiles: Sequence[ContactVersion]) -> None:
    """Keeps the newest version of each profile; one that is older than the guest's erasure changes nothing."""
    await conn.execute(
        KEEP_CONTACTS,
        *columns(
            profiles,
            "cafe_id",
            "customer_id",
            "version",
            "phone_sealed",
            "phone_hash",
            "name_sealed",
            "status",
            "at",
            "language",
            "registered_at",
        ),
    )


async def set_status(conn: Connection, changes: Sequence[tuple[UUID, UUID, ContactStatus, datetime]]) -> None:
    """Sets (cafe, guest, status, since when); the latest wins, whatever order they arrive in."""
    await conn.execute(SET_STATUS, *columns(changes, 0, 1, 2, 3))


async def lock_contacts(conn: Connection, guests: Sequence[GuestKey]) -> None:
    """Takes the lock that senders take before they read what they decide by."""
    await conn.execute(LOCK_CONTACTS, *columns(guests, 0, 1))


async def keep_consents(conn: Connection, consents: Sequence[Consent]) -> None:
    """Keeps each guest's latest word per channel and purpose, under the lock that senders take."""
    await lock_contacts(conn, [(c.cafe_id, c.customer_id) for c in consents])
    await conn.execute(
        KEEP_CONSENTS,
        *columns(consents, "cafe_id", "customer_id", "channel", "purpose", "granted", "at", "source"),
    )
    # A tick that stands on a bill opens no line.
    yes = [c for c in consents if c.granted and c.channel == "sms" and c.source != TICK]
    if yes:
        await conn.execute(UNBLOCK_LINES, *columns(yes, "cafe_id", "customer_id", "at"))


async def block_lines(conn: Connection, guests: Sequence[GuestKey], at: datetime) -> None:
    """Notes that these guests can't be reached on our line any more."""
    if guests:
        await conn.execute(BLOCK_LINES, *columns(guests, 0, 1), at)


async def forget(conn: Connection, erasures: Sequence[tuple[UUID, UUID, datetime]]) -> None:
    """Empties what is kept of (cafe, guest, when) as somebody who can be reached."""
    cafes, guests, _ = columns(erasures, 0, 1, 2)
    await conn.execute(EMPTY_CONTACTS, *columns(erasures, 0, 1, 2))
    await conn.execute(DROP_CONSENTS, *columns(erasures, 0, 1, 2))
    await conn.execute(DROP_MEMBERSHIPS, cafes, guests)
    await complaints.forget(conn, erasures)


async def take_contacts(conn: Connection, guests: Sequence[GuestKey]) -> list[asyncpg.Record]:
    """The contacts of these guests, locked until the transaction ends: no consent changes meanwhile."""
    return await conn.fetch(TAKE_CONTACTS, *columns(guests, 0, 1))


async def consents(
    conn: Connection, wanted: Sequence[tuple[UUID, UUID, Channel]]
) -> dict[tuple[UUID, UUID, Channel], dict[Purpose, bool]]:
    """What guests said about a channel, by purpose, for each (cafe, guest, channel)."""
    found: dict[tuple[UUID, UUID, Channel], dict[Purpose, bool]] = {}
    for row in await conn.fetch(CONSENTS, *columns(wanted, 0, 1, 2)):
        place = (row["cafe_id"], row["customer_id"], row["channel"])
        found.setdefault(place, {})[row["purpose"]] = row["granted"]
    return found


async def find_by_phone(conn: Connection, cafe_id: UUID, phone_hash: bytes) -> UUID | None:
    """The guest with that number."""
    guest: UUID | None = await conn.fetchval(FIND_BY_PHONE, cafe_id, phone_hash)
    return guest

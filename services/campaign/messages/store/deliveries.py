"""Messages: queued, claimed, handed over, settled; and the decisions about them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.campaign.messages.models.values import Decision, Handed, NewDelivery, Pending, Place, Ready, Settled, Turn
from services.campaign.messages.store.due import CHECK_SECOND, DELIVERY_SECOND, columns_of
from shared.database.columns import columns
from shared.database.db import Connection

INSERT = """
INSERT INTO campaign_deliveries (id, cafe_id, campaign_id, customer_id, trigger_id, visit_id, local_id,
                                 message_content, queued_at, due_at, expires_at, correlation_id, causation_id,
                                 delivery_status, error_code, channel)
SELECT id, cafe_id, campaign_id, customer_id, trigger_id, visit_id, local_id, content, $15, coalesce(due_at, $15),
       expires_at, correlation_id, causation_id, status::delivery_status_enum, reason, channel::campaign_type_enum
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::bigint[], $8::text[],
            $9::timestamptz[], $10::uuid[], $11::uuid[], $12::text[], $13::timestamptz[], $14::text[], $16::text[])
    AS t (id, cafe_id, campaign_id, customer_id, trigger_id, visit_id, local_id, content, expires_at, correlation_id,
          causation_id, status, due_at, reason, channel)
ON CONFLICT DO NOTHING
RETURNING id
"""
INSERT_TEST = """
INSERT INTO campaign_deliveries (id, cafe_id, campaign_id, customer_id, trigger_id, local_id, message_content,
                                 queued_at, due_at, expires_at, correlation_id, recipient_phone_sealed, is_test,
                                 channel)
VALUES ($1, $2, $3, $4, $1, $5, $6, $7, $7, $8, $9, $10, true, $11)
"""
SENT_TODAY = """
SELECT d.customer_id, count(*)::int AS sent
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (cafe_id, customer_id, since)
JOIN campaign_deliveries d ON d.cafe_id = t.cafe_id AND d.customer_id = t.customer_id AND d.sending_at >= t.since
WHERE d.delivery_status NOT IN ('queued', 'skipped')
GROUP BY d.customer_id
"""
START_SENDING = """
UPDATE campaign_deliveries d
SET delivery_status = 'sending', delivery_attempts = d.delivery_attempts + 1, sending_at = $10, check_at = $11,
    recipient_phone_sealed = t.phone, recipient_phone_hash = t.hash, recipient_name_sealed = t.name,
    personalized_content_sealed = t.text, parts = t.parts, message_cost = t.cost, provider_id = t.provider_id,
    provider_name = p.provider_name, error_code = NULL, error_message = NULL
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::int[], $8::numeric[],
            $9::uuid[]) AS t (cafe_id, id, phone, hash, name, text, parts, cost, provider_id)
JOIN sms_providers p ON p.cafe_id = t.cafe_id AND p.id = t.provider_id
WHERE d.cafe_id = t.cafe_id AND d.id = t.id
"""
PUT_OFF = """
UPDATE campaign_deliveries d
SET delivery_status = t.status::delivery_status_enum, due_at = coalesce(t.due_at, d.due_at), error_code = t.reason,
    refused_by = CASE WHEN t.reason = 'provider' THEN '{}' ELSE d.refused_by END
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[])
    AS t (cafe_id, id, status, due_at, reason)
WHERE d.cafe_id = t.cafe_id AND d.id = t.id
"""
END_WAIT_FOR_CONTACT = """
UPDATE campaign_deliveries d SET due_at = $3
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id)
WHERE d.cafe_id = t.cafe_id AND d.customer_id = t.customer_id AND d.delivery_status = 'queued'
  AND d.error_code = 'contact' AND d.due_at > $3
"""
# Whoever is held by the same quiet hours is held until the same second.
END_QUIET_HOURS = f"""
UPDATE campaign_deliveries d SET due_at = $3
FROM unnest($1::uuid[], $2::timestamptz[]) AS t (cafe_id, held_until)
WHERE d.delivery_status = 'queued' AND {DELIVERY_SECOND.format("d.")} = t.held_until AND d.cafe_id = t.cafe_id
  AND d.error_code = 'quiet_hours'
"""  # noqa: S608
INSERT_DECISIONS = """
INSERT INTO send_decisions (id, cafe_id, delivery_id, campaign_id, customer_id, decided_at, outcome, reason,
                            hold_until, checks)
SELECT id, cafe_id, delivery_id, campaign_id, customer_id, $10, outcome::decision_outcome_enum, reason, hold_until,
       checks::jsonb
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::timestamptz[],
            $9::text[])
    AS t (id, cafe_id, delivery_id, campaign_id, customer_id, outcome, reason, hold_until, checks)
"""
HANDED = """
SELECT d.id, d.cafe_id, d.campaign_id, d.customer_id, d.provider_id, d.provider_name, d.local_id,
       d.provider_message_id, d.delivery_status::text AS status, d.parts, d.message_cost AS cost,
       (d.sending_at AT TIME ZONE c.time_zone)::date AS day, d.sending_at, d.sent_at, d.correlation_id, d.causation_id,
       d.opened_at IS NOT NULL AS is_opened, d.error_code AS reason,
       d.is_test, d.returned_by <> '{}' AS is_returned
FROM campaign_deliveries d
JOIN cafes c ON c.cafe_id = d.cafe_id
JOIN unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, id) ON t.cafe_id = d.cafe_id AND t.id = d.id
WHERE d.provider_id IS NOT NULL
ORDER BY d.cafe_id, d.id
"""
LOCK_HANDED = HANDED + "FOR UPDATE OF d"
LEASE_UNSETTLED = f"""
WITH mine AS MATERIALIZED (
    SELECT d.ctid
    FROM unnest($4::uuid[], $5::int[]) AS turn (cafe_id, share)
    CROSS JOIN LATERAL (
        SELECT own.ctid
        FROM unnest($6::uuid[], $7::timestamptz[]) AS place (cafe_id, second)
        CROSS JOIN LATERAL (
            SELECT q.ctid FROM campaign_deliveries q
            WHERE q.check_at IS NOT NULL AND q.delivery_status = $1::delivery_status_enum
              AND {CHECK_SECOND.format("q.")} = place.second AND q.cafe_id = place.cafe_id AND q.check_at <= $2
            FOR UPDATE OF q SKIP LOCKED
        ) AS own
        WHERE place.cafe_id = turn.cafe_id
        LIMIT turn.share
    ) AS d
)
UPDATE campaign_deliveries d SET check_at = $3 FROM mine WHERE d.ctid = mine.ctid
RETURNING d.cafe_id, d.id
"""  # noqa: S608
FIND_BY_MESSAGE = """
SELECT cafe_id, id FROM campaign_deliveries
WHERE cafe_id = $1 AND provider_id = $2 AND provider_message_id = any($3::text[])
"""
# Of a guest who was erased meanwhile, the provider's words, which may quote the number, are not kept.
SETTLE = """
UPDATE campaign_deliveries d
SET delivery_status = CASE WHEN t.status = 'delivered' AND d.opened_at IS NOT NULL THEN 'opened'
                           ELSE t.status END::delivery_status_enum,
    provider_message_id = coalesce(t.message_id, d.provider_message_id),
    message_cost = coalesce(t.cost, d.message_cost),
    error_code = t.error_code, check_at = t.check_at,
    error_message = CASE WHEN d.recipient_phone_sealed IS NOT NULL THEN t.error_message END,
    due_at = coalesce(t.due_at, d.due_at),
    refused_by = CASE WHEN t.refused_by IS NULL THEN d.refused_by ELSE d.refused_by || t.refused_by END,
    provider_id = CASE WHEN t.unpinned THEN NULL ELSE d.provider_id END,
    sent_at = CASE WHEN t.accepted THEN coalesce(d.sent_at, $13) ELSE d.sent_at END,
    delivered_at = CASE WHEN t.status = 'delivered' THEN $13 ELSE d.delivered_at END,
    failed_at = CASE WHEN t.status IN ('failed', 'bounced') THEN $13 ELSE d.failed_at END
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::numeric[], $6::text[], $7::text[],
            $8::timestamptz[], $9::timestamptz[], $10::uuid[], $11::boolean[], $12::boolean[])
    AS t (cafe_id, id, status, message_id, cost, error_code, error_message, check_at, due_at, refused_by, unpinned,
          accepted)
WHERE d.cafe_id = t.cafe_id AND d.id = t.id
"""
REPLIED = """
UPDATE campaign_deliveries d SET reply_received = true
FROM (
    SELECT cafe_id, id, reply_received FROM campaign_deliveries
    WHERE cafe_id = $1 AND recipient_phone_hash = $2 AND sent_at IS NOT NULL ORDER BY sent_at DESC LIMIT 1
    FOR UPDATE
) AS old
WHERE d.cafe_id = old.cafe_id AND d.id = old.id
RETURNING d.customer_id, d.campaign_id, NOT old.reply_received AND NOT d.is_test AS is_first
"""
OF_GUEST = """
SELECT d.id, d.campaign_id, c.name AS campaign, c.purpose::text AS purpose, d.trigger_id, d.visit_id,
       d.message_content, d.delivery_status::text AS delivery_status, d.delivery_attempts, d.queued_at, d.due_at,
       d.sent_at, d.delivered_at, d.opened_at, d.failed_at, d.error_code, d.error_message, d.message_cost,
       d.currency_unit, d.parts, d.provider_name, d.link_clicks, d.reply_received, d.is_test
FROM campaign_deliveries d JOIN campaigns c ON c.cafe_id = d.cafe_id AND c.id = d.campaign_id
WHERE d.cafe_id = $1 AND d.customer_id = $2 ORDER BY d.queued_at DESC, d.id LIMIT $3
"""
DECISIONS_OF = """
SELECT delivery_id, decided_at, outcome::text AS outcome, reason, hold_until, checks
FROM send_decisions WHERE cafe_id = $1 AND delivery_id = any($2::uuid[]) ORDER BY decided_at, id
"""
DeliveryKey = tuple[UUID, UUID]


async def insert(conn: Connection, new: Sequence[NewDelivery], at: datetime) -> set[UUID]:
    """Adds messages; one that exists for the same occasion stays as it is. Returns the ids of those that are new."""
    if not new:
        return set()
    rows = await conn.fetch(
        INSERT,
        *columns(
            new,
            "id",
            "cafe_id",
            "campaign_id",
            "customer_id",
            "trigger_id",
            "visit_id",
            "local_id",
            "content",
            "expires_at",
            "correlation_id",
            "causation_id",
            "status",
            "due_at",
            "reason",
        ),
        at,
        [d.channel for d in new],
    )
    return {row["id"] for row in rows}


async def insert_test(conn: Connection, new: NewDelivery, phone_sealed: str, at: datetime) -> None:
    """Adds a message that somebody of the staff has sent to their own number."""
    await conn.execute(
        INSERT_TEST, new.id, new.cafe_id, new.campaign_id, new.customer_id, new.local_id, new.content, at,
        new.expires_at, new.correlation_id, phone_sealed, new.channel,
    )  # fmt: skip


async def sent_today(conn: Connection, guests: Sequence[tuple[UUID, UUID, datetime]]) -> dict[UUID, int]:
    """How many messages went to each (cafe, guest) since the given start of the cafe's day."""
    arrays = [[guest[i] for guest in guests] for i in range(3)]
    return {row["customer_id"]: row["sent"] for row in await conn.fetch(SENT_TODAY, *arrays)}


async def start_sending(conn: Connection, ready: Sequence[Ready], at: datetime, check_at: datetime) -> None:
    """Marks the messages as on their way. Commit this before anything goes to a provider."""
    if not ready:
        return
    await conn.execute(
        START_SENDING,
        *columns(
            ready,
            "cafe_id",
            "id",
            "phone_sealed",
            "phone_hash",
            "name_sealed",
            "text_sealed",
            "parts",
            "cost",
            "provider_id",
        ),
        at,
        check_at,
    )


def status_after(decision: Decision) -> str:
    """The state in which a decision leaves a message until it is handed over."""
    return "skipped" if decision.outcome == "skip" else "queued"


async def put_off(conn: Connection, decided: Sequence[tuple[Pending, Decision]]) -> None:
    """Gives held messages their new time, and closes those that will not be sent."""
    if not decided:
        return
    await conn.execute(
        PUT_OFF,
        [pending.cafe_id for pending, _ in decided],
        [pending.id for pending, _ in decided],
        [status_after(decision) for _, decision in decided],
        [decision.hold_until for _, decision in decided],
        [decision.reason for _, decision in decided],
    )


async def end_wait_for_contact(conn: Connection, guests: Sequence[tuple[UUID, UUID]], at: datetime) -> None:
    """Makes due what is held for want of these guests' (cafe, guest) numbers."""
    if guests:
        await conn.execute(END_WAIT_FOR_CONTACT, *columns(guests, 0, 1), at)


async def end_quiet_hours(conn: Connection, held: Sequence[tuple[UUID, datetime]], at: datetime) -> None:
    """Makes due what these cafes' former quiet hours (cafe, held until) hold back."""
    if held:
        await conn.execute(END_QUIET_HOURS, *columns(held, 0, 1), at)


async def insert_decisions(conn: Connection, decided: Sequence[tuple[UUID, Pending, Decision]], at: datetime) -> None:
    """Keeps why each message was sent, held or not sent; the ids are made by the caller."""
    await conn.execute(
        INSERT_DECISIONS,
        [row_id for row_id, _, _ in decided],
        [pending.cafe_id for _, pending, _ in decided],
        [pending.id for _, pending, _ in decided],
        [pending.campaign_id for _, pending, _ in decided],
        [pending.customer_id for _, pending, _ in decided],
        [decision.outcome for _, _, decision in decided],
        [decision.reason for _, _, decision in decided],
        [decision.hold_until for _, _, decision in decided],
        [msgspec.json.encode(decision.checks).decode() for _, _, decision in decided],
        at,
    )


async def lease_unsettled(
    conn: Connection, status: str, moment: datetime, until: datetime, turns: Sequence[Turn], places: Sequence[Place]
) -> list[DeliveryKey]:
    """Messages in `status` about which a provider should be asked now, each cafe's share of them; nobody else asks
    before `until`."""
    rows = await conn.fetch(LEASE_UNSETTLED, status, moment, until, *columns_of(turns, places, "delivery"))
    return [(row["cafe_id"], row["id"]) for row in rows]


async def read_handed(conn: Connection, keys: Sequence[DeliveryKey]) -> list[Handed]:
    """The messages as they stand now."""
    return [Handed(**row) for row in await conn.fetch(HANDED, *columns(keys, 0, 1))]


async def lock_handed(conn: Connection, keys: Sequence[DeliveryKey]) -> list[Handed]:
    """The messages as they stand now, locked in the order of their keys."""
    return [Handed(**row) for row in await conn.fetch(LOCK_HANDED, *columns(keys, 0, 1))]


async def find_by_message(
    conn: Connection, cafe_id: UUID, provider_id: UUID, message_ids: Sequence[str]
) -> list[DeliveryKey]:
    """Our messages by a provider's own ids."""
    rows = await conn.fetch(FIND_BY_MESSAGE, cafe_id, provider_id, message_ids)
    return [(row["cafe_id"], row["id"]) for row in rows]


async def settle(conn: Connection, settled: Sequence[Settled], at: datetime) -> None:
    """Writes what became of messages. Lock them first and leave out what changes nothing."""
    if not settled:
        return
    await conn.execute(
        SETTLE,
        *columns(
            settled,
            "cafe_id",
            "delivery_id",
            "status",
            "provider_message_id",
            "cost",
            "error_code",
            "error_message",
            "check_at",
            "due_at",
            "refused_by",
            "unpinned",
            "accepted",
        ),
        at,
    )


async def mark_replied(conn: Connection, cafe_id: UUID, phone_hash: bytes) -> asyncpg.Record | None:
    """Notes an answer by SMS on the newest message to that number; returns whom it went to, for which campaign, and
    whether it is the first answer that counts there."""
    return await conn.fetchrow(REPLIED, cafe_id, phone_hash)


async def of_guest(conn: Connection, cafe_id: UUID, customer_id: UUID, limit: int) -> list[dict[str, Any]]:
    """The guest's messages, newest first, each with the decisions about it."""
    rows = [dict(row) for row in await conn.fetch(OF_GUEST, cafe_id, customer_id, limit)]
    decisions: dict[UUID, list[dict[str, Any]]] = {}
    for decision in await conn.fetch(DECISIONS_OF, cafe_id, [row["id"] for row in rows]):
        found = dict(decision)
        decisions.setdefault(found.pop("delivery_id"), []).append(found)
    return [{**row, "decisions": decisions.get(row["id"], [])} for row in rows]

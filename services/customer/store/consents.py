"""What guests agreed to: the answer in force, and every answer ever given."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.customer.models.values import ConsentAnswer, GuestKey
from shared.clock import new_id
from shared.consent import rank_sql
from shared.database.columns import columns
from shared.database.db import Connection

# What was said before the guest's erasure is forgotten, however late it comes.
KEEP = f"""
INSERT INTO consents AS kept (cafe_id, customer_id, channel, purpose, granted, source, changed_at, changed_by)
SELECT DISTINCT ON (cafe_id, customer_id, channel, purpose)
    cafe_id, customer_id, channel::consent_channel_enum, purpose::consent_purpose_enum, granted, source, occurred_at,
    recorded_by
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::boolean[], $6::text[], $7::timestamptz[], $8::uuid[])
    AS t (cafe_id, customer_id, channel, purpose, granted, source, occurred_at, recorded_by)
WHERE NOT EXISTS (
    SELECT FROM customers AS c
    WHERE c.cafe_id = t.cafe_id AND c.id = t.customer_id AND greatest(c.erased_at, c.deleted_at) >= t.occurred_at
)
ORDER BY cafe_id, customer_id, channel, purpose, {rank_sql("t", "occurred_at")} DESC, occurred_at
ON CONFLICT (cafe_id, customer_id, channel, purpose) DO UPDATE
SET granted = excluded.granted, source = excluded.source, changed_at = excluded.changed_at,
    changed_by = excluded.changed_by
WHERE {rank_sql("kept")} < {rank_sql("excluded")}
RETURNING cafe_id, customer_id, channel::text, purpose::text, granted, source, changed_at, changed_by
"""  # noqa: S608
REMEMBER = """
INSERT INTO consent_history
    (cafe_id, customer_id, id, channel, purpose, granted, source, occurred_at, recorded_by, recorded_at)
SELECT
    cafe_id, customer_id, id, channel::consent_channel_enum, purpose::consent_purpose_enum, granted, source,
    occurred_at, recorded_by, $10::timestamptz
FROM unnest(
    $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::boolean[], $6::text[], $7::timestamptz[], $8::uuid[], $9::uuid[]
) AS t (cafe_id, customer_id, channel, purpose, granted, source, occurred_at, recorded_by, id)
"""
CURRENT = """
SELECT channel::text, purpose::text, granted, source, changed_at, changed_by
FROM consents WHERE cafe_id = $1 AND customer_id = $2 ORDER BY channel, purpose
"""
HISTORY = """
SELECT channel::text, purpose::text, granted, source, occurred_at, recorded_at, recorded_by
FROM consent_history WHERE cafe_id = $1 AND customer_id = $2 ORDER BY occurred_at DESC, id DESC LIMIT 500
"""
FORGET = "DELETE FROM consents WHERE cafe_id = $1 AND customer_id = $2"
# Before it was a word of a list, staff could type it.
FORGET_SOURCES = """
UPDATE consent_history SET source = 'staff'
WHERE cafe_id = $1 AND customer_id = $2 AND recorded_by IS NOT NULL AND source <> 'staff'
"""


async def keep(conn: Connection, answers: Sequence[ConsentAnswer], now: datetime) -> list[ConsentAnswer]:
    """Adds the answers to the history, and returns those that are in force from now on."""
    arrays = columns(
        answers,
        "guest.cafe_id",
        "guest.customer_id",
        "channel",
        "purpose",
        "granted",
        "source",
        "occurred_at",
        "recorded_by",
    )
    await conn.execute(REMEMBER, *arrays, [new_id() for _ in answers], now)
    rows = await conn.fetch(KEEP, *arrays)
    return [ConsentAnswer(GuestKey(row["cafe_id"], row["customer_id"]), *list(row.values())[2:]) for row in rows]


async def current(conn: Connection, guest: GuestKey) -> list[dict[str, Any]]:
    """The answers in force."""
    return [dict(row) for row in await conn.fetch(CURRENT, guest.cafe_id, guest.customer_id)]


async def history(conn: Connection, guest: GuestKey) -> list[dict[str, Any]]:
    """All answers, newest first."""
    return [dict(row) for row in await conn.fetch(HISTORY, guest.cafe_id, guest.customer_id)]


async def forget(conn: Connection, guest: GuestKey) -> None:
    """Nothing is agreed to any more. The history stays: it names nobody, and proves what was sent with consent."""
    await conn.execute(FORGET, guest.cafe_id, guest.customer_id)
    await conn.execute(FORGET_SOURCES, guest.cafe_id, guest.customer_id)

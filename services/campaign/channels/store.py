"""Cafes' accounts at providers, and what has been used of them."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg

from services.campaign.channels.models.values import Provider
from shared.database.db import Connection

TIME_ZONES = "SELECT cafe_id, time_zone FROM cafes WHERE cafe_id = any($1::uuid[])"
# Their lock lets one sender at a time decide for a cafe, so limits and budgets hold also with several senders.
LOCK_PROVIDERS = """
SELECT id, cafe_id, provider_name, api_endpoint, api_key_sealed, sender_line, cost_per_sms, is_active, priority_order,
       daily_limit, monthly_limit, failures, paused_until, charged_per_part
FROM sms_providers WHERE cafe_id = any($1::uuid[]) ORDER BY cafe_id, id FOR NO KEY UPDATE
"""
READ_PROVIDERS = """
SELECT id, cafe_id, provider_name, api_endpoint, api_key_sealed, sender_line, cost_per_sms, is_active, priority_order,
       daily_limit, monthly_limit, failures, paused_until, charged_per_part
FROM sms_providers WHERE cafe_id = $1
"""
OF_CAFE = """
SELECT id, cafe_id, provider_name, api_endpoint, CASE WHEN own_key THEN '' END AS api_key_sealed, sender_line,
       cost_per_sms, is_active, priority_order, daily_limit, monthly_limit, failures, paused_until, charged_per_part
FROM sms_providers WHERE cafe_id = $1
"""
USAGE = """
SELECT u.cafe_id, u.provider_id, coalesce(sum(u.messages) FILTER (WHERE u.day = t.today), 0)::int AS today,
       sum(u.messages)::int AS month, sum(u.cost) AS cost, sum(u.reserved) AS reserved
FROM unnest($1::uuid[], $2::date[], $3::date[]) AS t (cafe_id, today, month_start)
JOIN sms_usage u ON u.cafe_id = t.cafe_id AND u.day BETWEEN t.month_start AND t.today
GROUP BY u.cafe_id, u.provider_id
"""
ADD_USAGE = """
INSERT INTO sms_usage AS kept (cafe_id, provider_id, day, messages, cost, reserved)
SELECT cafe_id, provider_id, day, sum(messages), sum(cost), sum(reserved)
FROM unnest($1::uuid[], $2::uuid[], $3::date[], $4::int[], $5::numeric[], $6::numeric[])
    AS t (cafe_id, provider_id, day, messages, cost, reserved)
GROUP BY cafe_id, provider_id, day ORDER BY cafe_id, provider_id, day
ON CONFLICT (cafe_id, provider_id, day) DO UPDATE
SET messages = greatest(0, kept.messages + excluded.messages), cost = greatest(0, kept.cost + excluded.cost),
    reserved = greatest(0, kept.reserved + excluded.reserved)
"""
TAKE_BACK_USAGE = """
UPDATE sms_usage u SET messages = greatest(0, u.messages + t.messages), cost = greatest(0, u.cost + t.cost),
    reserved = greatest(0, u.reserved + t.reserved)
FROM (
    SELECT cafe_id, provider_id, day, sum(messages) AS messages, sum(cost) AS cost, sum(reserved) AS reserved
    FROM unnest($1::uuid[], $2::uuid[], $3::date[], $4::int[], $5::numeric[], $6::numeric[])
        AS given (cafe_id, provider_id, day, messages, cost, reserved)
    GROUP BY cafe_id, provider_id, day ORDER BY cafe_id, provider_id, day
) AS t
WHERE u.cafe_id = t.cafe_id AND u.provider_id = t.provider_id AND u.day = t.day
"""
INSERT = """
INSERT INTO sms_providers (id, cafe_id, provider_name, api_endpoint, api_key_sealed, sender_line, cost_per_sms,
                           is_active, priority_order, daily_limit, monthly_limit, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""
# Somebody who changes an account has mended it, or means to: it is tried again at once.
UPDATE = """
UPDATE sms_providers
SET api_endpoint = $3, sender_line = $4, cost_per_sms = $5, is_active = $6, priority_order = $7, daily_limit = $8,
    monthly_limit = $9, failures = 0, paused_until = NULL
WHERE cafe_id = $1 AND id = $2 AND provider_name = $10
"""
# Apart, because people may write this column and not read it.
SET_KEY = "UPDATE sms_providers SET api_key_sealed = $3, charged_per_part = NULL WHERE cafe_id = $1 AND id = $2"
NOTE_PRICE = "UPDATE sms_providers SET charged_per_part = $3 WHERE cafe_id = $1 AND id = $2"
NOTE_FAILURE = """
UPDATE sms_providers SET failures = $3, last_error = $4, last_error_at = $5, paused_until = $6
WHERE cafe_id = $1 AND id = $2 AND api_key_sealed IS NOT DISTINCT FROM $7
"""
NOTE_SUCCESS = """
UPDATE sms_providers SET failures = 0, paused_until = NULL WHERE cafe_id = $1 AND id = $2 AND failures > 0
"""
LIST = """
SELECT p.id, p.provider_name, p.api_endpoint, p.sender_line, p.cost_per_sms, p.currency_unit, p.is_active,
       p.priority_order, p.daily_limit, p.monthly_limit, p.created_at, coalesce(u.messages, 0) AS sent_today,
       p.own_key, p.charged_per_part, p.last_error, p.last_error_at, p.paused_until
FROM sms_providers p
LEFT JOIN sms_usage u ON u.cafe_id = p.cafe_id AND u.provider_id = p.id AND u.day = $2
WHERE p.cafe_id = $1 ORDER BY p.priority_order, p.id
"""
HOLD_SENDING = "SELECT id FROM sms_providers WHERE cafe_id = $1 ORDER BY cafe_id, id FOR NO KEY UPDATE"
# Cafe, provider, local day, messages, cost, and how much of the cost is only expected.
Usage = tuple[UUID, UUID, date, int, Decimal, Decimal]


async def hold_sending(conn: Connection, cafe_id: UUID) -> None:
    """Waits for whoever decides about the cafe's messages now; nobody does from then on until the transaction ends."""
    await conn.execute(HOLD_SENDING, cafe_id)


async def time_zones(conn: Connection, cafe_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The cafes' time zones."""
    return {row["cafe_id"]: row["time_zone"] for row in await conn.fetch(TIME_ZONES, cafe_ids)}


async def lock_providers(conn: Connection, cafe_ids: Sequence[UUID]) -> dict[UUID, list[Provider]]:
    """The cafes' providers, locked until the transaction ends."""
    found: dict[UUID, list[Provider]] = {}
    for row in await conn.fetch(LOCK_PROVIDERS, cafe_ids):
        found.setdefault(row["cafe_id"], []).append(Provider(**row))
    return found


async def read_providers(conn: Connection, cafe_id: UUID) -> dict[UUID, Provider]:
    """The cafe's providers by id."""
    return {row["id"]: Provider(**row) for row in await conn.fetch(READ_PROVIDERS, cafe_id)}


async def note_failure(
    conn: Connection, provider: Provider, failures: int, error: str, at: datetime, until: datetime
) -> None:
    """Writes down that a call failed, unless it was made with another key: so many in a row by now, and when the
    account is tried again."""
    await conn.execute(
        NOTE_FAILURE, provider.cafe_id, provider.id, failures, error[:50], at, until, provider.api_key_sealed
    )


async def note_price(conn: Connection, provider: Provider, price: Decimal) -> None:
    """Writes down what the account's last messages cost, per part."""
    await conn.execute(NOTE_PRICE, provider.cafe_id, provider.id, price)


async def note_success(conn: Connection, provider: Provider) -> None:
    """Ends an account's pause. What its last error was stays to be read."""
    await conn.execute(NOTE_SUCCESS, provider.cafe_id, provider.id)


async def of_cafe(conn: Connection, cafe_id: UUID) -> list[Provider]:
    """The cafe's providers without their keys (an empty text stands for one), as staff may see them."""
    return [Provider(**row) for row in await conn.fetch(OF_CAFE, cafe_id)]


async def usage(conn: Connection, cafes: Sequence[tuple[UUID, date, date]]) -> list[asyncpg.Record]:
    """For (cafe, today, first day of its month): each provider's messages today and this month, and the month's cost
    in Rial, and how much of that is under way."""
    return await conn.fetch(USAGE, *([cafe[i] for cafe in cafes] for i in range(3)))


async def add_usage(conn: Connection, used: Sequence[Usage]) -> None:
    """Counts messages and cost handed to providers, by (cafe, provider, local day)."""
    if used:
        await conn.execute(ADD_USAGE, *([row[i] for row in used] for i in range(6)))


async def correct_usage(conn: Connection, used: Sequence[Usage]) -> None:
    """Adds (mostly negative) corrections to days that have been counted."""
    if used:
        await conn.execute(TAKE_BACK_USAGE, *([row[i] for row in used] for i in range(6)))


async def insert(conn: Connection, provider: Provider, at: datetime) -> None:
    """Adds an account."""
    await conn.execute(
        INSERT, provider.id, provider.cafe_id, provider.provider_name, provider.api_endpoint, provider.api_key_sealed,
        provider.sender_line, provider.cost_per_sms, provider.is_active, provider.priority_order,
        provider.daily_limit, provider.monthly_limit, at,
    )  # fmt: skip


async def update(conn: Connection, provider: Provider) -> bool:
    """Replaces all but the provider's name, and the key only by another one. False when there is no such account."""
    done: str = await conn.execute(
        UPDATE, provider.cafe_id, provider.id, provider.api_endpoint, provider.sender_line, provider.cost_per_sms,
        provider.is_active, provider.priority_order, provider.daily_limit, provider.monthly_limit,
        provider.provider_name,
    )  # fmt: skip
    if done == "UPDATE 1" and provider.api_key_sealed is not None:
        await conn.execute(SET_KEY, provider.cafe_id, provider.id, provider.api_key_sealed)
    return done == "UPDATE 1"


async def list_providers(conn: Connection, cafe_id: UUID, today: date) -> list[dict[str, Any]]:
    """The cafe's accounts without their keys, with what was sent today."""
    return [dict(row) for row in await conn.fetch(LIST, cafe_id, today)]

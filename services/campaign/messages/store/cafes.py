"""What cafes decided for all their messages."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from services.campaign.messages.models.values import CafeRules
from shared.database.db import Connection

CAFE_RULES = """
SELECT c.cafe_id, c.name, c.time_zone, c.calendar, c.quiet_from, c.quiet_until, c.is_active, s.guest_daily_cap,
       s.monthly_budget
FROM cafes c JOIN messaging_settings s ON s.cafe_id = c.cafe_id
WHERE c.cafe_id = any($1::uuid[])
"""
GET_SETTINGS = "SELECT guest_daily_cap, monthly_budget, currency_unit FROM messaging_settings WHERE cafe_id = $1"
SET_SETTINGS = "UPDATE messaging_settings SET guest_daily_cap = $2, monthly_budget = $3 WHERE cafe_id = $1"
CAFES_WITHOUT_DEFAULTS = """
SELECT cafe_id FROM unnest($1::uuid[]) AS t (cafe_id)
WHERE NOT EXISTS (SELECT FROM messaging_settings s WHERE s.cafe_id = t.cafe_id) ORDER BY cafe_id
"""
INSERT_SETTINGS = """
INSERT INTO messaging_settings (cafe_id) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING cafe_id
"""


async def insert_settings(conn: Connection, cafe_ids: Sequence[UUID]) -> list[UUID]:
    """Gives cafes their messaging settings; returns those that had none."""
    missing = [row["cafe_id"] for row in await conn.fetch(CAFES_WITHOUT_DEFAULTS, cafe_ids)]
    return [row["cafe_id"] for row in await conn.fetch(INSERT_SETTINGS, missing)] if missing else []


async def cafe_rules(conn: Connection, cafe_ids: Sequence[UUID]) -> dict[UUID, CafeRules]:
    """What each cafe decided for its messages; cafes not known yet are missing."""
    return {row["cafe_id"]: CafeRules(**row) for row in await conn.fetch(CAFE_RULES, cafe_ids)}


async def get_settings(conn: Connection, cafe_id: UUID) -> dict[str, Any] | None:
    """The cafe's messaging rules."""
    row = await conn.fetchrow(GET_SETTINGS, cafe_id)
    return dict(row) if row else None


async def set_settings(conn: Connection, cafe_id: UUID, daily_cap: int, monthly_budget: Decimal | None) -> None:
    """Replaces the cafe's messaging rules; the budget in Rial."""
    await conn.execute(SET_SETTINGS, cafe_id, daily_cap, monthly_budget)

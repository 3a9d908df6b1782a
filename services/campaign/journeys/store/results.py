"""What became of journeys' messages over some days, and their newest ones."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from shared.database.db import Connection

OF_DAYS = """
SELECT j.id AS journey_id, d.what, d.reason, sum(d.amount) AS amount
FROM journeys j JOIN campaign_days d ON d.cafe_id = j.cafe_id AND d.campaign_id = j.campaign_id
WHERE j.cafe_id = $1 AND d.day BETWEEN $2 AND $3
GROUP BY j.id, d.what, d.reason
"""
TODAY = "SELECT ($2 AT TIME ZONE time_zone)::date FROM cafes WHERE cafe_id = $1"
IDS = "SELECT id FROM journeys WHERE cafe_id = $1 ORDER BY journey_key"
# Ids of messages grow with time, so the newest of the cafe stand together; a journey's are looked for among them.
NEWEST = """
SELECT m.id, m.customer_id, m.visit_id, m.delivery_status::text AS status, m.error_code AS reason,
       m.queued_at, m.due_at, m.sent_at, m.delivered_at, m.opened_at, m.message_cost AS cost, m.parts,
       'IRR'::text AS currency_unit
FROM (SELECT * FROM campaign_deliveries WHERE cafe_id = $1 ORDER BY id DESC LIMIT $3) AS m
JOIN journeys j ON j.cafe_id = $1 AND j.id = $2 AND j.campaign_id = m.campaign_id
WHERE NOT m.is_test ORDER BY m.id DESC LIMIT $4
"""
LOOKED_AT: Final = 5000


async def today(conn: Connection, cafe_id: UUID, moment: datetime) -> date | None:
    """The cafe's day; None of a cafe that nobody has told of."""
    found: date | None = await conn.fetchval(TODAY, cafe_id, moment)
    return found


async def ids(conn: Connection, cafe_id: UUID) -> list[UUID]:
    """The cafe's journeys."""
    return [row["id"] for row in await conn.fetch(IDS, cafe_id)]


async def of_days(
    conn: Connection, cafe_id: UUID, since: date, until: date
) -> dict[UUID, dict[tuple[str, str], Decimal]]:
    """By journey what its counters grew by on these days, both included: (what, reason) and how much."""
    found: dict[UUID, dict[tuple[str, str], Decimal]] = {}
    for row in await conn.fetch(OF_DAYS, cafe_id, since, until):
        found.setdefault(row["journey_id"], {})[row["what"], row["reason"]] = row["amount"]
    return found


async def newest(conn: Connection, cafe_id: UUID, journey_id: UUID, limit: int) -> list[Mapping[str, Any]]:
    """The journey's newest messages among the newest `LOOKED_AT` of the cafe."""
    return [dict(row) for row in await conn.fetch(NEWEST, cafe_id, journey_id, LOOKED_AT, limit)]

"""What the ledger says of one guest, as it is compared with what the rules give."""

from datetime import datetime
from uuid import UUID

from services.loyalty.models.explaining import HandEntry, Totals
from shared.database.db import Connection

OF_BILLS = """
SELECT visit_id, sum(points_change)::bigint AS points FROM loyalty_transactions
WHERE cafe_id = $1 AND customer_id = $2 AND visit_id IS NOT NULL AND redemption_id IS NULL GROUP BY visit_id
"""
TOTALS = """
SELECT coalesce(sum(points_change), 0)::bigint AS balance,
       coalesce(sum(points_change) FILTER (WHERE visit_id IS NULL AND redemption_id IS NULL), 0)::bigint AS by_hand
FROM loyalty_transactions WHERE cafe_id = $1 AND customer_id = $2
"""
BY_HAND = """
SELECT id, transaction_type::text, points_change, occurred_at FROM loyalty_transactions
WHERE cafe_id = $1 AND customer_id = $2 AND visit_id IS NULL AND redemption_id IS NULL
    AND occurred_at >= $3 AND occurred_at < $4
ORDER BY occurred_at DESC, account_version DESC LIMIT $5
"""


async def of_bills(conn: Connection, cafe_id: UUID, customer_id: UUID) -> dict[UUID, int]:
    """What the rows of each bill of the guest add up to."""
    return {row["visit_id"]: row["points"] for row in await conn.fetch(OF_BILLS, cafe_id, customer_id)}


async def totals(conn: Connection, cafe_id: UUID, customer_id: UUID) -> Totals:
    """What all rows of the guest add up to."""
    row = await conn.fetchrow(TOTALS, cafe_id, customer_id)
    return Totals(row["balance"], row["by_hand"]) if row else Totals()


async def by_hand(
    conn: Connection, cafe_id: UUID, customer_id: UUID, since: datetime, before: datetime, limit: int
) -> list[HandEntry]:
    """Rows that belong to no bill and no redemption, the newest first."""
    return [HandEntry(*row) for row in await conn.fetch(BY_HAND, cafe_id, customer_id, since, before, limit)]

"""Emptying what messages say of a guest."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.campaign.audience.store.contacts import forget
from shared.database.db import Connection

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
DROP_REPLIES = """
DELETE FROM unclear_replies r USING unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id)
WHERE r.cafe_id = t.cafe_id AND r.customer_id = t.customer_id
"""


async def erase(conn: Connection, erasures: Sequence[tuple[UUID, UUID, datetime]]) -> list[tuple[UUID, UUID]]:
    """Empties all that is personal of (cafe, guest, when), and takes their waiting messages back. Returns whose (cafe,
    campaign) these were, one entry for each."""
    cafes, guests = [cafe for cafe, _, _ in erasures], [guest for _, guest, _ in erasures]
    # Deliveries before contacts: the order in which the sender locks them.
    emptied = await conn.fetch(EMPTY_DELIVERIES, cafes, guests)
    await conn.execute(CANCEL_RUNS, cafes, guests)
    await forget(conn, erasures)
    await conn.execute(DROP_REPLIES, cafes, guests)
    return [(row["cafe_id"], row["campaign_id"]) for row in emptied if row["was_queued"]]

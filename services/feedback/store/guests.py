"""Who is a guest of which cafe, as the customer service told."""

from collections.abc import Sequence
from uuid import UUID

from shared.database.columns import columns
from shared.database.db import Connection
from shared.events.customer import CustomerErased, CustomerRegistered

ADD = """
INSERT INTO guests (cafe_id, customer_id, registered_at)
SELECT t.cafe_id, t.customer_id, max(t.registered_at)
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (cafe_id, customer_id, registered_at)
GROUP BY t.cafe_id, t.customer_id
ORDER BY t.cafe_id, t.customer_id
ON CONFLICT (cafe_id, customer_id) DO UPDATE SET registered_at = excluded.registered_at
WHERE excluded.registered_at > guests.registered_at
"""
FORGET = """
DELETE FROM guests g
USING unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (cafe_id, customer_id, erased_at)
WHERE g.cafe_id = t.cafe_id AND g.customer_id = t.customer_id AND g.registered_at <= t.erased_at
"""
# A guest from before guests were kept here is known once there was feedback of a visit, or after a rebuild.
IS_KNOWN = """
SELECT EXISTS (SELECT FROM guests WHERE cafe_id = $1 AND customer_id = $2)
    OR EXISTS (SELECT FROM customer_feedback WHERE cafe_id = $1 AND customer_id = $2 AND visit_id IS NOT NULL)
"""


async def add(conn: Connection, events: Sequence[CustomerRegistered]) -> None:
    """Keep guests."""
    await conn.execute(ADD, *columns(events, "cafe_id", "customer_id", "occurred_at"))


async def forget(conn: Connection, events: Sequence[CustomerErased]) -> None:
    """Forget guests who were registered before they were erased."""
    await conn.execute(FORGET, *columns(events, "cafe_id", "customer_id", "occurred_at"))


async def is_known(conn: Connection, cafe_id: UUID, customer_id: UUID) -> bool:
    """Whether the cafe has such a guest, as far as this service knows."""
    found: bool = await conn.fetchval(IS_KNOWN, cafe_id, customer_id)
    return found

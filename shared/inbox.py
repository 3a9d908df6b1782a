"""What a service has already taken in. A row here is written in the same transaction as the effect."""

from collections.abc import Sequence
from uuid import UUID

from shared.db import Connection

REMEMBER = """
INSERT INTO crm.inbox (event_id) SELECT DISTINCT unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING event_id
"""
PRUNE = "DELETE FROM crm.inbox WHERE received_at < now() - make_interval(days => $1)"


async def first_seen(conn: Connection, event_ids: Sequence[UUID]) -> set[UUID]:
    """The ids among `event_ids` never seen before; from now on all are seen."""
    return {row["event_id"] for row in await conn.fetch(REMEMBER, event_ids)}


async def prune(conn: Connection, keep_days: int = 30) -> None:
    """Forgets ids older than any topic's redelivery can reach."""
    await conn.execute(PRUNE, keep_days)

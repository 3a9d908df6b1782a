"""What a service has already taken in. A row here is written in the same transaction as the effect."""

from collections.abc import Sequence
from uuid import UUID

from shared.database.db import Connection, Pool
from shared.jobs.periodic import Job

REMEMBER = """
INSERT INTO crm.inbox (event_id) SELECT DISTINCT unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING event_id
"""
KEEP_DAYS = 30
# So many at once end soon, however many there are.
PRUNE = """
DELETE FROM crm.inbox WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM crm.inbox WHERE received_at < now() - make_interval(days => $1) LIMIT $2
))
"""
PRUNE_AT_ONCE = 50_000


async def first_seen(conn: Connection, event_ids: Sequence[UUID]) -> set[UUID]:
    """The ids among `event_ids` never seen before; from now on all are seen."""
    return {row["event_id"] for row in await conn.fetch(REMEMBER, event_ids)}


async def prune(conn: Connection, keep_days: int = KEEP_DAYS) -> int:
    """Forgets ids older than any topic's redelivery can reach, some at a time; returns how many."""
    return int((await conn.execute(PRUNE, keep_days, PRUNE_AT_ONCE)).split()[-1])


async def _prune_some(pool: Pool) -> int:
    async with pool.acquire() as conn:
        return await prune(conn)


# Reads the whole inbox, so it runs seldom and in one process.
PRUNING = Job("prune_inbox", 3600.0, _prune_some)

"""Who of the cafe looked at which guest, for its owners; old rows go."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from services.customer.store import views
from shared import clock
from shared.database.db import Connection, Pool
from shared.jobs.by_cafe import ByCafe

KEPT = timedelta(days=400)
PRUNED_AT_ONCE = 1000
_pruning = ByCafe("customer", "customer.prune_views")


async def prune(pool: Pool) -> int:
    """Deletes what is older than `KEPT`; returns how much."""
    before = clock.now() - KEPT
    return await _pruning.run(pool, lambda conn, aside: views.old(conn, before, aside, PRUNED_AT_ONCE), _prune)


async def _prune(conn: Connection, rows: Sequence[tuple[UUID, UUID]]) -> int:
    await views.prune(conn, rows)
    return len(rows)

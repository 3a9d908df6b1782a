"""What is forgotten after some weeks."""

from services.feedback import rules
from services.feedback.store import feedback as feedback_store
from services.feedback.store import links as link_store
from shared.clock import now
from shared.database.db import Pool
from shared.jobs.by_cafe import ByCafe

_trimming = ByCafe("feedback", "feedback.trim_senders")
_pruning = ByCafe("feedback", "feedback.prune_links")


async def trim_senders(pool: Pool) -> int:
    """Job: forget from where older feedback came."""
    before = now() - rules.KEEP_SENDER
    return await _trimming.run(
        pool, lambda conn, aside: feedback_store.list_old_senders(conn, before, aside), feedback_store.trim_senders
    )


async def prune_links(pool: Pool) -> int:
    """Job: delete links that expired long ago."""
    before = now() - rules.KEEP_DEAD_LINKS
    return await _pruning.run(
        pool, lambda conn, aside: link_store.list_dead_links(conn, before, aside), link_store.prune_links
    )

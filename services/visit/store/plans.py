"""How PostgreSQL is to plan statements that look up many keys at once."""

from shared.db import Connection

# All tables of this service are reached by key, and planned while they are still small they would be read whole until
# somebody analyzes them. A plan of its own for each batch costs more than a single visit's work.
BY_KEY = """
SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true),
       set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)
"""


async def by_key(conn: Connection) -> None:
    """For the rest of the transaction: one plan for all batches, through the indexes."""
    await conn.execute(BY_KEY)

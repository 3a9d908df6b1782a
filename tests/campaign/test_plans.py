"""What a job reads does not grow with the cafes whose campaigns wait for nothing."""

from collections import Counter

import asyncpg

from services.campaign.campaigns.store import expanding
from services.campaign.journeys.handlers import defaults
from shared.clock import new_id, now
from shared.database import db
from shared.database.db import Connection
from shared.events.identity import CafeChanged
from tests.support import Databases

CAFES = 500
READ = """
SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) AS rows FROM pg_stat_xact_user_tables
"""


async def test_looking_for_campaigns_does_not_read_those_that_stand_for_journeys(database: Databases) -> None:
    pool = await database("campaign", max_size=1)
    known = [
        CafeChanged(
            cafe_id=new_id(), occurred_at=now(), version=1, name="کافه", time_zone="Asia/Tehran", calendar="jalali",
            currency_unit="IRT",
        )
        for _ in range(CAFES)
    ]  # fmt: skip
    async with db.transaction(pool) as conn:
        await defaults.on_cafe_changed(conn, known)
    assert await pool.fetchval("SELECT count(*) FROM campaigns WHERE status = 'sending'") >= CAFES
    owner = await asyncpg.connect(await database.owner_dsn("campaign"))
    await owner.execute("ANALYZE")
    await owner.close()
    async with db.transaction(pool) as conn:
        before = await _read(conn)
        assert await expanding.take_unfinished(conn, now(), []) == []
        assert await expanding.take_due(conn, now(), []) == []
        read = await _read(conn) - before
    assert read["campaigns"] == 0


async def _read(conn: Connection) -> Counter[str]:
    return Counter({row["relname"]: row["rows"] for row in await conn.fetch(READ)})

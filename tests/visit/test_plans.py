"""What a bill costs does not depend on how much its cafe has already, whatever plan fits the average cafe."""

from collections import Counter
from functools import partial

import asyncpg

from services.visit.handlers.ingest import record_visits
from services.visit.models.values import RecordVisit
from shared.clock import new_id
from shared.database import db
from shared.database.db import Connection
from tests.support import Databases
from tests.visit.given import CAFE, KEYS, record

BILLS = 20
# Two thousand cafes with three guests each, and ours with two thousand: tables in which the average misleads.
GUESTS = """
INSERT INTO guests (cafe_id, phone_hash, customer_id, name_known)
SELECT c.cafe_id, sha256(n::text::bytea), gen_random_uuid(), true
FROM (SELECT gen_random_uuid() AS cafe_id, 3 AS guests FROM generate_series(1, 2000) UNION ALL SELECT $1, 2000) AS c,
     generate_series(1, c.guests) AS n
"""
COUNTERS = "INSERT INTO visit_counters (cafe_id, customer_id, last_number) SELECT cafe_id, customer_id, 1 FROM guests"
RECEIPTS = """
INSERT INTO visit_receipts (
    cafe_id, device_id, receipt_number, event_id, fingerprint, visit_id, visit_date, customer_id, visit_number
)
SELECT cafe_id, 'till-1', customer_id::text, gen_random_uuid(), substr(phone_hash, 1, 16), gen_random_uuid(), now(),
       customer_id, 1
FROM guests
"""
READ = """
SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) AS rows FROM pg_stat_xact_user_tables
"""


async def test_bills_read_their_own_rows_only_though_most_cafes_are_tiny(database: Databases) -> None:
    pool = await database("visit", max_size=1)
    await pool.execute(GUESTS, CAFE)
    await pool.execute(COUNTERS)
    await pool.execute(RECEIPTS)
    owner = await asyncpg.connect(await database.owner_dsn("visit"))
    await owner.execute("ANALYZE")
    await owner.close()
    # New guests, then guests who tell something new, and these once more as the worker takes them.
    for consent, begin in (
        (None, partial(db.till_transaction, pool, CAFE)),
        (True, partial(db.till_transaction, pool, CAFE)),
        (False, partial(db.keyed_transaction, pool)),
    ):
        async with begin() as conn:
            before = await _read(conn)
            await record_visits(conn, [_bill(number, consent) for number in range(BILLS)], keys=KEYS)
            read = await _read(conn) - before
        assert max(read.values(), default=0) <= 3 * BILLS, read


async def _read(conn: Connection) -> Counter[str]:
    """Rows of each table that this connection has read lately."""
    return Counter({row["relname"]: row["rows"] for row in await conn.fetch(READ)})


def _bill(number: int, consent: bool | None) -> RecordVisit:
    phone = f"0935{number:07d}"
    return record(receipt_number=f"{number} {consent}", phone=phone, marketing_consent=consent, event_id=new_id())

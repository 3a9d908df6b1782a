"""Rehearsals: what was asked and found, and the books that they read."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from uuid import UUID

from services.loyalty.models.accounts import Account, Counted
from services.loyalty.models.rehearsals import DueRehearsal, PointEntry, Rehearsal, RehearsalFault, RehearsalReport
from services.loyalty.store.visits import COLUMNS as VISIT_COLUMNS
from services.loyalty.store.visits import counted_of
from shared.database.db import Connection

COLUMNS = """
    id AS rehearsal_id, rules, menu_codes, mode, valid_from, asked_by, asked_at, state, attempts, ended_at, report,
    error
"""
ASK = """
INSERT INTO rehearsals (cafe_id, id, rules, menu_codes, mode, valid_from, asked_by, asked_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (cafe_id) WHERE state IN ('waiting', 'running') DO NOTHING
RETURNING id
"""
FORGET_OLDEST = """
WITH old AS (
    DELETE FROM rehearsals WHERE cafe_id = $1 AND id IN (
        SELECT id FROM rehearsals WHERE cafe_id = $1 AND ended_at IS NOT NULL ORDER BY asked_at DESC, id DESC OFFSET $2
    )
    RETURNING id
)
DELETE FROM rehearsal_guests WHERE cafe_id = $1 AND rehearsal_id IN (SELECT id FROM old)
"""
FIND = f"SELECT {COLUMNS} FROM rehearsals WHERE cafe_id = $1 AND id = $2"  # noqa: S608
LIST = f"SELECT {COLUMNS} FROM rehearsals WHERE cafe_id = $1 ORDER BY asked_at DESC, id DESC"  # noqa: S608
DUE = """
SELECT cafe_id, id, attempts FROM rehearsals
WHERE state IN ('waiting', 'running') AND cafe_id <> ALL($1::uuid[]) ORDER BY asked_at LIMIT 1
FOR UPDATE SKIP LOCKED
"""
BEGIN = """
UPDATE rehearsals SET state = 'running', attempts = attempts + 1 WHERE cafe_id = $1 AND id = $2
RETURNING attempts
"""
FAIL = """
UPDATE rehearsals SET state = 'failed', error = $3, ended_at = $4
WHERE cafe_id = $1 AND id = $2 AND state IN ('waiting', 'running')
"""
FINISH = """
UPDATE rehearsals SET state = 'done', report = $4, ended_at = $5
WHERE cafe_id = $1 AND id = $2 AND state = 'running' AND attempts = $3
RETURNING id
"""
ADD_GUESTS = """
INSERT INTO rehearsal_guests (cafe_id, rehearsal_id, part, guests)
SELECT $1, $2, part, guests FROM unnest($3::integer[], $4::bytea[]) AS t (part, guests)
"""
GUESTS_OF_PART = "SELECT guests FROM rehearsal_guests WHERE cafe_id = $1 AND rehearsal_id = $2 AND part = $3"
SNAPSHOT = "SELECT pg_export_snapshot()"
EDGES = """
SELECT customer_id FROM (
    SELECT customer_id, row_number() OVER (ORDER BY customer_id) AS place FROM customer_loyalty WHERE cafe_id = $1
) AS ordered
WHERE (place - 1) % $2 = 0 ORDER BY customer_id
"""
RECOUNT_WAITS = "SELECT EXISTS (SELECT FROM recounts WHERE cafe_id = $1 AND due_at <= $2)"
BALANCES = """
SELECT customer_id, current_points FROM customer_loyalty
WHERE cafe_id = $1 AND customer_id >= $2 AND customer_id < $3 ORDER BY customer_id
"""
VISITS = f"""
SELECT {VISIT_COLUMNS} FROM visit_earnings AS e
WHERE e.cafe_id = $1 AND e.customer_id >= $2 AND e.customer_id < $3
"""  # noqa: S608
# Points of bills are of that type, and others have no bill: so an index without them is enough. What waits counts from
# when it can be spent, as for the bills that ask (`ledger.FACTS`).
ENTRIES = """
SELECT l.customer_id, coalesce(least(g.available_at, g.taken_back_at), l.occurred_at) AS occurred_at, l.points_change,
       l.transaction_type = 'expired' AS lapses, l.description = $4 AS forgives
FROM loyalty_transactions AS l
LEFT JOIN grants AS g ON g.cafe_id = l.cafe_id AND g.grant_id = l.id AND g.available_at IS NOT NULL
WHERE l.cafe_id = $1 AND l.customer_id >= $2 AND l.customer_id < $3 AND l.visit_id IS NULL AND l.redemption_id IS NULL
    AND l.transaction_type <> 'earned_purchase'
ORDER BY l.customer_id
"""
ENTRIES_AT_ONCE = 1000


async def ask(conn: Connection, cafe_id: UUID, wanted: Rehearsal, keep: int) -> bool:
    """Keeps a rehearsal that waits, and the newest `keep` of those that ended; False while another one is open."""
    asked = await conn.fetchval(
        ASK, cafe_id, wanted.rehearsal_id, wanted.rules, wanted.menu_codes, wanted.mode, wanted.valid_from,
        wanted.asked_by, wanted.asked_at,
    )  # fmt: skip
    if asked is None:
        return False
    await conn.execute(FORGET_OLDEST, cafe_id, keep)
    return True


async def find(conn: Connection, cafe_id: UUID, rehearsal_id: UUID) -> Rehearsal | None:
    """The rehearsal."""
    row = await conn.fetchrow(FIND, cafe_id, rehearsal_id)
    return Rehearsal(**row) if row else None


async def list_all(conn: Connection, cafe_id: UUID) -> list[Rehearsal]:
    """The cafe's, the newest first."""
    return [Rehearsal(**row) for row in await conn.fetch(LIST, cafe_id)]


async def due(conn: Connection, aside: Sequence[UUID]) -> list[DueRehearsal]:
    """The one that waits longest, locked; of the cafes `aside` none."""
    return [DueRehearsal(*row) for row in await conn.fetch(DUE, aside)]


async def begin(conn: Connection, cafe_id: UUID, rehearsal_id: UUID) -> int:
    """Notes that it is begun; the number of the attempt."""
    attempt: int = await conn.fetchval(BEGIN, cafe_id, rehearsal_id)
    return attempt


async def fail(conn: Connection, cafe_id: UUID, rehearsal_id: UUID, error: RehearsalFault, moment: datetime) -> None:
    """Notes that it is given up."""
    await conn.execute(FAIL, cafe_id, rehearsal_id, error, moment)


async def finish(
    conn: Connection, due: DueRehearsal, report: RehearsalReport, guests: Sequence[bytes], moment: datetime
) -> bool:
    """Writes what was found; False when the attempt was given up meanwhile."""
    if await conn.fetchval(FINISH, due.cafe_id, due.rehearsal_id, due.attempts, report, moment) is None:
        return False
    await conn.execute(ADD_GUESTS, due.cafe_id, due.rehearsal_id, list(range(len(guests))), list(guests))
    return True


async def guests_of_part(conn: Connection, cafe_id: UUID, rehearsal_id: UUID, part: int) -> bytes | None:
    """A part of the guests' rows, packed; None behind the last."""
    found: bytes | None = await conn.fetchval(GUESTS_OF_PART, cafe_id, rehearsal_id, part)
    return found


async def export_snapshot(conn: Connection) -> str:
    """What this transaction sees, for others to see the same."""
    name: str = await conn.fetchval(SNAPSHOT)
    return name


async def see_snapshot(conn: Connection, name: str) -> None:
    """Has this transaction, which has read nothing yet, see what another one sees."""
    # A name that the server made; the statement takes no parameters.
    await conn.execute(f"SET TRANSACTION SNAPSHOT '{name}'")


async def edges(conn: Connection, cafe_id: UUID, guests: int) -> list[UUID]:
    """The first of every so many guests, in the order of their ids."""
    return [row["customer_id"] for row in await conn.fetch(EDGES, cafe_id, guests)]


async def recount_waits(conn: Connection, cafe_id: UUID, moment: datetime) -> bool:
    """Whether the guests are not counted anew yet by the newest rules or calendar."""
    return bool(await conn.fetchval(RECOUNT_WAITS, cafe_id, moment))


async def accounts_of_range(conn: Connection, cafe_id: UUID, first: UUID, end: UUID) -> list[Account]:
    """The guests from `first` to before `end`, with their balance and without a standing: that is counted."""
    rows = await conn.fetch(BALANCES, cafe_id, first, end)
    return [Account(cafe_id, customer_id, balance, 0, 0, 0, 0) for customer_id, balance in rows]


async def visits_of_range(conn: Connection, cafe_id: UUID, first: UUID, end: UUID) -> dict[UUID, dict[UUID, Counted]]:
    """All visits of these guests, by guest and visit id."""
    histories: dict[UUID, dict[UUID, Counted]] = {}
    for row in await conn.fetch(VISITS, cafe_id, first, end):
        histories.setdefault(row["customer_id"], {})[row["visit_id"]] = counted_of(row)
    return histories


async def entries_of_range(
    conn: Connection, cafe_id: UUID, first: UUID, end: UUID, forgiven: str
) -> AsyncIterator[tuple[UUID, PointEntry]]:
    """What came and went apart from bills and redemptions, in the order of the guests. `forgiven` is what the ledger
    says of a debt that was forgiven."""
    wanted = conn.cursor(ENTRIES, cafe_id, first, end, forgiven, prefetch=ENTRIES_AT_ONCE)
    async for customer_id, at, change, lapses, forgives in wanted:
        yield customer_id, PointEntry(at, change, lapses, forgives)

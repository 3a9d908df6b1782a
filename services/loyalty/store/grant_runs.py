"""Points for many guests at once: who gets what, and how far it is."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from services.loyalty.models.accounts import GuestKey
from services.loyalty.models.grant_runs import GrantRun
from shared.database.columns import columns
from shared.database.db import Connection

# The last move of a guest in a segment says whether the guest is in it.
MEMBERS = """
SELECT DISTINCT customer_id FROM (
    SELECT DISTINCT ON (customer_id, segment_key) customer_id, is_member FROM segment_moves
    WHERE cafe_id = $1 AND segment_key = ANY($2::text[]) ORDER BY customer_id, segment_key, moved_at DESC
) AS last WHERE is_member
"""
INSERT = """
INSERT INTO grant_runs (cafe_id, run_id, kind, segment_keys, reason, guests, total_points, budget_points, state,
                        created_by, created_at, turn_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
ON CONFLICT DO NOTHING RETURNING run_id
"""
INSERT_GUESTS = """
INSERT INTO grant_run_guests (cafe_id, run_id, customer_id, points)
SELECT $1, $2, customer_id, points FROM unnest($3::uuid[], $4::bigint[]) AS t (customer_id, points)
"""
COLUMNS = """cafe_id, run_id, kind, segment_keys, reason, guests, total_points, budget_points, state, given, created_by,
       created_at, decided_by, decided_at"""
FIND = f"SELECT {COLUMNS} FROM grant_runs WHERE cafe_id = $1 AND run_id = $2 FOR UPDATE"  # noqa: S608
LIST = f"""
SELECT {COLUMNS} FROM grant_runs WHERE cafe_id = $1 AND ($2::text IS NULL OR state = $2)
ORDER BY created_at DESC LIMIT $3
"""  # noqa: S608
DECIDE = """
UPDATE grant_runs SET state = $3, decided_by = $4, decided_at = $5 WHERE cafe_id = $1 AND run_id = $2
"""
DUE = f"""
SELECT {COLUMNS} FROM grant_runs WHERE state = 'approved' AND cafe_id <> ALL($1::uuid[])
ORDER BY turn_at LIMIT 1 FOR UPDATE SKIP LOCKED
"""  # noqa: S608
NEXT_GUESTS = """
SELECT customer_id, points FROM grant_run_guests WHERE cafe_id = $1 AND run_id = $2 ORDER BY customer_id LIMIT $3
"""
TAKE_GUESTS = """
DELETE FROM grant_run_guests WHERE cafe_id = $1 AND run_id = $2 AND customer_id = ANY($3::uuid[])
"""
GO_ON = """
UPDATE grant_runs SET given = given + $3, state = $4, turn_at = $5 WHERE cafe_id = $1 AND run_id = $2
"""
FORGET = """
DELETE FROM grant_run_guests AS g USING unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id)
WHERE g.cafe_id = t.cafe_id AND g.customer_id = t.customer_id
"""


async def members(conn: Connection, cafe_id: UUID, keys: Sequence[str]) -> list[UUID]:
    """The guests who are in any of the segments now."""
    return [row["customer_id"] for row in await conn.fetch(MEMBERS, cafe_id, keys)]


async def insert(conn: Connection, run: GrantRun, points: Mapping[UUID, int]) -> bool:
    """Keeps a new run with what each guest gets; False when there is one with that id."""
    added = await conn.fetchval(
        INSERT, run.cafe_id, run.run_id, run.kind, run.segment_keys, run.reason, run.guests, run.total_points,
        run.budget_points, run.state, run.created_by, run.created_at,
    )  # fmt: skip
    if added is None:
        return False
    await conn.execute(INSERT_GUESTS, run.cafe_id, run.run_id, list(points), list(points.values()))
    return True


async def find(conn: Connection, cafe_id: UUID, run_id: UUID) -> GrantRun | None:
    """The run, locked."""
    row = await conn.fetchrow(FIND, cafe_id, run_id)
    return GrantRun(**row) if row else None


async def list_newest(conn: Connection, cafe_id: UUID, limit: int, state: str | None = None) -> list[GrantRun]:
    """The runs, the newest first."""
    return [GrantRun(**row) for row in await conn.fetch(LIST, cafe_id, state, limit)]


async def decide(conn: Connection, run: GrantRun) -> None:
    """Writes the second person's answer."""
    await conn.execute(DECIDE, run.cafe_id, run.run_id, run.state, run.decided_by, run.decided_at)


async def list_due(conn: Connection, aside: Sequence[UUID]) -> list[GrantRun]:
    """The run whose turn it is, locked, but for those of the cafes `aside`."""
    return [GrantRun(**row) for row in await conn.fetch(DUE, aside)]


async def next_guests(conn: Connection, run: GrantRun, limit: int) -> list[tuple[UUID, int]]:
    """Guests who still get something, and what."""
    return [tuple(row) for row in await conn.fetch(NEXT_GUESTS, run.cafe_id, run.run_id, limit)]


async def go_on(
    conn: Connection, run: GrantRun, guests: Sequence[UUID], given: int, moment: datetime, *, is_done: bool
) -> None:
    """Notes that these guests have had their turn, and how many of them got something."""
    await conn.execute(TAKE_GUESTS, run.cafe_id, run.run_id, guests)
    await conn.execute(GO_ON, run.cafe_id, run.run_id, given, "done" if is_done else "approved", moment)


async def forget(conn: Connection, guests: Sequence[GuestKey]) -> None:
    """Erased guests get nothing more."""
    await conn.execute(FORGET, *columns(guests, 0, 1))

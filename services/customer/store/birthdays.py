"""Which day's birthdays each cafe tells next, and who was born on it."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec

from shared.database.columns import columns
from shared.database.db import Connection
from shared.persian.calendar import Calendar

DUE = """
SELECT t.cafe_id, t.day, t.through, c.time_zone, c.calendar
FROM birthday_turns AS t JOIN cafes AS c ON c.cafe_id = t.cafe_id
WHERE t.due_at <= $1 AND t.cafe_id <> ALL($2::uuid[]) ORDER BY t.due_at LIMIT $3 FOR UPDATE OF t SKIP LOCKED
"""
BORN = """
SELECT c.cafe_id, c.id
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, through)
JOIN unnest($3::uuid[], $4::date[]) AS d (cafe_id, born) ON d.cafe_id = t.cafe_id
JOIN customers AS c ON c.cafe_id = t.cafe_id AND c.is_active AND c.birthday = d.born
    AND (t.through IS NULL OR c.id > t.through)
WHERE c.status <> 'blocked'
ORDER BY c.cafe_id, c.id LIMIT $5
"""
GO_ON = """
UPDATE birthday_turns AS b SET day = t.day, through = t.through, due_at = t.due_at
FROM unnest($1::uuid[], $2::date[], $3::uuid[], $4::timestamptz[]) AS t (cafe_id, day, through, due_at)
WHERE b.cafe_id = t.cafe_id
"""


class BirthdayTurn(msgspec.Struct, frozen=True):
    """The day whose birthdays a cafe tells next, and the guest after whom it goes on."""

    cafe_id: UUID
    day: date
    through: UUID | None
    time_zone: str
    calendar: Calendar


async def list_due(conn: Connection, moment: datetime, aside: Sequence[UUID], limit: int) -> list[BirthdayTurn]:
    """The cafes whose next day has begun, locked, but for those `aside`."""
    return [BirthdayTurn(*row) for row in await conn.fetch(DUE, moment, aside, limit)]


async def born(
    conn: Connection, wanted: Sequence[tuple[UUID, Sequence[date], UUID | None]], limit: int
) -> list[tuple[UUID, UUID]]:
    """The guests of each cafe, after one of them, who were born on one of these dates; by cafe and guest, in their
    order."""
    cafes = [cafe_id for cafe_id, dates, _ in wanted for _ in dates]
    dates = [each for _, dates, _ in wanted for each in dates]
    rows = await conn.fetch(BORN, *columns(wanted, 0, 2), cafes, dates, limit)
    return [(row["cafe_id"], row["id"]) for row in rows]


async def go_on(conn: Connection, turns: Sequence[tuple[BirthdayTurn, datetime]]) -> None:
    """Notes where each cafe stands, and from when on it is due again."""
    rows = [(turn.cafe_id, turn.day, turn.through, due_at) for turn, due_at in turns]
    await conn.execute(GO_ON, *columns(rows, 0, 1, 2, 3))

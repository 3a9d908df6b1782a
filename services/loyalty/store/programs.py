"""Programs of the cafes, their calendars, and which cafes are to be counted anew."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from services.loyalty.models.programs import apart
from shared.database.db import Connection
from shared.persian.calendar import Calendar

LOAD = """
SELECT wanted.cafe_id, c.time_zone, c.calendar, p.version, p.valid_from,
       (p.rules || coalesce(p.earning, '{}'))::text AS rules, p.menu_codes::text
FROM unnest($1::uuid[]) AS wanted (cafe_id)
LEFT JOIN cafes AS c ON c.cafe_id = wanted.cafe_id
LEFT JOIN programs AS p ON p.cafe_id = wanted.cafe_id
ORDER BY wanted.cafe_id, p.version
"""
CALENDARS = "SELECT cafe_id, time_zone, calendar FROM cafes WHERE cafe_id = ANY($1::uuid[])"
FOUND = """
INSERT INTO programs (cafe_id, version, valid_from, rules)
SELECT cafe_id, 1, 'epoch', rules FROM unnest($1::uuid[], $2::jsonb[]) AS t (cafe_id, rules)
ON CONFLICT DO NOTHING
RETURNING cafe_id
"""
PUBLISH = """
INSERT INTO programs (cafe_id, version, valid_from, rules, created_by, toman_per_point, earning, menu_codes,
                      rehearsal_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT DO NOTHING
RETURNING created_at
"""
LIST = """
SELECT version, valid_from,
       rules || jsonb_build_object('toman_per_point', toman_per_point) || coalesce(earning, '{}') AS rules,
       created_by, created_at, rehearsal_id
FROM programs WHERE cafe_id = $1 ORDER BY version
"""
LATEST = """
SELECT rules || coalesce(earning, '{}') FROM programs WHERE cafe_id = $1 ORDER BY version DESC LIMIT 1
"""
PRICE = """
SELECT toman_per_point FROM programs WHERE cafe_id = $1 AND valid_from <= $2 ORDER BY valid_from DESC LIMIT 1
"""
ASK_RECOUNT = "INSERT INTO recounts (cafe_id, due_at) SELECT unnest($1::uuid[]), $2 ON CONFLICT DO NOTHING"
# The cafes take turns: a small one does not wait until a large one is done.
DUE_RECOUNT = """
SELECT cafe_id, due_at, through FROM recounts WHERE due_at <= $1 AND cafe_id <> ALL($2::uuid[])
ORDER BY coalesce(turn_at, due_at), cafe_id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
GO_ON_RECOUNT = "UPDATE recounts SET through = $3, turn_at = $4 WHERE cafe_id = $1 AND due_at = $2"
END_RECOUNT = "DELETE FROM recounts WHERE cafe_id = $1 AND due_at = $2"


class StoredProgram(msgspec.Struct, frozen=True):
    """A version of a cafe's rules as it was published."""

    version: int
    valid_from: datetime
    rules: dict[str, Any]
    created_by: UUID | None = None
    created_at: datetime | None = None
    rehearsal_id: UUID | None = None


class ProgramText(msgspec.Struct, frozen=True):
    """A version of a cafe's rules in the JSON in which it lies there: who has read it before knows it by that."""

    version: int
    valid_from: datetime
    rules: str
    menu_codes: str | None


class StoredPlan(msgspec.Struct, frozen=True):
    """A cafe's calendar and programs; None and empty while the cafe's own event is on its way."""

    time_zone: str | None
    calendar: Calendar | None
    programs: Sequence[ProgramText]


class Recount(msgspec.Struct, frozen=True):
    """A cafe of which the guests after `through` are to be counted anew."""

    cafe_id: UUID
    due_at: datetime
    through: UUID | None


async def load_plans(conn: Connection, cafe_ids: Collection[UUID]) -> dict[UUID, StoredPlan]:
    """The calendar and programs by which each cafe's guests are counted. Every cafe that was asked for is in the
    answer."""
    programs: dict[UUID, list[ProgramText]] = {}
    calendars: dict[UUID, tuple[str | None, Calendar | None]] = {}
    for row in await conn.fetch(LOAD, list(cafe_ids)):
        cafe_id = row["cafe_id"]
        calendars[cafe_id] = row["time_zone"], row["calendar"]
        found = programs.setdefault(cafe_id, [])
        if row["version"] is not None:
            found.append(ProgramText(row["version"], row["valid_from"], row["rules"], row["menu_codes"]))
    return {cafe_id: StoredPlan(*calendar, programs[cafe_id]) for cafe_id, calendar in calendars.items()}


async def load_calendars(conn: Connection, cafe_ids: Collection[UUID]) -> dict[UUID, tuple[str, Calendar]]:
    """Time zone and calendar of the cafes that are known."""
    rows = await conn.fetch(CALENDARS, list(cafe_ids))
    return {row["cafe_id"]: (row["time_zone"], row["calendar"]) for row in rows}


async def found(conn: Connection, rules_by_cafe: dict[UUID, dict[str, Any]]) -> list[UUID]:
    """Gives cafes their first program, in force since ever; returns those which had none."""
    rows = await conn.fetch(FOUND, list(rules_by_cafe), list(rules_by_cafe.values()))
    return [row["cafe_id"] for row in rows]


async def publish(
    conn: Connection,
    cafe_id: UUID,
    version: int,
    valid_from: datetime,
    rules: dict[str, Any],
    author: UUID,
    menu_codes: dict[str, str] | None = None,
    rehearsal_id: UUID | None = None,
) -> datetime | None:
    """Adds a version and returns when it was added; None when somebody else has just added that one. `menu_codes` are
    those of the words that it names, `rehearsal_id` that of the rehearsal that its author has seen."""
    kept, price, earning = apart(rules)
    added: datetime | None = await conn.fetchval(
        PUBLISH, cafe_id, version, valid_from, kept, author, price, earning, menu_codes or None,
        rehearsal_id,
    )  # fmt: skip
    return added


async def price_of_point(conn: Connection, cafe_id: UUID, moment: datetime) -> int | None:
    """What one point is worth by the rules in force at that moment, in Toman; None while it has no price."""
    price: int | None = await conn.fetchval(PRICE, cafe_id, moment)
    return price


async def latest_rules(conn: Connection, cafe_id: UUID) -> dict[str, Any]:
    """The rules of the newest version, in force or not yet; empty while the cafe has none."""
    return (await conn.fetchval(LATEST, cafe_id)) or {}


async def list_programs(conn: Connection, cafe_id: UUID) -> list[StoredProgram]:
    """All versions, the oldest first."""
    return [StoredProgram(**row) for row in await conn.fetch(LIST, cafe_id)]


async def ask_recount(conn: Connection, cafe_ids: Sequence[UUID], due_at: datetime) -> None:
    """Has all guests of the cafes counted anew once `due_at` is reached."""
    await conn.execute(ASK_RECOUNT, cafe_ids, due_at)


async def due_recounts(conn: Connection, moment: datetime, aside: Sequence[UUID]) -> list[Recount]:
    """The recount whose turn it is, if any is due, locked. Those of the cafes `aside` wait."""
    return [Recount(**row) for row in await conn.fetch(DUE_RECOUNT, moment, aside)]


async def go_on_recount(conn: Connection, recount: Recount, through: UUID | None, moment: datetime) -> None:
    """Notes how far it got by `moment`; None when it is done."""
    if through is None:
        await conn.execute(END_RECOUNT, recount.cafe_id, recount.due_at)
    else:
        await conn.execute(GO_ON_RECOUNT, recount.cafe_id, recount.due_at, through, moment)

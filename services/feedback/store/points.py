"""Places in the house, and the website, where guests are asked."""

from dataclasses import astuple
from datetime import datetime
from uuid import UUID

from services.feedback.models.values import FeedbackPoint
from shared.database.db import Connection

COLUMNS = "cafe_id, code, kind, branch, table_number, label, created_at, created_by, retired_at"
INSERT = f"INSERT INTO feedback_points ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"  # noqa: S608
LIST = f"""
SELECT {COLUMNS} FROM feedback_points WHERE cafe_id = $1 ORDER BY retired_at NULLS FIRST, created_at, code
"""  # noqa: S608
COUNT = "SELECT count(*) FROM feedback_points WHERE cafe_id = $1"
RETIRE = """
UPDATE feedback_points SET retired_at = coalesce(retired_at, $3) WHERE cafe_id = $1 AND code = $2 RETURNING code
"""
FIND = f"SELECT {COLUMNS} FROM feedback_points WHERE code = $1"  # noqa: S608
GREETING = "SELECT name FROM cafes WHERE cafe_id = $1"


async def insert(conn: Connection, point: FeedbackPoint) -> None:
    """Keeps a new point."""
    await conn.execute(INSERT, *astuple(point))


async def list_points(conn: Connection, cafe_id: UUID) -> list[FeedbackPoint]:
    """The cafe's points, retired ones last."""
    return [FeedbackPoint(**row) for row in await conn.fetch(LIST, cafe_id)]


async def count(conn: Connection, cafe_id: UUID) -> int:
    """How many points the cafe has ever made."""
    return int(await conn.fetchval(COUNT, cafe_id))


async def retire(conn: Connection, cafe_id: UUID, code: str, moment: datetime) -> bool:
    """Nobody is asked there any more; False when the cafe has no such point."""
    return await conn.fetchval(RETIRE, cafe_id, code, moment) is not None


async def find(conn: Connection, code: str) -> FeedbackPoint | None:
    """The point with that code, of whichever cafe."""
    row = await conn.fetchrow(FIND, code)
    return FeedbackPoint(**row) if row else None


async def cafe_name(conn: Connection, cafe_id: UUID) -> str | None:
    """The cafe's name; None while its own event is on its way."""
    name: str | None = await conn.fetchval(GREETING, cafe_id)
    return name

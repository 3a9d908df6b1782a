"""Who of a cafe's people is told of unhappy guests, and what such a message says of its case."""

from collections.abc import Sequence
from dataclasses import astuple
from datetime import datetime
from typing import Any
from uuid import UUID

from services.campaign.audience.models.values import Notice, OnDuty
from shared.database.columns import columns
from shared.database.db import Connection

LIST = """
SELECT id, cafe_id, phone_sealed, phone_hash, label, is_on_duty FROM duty_people WHERE cafe_id = $1 ORDER BY label, id
"""
REMOVE_OTHERS = "DELETE FROM duty_people WHERE cafe_id = $1 AND phone_hash <> ALL($2::bytea[])"
# Whoever is there keeps the id, and with it the count of today's messages.
KEEP = """
INSERT INTO duty_people AS kept (id, cafe_id, phone_sealed, phone_hash, label, is_on_duty, created_at)
SELECT t.*, $7 FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::boolean[]) AS t
ON CONFLICT (cafe_id, phone_hash) DO UPDATE SET label = excluded.label, is_on_duty = excluded.is_on_duty
"""
CAP = "SELECT duty_daily_cap FROM messaging_settings WHERE cafe_id = $1"
SET_CAP = "UPDATE messaging_settings SET duty_daily_cap = $2 WHERE cafe_id = $1"
ON_DUTY = "SELECT cafe_id, id FROM duty_people WHERE cafe_id = any($1::uuid[]) AND is_on_duty ORDER BY cafe_id, id"
# Whom a message may be for who is no guest.
FIND = """
SELECT p.cafe_id, p.id, p.phone_sealed, p.is_on_duty, s.duty_daily_cap
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, id)
JOIN duty_people p USING (cafe_id, id)
JOIN messaging_settings s USING (cafe_id)
"""
NOTE_CASES = """
INSERT INTO case_notices (cafe_id, case_id, overall_rating, table_number)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[]) ORDER BY 1, 2
ON CONFLICT DO NOTHING
"""
NOTICES = """
SELECT n.cafe_id, n.case_id, n.overall_rating, n.table_number
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, case_id) JOIN case_notices n USING (cafe_id, case_id)
"""
FeedbackKey = tuple[UUID, UUID]


async def list_people(conn: Connection, cafe_id: UUID) -> list[OnDuty]:
    """The people whom the cafe has named."""
    return [OnDuty(**row) for row in await conn.fetch(LIST, cafe_id)]


async def daily_cap(conn: Connection, cafe_id: UUID) -> int | None:
    """How many such messages each of them gets in a day at most; None for a cafe that nobody has told of."""
    cap: int | None = await conn.fetchval(CAP, cafe_id)
    return cap


async def replace_people(conn: Connection, cafe_id: UUID, people: Sequence[OnDuty], cap: int, at: datetime) -> None:
    """These people and no others."""
    await conn.execute(REMOVE_OTHERS, cafe_id, [person.phone_hash for person in people])
    if people:
        await conn.execute(KEEP, *zip(*map(astuple, people), strict=True), at)
    await conn.execute(SET_CAP, cafe_id, cap)


async def on_duty(conn: Connection, cafe_ids: Sequence[UUID]) -> dict[UUID, list[UUID]]:
    """Who is on duty, by cafe."""
    found: dict[UUID, list[UUID]] = {}
    for row in await conn.fetch(ON_DUTY, cafe_ids):
        found.setdefault(row["cafe_id"], []).append(row["id"])
    return found


async def find(conn: Connection, people: Sequence[FeedbackKey]) -> list[Any]:
    """Those of (cafe, id) who are such people, with their numbers and their cap."""
    return await conn.fetch(FIND, *columns(people, 0, 1)) if people else []


async def note_cases(conn: Connection, notices: Sequence[tuple[UUID, Notice]]) -> None:
    """Keeps what messages will say of these cases, by cafe."""
    await conn.execute(
        NOTE_CASES,
        [cafe_id for cafe_id, _ in notices],
        [notice.case_id for _, notice in notices],
        [notice.overall_rating for _, notice in notices],
        [notice.table_number for _, notice in notices],
    )


async def notices(conn: Connection, cases: Sequence[FeedbackKey]) -> dict[FeedbackKey, Notice]:
    """What is known of these cases (cafe, id)."""
    rows = await conn.fetch(NOTICES, *columns(cases, 0, 1)) if cases else []
    return {
        (row["cafe_id"], row["case_id"]): Notice(row["case_id"], row["overall_rating"], row["table_number"])
        for row in rows
    }

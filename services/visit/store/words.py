"""What people wrote on bills, where it lies in clear since before it was sealed."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from shared.database.db import Connection

LOCK_CLEAR = """
SELECT v.cafe_id, v.id, v.visit_date, v.visit_notes, v.attributes FROM customer_visits v
WHERE (v.visit_notes IS NOT NULL OR v.attributes <> '{}') AND v.cafe_id <> ALL ($2::uuid[])
LIMIT $1 FOR UPDATE SKIP LOCKED
"""
KEEP_SEALED = """
UPDATE customer_visits v SET words_sealed = t.words, visit_notes = NULL, attributes = '{}'
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[]) AS t (cafe_id, id, visit_date, words)
WHERE v.cafe_id = t.cafe_id AND v.visit_date = t.visit_date AND v.id = t.id
"""


async def lock_clear(conn: Connection, limit: int, without: Sequence[UUID]) -> list[asyncpg.Record]:
    """Some visits whose words lie in clear, not of these cafes, held until the end of the transaction."""
    return await conn.fetch(LOCK_CLEAR, limit, without)


async def keep_sealed(conn: Connection, sealed: Sequence[tuple[Mapping[str, Any], str]]) -> None:
    """Puts the sealed words of each visit in the place of the clear ones."""
    rows = [row for row, _ in sealed]
    await conn.execute(
        KEEP_SEALED,
        [row["cafe_id"] for row in rows],
        [row["id"] for row in rows],
        [row["visit_date"] for row in rows],
        [words for _, words in sealed],
    )

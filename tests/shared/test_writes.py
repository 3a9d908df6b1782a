import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from shared.database import db
from shared.database.db import Connection
from shared.database.writes import Write, write
from tests.support import Databases

ADD = "INSERT INTO here SELECT * FROM unnest($1::int[], $2::text[])"
ADD_THERE = "INSERT INTO there SELECT * FROM unnest($1::int[], $2::text[])"
ADD_TO_BOTH = """
WITH t AS (
    SELECT * FROM unnest($1::int[], $2::text[]) AS t (number, word)
), of_here AS (
    INSERT INTO here SELECT * FROM t
)
INSERT INTO there SELECT number * $3::int, word FROM t
"""


@pytest.fixture
async def conn(database: Databases) -> AsyncIterator[Connection]:
    pool = await database("visit", max_size=1)
    async with db.transaction(pool) as conn:
        await conn.execute(
            "CREATE TEMPORARY TABLE here (number int PRIMARY KEY, word text) ON COMMIT DROP;"
            "CREATE TEMPORARY TABLE there (number int, word text) ON COMMIT DROP"
        )
        yield conn


async def _rows(conn: Connection, table: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await conn.fetch(f"SELECT * FROM {table} ORDER BY number")]


async def test_several_statements_go_in_one_and_each_has_its_own_values(conn: Connection) -> None:
    seen: list[Any] = []
    with conn.query_logger(seen.append):
        await write(
            conn,
            Write(ADD_TO_BOTH, [[1, 2], ["one", "two"], 10]),
            None,
            Write(ADD, [[3], ["three"]]),
            Write(ADD_THERE, [[4], ["four"]]),
        )
    await asyncio.sleep(0)  # asyncpg tells its listeners in the next turn of the loop
    assert len([record for record in seen if "INSERT" in record.query]) == 1
    assert await _rows(conn, "here") == [(1, "one"), (2, "two"), (3, "three")]
    assert await _rows(conn, "there") == [(4, "four"), (10, "one"), (20, "two")]


async def test_one_goes_as_it_is_and_none_sends_nothing(conn: Connection) -> None:
    await write(conn, Write(ADD, [[1], ["one"]]))
    await write(conn, Write(ADD_THERE, [[1], ["one"]]), Write(ADD, [[2], ["two"]]))
    seen: list[Any] = []
    with conn.query_logger(seen.append):
        await write(conn, None)
    await asyncio.sleep(0)
    assert seen == []
    assert await _rows(conn, "here") == [(1, "one"), (2, "two")]


async def test_what_fails_in_one_fails_all(conn: Connection) -> None:
    with pytest.raises(asyncpg.UniqueViolationError):
        async with conn.transaction():
            await write(conn, Write(ADD, [[1, 1], ["one", "one"]]), Write(ADD_THERE, [[1], ["one"]]))
    assert await _rows(conn, "there") == []


async def test_two_with_expressions_of_their_own_are_refused(conn: Connection) -> None:
    own = Write(ADD_TO_BOTH, [[1], ["one"], 1])
    with pytest.raises(ValueError, match="WITH"):
        await write(conn, own, own)

"""No table, view or function of any database escapes the walls between cafes. Read from PostgreSQL's own catalogue."""

import asyncpg
import pytest

from deploy.crm.walls import faults
from shared.settings import SERVICES
from tests.support import Databases


@pytest.mark.parametrize("service", SERVICES)
async def test_nothing_escapes_the_walls(service: str, database: Databases) -> None:
    conn = await asyncpg.connect(await database.owner_dsn(service))
    try:
        assert await faults(conn) == []
    finally:
        await conn.close()


@pytest.mark.parametrize(
    ("ddl", "word"),
    [
        ("CREATE TABLE leak (cafe_id uuid NOT NULL)", "not forced"),
        ("CREATE TABLE leak (id int); GRANT SELECT ON leak TO staff_role", "without cafe_id"),
        (
            """CREATE TABLE leak (cafe_id uuid NOT NULL); SELECT crm.protect('leak');
            CREATE POLICY wide ON leak TO staff_role USING (true)""",
            "past the cafe",
        ),
        ("CREATE VIEW leak AS SELECT * FROM cafes", "security_invoker"),
        ("CREATE MATERIALIZED VIEW leak AS SELECT 1 AS a; GRANT SELECT ON leak TO staff_role", "materialized"),
        ("CREATE FUNCTION leak() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'", "runs as its owner"),
    ],
)
async def test_check_is_red_on_a_leak(ddl: str, word: str, database: Databases) -> None:
    conn = await asyncpg.connect(await database.owner_dsn("visit"))
    try:
        await conn.execute(ddl)
        assert any(word in fault for fault in await faults(conn))
    finally:
        await conn.close()


async def test_role_changes_end_with_their_transaction(database: Databases) -> None:
    from shared import db

    pool = await database("visit", max_size=1)
    cafe = "01890a5d-ac96-774b-bcce-b302099a8057"
    async with db.till_transaction(pool, cafe) as conn:  # type: ignore[arg-type]
        assert await conn.fetchval("SELECT current_user") == "till_role"
    row = await pool.fetchrow("SELECT current_user AS who, current_setting('app.cafe_id', true) AS cafe")
    assert row is not None
    assert (row["who"], row["cafe"] or "") == ("crm_visit", "")


async def test_nobody_sees_anything_when_no_one_is_named(database: Databases) -> None:
    pool = await database("visit")
    await pool.execute(
        "INSERT INTO cafes VALUES (gen_random_uuid(), 1, 'C', 'Asia/Tehran', 'jalali', 'IRT', '22:00', '09:00', true)"
    )
    for role in ("staff_role", "till_role"):
        async with pool.acquire() as conn, conn.transaction():
            await conn.execute(f"SET LOCAL ROLE {role}")
            assert await conn.fetchval("SELECT count(*) FROM cafes") == 0

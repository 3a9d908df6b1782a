"""No table, view or function of any database escapes the walls between cafes. Read from PostgreSQL's own catalogue."""

import contextlib

import asyncpg
import pytest

from deploy.crm.walls import faults
from shared.clock import new_id
from shared.database import db
from shared.services import WITH_DATABASE
from tests.support import Databases


@pytest.mark.parametrize("service", WITH_DATABASE)
async def test_nothing_escapes_the_walls(service: str, database: Databases) -> None:
    conn = await asyncpg.connect(await database.owner_dsn(service))
    try:
        assert await faults(conn) == []
    finally:
        await conn.close()


@pytest.mark.parametrize("service", WITH_DATABASE)
async def test_service_may_not_enter_the_databases_that_every_server_has(service: str, database: Databases) -> None:
    pool = await database(service)
    may = "SELECT datname FROM pg_database WHERE datallowconn AND has_database_privilege(datname, 'CONNECT')"
    entered = {row["datname"] for row in await pool.fetch(may)}
    assert not entered & {"postgres", "template1"}
    for common in ("postgres", "template1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(database.config.dsn(service).rpartition("/")[0] + f"/{common}")


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


@pytest.mark.parametrize("breaks", [False, True])
@pytest.mark.parametrize("role", ["till_role", "staff_role"])
async def test_nothing_of_a_transaction_stays_on_its_connection(role: str, breaks: bool, database: Databases) -> None:
    pool = await database("visit", max_size=1)
    begin = db.till_transaction if role == "till_role" else db.staff_transaction
    seen = """
    SELECT pg_backend_pid(), current_user, coalesce(current_setting('app.cafe_id', true), '') AS cafe,
           coalesce(current_setting('app.user_id', true), '') AS person, current_setting('enable_seqscan') AS by_key
    """
    before = await pool.fetchrow(seen)
    with pytest.raises(asyncpg.DivisionByZeroError) if breaks else contextlib.nullcontext():
        async with begin(pool, new_id()) as conn:
            await db.plan_by_key(conn)
            assert await conn.fetchval("SELECT current_user") == role
            await conn.execute(f"SELECT 1 / {0 if breaks else 1}")
    assert await pool.fetchrow(seen) == before


async def test_nobody_sees_anything_when_no_one_is_named(database: Databases) -> None:
    pool = await database("visit")
    await pool.execute(
        "INSERT INTO cafes VALUES (gen_random_uuid(), 1, 'C', 'Asia/Tehran', 'jalali', 'IRT', '22:00', '09:00', true)"
    )
    for role in ("staff_role", "till_role"):
        async with pool.acquire() as conn, conn.transaction():
            await conn.execute(f"SET LOCAL ROLE {role}")
            assert await conn.fetchval("SELECT count(*) FROM cafes") == 0

"""No table, view or function of any database escapes the walls between cafes. Read from PostgreSQL's own catalogue."""

import asyncpg
import pytest

from shared.settings import SERVICES
from tests.support import Databases

TABLES_WITHOUT_WALLS = """
SELECT c.oid::regclass::text || ': ' || CASE
    WHEN NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'cafe_id' AND a.attnotnull)
        THEN 'open to people or tills but without cafe_id'
    WHEN NOT (c.relrowsecurity AND c.relforcerowsecurity) THEN 'row level security is not forced'
    ELSE 'has no policy for who may touch it' END AS fault
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('public', 'crm') AND c.relkind IN ('r', 'p') AND c.relname <> 'schema_migrations'
  AND (
    (EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'cafe_id')
        AND NOT (c.relrowsecurity AND c.relforcerowsecurity))
    OR ((has_any_column_privilege('staff_role', c.oid, 'SELECT, INSERT, UPDATE')
         OR has_any_column_privilege('till_role', c.oid, 'SELECT, INSERT, UPDATE'))
        AND (NOT c.relforcerowsecurity
             OR NOT EXISTS (SELECT 1 FROM pg_attribute a
                            WHERE a.attrelid = c.oid AND a.attname = 'cafe_id' AND a.attnotnull)
             OR NOT EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid))))
"""
OPEN_POLICIES = """
SELECT p.polrelid::regclass::text || ': policy ' || p.polname || ' lets people or tills past the cafe' AS fault
FROM pg_policy p
WHERE (p.polroles && ARRAY['staff_role'::regrole::oid, 'till_role'::regrole::oid] OR p.polroles = '{0}')
  AND (coalesce(pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
           !~ 'cafe_id|current_user_id'
       OR p.polcmd = '*' AND p.polwithcheck IS NULL)
"""
LEAKING_VIEWS = """
SELECT c.oid::regclass::text || CASE c.relkind WHEN 'm' THEN ': people or tills can read a materialized view'
                                ELSE ': view without security_invoker' END AS fault
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('public', 'crm') AND (
    (c.relkind = 'v' AND NOT coalesce(c.reloptions @> ARRAY['security_invoker=true'], false))
    OR (c.relkind = 'm' AND (has_table_privilege('staff_role', c.oid, 'SELECT')
                             OR has_table_privilege('till_role', c.oid, 'SELECT'))))
"""
# A filtering function over a materialized view must run as its owner; it is named here and checks the cafe itself.
DEFINER_FUNCTIONS = """
SELECT p.oid::regprocedure::text || ': runs as its owner and people or tills may call it' AS fault
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname IN ('public', 'crm') AND p.prosecdef AND p.prosrc !~ 'user_cafe_access'
  AND (has_function_privilege('staff_role', p.oid, 'EXECUTE') OR has_function_privilege('till_role', p.oid, 'EXECUTE'))
"""
STRONG_LOGINS = """
SELECT rolname || ': a login that passes row level security' AS fault FROM pg_roles
WHERE rolname LIKE 'crm\\_%' AND rolname <> 'crm_owner' AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb)
UNION ALL
SELECT c.oid::regclass::text || ': owned by a login of the application' FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
WHERE n.nspname IN ('public', 'crm') AND r.rolname LIKE 'crm\\_%' AND r.rolname <> 'crm_owner'
"""
CHECKS = (TABLES_WITHOUT_WALLS, OPEN_POLICIES, LEAKING_VIEWS, DEFINER_FUNCTIONS, STRONG_LOGINS)


async def faults(conn: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    """Everything in this database that a person or a till could reach past the walls."""
    return [row["fault"] for check in CHECKS for row in await conn.fetch(check)]


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

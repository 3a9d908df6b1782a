"""What PostgreSQL's own catalogue says about the walls between cafes: whatever escapes row level security."""

from shared.database.db import Connection

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


async def faults(conn: Connection) -> list[str]:
    """Everything in this database that a person or a till could reach past the walls."""
    return [row["fault"] for check in CHECKS for row in await conn.fetch(check)]

"""Facts that a database keeps so that processes can check that they fit it: the secret and the broker."""

import asyncio
import hmac
import sys
import time
from collections.abc import Collection

import asyncpg

from shared.database import db
from shared.database.db import Connection
from shared.process import telemetry
from shared.security.crypto import Keys
from shared.settings import Settings

SECRET_CHECK, SEALING_KEYS = "secret_check", "sealing_keys"

WAIT_SECONDS = 0.5

THERE = "SELECT to_regclass('crm.facts') IS NOT NULL"
READ = "SELECT name, value FROM crm.facts"
NOTE = """
INSERT INTO crm.facts (name, value) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, noted_at = now() WHERE crm.facts.value <> excluded.value
"""
SEALED_COLUMNS = """
SELECT format('%I.%I', table_schema, table_name) AS name, quote_ident(column_name) AS column
FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
WHERE table_schema IN ('public', 'crm') AND table_type = 'BASE TABLE' AND data_type = 'text'
  AND column_name LIKE '%\\_sealed'
"""


class WrongSecret(Exception):
    """The secret is not the one that the database was made with; the message is one sentence that says what to set."""


def check_value(keys: Keys) -> str:
    """A value that only a holder of the founding secret can compute, and that gives nothing of the secret away."""
    return hmac.digest(keys.lookup, b"secret-check", "sha256").hex()


async def read(conn: Connection) -> dict[str, str]:
    """All facts of a database; none in one that no migration has reached yet."""
    if not await conn.fetchval(THERE):
        return {}
    return {row["name"]: row["value"] for row in await conn.fetch(READ)}


async def note(conn: Connection, name: str, value: str) -> None:
    """Writes a fact down, instead of what was noted before."""
    await conn.execute(NOTE, name, value)


def fault_of(facts: dict[str, str], keys: Keys, database: str) -> str | None:
    """What is wrong with the secret, as one sentence; None when it fits, or when nothing is noted yet."""
    if facts.get(SECRET_CHECK, check_value(keys)) != check_value(keys):
        return (
            f"{database} was founded with another secret: guests would get new ids. Set CRM_SECRET to that secret, or"
            " keep it as the last of CRM_PREVIOUS_SECRET"
        )
    missing = set(filter(None, facts.get(SEALING_KEYS, "").split(","))) - set(keys.sealing)
    return _unknown(database, missing) if missing else None


def _unknown(database: str, key_ids: Collection[str]) -> str:
    names = ", ".join(sorted(key_ids))
    return (
        f"{database} holds what was sealed with a secret that is not given (key {names}). Put that secret into"
        " CRM_PREVIOUS_SECRET; if nothing sealed with it is left, `crm migrate` forgets it"
    )


async def require_secret(config: Settings, service: str) -> None:
    """Raises `WrongSecret` when the service's database was made with another secret than the one given here."""
    database = config.database_name(service)
    try:
        conn = await db.connect(config.dsn(service), name=f"{service} start")
    except asyncpg.InvalidPasswordError as error:
        raise WrongSecret(
            f"{database} refuses the login of crm_{service}, whose password follows from the secret: set CRM_SECRET to"
            " the secret of the last `crm migrate`"
        ) from error
    try:
        fault = fault_of(await read(conn), config.keys, database)
    finally:
        await conn.close()
    if fault:
        raise WrongSecret(fault)


def require_secret_or_exit(config: Settings, service: str, *, wait_seconds: float = 0) -> None:
    """Ends the process with code 1 and one logged sentence when the secret is not that of the database.

    Waits up to `wait_seconds` for a database that is not there; after that, opening the pool says what is wrong with
    it.
    """
    until = time.monotonic() + wait_seconds
    while True:
        try:
            asyncio.run(require_secret(config, service))
        except WrongSecret as error:
            telemetry.logger().critical("start.refused", reason=str(error))
            sys.exit(1)
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            if time.monotonic() < until:
                telemetry.logger().warning("database.awaited", error=type(error).__name__)
                time.sleep(WAIT_SECONDS)
                continue
        return


async def settle_secret(conn: Connection, keys: Keys, database: str) -> None:
    """Notes the secret in a database that knows none yet, and the newest key for sealing; forgets keys of which nothing
    is left. `conn` is the migrations' owner.

    Raises `WrongSecret`, and changes nothing, when something here was sealed with a secret that is not given.
    """
    facts = await read(conn)
    noted = set(filter(None, facts.get(SEALING_KEYS, "").split(",")))
    if SECRET_CHECK not in facts or not noted <= set(keys.sealing):
        noted = await _in_use(conn)
        if unknown := noted - set(keys.sealing):
            raise WrongSecret(_unknown(database, unknown))
    if fault := fault_of({**facts, SEALING_KEYS: ""}, keys, database):
        raise WrongSecret(fault)
    await note(conn, SECRET_CHECK, check_value(keys))
    await note(conn, SEALING_KEYS, ",".join(sorted(noted | {keys.key_id})))


async def _in_use(conn: Connection) -> set[str]:
    """The ids of all keys with which anything in the database is sealed: reads every sealed column."""
    found = set()
    for place in await conn.fetch(SEALED_COLUMNS):
        rows = await conn.fetch(
            f"SELECT DISTINCT split_part({place['column']}, '.', 2) AS key FROM {place['name']}"  # noqa: S608
            f" WHERE {place['column']} LIKE 's1.%'"
        )
        found |= {row["key"] for row in rows}
    return found

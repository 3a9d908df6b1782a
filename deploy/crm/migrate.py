"""Roles, databases and migrations: from an empty PostgreSQL server to what the services expect. Safe to repeat."""

import asyncio
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from shared.crashpoints import crashpoint
from shared.database.db import Connection
from shared.process import facts
from shared.security.crypto import derive_password
from shared.services import WITH_DATABASE
from shared.settings import Settings

SQL = Path(__file__).parents[2] / "sql"
OWNER = "crm_owner"
# What people and tills become inside a transaction; nobody logs in as them.
GROUPS = ("staff_role", "till_role")
# Made by the administrator, because not every server lets an owner make them.
EXTENSIONS = ("pg_trgm",)
# The oldest PostgreSQL that knows views with the rights of their reader.
OLDEST = 15
# Any fixed number: concurrent runs take turns on it. Roles belong to the server, so one lock serves all databases.
LOCK = 7_268_526_826

COMMON_DATABASES = ("postgres", "template1")
OURS_ALONE = """
SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
   AND NOT EXISTS (SELECT FROM pg_roles WHERE rolcanlogin AND NOT rolsuper AND rolname <> ALL ($1::text[]))
   AND NOT EXISTS (
       SELECT FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' AND datname !~ 'crm_[a-z]+')
"""
ENTER_COMMON = "SELECT has_database_privilege($1, 'template1', 'CONNECT')"


class MigrationFailed(Exception):
    """A migration was refused; the message is the tool's own, which names the file and the statement."""


async def migrate(config: Settings, services: Iterable[str] = WITH_DATABASE) -> None:
    """Bring every service's database to the newest version.

    Uses the administrator's login of `config.postgres_url` for roles, databases and extensions, and the owner's for
    the migrations. Concurrent runs wait for each other.
    Raises MigrationFailed when a migration is refused, the server is older than `OLDEST`, or a database was made with
    another secret.
    """
    services = tuple(services)
    admin = await asyncpg.connect(config.postgres_url)
    try:
        _refuse_old(admin.get_server_version())
        await admin.execute("SELECT pg_advisory_lock($1)", LOCK)
        # Before the logins get passwords that follow from the secret.
        for service in services:
            await _refuse_wrong_secret(admin, config, config.database_name(service))
        await _make_roles(admin, config)
        await _close_common_databases(admin)
        for service in services:
            database = config.database_name(service)
            await _make_database(admin, database, service)
            await _make_extensions(config, database)
            applied = await _apply(config, service)
            await _settle_secret(config, database)
            print(f"migrated {database}: {applied} new", file=sys.stderr, flush=True)
            crashpoint("migration.between_databases")
    finally:
        await admin.close()


def admin_dsn(config: Settings, database: str) -> str:
    """The administrator's login to one database."""
    return urlunsplit(urlsplit(config.postgres_url)._replace(path=f"/{database}"))


def owner_dsn(config: Settings, database: str) -> str:
    """The owner's login to one database: for migrations and for looking into the catalogue, never for a process."""
    password = quote(derive_password(config.secret.get_secret_value(), "owner"), safe="")
    parts = urlsplit(config.postgres_url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{OWNER}:{password}@{host}", path=f"/{database}"))


def _refuse_old(version: asyncpg.ServerVersion) -> None:
    if version.major < OLDEST:
        raise MigrationFailed(f"PostgreSQL {OLDEST} or newer is needed; this server is {version.major}.{version.minor}")


async def _make_roles(admin: Connection, config: Settings) -> None:
    secret = config.secret.get_secret_value()
    # NOINHERIT: a service has the rights of people and tills only inside a transaction that becomes one of them.
    logins = {f"crm_{service}": (service, "NOINHERIT") for service in WITH_DATABASE} | {OWNER: ("owner", "INHERIT")}
    existing = {row["rolname"] for row in await admin.fetch("SELECT rolname FROM pg_roles")}
    for group in GROUPS:
        if group not in existing:
            await admin.execute(f"CREATE ROLE {group} NOLOGIN NOBYPASSRLS")
    for role, (label, inherits) in logins.items():
        # The password is set each time, so that a changed secret takes effect by migrating.
        verb, password = "ALTER" if role in existing else "CREATE", derive_password(secret, label)
        await admin.execute(f"{verb} ROLE {role} LOGIN {inherits} NOSUPERUSER NOBYPASSRLS PASSWORD '{password}'")
    service_logins = ", ".join(f"crm_{service}" for service in WITH_DATABASE)
    await admin.execute(f"GRANT {', '.join(GROUPS)} TO {service_logins}")


async def _refuse_wrong_secret(admin: Connection, config: Settings, database: str) -> None:
    if not await admin.fetchval("SELECT true FROM pg_database WHERE datname = $1", database):
        return
    connection = await asyncpg.connect(admin_dsn(config, database))
    try:
        known = await facts.read(connection)
    finally:
        await connection.close()
    # A key that is gone may be one of which nothing is left: that is looked up later.
    known.pop(facts.SEALING_KEYS, None)
    if fault := facts.fault_of(known, config.keys, database):
        raise MigrationFailed(f"{fault}; nothing was changed")


async def _settle_secret(config: Settings, database: str) -> None:
    connection = await asyncpg.connect(owner_dsn(config, database))
    try:
        async with connection.transaction():
            await facts.settle_secret(connection, config.keys, database)
    except facts.WrongSecret as error:
        raise MigrationFailed(str(error)) from error
    finally:
        await connection.close()


async def _close_common_databases(admin: Connection) -> None:
    """Keeps the services' logins out of the databases that every server has.

    They are open to everybody, and can be closed only to everybody: so only where nobody else has a login or a database
    on the server, and where we may.
    """
    logins = [OWNER, *(f"crm_{service}" for service in WITH_DATABASE)]
    if await admin.fetchval(OURS_ALONE, logins):
        await admin.execute(f"REVOKE CONNECT, TEMPORARY ON DATABASE {', '.join(COMMON_DATABASES)} FROM PUBLIC")
    elif await admin.fetchval(ENTER_COMMON, f"crm_{WITH_DATABASE[0]}"):
        print(
            "others use this server too, so the services' logins may still enter its databases "
            f'{" and ".join(COMMON_DATABASES)}: README, "Run it", says how to keep them out',
            file=sys.stderr,
            flush=True,
        )


async def _make_database(admin: Connection, database: str, service: str) -> None:
    if not await admin.fetchval("SELECT true FROM pg_database WHERE datname = $1", database):
        await admin.execute(f"CREATE DATABASE {database} OWNER {OWNER} TEMPLATE template0 ENCODING 'UTF8'")
    await admin.execute(f"REVOKE CONNECT, TEMPORARY ON DATABASE {database} FROM PUBLIC")
    await admin.execute(f"GRANT CONNECT ON DATABASE {database} TO crm_{service}")


async def _make_extensions(config: Settings, database: str) -> None:
    connection = await asyncpg.connect(admin_dsn(config, database))
    try:
        for extension in EXTENSIONS:
            await connection.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}")
    finally:
        await connection.close()


async def _apply(config: Settings, service: str) -> int:
    url = owner_dsn(config, config.database_name(service))
    if "sslmode=" not in url:
        # The tool insists on TLS unless told; asyncpg, which every process uses, does not.
        url += ("&" if "?" in url else "?") + "sslmode=disable"
    folders = [word for name in ("common", service) for word in ("-d", str(SQL / name)) if (SQL / name).is_dir()]
    tool = await asyncio.create_subprocess_exec(
        _tool(),
        *("--env-file", os.devnull, "--no-dump-schema", *folders, "migrate"),
        env={**os.environ, "DATABASE_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await tool.communicate())[0].decode()
    if tool.returncode != 0:
        raise MigrationFailed(f"{service}:\n{output}")
    return sum(line.startswith("Applied: ") for line in output.splitlines())


def _tool() -> str:
    # Beside this interpreter in a virtual environment that is not activated.
    beside = Path(sys.executable).with_name("dbmate")
    return str(beside) if beside.exists() else shutil.which("dbmate") or "dbmate"

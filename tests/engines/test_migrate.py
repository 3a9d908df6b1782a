"""From an empty server to databases that the services can use."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from deploy.crm import migrate as module
from deploy.crm.migrate import MigrationFailed, migrate, owner_dsn
from deploy.engines.engine import Engine
from shared.settings import Settings
from tests import support


@pytest.fixture
async def own(config: Settings, postgres_server: Engine, run: support.Run) -> Settings:
    """Settings of databases that no fixture has made."""
    return config.model_copy(update={"postgres_url": postgres_server.url})


async def test_migrate_twice_applies_nothing_the_second_time(own: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        await migrate(own, ["identity"])
        first = capsys.readouterr().err
        await migrate(own, ["identity"])
        assert " 0 new" not in first
        assert capsys.readouterr().err == f"migrated {own.database_name('identity')}: 0 new\n"
    finally:
        await _drop(own, "identity")


async def test_migrate_twice_at_once_both_succeed(own: Settings) -> None:
    try:
        await asyncio.gather(migrate(own, ["identity", "feedback"]), migrate(own, ["feedback", "identity"]))
        connection = await asyncpg.connect(own.dsn("feedback"))
        assert await connection.fetchval("SELECT crm.service_role()") == "crm_feedback"
        await connection.close()
    finally:
        await _drop(own, "identity", "feedback")


async def test_service_login_owns_nothing_and_inherits_nothing(database: support.Databases) -> None:
    pool = await database("feedback")
    powers = "rolsuper OR rolbypassrls OR rolinherit OR rolcreaterole OR rolcreatedb"
    assert await pool.fetchval(f"SELECT {powers} FROM pg_roles WHERE rolname = current_user") is False
    owners = await pool.fetch(
        "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    assert [row["tableowner"] for row in owners] == ["crm_owner"]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute("CREATE TABLE mine (id int)")


async def test_service_login_may_not_enter_the_database_of_another(own: Settings) -> None:
    try:
        await migrate(own, ["feedback", "identity"])
        stranger = own.dsn("identity").replace(own.database_name("identity"), own.database_name("feedback"))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(stranger)
    finally:
        await _drop(own, "feedback", "identity")


async def test_refused_migration_names_its_file_and_leaves_nothing(
    own: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "0001_half_a_migration.sql").write_text(
        "-- migrate:up\nCREATE TABLE half (id int);\nSELECT no_such_function();\n-- migrate:down\n"
    )
    monkeypatch.setattr(module, "SQL", tmp_path)
    try:
        with pytest.raises(MigrationFailed, match=r"0001_half_a_migration\.sql[\s\S]*no_such_function"):
            await migrate(own, ["visit"])
        owner = await asyncpg.connect(owner_dsn(own, own.database_name("visit")))
        assert await owner.fetchval("SELECT to_regclass('half')") is None
        await owner.close()
    finally:
        await _drop(own, "visit")


async def _drop(config: Settings, *services: str) -> None:
    async with support.admin_connection(config) as admin:
        for service in services:
            await admin.execute(f"DROP DATABASE IF EXISTS {config.database_name(service)} WITH (FORCE)")


async def test_server_that_is_too_old_is_refused_in_one_sentence(
    own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OLDEST", 99)
    with pytest.raises(MigrationFailed, match=r"^PostgreSQL 99 or newer is needed; this server is \d+\.\d+$"):
        await migrate(own, ["identity"])

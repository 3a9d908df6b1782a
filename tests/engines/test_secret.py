"""The wrong secret is noticed before anything is done with it: by processes, commands and `crm migrate`."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import asyncpg
import pytest
from pydantic import SecretStr

from deploy.crm import migrate as module
from deploy.crm.migrate import MigrationFailed, migrate, owner_dsn
from deploy.engines.engine import Engine, free_port
from shared.process import facts
from shared.security.crypto import seal
from shared.settings import Settings
from tests import support

OTHER, THIRD = "another-secret-" + "x" * 40, "a-third-secret-" + "y" * 40
KNOWN = "SELECT value FROM crm.facts WHERE name = $1"
KEEP = "INSERT INTO crm.parked VALUES (gen_random_uuid(), 't', 0, $1, 'k', 'e', 't', NULL, $2, NULL, 'r', 'd', 1)"


@pytest.fixture
async def own(config: Settings, postgres_server: Engine) -> AsyncIterator[Settings]:
    """Settings of a database of loyalty that `crm migrate` has made."""
    settings = config.model_copy(update={"postgres_url": postgres_server.url})
    await migrate(settings, ["loyalty"])
    yield settings
    async with support.admin_connection(settings) as admin:
        await admin.execute(f"DROP DATABASE {settings.database_name('loyalty')} WITH (FORCE)")


def given(config: Settings, secret: str, *previous: str) -> Settings:
    earlier = SecretStr(",".join(previous)) if previous else None
    return config.model_copy(update={"secret": SecretStr(secret), "previous_secret": earlier})


async def asked(config: Settings, sql: str, *args: object) -> object:
    conn = await asyncpg.connect(owner_dsn(config, config.database_name("loyalty")))
    try:
        return await conn.fetchval(sql, *args)
    finally:
        await conn.close()


async def run(config: Settings, *command: str) -> tuple[int, str]:
    """The exit code and all that a process with these settings says."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CRM_")},
        "CRM_SECRET": config.secret.get_secret_value(),
        "CRM_POSTGRES_URL": config.postgres_url,
        "CRM_DATABASE_PREFIX": config.database_prefix,
        "CRM_PORT": str(free_port()),
        "CRM_KAFKA_SERVERS": "127.0.0.1:1",
        "CRM_HOME": "/nonexistent",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        told = (await process.communicate())[0].decode()
    return process.returncode or 0, told


@pytest.mark.parametrize(
    "command",
    [
        ("services.loyalty.api",),
        ("services.loyalty.worker",),
        ("deploy.crm.main", "parked", "list", "-s", "loyalty"),
        ("deploy.crm.main", "rebuild", "loyalty"),
    ],
)
async def test_start_with_the_wrong_secret_is_refused_in_one_sentence(own: Settings, command: tuple[str, ...]) -> None:
    code, told = await run(given(own, OTHER), *command)
    assert code == 1
    # Either the login's password tells, or the check value does.
    assert "CRM_SECRET" in told
    assert "Traceback" not in told


async def test_migrate_with_the_wrong_secret_changes_nothing_not_even_passwords(
    own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def make_roles(*_: object) -> None:
        raise AssertionError("logins were given passwords that follow from the wrong secret")

    monkeypatch.setattr(module, "_make_roles", make_roles)
    before = await asked(own, KNOWN, facts.SECRET_CHECK)
    with pytest.raises(MigrationFailed, match="founded with another secret"):
        await migrate(given(own, OTHER), ["loyalty"])
    assert await asked(own, KNOWN, facts.SECRET_CHECK) == before


async def test_secret_changes_by_way_of_the_previous_one_and_a_key_is_forgotten_once_nothing_is_sealed_with_it(
    own: Settings,
) -> None:
    first = own.secret.get_secret_value()
    second, third = given(own, OTHER, first), given(own, THIRD, first)
    try:
        await migrate(second, ["loyalty"])
        keys = second.keys
        assert await asked(second, KNOWN, facts.SEALING_KEYS) == ",".join(sorted(keys.sealing))
        await asked(second, KEEP, 1, seal(keys, "[]", table="crm.parked", column="headers", row="r"))
        with pytest.raises(MigrationFailed, match=rf"not given \(key {keys.key_id}\).*CRM_PREVIOUS_SECRET"):
            await migrate(third, ["loyalty"])
        await asked(second if await logs_in(second) else third, "DELETE FROM crm.parked")
        await migrate(third, ["loyalty"])
        assert keys.key_id not in str(await asked(third, KNOWN, facts.SEALING_KEYS))
        await facts.require_secret(third, "loyalty")
    finally:
        await migrate(given(own, first, THIRD, first), ["loyalty"])


async def logs_in(config: Settings) -> bool:
    try:
        await asked(config, "SELECT 1")
    except asyncpg.InvalidPasswordError:
        return False
    return True


async def test_database_from_before_takes_the_secret_only_when_it_opens_what_is_sealed(own: Settings) -> None:
    strange = seal(given(own, OTHER).keys, "[]", table="crm.parked", column="headers", row="r")
    await asked(own, KEEP, 1, strange)
    await asked(own, "DELETE FROM crm.facts")
    with pytest.raises(MigrationFailed, match="sealed with a secret that is not given"):
        await migrate(own, ["loyalty"])
    assert await asked(own, "SELECT count(*) FROM crm.facts") == 0
    await asked(own, "DELETE FROM crm.parked")
    await migrate(own, ["loyalty"])
    assert await asked(own, KNOWN, facts.SECRET_CHECK) == facts.check_value(own.keys)

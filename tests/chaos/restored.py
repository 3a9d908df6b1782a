"""A database is put back to an earlier point, as from a backup, and nobody tells the system: it is noticed, refused
until `crm recover`, and afterwards the books hold."""

import asyncio

from typer.testing import CliRunner

from deploy.crm.main import app
from shared.settings import Settings
from tests.chaos.load import load_on
from tests.chaos.proof import prove
from tests.chaos.scenario import Scenario, World
from tests.chaos.system import Scene, open_system, stay
from tests.support import admin_connection

PER_SECOND = 30.0
REFUSED_WITHIN_SECONDS = 60.0
# What each keeps follows from events alone, as long as no staff works beside it.
SERVICES = ("loyalty", "customer", "feedback")


async def restore(world: World) -> str:
    """Visits, a backup of one service, more visits, the backup again; then `crm recover`, and the proof."""
    services = SERVICES[:1] if world.quick else SERVICES
    count = 60 if world.quick else 600
    system = await open_system(world, "restored")
    try:
        async with stay(world, system) as scene:
            async with load_on(scene, per_second=PER_SECOND, over_http=0.5) as load:
                for service in services:
                    await load.more(count)
                    await _stop(scene, service)
                    await _copy(system.config, service)
                    await _start(scene, service)
                    await load.more(count)
                    await _taken_in(scene, service)
                    await _stop(scene, service)
                    await _put_back(system.config, service)
                    await _refused(scene, service)
                    result = await asyncio.to_thread(CliRunner().invoke, app, ["recover", service, "--yes"])
                    assert result.exit_code == 0, result.output
                    await _start(scene, service)
            await prove(scene, load.acknowledged)
    finally:
        await system.close()
    return f"{', '.join(services)} put back by {count} visits each, noticed and recovered"


async def _taken_in(scene: Scene, service: str) -> None:
    """Waits until the service has taken in something that its copy lacks."""
    pool = scene.pools[service]
    count = "SELECT count(*) FROM crm.inbox"
    before = await pool.fetchval(count)
    async with asyncio.timeout(REFUSED_WITHIN_SECONDS):
        while await pool.fetchval(count) <= before:
            await asyncio.sleep(0.05)


async def _stop(scene: Scene, service: str) -> None:
    for part in (f"{service}-worker", f"{service}-api"):
        await scene.system.stop(part)


async def _start(scene: Scene, service: str) -> None:
    parts = (f"{service}-worker", f"{service}-api")
    await scene.system.start(*parts)
    await scene.system.ready(*parts)


async def _copy(config: Settings, service: str) -> None:
    name = config.database_name(service)
    async with admin_connection(config) as admin:
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        await admin.execute(f"CREATE DATABASE {name}_then OWNER crm_owner TEMPLATE {name}")


async def _put_back(config: Settings, service: str) -> None:
    name = config.database_name(service)
    async with admin_connection(config) as admin:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.execute(f"ALTER DATABASE {name}_then RENAME TO {name}")
        await admin.execute(f"GRANT CONNECT ON DATABASE {name} TO crm_{service}")


async def _refused(scene: Scene, service: str) -> None:
    """Starts the worker and waits until it has ended by itself, without a word to the database."""
    pool, part = scene.pools[service], f"{service}-worker"
    before = await pool.fetchval("SELECT count(*) FROM crm.inbox")
    await scene.system.start(part)
    async with asyncio.timeout(REFUSED_WITHIN_SECONDS):
        while scene.system.is_running(part):
            await asyncio.sleep(0.05)
    log = scene.system.log_of(part)
    assert scene.system.end_of(part) == 1, log
    assert f"crm recover {service}" in log, log
    assert await pool.fetchval("SELECT count(*) FROM crm.inbox") == before, "something was taken in"


SCENARIOS = [Scenario("restored database", restore)]

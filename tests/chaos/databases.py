"""Databases of a scenario's own on the server of its world."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from shared.services import WITH_DATABASE
from shared.settings import settings
from tests.chaos.scenario import World
from tests.support import Databases, Run, admin_connection


@asynccontextmanager
async def databases_on(world: World, name: str, services: Sequence[str] = WITH_DATABASE) -> AsyncIterator[Databases]:
    """As the fixture `database` gives, for a scenario; dropped when it ends. Commits are not waited for: what is tried
    here is not the disk."""
    config = settings().model_copy(update={"postgres_url": world.postgres.url, "database_prefix": f"{name}_"})
    databases = Databases(config, Run(world.folder))
    try:
        for service in services:
            await databases.create(service)
        async with admin_connection(config) as admin:
            for service in services:
                await admin.execute(f"ALTER DATABASE {config.database_name(service)} SET synchronous_commit = off")
        yield databases
    finally:
        await databases.close()

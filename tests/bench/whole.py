"""The whole system, for parts that measure what people and tills see of it."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from unittest import mock

from deploy.crm import processes
from deploy.demo import run as demo
from deploy.engines.engine import free_port
from shared.database import db
from shared.settings import Settings
from tests.bench.figure import Bench
from tests.support import SECRET, delete_topics, drop_databases


@dataclass(frozen=True)
class System:
    """The whole system, every part of it, and a cafe with a till."""

    config: Settings
    pools: Mapping[str, db.Pool]
    cafe: demo.DemoCafe


@contextlib.asynccontextmanager
async def whole(bench: Bench, name: str) -> AsyncIterator[System]:
    """The whole system by `crm up`, gone afterwards."""
    folder = bench.folder / name
    names = {
        "CRM_SECRET": SECRET,
        "CRM_POSTGRES_URL": bench.postgres.url,
        "CRM_KAFKA_SERVERS": bench.kafka.url,
        "CRM_DATABASE_PREFIX": f"{name}_",
        "CRM_TOPIC_PREFIX": f"{name}.",
        "CRM_BASE_PORT": str(free_port()),
    }
    config = processes.settings_of(names)
    try:
        with mock.patch.dict(os.environ, names):
            environment = await asyncio.to_thread(processes.up, folder, simulator=True, say=lambda _: None)
        config = processes.settings_of(environment)
        with mock.patch.dict(os.environ, environment):
            cafe = await asyncio.to_thread(demo.make_cafe, lambda _: None)
        async with demo.opened(config) as pools:
            await demo.known_everywhere(pools, cafe)
            await demo.thank_at_once(config, cafe)
            yield System(config, pools, cafe)
    finally:
        await asyncio.to_thread(processes.down, folder, wipe=False, say=lambda _: None)
        await drop_databases(config)
        await delete_topics(config.kafka_servers, lambda topic: topic.startswith(config.topic_prefix))

"""Fixtures for everybody. A test without `database` or `kafka` among its arguments needs no server at all.

`config`    the settings of this test, also put into the environment: prefixes of its own, the servers' addresses
`database`  `pool = await database("visit")`: a fresh migrated database, logged in as the service
`kafka`     the broker's addresses and this test's topics, created
"""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy.crm import engines
from deploy.engines.engine import Engine
from shared.messaging import topics
from shared.settings import Settings, settings
from tests import support
from tests.support import Kafka

TIERS = {
    "pure": "needs no server",
    "postgres": "needs PostgreSQL",
    "kafka": "needs Kafka",
}
ADDRESSES = {"postgres": "CRM_POSTGRES_URL", "kafka": "CRM_KAFKA_SERVERS"}
_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Begin a run in the process that was called; xdist's workers find it in their environment."""
    for name, meaning in TIERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    os.environ.setdefault("CRM_SECRET", support.SECRET)
    if support.RUN_FOLDER not in os.environ:
        run = support.begin_run()
        os.environ[support.RUN_FOLDER] = str(run.folder)
        config.add_cleanup(lambda: _end(run))


def _end(run: support.Run) -> None:
    del os.environ[support.RUN_FOLDER]
    for kind, clear in (("postgres", support.clear_postgres), ("kafka", support.clear_kafka)):
        address = os.environ.get(ADDRESSES[kind])
        if address and (run.folder / f"{kind}.used").exists():
            asyncio.run(clear(address, run))
    support.end_run(run)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by the servers that its fixtures need, so that `-m pure` runs anywhere."""
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        needs = [kind for kind in ADDRESSES if f"{kind}_server" in names or _ASKS_FOR[kind] in names]
        for tier in needs or ["pure"]:
            item.add_marker(tier)


_ASKS_FOR = {"postgres": "database", "kafka": "kafka"}


@pytest.fixture(scope="session")
def run() -> support.Run:
    """This run of the suite."""
    return support.Run(Path(os.environ[support.RUN_FOLDER]))


@pytest.fixture(scope="session")
def postgres_server(run: support.Run) -> Engine:
    """The run's PostgreSQL server. It shows nothing about durability: fsync is off."""
    return run.engine(
        "postgres",
        lambda: engines.start_postgres(run.folder / "postgres", fsync=False, max_connections=400),
    )


@pytest.fixture(scope="session")
def kafka_server(run: support.Run) -> Engine:
    """The run's Kafka broker."""
    return run.engine("kafka", lambda: engines.start_kafka(run.folder / "kafka"))


@pytest.fixture
def config(request: pytest.FixtureRequest, run: support.Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings as the processes of this test would read them, with names that no other test uses."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    own = f"t{run.id}_{worker}_{next(_numbers)}_"
    values = {"CRM_DATABASE_PREFIX": own, "CRM_TOPIC_PREFIX": own.replace("_", ".")}
    for kind, fixture in _ASKS_FOR.items():
        if fixture in request.fixturenames:
            values[ADDRESSES[kind]] = request.getfixturevalue(f"{kind}_server").url
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    yield Settings()
    settings.cache_clear()


@pytest.fixture
async def database(config: Settings, run: support.Run) -> AsyncIterator[support.Databases]:
    """A factory of pools on fresh databases, one per service, dropped after the test."""
    databases = support.Databases(config, run)
    yield databases
    await databases.close()


@pytest.fixture
async def kafka(config: Settings) -> AsyncIterator[Kafka]:
    """Topics of this test's own on the run's broker, deleted after the test."""
    await topics.create(config)
    yield Kafka(config.kafka_servers, config.topic_prefix, config)
    await support.delete_topics(config.kafka_servers, lambda name: name.startswith(config.topic_prefix))

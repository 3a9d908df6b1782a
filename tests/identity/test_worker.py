"""The background of identity: what it decided reaches the other services, and nothing has to reach it."""

import asyncio

from aiokafka import AIOKafkaConsumer

from services.identity import worker
from shared.events.identity import CafeChanged
from shared.events.registry import decode
from shared.messaging.worker import Worker
from shared.settings import Settings
from tests.conftest import Kafka
from tests.identity.given import a_cafe
from tests.support import Databases


async def test_worker_without_topics_publishes(config: Settings, database: Databases, kafka: Kafka) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    app = Worker("identity", config, worker.REACTIONS, worker.JOBS).build()
    reader = AIOKafkaConsumer(
        kafka.prefix + CafeChanged.topic, bootstrap_servers=kafka.servers, auto_offset_reset="earliest", group_id=None
    )
    await reader.start()
    try:
        async with app.start_lifespan_context(), asyncio.timeout(30):
            record = await reader.getone()
            event = decode("cafe.changed", record.value)
    finally:
        await reader.stop()
    assert isinstance(event, CafeChanged)
    assert (event.cafe_id, event.version, record.key) == (cafe, 1, str(cafe).encode())


async def test_tidy_makes_the_first_signing_key_once(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    assert [await worker.tidy_sessions(pool) for _ in range(2)] == [0, 0]
    assert await pool.fetchval("SELECT count(*) FROM signing_keys WHERE retired_at IS NULL") == 1

"""Kafka's clients: opened and closed so that nothing of them is left behind."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from aiokafka.errors import KafkaError

C = TypeVar("C")
# A start that does not end in such a time will not.
START_SECONDS = 10
CLOSE_SECONDS = 5


@contextlib.asynccontextmanager
async def opened(client: C) -> AsyncIterator[C]:
    """A consumer, producer or admin client of aiokafka, started; closed in the end, also when it could not start.

    A start that is cut short leaves its first connection to the collector (`AIOKafkaClient.bootstrap` of 0.14 closes it
    only when the broker fails it). So who is cancelled meanwhile waits for the start's own end first.

    Raises what `client.start()` raises. That a broker which has gone away can't be told of the end is no error.
    """
    kafka: Any = client
    start = asyncio.ensure_future(kafka.start())
    try:
        await asyncio.shield(start)
        yield client
    finally:
        if not start.done():
            await asyncio.wait([start], timeout=START_SECONDS)
            start.cancel()
            await asyncio.gather(start, return_exceptions=True)
        close = kafka.stop if hasattr(kafka, "stop") else kafka.close
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            await asyncio.wait_for(close(), CLOSE_SECONDS)

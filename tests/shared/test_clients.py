"""A client of Kafka that is told to end, at whatever moment, leaves no connection behind."""

import asyncio
import gc
import warnings
from unittest import mock

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError

from deploy.engines.engine import free_port
from shared.messaging.clients import opened
from tests.conftest import Kafka


@pytest.mark.parametrize("kind", [AIOKafkaConsumer, AIOKafkaAdminClient])
@pytest.mark.parametrize("moment", range(1, 6))
async def test_start_that_is_cut_short_leaves_no_connection(kafka: Kafka, kind: type, moment: int) -> None:
    asked, reached = 0, asyncio.Event()
    send = AIOKafkaConnection.send

    def counted(self: AIOKafkaConnection, *given: object, **named: object) -> object:
        nonlocal asked
        asked += 1
        if asked >= moment:
            reached.set()
        return send(self, *given, **named)

    async def use() -> None:
        async with opened(kind(bootstrap_servers=kafka.servers)):
            reached.set()
            await asyncio.sleep(60)

    with mock.patch.object(AIOKafkaConnection, "send", counted), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        using = asyncio.create_task(use())
        await reached.wait()
        using.cancel()
        with pytest.raises(asyncio.CancelledError):
            await using
        gc.collect()
    assert [str(each.message) for each in said if each.category is ResourceWarning] == []


async def test_client_without_a_broker_raises_and_is_closed() -> None:
    with pytest.raises(KafkaConnectionError):
        async with opened(AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{free_port()}")):
            raise AssertionError("there is no broker")
    gc.collect()

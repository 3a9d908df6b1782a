"""Each service's worker, built as its process builds it, and the framework's broker for tests in place of Kafka."""

import dataclasses
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from faststream.kafka import TestKafkaBroker
from prometheus_client import REGISTRY

from shared.clock import new_id
from shared.database.db import Connection
from shared.events import registry
from shared.events.base import Event
from shared.messaging.consumer import Consumer, Ingress, Reaction, Reactions
from shared.messaging.subscriber import SteadySubscriber
from shared.messaging.worker import Worker
from shared.services import WITH_INBOX
from shared.settings import Settings
from tests.shared.records import FakeRecord, record_of
from tests.support import Databases

SAMPLES = Path(__file__).parents[1] / "contract" / "samples"
# What the labels of our metrics may be: nothing of a person or a cafe.
LABELS = {
    "crm": {"service", "topic", "partition", "outcome", "reason", "job", "method", "route", "status", "le", "quantile"},
    "faststream": {"app_name", "broker", "handler", "destination", "status", "exception_type", "le"},
}


def reactions_of(service: str) -> Reactions:
    """What the service's worker lists."""
    listed: Reactions = importlib.import_module(f"services.{service}.worker").REACTIONS
    return listed


def sample_of(kind: type[Event]) -> Event:
    """A new event of this class, otherwise as it was once released."""
    released = sorted((SAMPLES / kind.type).glob("*.json"))[0]
    return msgspec.structs.replace(registry.decode(kind.type, released.read_bytes()), event_id=new_id())


def watched(listed: Reactions, seen: list[tuple[Any, Sequence[Any]]]) -> Reactions:
    """The same reactions, that only tell which of them was called with what."""

    def watch(reaction: Reaction) -> Reaction:
        async def tell(_: Connection, events: Sequence[Any]) -> None:
            seen.append((reaction, events))

        return tell

    def watch_ingress(ingress: Ingress) -> Ingress:
        async def tell(_: Connection, records: Sequence[Any]) -> Sequence[Any]:
            seen.append((ingress, [record.value for record in records]))
            return []

        return tell

    return dataclasses.replace(
        listed,
        events={kind: watch(reaction) for kind, reaction in listed.events.items()},
        ingress={topic: watch_ingress(ingress) for topic, ingress in listed.ingress.items()},
    )


async def publish(broker: Any, record: FakeRecord, timestamp_ms: int | None = None) -> None:
    headers = {name: value.decode() for name, value in record.headers}
    await broker.publish(record.value, record.topic, key=record.key, headers=headers, timestamp_ms=timestamp_ms)


@pytest.mark.parametrize("service", WITH_INBOX)
async def test_what_a_service_reads_reaches_the_reaction_that_its_worker_lists(
    service: str, config: Settings, database: Databases
) -> None:
    pool, listed, prefix = await database(service), reactions_of(service), config.topic_prefix
    events, seen = [sample_of(kind) for kind in listed.events], list[tuple[Any, Sequence[Any]]]()
    reactions = watched(listed, seen)
    worker = Worker(service, config, reactions)
    worker.build()
    worker.consumer = Consumer(service, pool, reactions, config.keys, prefix)
    assert worker.broker is not None
    assert [type(each) for each in worker.broker.subscribers] == [SteadySubscriber] * bool(listed.topics)
    async with TestKafkaBroker(worker.broker) as broker:
        for event in events:
            await publish(broker, record_of(event, prefix), round(event.recorded_at.timestamp() * 1000))
        for topic in listed.ingress:
            await publish(broker, FakeRecord(prefix + topic, b"what a till says"))
    assert seen == [
        *((listed.events[type(event)], [event]) for event in events),
        *((ingress, [b"what a till says"]) for ingress in listed.ingress.values()),
    ]
    assert await pool.fetchval("SELECT count(*) FROM crm.parked") == 0
    received = "faststream_received_messages_total"
    for topic in listed.topics:
        labels = {"app_name": f"{service}-worker", "broker": "kafka", "handler": prefix + topic}
        assert (REGISTRY.get_sample_value(received, labels) or 0) >= 1, topic


def test_no_metric_has_a_label_that_could_be_personal(config: Settings) -> None:
    Worker("visit", config, reactions_of("visit")).build()
    for family in REGISTRY.collect():
        allowed = LABELS.get(family.name.partition("_")[0])
        for sample in family.samples if allowed is not None else ():
            assert sample.labels.keys() <= allowed, sample.name

"""The events that a service has taken in, once more, for what it did not keep of them then."""

import contextlib
from collections.abc import AsyncIterator, Collection, Iterator, Sequence

import msgspec
from aiokafka import ConsumerRecord

from shared.events import registry
from shared.events.base import Event
from shared.messaging.signing import Doorkeeper
from shared.rebuild.replay import reading
from shared.settings import Settings


async def taken_in(service: str, kinds: Collection[type[Event]], config: Settings) -> AsyncIterator[list[Event]]:
    """Events of these kinds, all of one topic, as far as the service's consumers have come, in large portions.

    What its publisher did not sign, or nobody can read, is left out, as it was when it came.

    Raises CannotReplay when the topic does not hold every event any more.
    """
    (topic,) = {kind.topic for kind in kinds}
    full, doorkeeper = config.topic_prefix + topic, Doorkeeper(config.keys, config.unsigned_events_until)
    async with reading(config.kafka_servers, config.topic_prefix + service, [full], config.topic_prefix) as reader:
        async for records in reader.read(full, await reader.committed([full])):
            yield list(_decoded(records, topic, kinds, doorkeeper))


def _decoded(
    records: Sequence[ConsumerRecord], topic: str, kinds: Collection[type[Event]], doorkeeper: Doorkeeper
) -> Iterator[Event]:
    for record in records:
        headers = dict(record.headers)
        kind = str(headers.get("ce_type") or b"", "utf-8", "replace")
        event_class = registry.BY_TYPE.get(kind)
        if record.value is None or event_class not in kinds:
            continue
        if doorkeeper.fault(topic, record, headers, event_class, live=False):
            continue
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield registry.decode(kind, record.value)

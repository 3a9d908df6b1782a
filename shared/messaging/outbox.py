"""Events leave a service as rows written beside their effects; the relay publishes them afterwards."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from shared.database.columns import columns
from shared.database.db import Connection, Pool
from shared.events.base import Event
from shared.events.registry import encode

# The transaction takes its number before it draws an id: the relay's watermark rests on that.
INSERT = """
INSERT INTO crm.outbox (cafe_id, topic, key, type, headers, payload)
SELECT cafe_id, topic, key::text, type, headers, payload
FROM pg_current_xact_id(), unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::bytea[], $6::bytea[])
    AS t (cafe_id, topic, key, type, headers, payload)
"""
INSERT_TOMBSTONES = """
INSERT INTO crm.outbox (cafe_id, topic, key, type, headers, payload)
SELECT cafe_id, $3, key::text, 'tombstone', '[]', NULL
FROM pg_current_xact_id(), unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, key)
"""
CHANNEL = "crm_outbox"
WAKE_EVERY_SECONDS = 0.01

_encode = msgspec.json.Encoder().encode


def headers_of(event: Event) -> list[tuple[str, str | UUID | datetime]]:
    """The CloudEvents attributes of a record in Kafka's binary mode, with W3C trace context.

    A UUID or a moment stands for its text, which the encoder writes faster than we.
    """
    return [
        ("ce_specversion", "1.0"),
        ("ce_id", event.event_id),
        ("ce_type", event.type),
        ("ce_source", f"urn:servaan:{event.topic.partition('.')[0]}"),
        ("ce_dataschema", f"urn:servaan:event:{event.type}"),
        ("ce_time", event.occurred_at),
        ("ce_partitionkey", event.key),
        ("ce_cafeid", event.cafe_id),
        ("ce_correlationid", event.correlation_id),
        *([("ce_causationid", event.causation_id)] if event.causation_id else []),
        ("traceparent", f"00-{event.correlation_id.hex}-{event.event_id.hex[16:]}-01"),
        ("content-type", "application/json"),
    ]


async def emit(conn: Connection, events: Sequence[Event]) -> None:
    """Writes the events in the caller's transaction, in their order. One statement for any number.

    Lock the aggregate's row first: ids are drawn in the order of these inserts, and that is a key's order.
    """
    if not events:
        return
    await conn.execute(
        INSERT,
        *columns(events, "cafe_id", "topic", "key", "type"),
        [_encode(headers_of(event)) for event in events],
        [encode(event) for event in events],
    )


async def emit_tombstones(conn: Connection, topic: str, keys: Sequence[tuple[UUID, UUID]]) -> None:
    """Writes an empty record for each (cafe_id, key), so that a compacted topic forgets it."""
    if keys:
        await conn.execute(INSERT_TOMBSTONES, *columns(keys, 0, 1), topic)


class Waker:
    """Tells the relay, which lives in another process, that rows wait; at most once in 10 ms.

    A notification inside each business transaction would make them all queue for one lock of the server.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Call after a commit that emitted events."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._notify())

    async def _notify(self) -> None:
        await asyncio.sleep(WAKE_EVERY_SECONDS)
        # Only a hint: the relay also polls.
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await self._pool.execute(f"NOTIFY {CHANNEL}")

"""Outbox rows to Kafka: one active relay per service, oldest first, signed, confirmed, then deleted.

A row is never skipped by its number: a slower transaction may commit a lower id later, so rows are found by being
there. What was published and not yet deleted is published again after a crash; readers drop repeats by event id.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import asyncpg
import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from shared.clock import new_id
from shared.crashpoints import crashpoint
from shared.database import db
from shared.database.db import heed_cancellation
from shared.messaging import standing
from shared.messaging.clients import opened
from shared.messaging.outbox import CHANNEL
from shared.messaging.parked import NOBODY, TABLE
from shared.messaging.positions import PutBack
from shared.messaging.signing import HEADER, publisher_of, signature
from shared.process import telemetry
from shared.process.discreet import bare
from shared.security.crypto import Keys, seal

FETCH = """
SELECT id, topic, key, headers, payload, cafe_id <> $3 AS emitted_here,
       extract(epoch FROM now() - created_at)::float8 AS age,
       pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest_open
FROM crm.outbox WHERE id > $1 ORDER BY id LIMIT $2
"""
# Answers with the number of its own transaction: all that were given one earlier have a lower one.
DELETE = """
WITH gone AS (DELETE FROM crm.outbox WHERE id = any($1::bigint[])),
noted AS (
    INSERT INTO crm.positions AS p (topic, partition, next_offset) VALUES ('crm.outbox', 0, $2)
    ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset
    WHERE p.next_offset < excluded.next_offset
)
SELECT pg_current_xact_id()::text::bigint
"""
LOCK = "SELECT pg_try_advisory_lock(hashtext('crm.relay'))"
TOO_LARGE = """
INSERT INTO crm.parked (id, topic, partition, record_offset, key, headers_sealed, reason, detail, attempts)
VALUES ($1, $2, -1, $3, $4, $5, 'too_large', $6, 1) ON CONFLICT DO NOTHING
"""
IDLE_SECONDS = 0.25
# Batches that are not full begin at least this far apart; the first after a pause begins at once.
PACE_SECONDS = 0.02
# Brokers take a mebibyte unless told otherwise; some of it is the record's own frame.
LARGEST_RECORD = 1_048_576 - 4096
STANDBY_SECONDS = 2.0
# The deletion of published rows need not wait for the disk: a row that is back after a crash of the server is published
# again, in its place. Every other commit still waits, and writes the deletions down with its own.
NO_WAIT_FOR_DISK = {"synchronous_commit": "off"}
LONGEST_WAIT_SECONDS = 3.0

_headers = msgspec.json.Decoder(list[tuple[str, str]])


@dataclass
class Watermark:
    """An outbox id below which every row is surely gone. Polls begin there, so that they do not walk again over dead
    rows that an old snapshot pins.

    It may follow a published id only once a fetch has seen the outcome of every transaction that could hold a lower
    one. A writer has its transaction's number before it draws an id, so these are the transactions with a lower number
    than the one that deleted the published row.
    """

    id: int = 0
    candidate: tuple[int, int] | None = None

    def published(self, last_id: int, oldest_open: int, deleted_by: int) -> None:
        """Notes that all rows up to `last_id` which one fetch could see were published and deleted.

        `oldest_open` is the lowest transaction number whose outcome that fetch did not see, `deleted_by` the number of
        the deleting transaction.
        """
        if self.candidate and oldest_open >= self.candidate[1]:
            # A full batch may have ended before the candidate.
            self.id, self.candidate = min(self.candidate[0], last_id), None
        if self.candidate is None:
            self.candidate = (last_id, deleted_by)


@dataclass
class Parcels:
    """Record batches made of outbox rows, one for each partition: a record that is sent alone costs the client four
    times as much."""

    service: str
    keys: Keys
    topic_prefix: str
    producer: AIOKafkaProducer
    open: dict[tuple[str, int], Any] = field(default_factory=dict)
    packed: list[tuple[str, int, Any]] = field(default_factory=list)
    partitions: dict[str, int] = field(default_factory=dict)

    async def add(self, row: asyncpg.Record) -> bool:
        """Packs a row behind those of its partition; False when it is too large for any broker."""
        topic, key, payload = self.topic_prefix + row["topic"], row["key"].encode(), row["payload"]
        if len(payload or b"") + len(key) + len(row["headers"]) > LARGEST_RECORD:
            return False
        if topic not in self.partitions:
            self.partitions[topic] = len(await self.producer.partitions_for(topic))
        partition = partition_of(key, self.partitions[topic])
        headers = [(name, value.encode()) for name, value in _headers.decode(row["headers"])]
        # A record that is sent again keeps its signature; if it came without one, it gets none.
        if row["emitted_here"] and publisher_of(row["topic"]) == self.service:
            headers.append((HEADER, signature(self.keys, row["topic"], key, headers, payload, row["id"])))
        parcel = self.open.get((topic, partition))
        if parcel is None or parcel.append(timestamp=None, key=key, value=payload, headers=headers) is None:
            parcel = self.open[topic, partition] = self.producer.create_batch()
            parcel.append(timestamp=None, key=key, value=payload, headers=headers)
            self.packed.append((topic, partition, parcel))
        return True

    async def send(self) -> None:
        """Sends everything and waits until all of it is confirmed. Batches of one partition go in their order."""
        confirmations = [
            await self.producer.send_batch(parcel, topic, partition=partition)
            for topic, partition, parcel in self.packed
        ]
        await asyncio.gather(*confirmations)


@lru_cache(maxsize=65536)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition that Kafka's own clients choose for that key: murmur2 without its sign, modulo the number of
    partitions.

    Remembered, because the same guests come again and the hash is computed in Python.
    """
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


@dataclass
class Relay:
    """The publishing loop of one service. `dsn` is the service's own login; its connection holds the lock."""

    service: str
    dsn: str
    kafka_servers: str
    keys: Keys
    topic_prefix: str = ""
    batch_size: int = 1000
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    failures: int = 0

    def wake(self) -> None:
        """Rows were committed in this process."""
        self.woken.set()

    async def run(self) -> None:
        """Publishes until cancelled; survives the loss of the database and of the broker.

        Raises `PutBack`, before anything is published, when the database was put back in time.
        """
        while True:
            try:
                await self._lead()
            except PutBack:
                raise
            except (
                OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError,
                KafkaError,
            ) as error:  # fmt: skip
                telemetry.logger().warning("relay.restarted", error=type(error).__name__)
            except Exception as error:
                # A torn connection can make a client library stumble over itself; without this loop nothing leaves.
                telemetry.logger().error("relay.stumbled", error=type(error).__name__, exc_info=bare(error))
            heed_cancellation()
            self.failures += 1
            telemetry.RELAY_REBUILDS.labels(self.service).inc()
            await asyncio.sleep(min(LONGEST_WAIT_SECONDS, 0.1 * 2 ** min(self.failures, 10)))

    async def _lead(self) -> None:
        conn = await asyncpg.connect(
            self.dsn,
            command_timeout=30,
            server_settings=db.LOCK_SETTINGS | NO_WAIT_FOR_DISK | {"application_name": f"{self.service} relay"},
        )
        try:
            while not await conn.fetchval(LOCK):
                await asyncio.sleep(STANDBY_SECONDS)
            await self._require_known(conn)
            await conn.add_listener(CHANNEL, lambda *_: self.wake())
            async with opened(self._producer()) as producer:
                await self._publish_all(conn, producer)
        finally:
            conn.terminate()

    async def _require_known(self, conn: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Raises `PutBack` when events of this service are published that its database does not know."""
        # Before the database is asked: another process may have published until a moment ago.
        found = await standing.published(self.kafka_servers, self.topic_prefix, self.keys, self.service)
        if unknown := await standing.unknown(conn, found):
            raise PutBack(
                f"{self.service} has published events up to number {unknown[-1]}, of which its database knows nothing:"
                " the database was put back in time"
            )

    def _producer(self) -> AIOKafkaProducer:
        # A new producer each time: once the broker has lost its state for one, that one never recovers.
        return AIOKafkaProducer(
            bootstrap_servers=self.kafka_servers,
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=262_144,
            request_timeout_ms=10_000,
        )

    async def _publish_all(self, conn: "asyncpg.Connection[asyncpg.Record]", producer: AIOKafkaProducer) -> None:
        mark = Watermark()
        while True:
            earliest_next = time.monotonic() + PACE_SECONDS
            self.woken.clear()
            rows = await conn.fetch(FETCH, mark.id, self.batch_size, NOBODY)
            telemetry.OUTBOX_AGE.labels(self.service).set(rows[0]["age"] if rows else 0)
            if rows:
                deleted_by = await self._publish(conn, producer, rows)
                mark.published(rows[-1]["id"], rows[0]["oldest_open"], deleted_by)
                self.failures = 0
            if len(rows) < self.batch_size:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.woken.wait(), IDLE_SECONDS)
                await asyncio.sleep(max(0.0, earliest_next - time.monotonic()))

    async def _publish(
        self,
        conn: "asyncpg.Connection[asyncpg.Record]",
        producer: AIOKafkaProducer,
        rows: Sequence[asyncpg.Record],
    ) -> int:
        """Publishes and deletes the rows; returns the number of the deleting transaction."""
        crashpoint("relay.before_publish")
        parcels = Parcels(self.service, self.keys, self.topic_prefix, producer)
        too_large = [row for row in rows if not await parcels.add(row)]
        await parcels.send()
        for row in too_large:
            await self._give_up(conn, row)
        crashpoint("relay.before_delete")
        deleted_by = int(await conn.fetchval(DELETE, [row["id"] for row in rows], rows[-1]["id"] + 1))
        crashpoint("relay.after_delete")
        telemetry.PUBLISHED.labels(self.service).inc(len(rows) - len(too_large))
        return deleted_by

    async def _give_up(self, conn: "asyncpg.Connection[asyncpg.Record]", row: asyncpg.Record) -> None:
        """An event no broker takes must not hold up all the others."""
        why = f"the record has more than {LARGEST_RECORD} bytes"
        parked_id = new_id()
        sealed = seal(self.keys, "[]", table=TABLE, column="headers", row=parked_id)
        await conn.execute(TOO_LARGE, parked_id, row["topic"], row["id"], row["key"], sealed, why)

"""Rebuilds a service's projections from all events it ever took in, and replaces rows that differ.

While the events are read, nothing is held up: counting goes on in tables that only this session sees
(`shared.rebuild.shadow`). The last step locks the live tables against writing: for a moment, to see where they stand,
or until the end if rows are to be put right. A table lock stops consumers, jobs and HTTP alike, and costs them nothing
at other times. Replayed reactions run in transactions that may only write to the session's own tables; PostgreSQL
itself refuses them the outbox.
"""

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from aiokafka import ConsumerRecord
from aiokafka.structs import TopicPartition

from shared.crashpoints import crashpoint
from shared.database import db
from shared.database.db import Connection
from shared.events import registry
from shared.events.base import Event
from shared.messaging.consumer import WithKeys, given, in_order
from shared.messaging.signing import Doorkeeper
from shared.rebuild import shadow
from shared.rebuild.replay import COMPACTED, RECORDS_OF_A_TURN, CannotReplay, TopicReader, reading
from shared.rebuild.shadow import Difference, Table
from shared.security.crypto import Keys
from shared.settings import Settings

# The most records that may be left for the last step, during which the service waits.
CAUGHT_UP_RECORDS = 5_000
# No batch is larger: what the database has committed and the offsets have not lies at most this far beyond the offset.
IN_DOUBT_RECORDS = 5_000
ATTEMPTS = 10
RECORDS_BETWEEN_COLLECTIONS = 1_000_000
CONTENDED = (
    asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError,
)  # fmt: skip

SESSION = "SET lock_timeout = '5s'; SET temp_buffers = '128MB'; SET work_mem = '128MB'"
REPLAYED = "CREATE TEMPORARY TABLE replayed (event_id uuid PRIMARY KEY, portion int NOT NULL)"
# The answer tells how many ids were new: nearly always all of them.
REMEMBER = "INSERT INTO pg_temp.replayed SELECT unnest($1::uuid[]), $2 ON CONFLICT DO NOTHING"
WERE_THERE = "SELECT event_id FROM pg_temp.replayed WHERE event_id = any($1::uuid[]) AND portion <> $2"
TAKEN = "SELECT event_id FROM crm.inbox WHERE event_id = any($1::uuid[])"
# Parked records that were not taken in at this offset: a redriven one was taken in at another. One that was read again
# after a crash may have been taken in, and the inbox knows it.
SET_ASIDE = """
SELECT topic, partition, record_offset FROM crm.parked p
WHERE status = 'redriven' OR NOT EXISTS (SELECT FROM crm.inbox i WHERE i.event_id::text = p.event_id)
"""
UNPUBLISHED = "SELECT type, payload FROM crm.outbox WHERE topic = any($1) AND payload IS NOT NULL ORDER BY id"

RebuildStep = Callable[[Connection], Awaitable[None]]
Replayed = Callable[[Connection, Sequence[Any]], Awaitable[object]]


async def nothing(conn: Connection) -> None:
    """Where there is nothing to do."""


@dataclass(frozen=True)
class Projection:
    """What of a service follows from events alone.

    Args:
        tables: locked in this order; the one that every writer locks first comes first.
        reactions: the live reactions without what they say and send. Topics are read one after another, in the order
            in which their events are first named here. The service's own events are read as far as they were emitted.
        begin: fills the shadows with much of what `finish` would add, so that less is left for the last step.
        finish: completes the shadows from live tables that are no projections.
        after: what the service must look at again once rows of these cafes were put right.
    """

    tables: Sequence[Table]
    reactions: Mapping[type[Event], Replayed | WithKeys]
    begin: RebuildStep = nothing
    finish: RebuildStep = nothing
    after: Callable[[Connection, Sequence[UUID]], Awaitable[None]] | None = None

    @property
    def topics(self) -> list[str]:
        """Plain names of the topics, in the order in which they are read."""
        return list(dict.fromkeys(kind.topic for kind in self.reactions))


@dataclass(frozen=True)
class Rebuilt:
    """The result of a rebuild."""

    events: int
    seconds: float
    held_seconds: float
    differences: Sequence[Difference]

    @property
    def rows_differing(self) -> int:
        """In all tables."""
        return sum(difference.rows for difference in self.differences)


@dataclass
class _Replay:
    """One rebuild under way."""

    service: str
    projection: Projection
    prefix: str
    reader: TopicReader
    conn: Connection
    say: Callable[[str], None]
    doorkeeper: Doorkeeper
    keys: Keys
    set_aside: set[tuple[str, int, int]] = field(default_factory=set)
    refused: set[tuple[str, int, int]] = field(default_factory=set)
    wiped: set[tuple[str, bytes | None]] = field(default_factory=set)
    events: int = 0
    portions: int = 0

    @property
    def own(self) -> list[str]:
        """Full names of the service's own topics among those read."""
        return [self.prefix + topic for topic in self.projection.topics if topic.partition(".")[0] == self.service]

    @property
    def others(self) -> list[str]:
        """Full names of the topics that the service's consumers read."""
        return [full for topic in self.projection.topics if (full := self.prefix + topic) not in self.own]

    async def known(self) -> dict[TopicPartition, int]:
        """Up to where every record was surely taken in."""
        return {**await self.reader.committed(self.others), **await self.reader.ends(self.own)}

    async def catch_up(self, upto: Mapping[TopicPartition, int]) -> int:
        """Applies everything below the given offsets. Returns how many records that were."""
        self.set_aside = {tuple(row) for row in await self.conn.fetch(SET_ASIDE)}
        count = 0
        for topic in self.projection.topics:
            applying: asyncio.Task[None] | None = None
            try:
                # The next portion is read and decoded while the database works on this one.
                async for records in self.reader.read(self.prefix + topic, upto):
                    events = await self.decode(records)
                    if applying is not None:
                        await applying
                    applying = asyncio.create_task(self.apply(events))
                    count += len(records)
                    if count % RECORDS_BETWEEN_COLLECTIONS < len(records):
                        gc.collect()
                    self.say(f"{topic}: {count:,} records")
            finally:
                if applying is not None:
                    await applying
        return count

    async def decode(self, records: Sequence[ConsumerRecord]) -> list[Event]:
        """The events that are replayed: not what was set aside, and not what nobody here reacts to."""
        events = []
        for number, record in enumerate(records):
            if number % RECORDS_OF_A_TURN == 0:
                await asyncio.sleep(0)
            headers = dict(record.headers)
            kind = str(headers.get("ce_type") or b"", "utf-8", "replace")
            event_class = registry.BY_TYPE.get(kind)
            if record.value is not None and event_class not in self.projection.reactions:
                continue
            topic = record.topic.removeprefix(self.prefix)
            if self.doorkeeper.fault(topic, record, headers, event_class, live=False):
                self.refuse(topic, record)
                continue
            if record.value is not None and topic in COMPACTED:
                self.wiped.discard((topic, record.key))
            if record.value is None or (self.set_aside and (topic, record.partition, record.offset) in self.set_aside):
                continue
            # What can't be decoded was never taken in.
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                events.append(registry.decode(kind, record.value))
        return events

    def refuse(self, topic: str, record: ConsumerRecord) -> None:
        """Notes a record without a valid signature. One without a body may have made a compacted topic forget a good
        record."""
        self.refused.add((topic, record.partition, record.offset))
        if record.value is None and topic in COMPACTED:
            self.wiped.add((topic, record.key))

    async def apply(self, events: Sequence[Event]) -> None:
        """Applies the events that were not applied before, and may touch nothing but the shadows."""
        distinct: dict[UUID, Event] = {}
        for event in events:
            distinct.setdefault(event.event_id, event)
        async with self.conn.transaction():
            await self.conn.execute("SET TRANSACTION READ ONLY")
            repeated = await self.remember(list(distinct))
            fresh = [event for event in distinct.values() if event.event_id not in repeated]
            for kind, group in in_order(fresh):
                await given(self.projection.reactions[kind], self.keys)(self.conn, group)
        self.events += len(fresh)

    async def remember(self, event_ids: Sequence[UUID]) -> set[UUID]:
        """Notes the events; returns those that had been noted before."""
        self.portions += 1
        answer = await self.conn.execute(REMEMBER, event_ids, self.portions)
        if answer == f"INSERT 0 {len(event_ids)}":
            return set()
        return {row["event_id"] for row in await self.conn.fetch(WERE_THERE, event_ids, self.portions)}

    async def settle_doubts(self) -> None:
        """Applies what the database has taken in beyond the offsets that were committed."""
        ends = await self.reader.ends(self.others)
        went_on = True
        while went_on:
            went_on = False
            positions = self.reader.positions
            upto = {each: min(end, positions[each] + IN_DOUBT_RECORDS) for each, end in ends.items()}
            for topic in self.others:
                async for records in self.reader.read(topic, upto):
                    events = await self.decode(records)
                    rows = await self.conn.fetch(TAKEN, [event.event_id for event in events])
                    taken = {row["event_id"] for row in rows}
                    await self.apply([event for event in events if event.event_id in taken])
                    went_on = went_on or bool(taken)

    async def take_own(self) -> None:
        """Applies the service's own events to the last one emitted, whether it has left the service or not."""
        plain = [topic.removeprefix(self.prefix) for topic in self.own]
        waiting = await self.conn.fetch(UNPUBLISHED, plain)
        await self.catch_up(await self.reader.ends(self.own))
        events = [registry.decode(row["type"], row["payload"]) for row in waiting if row["type"] in registry.BY_TYPE]
        await self.apply([event for event in events if type(event) in self.projection.reactions])


async def rebuild(
    service: str, projection: Projection, *, dsn: str, config: Settings, check: bool, say: Callable[[str], None]
) -> Rebuilt:
    """Counts anew and, unless `check`, puts the live rows right in one transaction.

    Args:
        dsn: the login of the migrations' owner: a service itself may make no temporary tables.

    Raises:
        CannotReplay: the topics do not hold every event any more, or the tables are never free for a moment.
    """
    started = time.monotonic()
    topics = [config.topic_prefix + topic for topic in projection.topics]
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(_collecting_seldom())
        conn = await stack.enter_async_context(_connection(dsn, service))
        guard = await stack.enter_async_context(_connection(dsn, service))
        await shadow.make(conn, projection.tables)
        await conn.execute(REPLAYED)
        group = config.topic_prefix + service
        reader = await stack.enter_async_context(reading(config.kafka_servers, group, topics, config.topic_prefix))
        doorkeeper = Doorkeeper(config.keys, config.unsigned_events_until)
        replay = _Replay(service, projection, config.topic_prefix, reader, conn, say, doorkeeper, config.keys)
        await _beside(conn, projection.begin)
        while await replay.catch_up(await replay.known()) > CAUGHT_UP_RECORDS:
            pass
        await shadow.analyze(conn, projection.tables)
        differences, held = await _settled(replay, guard, check=check)
        if replay.refused:
            say(f"{len(replay.refused):,} records were passed over: their publishers did not sign them")
        return Rebuilt(replay.events, time.monotonic() - started, held, differences)


@contextlib.contextmanager
def _collecting_seldom() -> Iterator[None]:
    # Thousands of events at once are no garbage: looking for cycles among them took two thirds of the decoder's time.
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


async def _settled(replay: _Replay, guard: Connection, *, check: bool) -> tuple[list[Difference], float]:
    for attempt in range(1, ATTEMPTS + 1):
        positions, events = dict(replay.reader.positions), replay.events
        try:
            return await _compare(replay, guard, check=check)
        except CONTENDED as error:
            # All is rolled back, in the shadows too: what was read since comes again.
            replay.reader.positions.update(positions)
            replay.events = events
            replay.say(f"the tables are in use ({type(error).__name__}), attempt {attempt} of {ATTEMPTS}")
            await asyncio.sleep(0.2 * attempt)
    raise CannotReplay(f"the tables were never free for a moment in {ATTEMPTS} attempts; nothing was changed")


async def _compare(replay: _Replay, guard: Connection, *, check: bool) -> tuple[list[Difference], float]:
    conn, projection = replay.conn, replay.projection
    known = await replay.reader.committed(replay.others)
    started = time.monotonic()
    async with conn.transaction(isolation="repeatable_read"):
        async with _standstill(conn, guard, projection.tables, only_to_look=check):
            # From here on this transaction sees what was committed until now, and nobody has more.
            await conn.fetchval("SELECT pg_current_snapshot()::text")
            await replay.take_own()
        held = time.monotonic() - started
        await replay.catch_up(known)
        await replay.settle_doubts()
        await _beside(conn, projection.finish)
        if replay.wiped:
            raise CannotReplay(
                f"{len(replay.wiped):,} keys were emptied by somebody who is not the publisher of "
                f"{', '.join(sorted({topic for topic, _ in replay.wiped}))}: what was said about them may be gone from "
                "the topic, so nothing was changed"
            )
        differences = [await shadow.compare(conn, table) for table in projection.tables]
        if not check:
            await _put_right(conn, projection, differences)
            crashpoint("rebuild.before_commit")
    return differences, held if check else time.monotonic() - started


async def _beside(conn: Connection, step: RebuildStep) -> None:
    """A step that may touch nothing but the shadows."""
    async with conn.transaction():
        await conn.execute("SET TRANSACTION READ ONLY")
        await step(conn)


async def _put_right(conn: Connection, projection: Projection, differences: Sequence[Difference]) -> None:
    changed = [t for t, difference in zip(projection.tables, differences, strict=True) if difference.rows]
    cafes = await shadow.cafes(conn, changed)
    for table in changed:
        await shadow.swap(conn, table)
    if projection.after is not None and cafes:
        await projection.after(conn, cafes)


@contextlib.asynccontextmanager
async def _standstill(
    conn: Connection, guard: Connection, tables: Sequence[Table], *, only_to_look: bool
) -> AsyncIterator[None]:
    """Locks the live tables against writing: inside this block if we only look, else until the caller's transaction
    ends."""
    if only_to_look:
        async with guard.transaction():
            await shadow.hold(guard, tables)
            yield
    else:
        await shadow.hold(conn, tables)
        yield


@contextlib.asynccontextmanager
async def _connection(dsn: str, service: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    conn = await db.connect(dsn, name=f"rebuild of {service}")
    try:
        await conn.execute(SESSION)
        yield conn
    finally:
        # A session that is cut off rolls back and takes its shadows along.
        conn.terminate()

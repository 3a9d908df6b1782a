"""How a batch of records becomes one transaction.

Every record is decoded on its own, so a bad one harms only itself. The good ones are applied together: repeats dropped,
effects, new events and inbox rows committed at once, then the offsets. A database that is away is waited for. A batch
that fails otherwise is halved until the record at fault stands alone, and that one is parked.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg
import msgspec

from shared import inbox, parked, telemetry
from shared.crashpoints import crashpoint
from shared.crypto import Keys
from shared.db import OUTAGES, Connection, Pool, heed_cancellation, is_outage, keyed_transaction, transaction
from shared.discreet import where
from shared.errors import Poison, Rejected
from shared.events import registry
from shared.events.base import Event
from shared.records import Record, Refusal, header

E = TypeVar("E", bound=Event)
Reaction = Callable[[Connection, Sequence[Any]], Awaitable[None]]
Ingress = Callable[[Connection, Sequence[Record]], Awaitable[Sequence[Refusal]]]

ATTEMPTS = 3
# A pool must be at work again within 5 s of the database's return.
LONGEST_WAIT_SECONDS = 3.0
PARKED_IN_A_ROW_LIMIT = 100

# The record itself is at fault and always will be: said so by us, or values that no column of the database takes.
HOPELESS = (Poison, Rejected, asyncpg.DataError)


class TooManyParked(Exception):
    """So many records failed one after another that the fault must be ours: stop instead of parking the topic."""


@dataclass(frozen=True)
class Reactions:
    """What a service does with what it reads.

    `events` maps event classes to functions `(conn, events)`; `ingress` maps plain topic names to functions
    `(conn, records) -> refusals` for records that are not our own events. `by_key`: each statement of theirs finds its
    rows by keys, so all are planned so.
    """

    events: Mapping[type[Event], Reaction]
    ingress: Mapping[str, Ingress] = field(default_factory=dict)
    by_key: bool = False

    @property
    def topics(self) -> list[str]:
        """Plain names of every topic the service reads."""
        return sorted({kind.topic for kind in self.events} | set(self.ingress))


@dataclass
class Consumer:
    """Applies batches of one service. Holds only counters beside its arguments."""

    service: str
    pool: Pool
    reactions: Reactions
    keys: Keys
    topic_prefix: str = ""
    on_commit: Callable[[], None] = lambda: None
    parked_in_a_row: int = 0

    def plain(self, topic: str) -> str:
        """The topic's name without this installation's prefix."""
        return topic.removeprefix(self.topic_prefix)

    async def handle(self, records: Sequence[Record]) -> None:
        """Takes in the records; when it returns their offsets may be committed.

        Raises `TooManyParked` when the limit of records parked in a row is passed.
        """
        started = time.perf_counter()
        await self._apply_or_halve(records)
        crashpoint("consumer.before_offsets")
        telemetry.BATCH_SECONDS.labels(self.service).observe(time.perf_counter() - started)
        telemetry.BATCH_RECORDS.labels(self.service).observe(len(records))
        telemetry.LAST_BATCH.labels(self.service).set_to_current_time()
        self.on_commit()

    async def _apply_or_halve(self, records: Sequence[Record]) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._when_database_is_there(lambda conn: self._apply(conn, records))
            except Exception as error:
                if len(records) > 1:
                    middle = len(records) // 2
                    await self._apply_or_halve(records[:middle])
                    await self._apply_or_halve(records[middle:])
                    return
                if attempt == ATTEMPTS or isinstance(error, HOPELESS):
                    await self._park(records[0], error, attempt)
                    return
                await asyncio.sleep(_pause(attempt, 0.05, 1.0))
            else:
                self.parked_in_a_row = 0
                return

    async def _when_database_is_there(self, work: Callable[[Connection], Awaitable[None]]) -> None:
        attempt = 0
        begin = keyed_transaction if self.reactions.by_key else transaction
        while True:
            try:
                async with begin(self.pool) as conn:
                    await work(conn)
            except OUTAGES as error:
                heed_cancellation()
                if not is_outage(error):
                    raise
                attempt += 1
                telemetry.OUTAGES.labels(self.service).inc()
                telemetry.logger().warning("batch.put_off", attempt=attempt, error=type(error).__name__)
                await asyncio.sleep(_pause(attempt, 0.1, LONGEST_WAIT_SECONDS))
            else:
                return

    async def _apply(self, conn: Connection, records: Sequence[Record]) -> None:
        plain = {topic: self.plain(topic) for topic in {record.topic for record in records}}
        events, refusals = self._read(records, plain)
        for topic, react in self.reactions.ingress.items():
            raw = [record for record in records if plain[record.topic] == topic]
            if raw:
                refusals.extend(await react(conn, raw))
        fresh = await inbox.first_seen(conn, [event.event_id for event in events]) if events else set()
        wanted = []
        for event in events:
            if event.event_id in fresh:
                fresh.discard(event.event_id)
                wanted.append(event)
        for kind, group in in_order(wanted):
            await self.reactions.events[kind](conn, group)
        await parked.park(conn, refusals, topics=plain, keys=self.keys)
        crashpoint("consumer.before_commit")
        self._count(events, wanted, refusals)

    def _read(self, records: Sequence[Record], plain: Mapping[str, str]) -> tuple[list[Event], list[Refusal]]:
        events: list[Event] = []
        refusals: list[Refusal] = []
        for record in records:
            if plain[record.topic] in self.reactions.ingress or record.value is None:
                continue
            kind = header(record, "ce_type")
            event_class = registry.BY_TYPE.get(kind) if kind else None
            if event_class is None and kind:
                telemetry.RECORDS.labels(self.service, plain[record.topic], "unknown_type").inc()
            elif event_class is None:
                refusals.append(Refusal(record, "no_type", "header ce_type is missing"))
            elif event_class in self.reactions.events and kind:
                try:
                    events.append(registry.decode(kind, record.value))
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    refusals.append(Refusal(record, "undecodable", where(error)))
        return events, refusals

    async def _park(self, record: Record, error: Exception, attempts: int) -> None:
        self.parked_in_a_row += 1
        if self.parked_in_a_row > PARKED_IN_A_ROW_LIMIT:
            raise TooManyParked(f"{self.parked_in_a_row} records in a row failed") from error
        code = error.code if isinstance(error, (Poison, Rejected)) else "failed"
        refusal = Refusal(record, code, where(error), attempts)
        names = {record.topic: self.plain(record.topic)}
        telemetry.logger().error(
            "record.parked", topic=self.plain(record.topic), partition=record.partition, offset=record.offset,
            reason=code, error=where(error),
        )  # fmt: skip
        await self._when_database_is_there(lambda conn: parked.park(conn, [refusal], topics=names, keys=self.keys))
        telemetry.PARKED.labels(self.service, self.plain(record.topic), code).inc()

    def _count(self, events: Sequence[Event], applied: Sequence[Event], refusals: Sequence[Refusal]) -> None:
        fresh, all_of_them = Counter(e.topic for e in applied), Counter(e.topic for e in events)
        for topic, count in all_of_them.items():
            telemetry.RECORDS.labels(self.service, topic, "applied").inc(fresh[topic])
            telemetry.RECORDS.labels(self.service, topic, "repeated").inc(count - fresh[topic])
        for refusal in refusals:
            telemetry.PARKED.labels(self.service, self.plain(refusal.record.topic), refusal.code).inc()


def in_order(events: Sequence[Event]) -> list[tuple[type[Event], list[Event]]]:
    """Groups events by class for set-based work, never letting two events of one key change places."""
    kinds = {type(event) for event in events}
    if len(kinds) == 1:
        return [(kinds.pop(), list(events))]
    groups: list[tuple[type[Event], list[Event]]] = []
    last_of_key: dict[Any, int] = {}
    at_or_after: dict[type[Event], list[int]] = {}
    for event in events:
        kind, earliest = type(event), last_of_key.get(event.key, 0)
        place = next((i for i in at_or_after.get(kind, ()) if i >= earliest), None)
        if place is None:
            place = len(groups)
            groups.append((kind, []))
            at_or_after.setdefault(kind, []).append(place)
        groups[place][1].append(event)
        last_of_key[event.key] = place
    return groups


def _pause(attempt: int, first: float, longest: float) -> float:
    # Jitter, so that the workers of a restarted database do not knock together.
    return float(min(longest, first * 2 ** min(attempt - 1, 10)) * random.uniform(0.5, 1.0))  # noqa: S311

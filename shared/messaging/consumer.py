"""How a batch of records becomes one transaction.

Every record must be signed by its topic's publisher (`shared.messaging.signing`), and is decoded on its own, so a bad
one harms only itself. The good ones are applied together: repeats dropped, effects, new events and inbox rows committed
at once, then the offsets. A database that is away is waited for. A batch that fails otherwise is taken in parts, cafe
by cafe and then record by record, until the record at fault stands alone, and that one is parked.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import asyncpg
import msgspec

from shared.clock import now
from shared.crashpoints import crashpoint
from shared.database.db import OUTAGES, Connection, Pool, heed_cancellation, is_outage
from shared.errors import Poison, Rejected
from shared.events import registry
from shared.events.base import Event
from shared.messaging import inbox, parked, positions
from shared.messaging.positions import PutBack
from shared.messaging.records import Record, Refusal, header
from shared.messaging.signing import Doorkeeper, SignatureFault
from shared.messaging.strangers import Strangers
from shared.process import telemetry
from shared.process.discreet import where
from shared.security.crypto import Keys

E = TypeVar("E", bound=Event)
Reaction = Callable[[Connection, Sequence[Any]], Awaitable[None]]
Ingress = Callable[[Connection, Sequence[Record]], Awaitable[Sequence[Refusal]]]

ATTEMPTS = 3
# A pool must be at work again within 5 s of the database's return.
LONGEST_WAIT_SECONDS = 3.0
# The worker stops when so many records in a row failed, of so many cafes (or of all, if there are fewer): they do not
# all have faults of their own at the same time, so the fault must be ours. A thousand bad records of one cafe concern
# that cafe alone.
PARKED_IN_A_ROW_LIMIT = 100
FAILING_CAFES_LIMIT = 20

# The owner of records that do not say whose they are.
NOBODY = ""

# The record itself is at fault and always will be: said so by us, or values that no column of the database takes.
HOPELESS = (Poison, Rejected, asyncpg.DataError)


COUNT_CAFES = "SELECT count(*) FROM (SELECT FROM cafes LIMIT $1) AS known"
OWNERS_OF_TILL_KEYS = "SELECT key_id, cafe_id FROM till_keys WHERE key_id = ANY($1::text[])"
# A record that comes so long after its event may be a copy whose first coming the inbox has forgotten, or is about to.
LATE_AFTER = timedelta(days=inbox.KEEP_DAYS - 5)
REPLAYED = SignatureFault(
    "replayed", f"the broker got it {LATE_AFTER.days} days after its event; if it is no copy, redrive it"
)
Late = list[tuple[Record, Event]]


class TooManyParked(Exception):
    """So many records of so many cafes failed one after another that the fault must be ours: stop instead of parking
    the topic."""


@dataclass(frozen=True)
class WithKeys:
    """A function that also takes `keys`, the keyring of the process that runs it. A worker's list of functions has no
    keyring yet."""

    function: Callable[..., Awaitable[Any]]


def given(function: Callable[..., Awaitable[Any]] | WithKeys, keys: Keys) -> Callable[..., Awaitable[Any]]:
    """The function as it is called: with the keyring, if it asked for it."""
    return partial(function.function, keys=keys) if isinstance(function, WithKeys) else function


@dataclass(frozen=True)
class Reactions:
    """What a service does with what it reads.

    `events` maps event classes to functions `(conn, events)`; `ingress` maps plain topic names to functions
    `(conn, records) -> refusals` for records that are not our own events. `by_key`: each statement of theirs finds its
    rows by keys, so all are planned so.
    """

    events: Mapping[type[Event], Reaction | WithKeys]
    ingress: Mapping[str, Ingress | WithKeys] = field(default_factory=dict)
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
    unsigned_until: datetime | None = None
    parked_in_a_row: int = 0
    failing: set[str] = field(default_factory=set)
    suspects: set[str] = field(default_factory=set)
    seen: parked.Seen = field(default_factory=parked.Seen)
    _something_good: bool = False
    _tried: set[tuple[str, str]] = field(default_factory=set)
    _failed: list[Refusal] = field(default_factory=list)
    noted: dict[positions.Partition, int] = field(default_factory=dict)
    _reached: dict[positions.Partition, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.doorkeeper = Doorkeeper(self.keys, self.unsigned_until)
        self.strangers = Strangers(self.service)
        self._ingress = {topic: given(react, self.keys) for topic, react in self.reactions.ingress.items()}
        self._events = {kind: given(react, self.keys) for kind, react in self.reactions.events.items()}

    def plain(self, topic: str) -> str:
        """The topic's name without this installation's prefix."""
        return topic.removeprefix(self.topic_prefix)

    async def handle(self, records: Sequence[Record]) -> None:
        """Takes in the records; when it returns their offsets may be committed.

        Those that were parked before, and come again because a process ended before it committed their offsets, are
        left out. Raises `PutBack` when the database knows less than it did, `TooManyParked` when the limits of what
        fails in a row are passed.
        """
        started = time.perf_counter()
        self._something_good = False
        self._tried.clear()
        self._failed.clear()
        self._reached = positions.reached_by(records, {each.topic: self.plain(each.topic) for each in records})
        if fresh := await self._without_parked(records):
            await self._take_in(fresh)
        if self._failed or self._reached:
            await self._keep_failed()
        crashpoint("consumer.before_offsets")
        telemetry.BATCH_SECONDS.labels(self.service).observe(time.perf_counter() - started)
        telemetry.BATCH_RECORDS.labels(self.service).observe(len(records))
        telemetry.LAST_BATCH.labels(self.service).set_to_current_time()
        self.on_commit()

    async def _without_parked(self, records: Sequence[Record]) -> Sequence[Record]:
        names = {topic: self.plain(topic) for topic in {record.topic for record in records}}
        again: set[int] = set()

        async def look(conn: Connection) -> None:
            again.update(await self.seen.places(conn, records, topics=names))

        if self.seen.may_hold(records, topics=names):
            await self._when_database_is_there(look)
        if again:
            telemetry.logger().info("records.parked_before", records=len(again))
        return [record for index, record in enumerate(records) if index not in again] if again else records

    async def _take_in(self, records: Sequence[Record]) -> None:
        error = await self._attempt(records, reached=self._reached)
        if error is None:
            self.suspects.clear()
            self._reached = {}
        elif len(records) == 1:
            await self._judge(records[0], (await self._owners(records))[0], error)
        else:
            await self._take_apart(records, error)

    async def _take_apart(self, records: Sequence[Record], error: Exception) -> None:
        """Takes in the cafes without recent failures first, then those whose records failed lately, so that these hold
        up nobody for long."""
        groups: dict[str, list[Record]] = {}
        for record, owner in zip(records, await self._owners(records), strict=True):
            groups.setdefault(owner, []).append(record)
        others = [owner for owner in groups if owner not in self.suspects]
        suspects = [owner for owner in groups if owner in self.suspects]
        for owners in filter(None, (others, suspects)):
            parts = [groups[owner] for owner in owners]
            fault = error if len(parts) == len(groups) else await self._attempt(list(chain(*parts)))
            if fault is not None:
                await self._in_parts(owners, parts, fault)

    async def _in_parts(
        self, owners: Sequence[str], parts: Sequence[Sequence[Record]], error: Exception | None
    ) -> None:
        """Tries the parts of a failed batch again, in chunks and in their order. Chunks shrink after a failure and grow
        after a success: one bad part costs a logarithm of transactions; if all parts are bad, each costs one."""
        size, start = max(1, len(parts) // 2), 0
        while start < len(parts):
            chunk = parts[start : start + size]
            if len(parts) > 1:
                error = await self._attempt(list(chain(*chunk)))
            if error is None:
                start, size = start + len(chunk), size * 2
            elif len(chunk) > 1:
                size = len(chunk) // 2
            else:
                await self._alone(owners[start], chunk[0], error)
                start, size = start + 1, 1

    async def _alone(self, owner: str, records: Sequence[Record], error: Exception) -> None:
        """Tries one cafe's records alone, or one record."""
        if len(records) == 1:
            await self._judge(records[0], owner, error)
        else:
            await self._in_parts([owner] * len(records), [[record] for record in records], error)

    async def _judge(self, record: Record, owner: str, error: Exception) -> None:
        """Tries a single record again, and parks it if that does not help. It is parked at once if trying again did not
        cure the same fault in an earlier record of the cafe."""
        attempt = 1
        while not isinstance(error, HOPELESS) and attempt < ATTEMPTS and (owner, where(error)) not in self._tried:
            await asyncio.sleep(_pause(attempt, 0.05, 1.0))
            attempt += 1
            again = await self._attempt([record])
            if again is None:
                return
            error = again
        self._tried.add((owner, where(error)))
        await self._park(record, owner, error, attempt)

    async def _attempt(
        self, records: Sequence[Record], *, reached: Mapping[positions.Partition, int] | None = None
    ) -> Exception | None:
        """One transaction for all of them; returns why it failed. Raises `PutBack`."""
        try:
            await self._when_database_is_there(lambda conn: self._apply(conn, records), reached)
        except PutBack:
            raise
        except Exception as error:
            return error
        self._something_good = True
        if self.parked_in_a_row:
            self.parked_in_a_row = 0
            self.failing.clear()
            telemetry.FAILING_CAFES.labels(self.service).set(0)
        return None

    async def _owners(self, records: Sequence[Record]) -> list[str]:
        """The owner of each record. Our events name their cafe; a till's record is of the cafe whose key signed it,
        whatever it says. Those that say nothing share one owner, `NOBODY`."""
        found: dict[str, str] = {}
        by_key = [self.plain(record.topic) in self.reactions.ingress for record in records]
        names = [
            header(record, "pos_key_id" if keyed else "ce_cafeid")
            for record, keyed in zip(records, by_key, strict=True)
        ]
        key_ids = [name for name, keyed in zip(names, by_key, strict=True) if name and keyed]

        async def look(conn: Connection) -> None:
            rows = await conn.fetch(OWNERS_OF_TILL_KEYS, [key_id.replace("\0", "") for key_id in key_ids])
            found.update({row["key_id"]: str(row["cafe_id"]) for row in rows})

        if key_ids:
            await self._when_database_is_there(look)
        return [
            found.get(name or "", NOBODY) if keyed else name or NOBODY
            for name, keyed in zip(names, by_key, strict=True)
        ]

    async def _stop_if_all_fail(self, owner: str, error: Exception) -> None:
        if self._something_good:
            return
        self.parked_in_a_row += 1
        self.failing.add(owner)
        telemetry.FAILING_CAFES.labels(self.service).set(len(self.failing))
        if self.parked_in_a_row <= PARKED_IN_A_ROW_LIMIT:
            return
        known = 0

        async def count(conn: Connection) -> None:
            nonlocal known
            known = await conn.fetchval(COUNT_CAFES, FAILING_CAFES_LIMIT)

        await self._when_database_is_there(count)
        if len(self.failing) >= min(known, FAILING_CAFES_LIMIT):
            # Parks what was judged: the next process need not try it again. The batch as a whole is not taken in.
            self._reached = {}
            await self._keep_failed()
            raise TooManyParked(
                f"{self.parked_in_a_row} records of {len(self.failing)} cafes in a row failed"
            ) from error

    async def _when_database_is_there(
        self, work: Callable[[Connection], Awaitable[None]], reached: Mapping[positions.Partition, int] | None = None
    ) -> None:
        """Does the work in one transaction, which also notes the positions that are `reached` by it. Waits while the
        database is away."""
        attempt, reached = 0, reached or {}
        while True:
            try:
                async with positions.noting(self.pool, reached, self.noted, by_key=self.reactions.by_key) as conn:
                    await work(conn)
                self.noted |= reached
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
        events, refusals, late = self._read(records, plain)
        if late:
            events += await self._redriven(conn, late, plain, refusals)
        for topic, react in self._ingress.items():
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
            await self._events[kind](conn, group)
        await parked.park(conn, refusals, topics=plain, keys=self.keys)
        crashpoint("consumer.before_commit")
        self._count(events, wanted, refusals)

    def _read(self, records: Sequence[Record], plain: Mapping[str, str]) -> tuple[list[Event], list[Refusal], Late]:
        """Checks and decodes: the events, the refused records, and those that the broker got long after they
        happened."""
        events: list[Event] = []
        refusals: list[Refusal] = []
        late: Late = []
        long_ago = now() - LATE_AFTER
        for record in records:
            topic = plain[record.topic]
            if topic in self.reactions.ingress:
                continue
            headers = dict(record.headers)
            kind = str(headers.get("ce_type") or b"", "utf-8", "replace")
            event_class = registry.BY_TYPE.get(kind)
            if kind and event_class not in self.reactions.events and record.value is not None:
                if event_class is None:
                    telemetry.RECORDS.labels(self.service, topic, "unknown_type").inc()
            elif fault := self.doorkeeper.fault(topic, record, headers, event_class):
                refusals += self.strangers.refuse(topic, record, fault)
            elif not kind and record.value is not None:
                refusals.append(Refusal(record, "no_type", "header ce_type is missing"))
            elif record.value is not None:
                try:
                    event = registry.decode(kind, record.value)
                    said_long_ago = event.recorded_at < long_ago
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError) as error:
                    refusals.append(Refusal(record, "undecodable", where(error)))
                    continue
                if said_long_ago and _came_late(record, event):
                    late.append((record, event))
                else:
                    events.append(event)
        return events, refusals, late

    async def _redriven(
        self, conn: Connection, late: Late, plain: Mapping[str, str], refusals: list[Refusal]
    ) -> list[Event]:
        """The late events that somebody here redrove. The inbox can't tell any more whether the others are copies: they
        are refused."""
        known = await parked.redriven(conn, [event.event_id for _, event in late])
        for record, event in late:
            if event.event_id not in known:
                refusals += self.strangers.refuse(plain[record.topic], record, REPLAYED)
        return [event for _, event in late if event.event_id in known]

    async def _park(self, record: Record, owner: str, error: Exception, attempts: int) -> None:
        self.suspects.add(owner)
        await self._stop_if_all_fail(owner, error)
        code = error.code if isinstance(error, (Poison, Rejected)) else "failed"
        self._failed.append(Refusal(record, code, where(error), attempts))
        telemetry.logger().error(
            "record.parked", topic=self.plain(record.topic), partition=record.partition, offset=record.offset,
            reason=code, error=where(error),
        )  # fmt: skip
        telemetry.PARKED.labels(self.service, self.plain(record.topic), code).inc()

    async def _keep_failed(self) -> None:
        """Parks all records that failed, and notes where the batch ended: with that the whole batch is taken in.

        Parking them together halves the time that a cafe whose records are all bad costs the others.
        """
        failed = self._failed
        names = {refusal.record.topic: self.plain(refusal.record.topic) for refusal in failed}
        await self._when_database_is_there(
            lambda conn: parked.park(conn, failed, topics=names, keys=self.keys), self._reached
        )
        self._failed, self._reached = [], {}

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
        index = next((i for i in at_or_after.get(kind, ()) if i >= earliest), None)
        if index is None:
            index = len(groups)
            groups.append((kind, []))
            at_or_after.setdefault(kind, []).append(index)
        groups[index][1].append(event)
        last_of_key[event.key] = index
    return groups


def _came_late(record: Record, event: Event) -> bool:
    return record.timestamp > 1000 * (event.recorded_at + LATE_AFTER).timestamp()


def _pause(attempt: int, first: float, longest: float) -> float:
    # Jitter, so that workers do not all call on a restarted database at once.
    return float(min(longest, first * 2 ** min(attempt - 1, 10)) * random.uniform(0.5, 1.0))  # noqa: S311

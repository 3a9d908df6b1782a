"""Up to which offset of each partition a database has taken in records, and whether the broker remembers the same.

Positions are written in the transaction of the effects, and offsets are committed afterwards: the broker may be behind.
When the broker is ahead, the database was restored from an older state, and a worker that went on would never take in
what lies between.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from shared.database.columns import columns
from shared.database.db import Connection, Pool, noting_transaction
from shared.messaging.records import Record

# What `crm.note_positions` raises.
PUT_BACK = "CRM01"
# Noted like a topic: up to which number rows have left the service's own outbox.
OUTBOX = "crm.outbox"
READ = "SELECT topic, partition, next_offset FROM crm.positions"
ADOPT = """
INSERT INTO crm.positions (topic, partition, next_offset) SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[])
ON CONFLICT DO NOTHING
"""
SET = """
INSERT INTO crm.positions (topic, partition, next_offset) SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[])
ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset
"""
HAS_TAKEN_IN = "SELECT EXISTS (SELECT FROM crm.inbox) OR EXISTS (SELECT FROM crm.parked)"

Partition = tuple[str, int]


class PutBack(Exception):
    """The database or the broker was restored from an older state, or a topic was made anew. The message is one
    sentence."""


@dataclass(frozen=True)
class PartitionState:
    """Where one partition (plain topic) stands. Each offset is that of the next record.

    Args:
        noted: by the database; None when it has noted nothing yet.
        committed: by the broker for the service's group; None when it remembers nothing.
        begin: of what the topic still holds.
        end: of the topic.
        waiting: the first record that is there at or after `noted`; asked only when it matters.
    """

    topic: str
    partition: int
    noted: int | None
    committed: int | None
    begin: int
    end: int
    waiting: int | None = None

    @property
    def ahead(self) -> bool:
        """Whether the broker says more than the database."""
        return self.committed is not None and self.committed > (self.noted or 0)

    @property
    def lost(self) -> int:
        """How many offsets the topic deleted before they were taken in: nobody can read them any more."""
        return max(0, self.begin - (self.noted or 0))


def fault_of(place: PartitionState) -> str | None:
    """Why no worker may go on from there, without the remedy; None when all is well."""
    name, noted = f"{place.topic}[{place.partition}]", place.noted or 0
    if max(noted, place.committed or 0) > place.end:
        return (
            f"{name} ends at {place.end}, but {max(noted, place.committed or 0)} was reached:"
            " the topic was made anew, or the broker put back in time"
        )
    if place.committed is None:
        if noted <= place.begin:
            return None
        return f"the broker has forgotten the group, or {name} was made anew: {noted} was reached and is not remembered"
    if not place.ahead or (place.waiting is None and not place.lost):
        return None
    if place.waiting is not None and place.waiting >= place.committed and not place.lost:
        return None
    return (
        f"the database has taken in {name} up to {noted}, and the broker says {place.committed}:"
        " the database was put back in time"
    )


async def read(conn: Connection) -> dict[Partition, int]:
    """What the database has noted."""
    return {(row["topic"], row["partition"]): row["next_offset"] for row in await conn.fetch(READ)}


async def adopt(conn: Connection, reached: Mapping[Partition, int]) -> None:
    """Notes positions where none are noted."""
    await conn.execute(ADOPT, *columns(reached, 0, 1), list(reached.values()))


async def put(conn: Connection, reached: Mapping[Partition, int]) -> None:
    """Notes positions, whatever was noted before: for an operator."""
    await conn.execute(SET, *columns(reached, 0, 1), list(reached.values()))


async def has_taken_in(conn: Connection) -> bool:
    """Whether the database has ever taken in anything, as far as it remembers."""
    return bool(await conn.fetchval(HAS_TAKEN_IN))


def reached_by(records: Iterable[Record], plain: Mapping[str, str]) -> dict[Partition, int]:
    """Where each partition stands after these records."""
    reached: dict[Partition, int] = {}
    for record in records:
        # Those of one partition come in their order.
        reached[plain[record.topic], record.partition] = record.offset + 1
    return reached


@asynccontextmanager
async def noting(
    pool: Pool, reached: Mapping[Partition, int], seen: Mapping[Partition, int], *, by_key: bool
) -> AsyncIterator[Connection]:
    """A transaction of the service itself in which these positions are noted; `by_key`: see `db.keyed_transaction`.

    They travel with its BEGIN and cost no round trip. Raises `PutBack` when the database knows less than the caller has
    `seen` in it.
    """
    try:
        async with noting_transaction(pool, _note(reached, seen), by_key=by_key) as conn:
            yield conn
    except asyncpg.PostgresError as error:
        if error.sqlstate != PUT_BACK:
            raise
        raise PutBack("the database knows less than it did: it was put back in time") from error


def _note(reached: Mapping[Partition, int], seen: Mapping[Partition, int]) -> str:
    if not reached:
        return "NULL"
    topics = ",".join("'" + topic.replace("'", "''") + "'" for topic, _ in reached)
    partitions, known = _list(partition for _, partition in reached), _list(seen.get(each, 0) for each in reached)
    return (
        f"crm.note_positions(ARRAY[{topics}]::text[], ARRAY[{partitions}]::integer[], ARRAY[{known}]::bigint[],"
        f" ARRAY[{_list(reached.values())}]::bigint[])"
    )


def _list(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))

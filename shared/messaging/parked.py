"""Records that could not be taken in, kept with their reason until somebody redrives or discards them."""

import base64
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from shared.clock import new_id
from shared.database.columns import columns
from shared.database.db import Connection
from shared.errors import Rejected
from shared.messaging.records import Record, Refusal, header
from shared.security.crypto import CannotUnseal, Keys, seal, unseal

TABLE = "crm.parked"
DETAIL_LIMIT = 500

INSERT = """
INSERT INTO crm.parked (id, topic, partition, record_offset, key, event_id, event_type, trace, headers_sealed,
                        body_sealed, reason, detail, attempts, guests)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (topic, partition, record_offset) DO UPDATE
SET reason = excluded.reason, detail = excluded.detail, attempts = crm.parked.attempts + 1
WHERE crm.parked.status = 'parked'
"""
LIST = """
SELECT id, topic, partition, record_offset, event_type, event_id, trace, reason, detail, attempts, status::text,
       parked_at, resolved_at, resolution
FROM crm.parked WHERE ($1::text IS NULL OR status = $1::crm.parked_status) ORDER BY parked_at DESC, id LIMIT $2
"""
GET = "SELECT * FROM crm.parked WHERE id = $1"
COUNT_WAITING = "SELECT count(*) FROM crm.parked WHERE status = 'parked'"
REDRIVEN = "SELECT event_id FROM crm.parked WHERE status = 'redriven' AND event_id = any($1)"
RESOLVE = """
UPDATE crm.parked SET status = $2::crm.parked_status, resolved_at = now(), resolution = $3
WHERE id = any($1) AND status = 'parked' RETURNING id, topic, key, event_type, headers_sealed, body_sealed
"""
# Where it came from and why it was not taken stays.
_EMPTIED = """
SET body_sealed = NULL, headers_sealed = '', key = NULL, event_id = NULL, guests = '{}',
    resolved_at = coalesce(resolved_at, now()),
    resolution = CASE status WHEN 'parked' THEN 'erased' ELSE resolution END,
    status = CASE status WHEN 'parked' THEN 'discarded' ELSE status END
"""
EMPTY_OF_GUESTS = f"UPDATE crm.parked {_EMPTIED.strip()} WHERE key = any($1::text[]) OR guests && $2::uuid[]"
EMPTY = f"UPDATE crm.parked {_EMPTIED.strip()} WHERE id = any($1)"
OF_WHOM = """
SELECT id, headers_sealed, body_sealed FROM crm.parked
WHERE topic = $1 AND guests IS NULL AND body_sealed IS NOT NULL ORDER BY parked_at DESC LIMIT $2
"""
# The cafe id of rows that were not emitted here: the relay signs what a service says itself, and nothing else.
NOBODY = UUID(int=0)
REQUEUE = """
INSERT INTO crm.outbox (cafe_id, topic, key, type, headers, payload)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::bytea[], $6::bytea[])
"""


# Compares the sender's id as well: when a topic is made anew, its offsets begin again.
AMONG = """
SELECT t.place FROM unnest($1::integer[], $2::text[], $3::integer[], $4::bigint[], $5::text[])
    AS t (place, topic, partition, record_offset, event_id)
JOIN crm.parked AS p
ON p.topic = t.topic AND p.partition = t.partition AND p.record_offset = t.record_offset
    AND p.event_id IS NOT DISTINCT FROM t.event_id
"""
HIGHEST = """
SELECT t.topic, t.partition, coalesce((
    SELECT max(p.record_offset) FROM crm.parked AS p WHERE p.topic = t.topic AND p.partition = t.partition
), -1)
FROM unnest($1::text[], $2::integer[]) AS t (topic, partition)
"""


@dataclass
class Seen:
    """Remembers which records were parked already. They come again when a process ended before it committed their
    offsets.

    The database is asked only while a partition's offsets are at or below the highest that was parked when it was first
    read.
    """

    highest: dict[tuple[str, int], int] = field(default_factory=dict)

    def forget(self) -> None:
        """Call when partitions were given away or taken over: other processes may have parked records since."""
        self.highest.clear()

    def may_hold(self, records: Sequence[Record], *, topics: Mapping[str, str]) -> bool:
        """Whether the database is to be asked about any of them."""
        highest = self.highest
        return any(
            record.offset <= highest.get((topics[record.topic], record.partition), record.offset) for record in records
        )

    async def places(self, conn: Connection, records: Sequence[Record], *, topics: Mapping[str, str]) -> list[int]:
        """Indexes of the records that were parked before, by topic, partition and offset. `topics` maps full names to
        plain ones."""
        new = {(topics[record.topic], record.partition) for record in records} - self.highest.keys()
        if new:
            arrays = columns(new, 0, 1)
            self.highest |= {
                (topic, partition): highest for topic, partition, highest in await conn.fetch(HIGHEST, *arrays)
            }
        below = {
            index: record
            for index, record in enumerate(records)
            if record.offset <= self.highest[topics[record.topic], record.partition]
        }
        if not below:
            return []
        rows = await conn.fetch(
            AMONG,
            list(below),
            [topics[record.topic] for record in below.values()],
            [record.partition for record in below.values()],
            [record.offset for record in below.values()],
            [_plain(header(record, "ce_id")) for record in below.values()],
        )
        return [row["place"] for row in rows]


def _row(refusal: Refusal, topic: str, keys: Keys) -> tuple[Any, ...]:
    record, parked_id = refusal.record, new_id()
    headers = [(name, base64.b64encode(value or b"").decode()) for name, value in record.headers]
    body = base64.b64encode(record.value).decode() if record.value is not None else None
    return (
        parked_id,
        topic,
        record.partition,
        record.offset,
        str(record.key, "utf-8", "replace").replace("\0", "\ufffd") if record.key else None,
        _plain(header(record, "ce_id")),
        _plain(header(record, "ce_type")),
        _plain(header(record, "traceparent")),
        seal(keys, msgspec.json.encode(headers).decode(), table=TABLE, column="headers", row=parked_id),
        seal(keys, body, table=TABLE, column="body", row=parked_id) if body is not None else None,
        refusal.code,
        refusal.detail[:DETAIL_LIMIT].replace("\0", "\ufffd"),
        refusal.attempts,
        None if refusal.guests is None else list(refusal.guests),
    )


def _plain(value: str | None) -> str | None:
    # PostgreSQL's text holds no NUL, and a header of a megabyte is no id.
    return value[:200].replace("\0", "\ufffd") if value else None


async def park(conn: Connection, refusals: Sequence[Refusal], *, topics: dict[str, str], keys: Keys) -> None:
    """Keeps the refused records, sealed, in the caller's transaction. `topics` maps full names to plain ones.

    The same record refused again counts as another attempt of the same row.
    """
    rows = [_row(refusal, topics.get(refusal.record.topic, refusal.record.topic), keys) for refusal in refusals]
    if rows:
        await conn.executemany(INSERT, rows)


async def list_parked(conn: Connection, status: str | None = "parked", limit: int = 50) -> list[dict[str, Any]]:
    """The newest parked records without their bodies; `status` None lists all."""
    return [dict(row) for row in await conn.fetch(LIST, status, limit)]


async def count_waiting(conn: Connection) -> int:
    """How many parked records nobody has settled."""
    return int(await conn.fetchval(COUNT_WAITING))


async def show(conn: Connection, parked_id: UUID, keys: Keys) -> dict[str, Any]:
    """One parked record with its opened headers and body (text as far as it is UTF-8).

    Raises `Rejected` when there is none.
    """
    row = await conn.fetchrow(GET, parked_id)
    if row is None:
        raise Rejected("not_found", "There is no such parked record.", "چنین رکورد کنارگذاشته‌ای نیست.", status=404)
    shown = {key: value for key, value in row.items() if not key.endswith("_sealed")}
    headers, body = _open(row["id"], row["headers_sealed"], row["body_sealed"], keys)
    shown["headers"] = {name: str(value, "utf-8", "replace") for name, value in headers}
    shown["body"] = None if body is None else str(body, "utf-8", "backslashreplace")
    return shown


def _open(
    row_id: UUID, headers_sealed: str, body_sealed: str | None, keys: Keys
) -> tuple[list[tuple[str, bytes]], bytes | None]:
    if not headers_sealed:
        return [], None
    headers = msgspec.json.decode(
        unseal(keys, headers_sealed, table=TABLE, column="headers", row=row_id), type=list[tuple[str, str]]
    )
    body = None if body_sealed is None else unseal(keys, body_sealed, table=TABLE, column="body", row=row_id)
    return (
        [(name, base64.b64decode(value)) for name, value in headers],
        None if body is None else base64.b64decode(body),
    )


async def redrive(conn: Connection, ids: Sequence[UUID], keys: Keys, note: str) -> int:
    """Sends parked records through their topic again, with the same id, by way of the outbox. Returns how many."""
    rows = await conn.fetch(RESOLVE, ids, "redriven", note)
    opened = [_open(row["id"], row["headers_sealed"], row["body_sealed"], keys) for row in rows]
    headers = [
        msgspec.json.encode([(name, str(value, "utf-8", "replace")) for name, value in pairs]) for pairs, _ in opened
    ]
    await conn.execute(
        REQUEUE,
        NOBODY,
        [row["topic"] for row in rows],
        [row["key"] or "" for row in rows],
        [row["event_type"] or "unknown" for row in rows],
        headers,
        [body for _, body in opened],
    )
    return len(rows)


async def redriven(conn: Connection, event_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the events that were sent again from here."""
    rows = await conn.fetch(REDRIVEN, [str(event_id) for event_id in event_ids])
    return {UUID(row["event_id"]) for row in rows}


async def discard(conn: Connection, ids: Sequence[UUID], note: str) -> int:
    """Gives parked records up for good, with the reason in `note`. Returns how many."""
    return len(await conn.fetch(RESOLVE, ids, "discarded", note))


async def forget(conn: Connection, guests: Sequence[UUID]) -> None:
    """Empties the records of erased guests, whatever became of them; those that waited are given up."""
    await conn.execute(EMPTY_OF_GUESTS, [str(guest) for guest in guests], guests)


async def of_whom(
    conn: Connection, topic: str, keys: Keys, limit: int
) -> list[tuple[UUID, list[tuple[str, bytes]], bytes]]:
    """The newest parked records of a topic whose guests are not known yet: id, headers and body."""
    rows = await conn.fetch(OF_WHOM, topic, limit)
    found = []
    for row in rows:
        # What nobody can open any more names nobody.
        with suppress(CannotUnseal):
            headers, body = _open(row["id"], row["headers_sealed"], row["body_sealed"], keys)
            if body is not None:
                found.append((row["id"], headers, body))
    return found


async def empty(conn: Connection, ids: Sequence[UUID]) -> None:
    """Empties these records like those that `forget` finds."""
    await conn.execute(EMPTY, ids)

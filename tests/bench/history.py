"""Databases that look as if the services had been at work for a year, filled in minutes."""

import asyncio
import contextlib
import io
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from deploy.crm.migrate import admin_dsn, migrate
from services.customer.handlers import evaluating
from services.customer.handlers.segments import create_segment
from services.customer.models.http import CreateSegment
from services.customer.models.values import SegmentRule
from services.customer.rules.compile import compile_rules
from services.customer.store import segments
from services.customer.store.activity import CUSTOMER_JOIN
from shared.clock import new_id, now
from shared.database import db
from shared.database.db import Connection
from shared.messaging.consumer import Consumer
from shared.persian.calendar import year_of
from shared.security import ids
from shared.security.crypto import phone_hash, seal
from shared.services import WITH_DATABASE
from shared.settings import Settings
from tests.bench import rows
from tests.chaos.house import House, reactions_of

CAFES = 10
YEAR = timedelta(days=365)
# Loading in two databases at a time: more would only wait for each other's disk.
AT_ONCE = 2
# With those of other tables that rest on them, which go first.
CONSTRAINTS = """
SELECT conrelid::regclass::text AS of_table, conname AS name, pg_get_constraintdef(oid) AS definition
FROM pg_constraint
WHERE (conrelid = $1::regclass AND contype IN ('p', 'u')) OR (confrelid = $1::regclass AND contype = 'f')
ORDER BY contype <> 'f'
"""
INDEXES = """
SELECT indexrelid::regclass::text AS name, replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') AS definition
FROM pg_index WHERE indrelid = $1::regclass AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""
MAKE_PARTITIONS = """
SELECT make_visit_partition(month::date)
FROM generate_series(date_trunc('month', $1::timestamp), date_trunc('month', $2::timestamp), '1 month') AS month
"""


@dataclass(frozen=True)
class Size:
    """How much history: every guest came equally often."""

    guests: int
    visits: int

    @property
    def rounds(self) -> int:
        """Visits of each guest."""
        return self.visits // self.guests


@dataclass(frozen=True)
class History:
    """All databases of one installation with a history in them. `api_keys` are the tills' of the cafes, in order."""

    house: House
    size: Size
    moment: datetime
    cafes: Sequence[UUID]
    api_keys: Sequence[str]

    @property
    def config(self) -> Settings:
        """Which databases."""
        return self.house.config


@dataclass
class Statements:
    """Where the time of a pool's one connection goes: seconds by statement, as the client saw them."""

    seconds: dict[str, float] = field(default_factory=dict)
    server_pid: int = 0

    @property
    def server_cpu(self) -> float:
        """Seconds of processor time that the server has spent on this connection; 0 where it is out of sight."""
        # Of a server in a container the number names another process here, or none.
        with contextlib.suppress(OSError):
            if "postgres" in Path(f"/proc/{self.server_pid}/comm").read_text():
                return int(Path(f"/proc/{self.server_pid}/schedstat").read_text().split()[0]) / 1e9
        return 0.0

    def add(self, query: Any) -> None:
        """Called by the driver after each statement."""
        self.seconds[query.query] = self.seconds.get(query.query, 0.0) + query.elapsed

    async def watch(self, pool: db.Pool) -> None:
        """Follows a pool of one connection."""
        async with pool.acquire() as conn:
            conn.add_query_logger(self.add)
            self.server_pid = conn.get_server_pid()


@contextlib.asynccontextmanager
async def open_history(
    config: Settings, size: Size, criteria: Mapping[str, Mapping[str, Any]], say: Callable[[str], None]
) -> AsyncIterator[History]:
    """Makes the databases that `config` names, fills them, and drops them in the end.

    Every cafe has the segments `criteria` (key -> criteria) beside those of the system.
    """
    try:
        async with contextlib.AsyncExitStack() as stack:
            await migrate(config)
            pools = {}
            for service in WITH_DATABASE:
                pools[service] = await db.open_pool(config.dsn(service), max_size=1, name=f"bench of {service}")
                stack.push_async_callback(pools[service].close)
            consumers = {each: Consumer(each, pools[each], reactions_of(each), config.keys) for each in WITH_DATABASE}
            house = House(config, pools, consumers, random.Random(5))
            made = [await house.make_cafe() for _ in range(CAFES)]
            await make_segments(pools["customer"], [cafe for cafe, _ in made], criteria)
            history = History(house, size, now(), [cafe for cafe, _ in made], [key for _, key in made])
            await fill_all(history, say)
            await assert_evaluated(pools["customer"], history.cafes, history.moment)
            yield history
    finally:
        await drop_databases(config)


async def drop_databases(config: Settings) -> None:
    """Drops all databases that `config` names."""
    admin = await asyncpg.connect(config.postgres_url)
    try:
        for service in WITH_DATABASE:
            await admin.execute(f"DROP DATABASE IF EXISTS {config.database_name(service)} WITH (FORCE)")
    finally:
        await admin.close()


def phone_of(n: int) -> str:
    """The number of guest n of the history."""
    return f"+98912{n:07d}"


async def make_segments(pool: db.Pool, cafes: Iterable[UUID], criteria: Mapping[str, Mapping[str, Any]]) -> None:
    """Adds segments to the cafes as staff would."""
    async with db.transaction(pool) as conn:
        for cafe_id in cafes:
            for key, each in criteria.items():
                command = CreateSegment(name=key, segment_key=key, criteria=dict(each))
                await create_segment(conn, cafe_id, command, author=new_id(), now=now())
        await conn.execute("DELETE FROM segment_recalculations")


async def fill(conn: Connection, inserts: Mapping[str, Sequence[str]], *values: Any) -> None:
    """Fills tables without their indexes, which are made again afterwards. `values` are for every statement."""
    made_again: list[str] = []
    for table in inserts:
        for row in await conn.fetch(INDEXES, table):
            made_again.append(row["definition"])
            await conn.execute(f"DROP INDEX {row['name']}")
        constraints = await conn.fetch(CONSTRAINTS, table)
        for row in constraints:
            await conn.execute(f'ALTER TABLE {row["of_table"]} DROP CONSTRAINT "{row["name"]}"')
        made_again += [
            f'ALTER TABLE {row["of_table"]} ADD CONSTRAINT "{row["name"]}" {row["definition"]}'
            for row in reversed(constraints)
        ]
    for statements in inserts.values():
        for statement in statements:
            await conn.execute(statement, *values)
    for statement in made_again:
        await conn.execute(statement)


async def fill_customers(
    conn: Connection, pool: db.Pool, cafes: Sequence[UUID], activity: str, values: Mapping[str, Any], moment: datetime
) -> None:
    """Fills the customer database; who is in which segment is evaluated by the service's own rules."""
    per_guest = {table: [sql.format(**values)] for table, sql in rows.PER_GUEST["customer"].items()}
    await fill(conn, per_guest)
    async with db.transaction(pool) as own:
        stored = await segments.load(own, cafes[:1])
    evaluation = compile_rules((tuple(SegmentRule(each.slot, each.criteria) for each in stored),), 2)
    evaluated = rows.EVALUATED.format(
        mask=evaluation.mask,
        check_at=evaluation.check_at,
        activity=activity.format(**values),
        join=CUSTOMER_JOIN if evaluation.needs_customer else "",
    )
    await fill(conn, {"customer_activity": [evaluated]}, moment, *evaluation.values_at(moment))
    await fill(conn, {table: [sql] for table, sql in rows.MEMBERS.items()})
    await conn.execute(rows.COUNT_MEMBERS)
    await conn.execute(rows.SHOW_SEGMENTS)


async def assert_evaluated(pool: db.Pool, cafes: Iterable[UUID], moment: datetime) -> None:
    """The loaded guests are where the service itself would have put them."""
    async with db.transaction(pool) as conn:
        for cafe_id in cafes:
            wrong = await evaluating.find_stale_memberships(conn, cafe_id, now=moment)
            assert not wrong, f"{len(wrong)} guests of {cafe_id} were loaded into wrong segments"


async def admin_of(config: Settings, service: str) -> "asyncpg.Connection[asyncpg.Record]":
    """The administrator's connection to a service's database, ready to load."""
    conn = await asyncpg.connect(admin_dsn(config, config.database_name(service)))
    await conn.execute(f"{rows.PREPARE}; SET maintenance_work_mem = '512MB'")
    return conn


async def write_guests(conn: Connection, config: Settings, cafes: Sequence[UUID], count: int) -> bytes:
    """Makes the table of who the guests are, by the services' own derivations; returns it for `copy_guests`."""
    await conn.execute(rows.GUESTS)
    for start in range(0, count, 50_000):
        numbers = range(start, min(start + 50_000, count))
        guests = [_guest(config, cafes[n % len(cafes)], n) for n in numbers]
        await conn.copy_records_to_table("bench_guests", records=guests)
    await conn.execute("ANALYZE bench_guests")
    copied = io.BytesIO()
    await conn.copy_from_table("bench_guests", output=copied, format="binary")
    return copied.getvalue()


async def copy_guests(conn: Connection, guests: bytes) -> None:
    """The same table in another database."""
    await conn.execute(rows.GUESTS)
    await conn.copy_to_table("bench_guests", source=io.BytesIO(guests), format="binary")
    await conn.execute("ANALYZE bench_guests")


def _guest(config: Settings, cafe_id: UUID, n: int) -> tuple[Any, ...]:
    guest_id = ids.customer_id(config.keys, cafe_id, phone_of(n))
    tails = [f"7{text[:3]}8{text[3:18]}" for text in (guest_id.hex, guest_id.hex[::-1])]
    return n, cafe_id, guest_id, phone_hash(config.keys, cafe_id, phone_of(n)), *tails


def values_of(config: Settings, size: Size, moment: datetime) -> dict[str, Any]:
    """What the templates of `rows` leave open, apart from the round."""
    year_starts, year_ends = year_of(moment.date(), "jalali")
    return {
        "now": moment.isoformat(),
        **starting(moment - YEAR),
        "since": year_starts.isoformat(),
        "year_ends": year_ends.isoformat(),
        "guests": size.guests,
        "rounds": size.rounds,
        "step": YEAR // timedelta(microseconds=size.visits),
        "sealed": seal(config.keys, phone_of(0), table="customers", column="phone", row="bench"),
    }


def starting(moment: datetime) -> dict[str, Any]:
    """When the first visit of the templates is."""
    return {"starts": moment.isoformat(), "starts_ms": int(moment.timestamp() * 1000)}


async def fill_all(history: History, say: Callable[[str], None]) -> None:
    """Fills all databases with the guests and visits of the history, set by set."""
    started = asyncio.get_running_loop().time()
    turns = asyncio.Semaphore(AT_ONCE)
    first = await admin_of(history.config, "identity")
    guests = await write_guests(first, history.config, history.cafes, history.size.guests)
    await first.close()

    async def in_turn(service: str, work: Callable[[Connection], Awaitable[None]]) -> None:
        async with turns:
            conn = await admin_of(history.config, service)
            try:
                await copy_guests(conn, guests)
                await work(conn)
                await conn.execute("DROP TABLE bench_guests")
                await conn.execute("VACUUM (FREEZE, ANALYZE)")
            finally:
                await conn.close()

    await asyncio.gather(*(in_turn(each, _filler(history, each)) for each in rows.PER_GUEST))
    seconds = asyncio.get_running_loop().time() - started
    say(f"{history.size.guests:,} guests and {history.size.visits:,} visits loaded in {seconds:.0f} s")


def _filler(history: History, service: str) -> Callable[[Connection], Awaitable[None]]:
    size, values = history.size, values_of(history.config, history.size, history.moment)

    def rounds(sql: str) -> list[str]:
        return [sql.format(round=each, **values) for each in range(1, size.rounds + 1)]

    async def work(conn: Connection) -> None:
        if service == "campaign":
            # References are right by construction, and looking up each would take longer than all the rest.
            await conn.execute("SET session_replication_role = replica")
        if service == "visit":
            first, last = (each.replace(tzinfo=None) for each in (history.moment - YEAR, history.moment))
            await conn.execute(MAKE_PARTITIONS, first, last)
        inserts = {table: rounds(sql) for table, sql in rows.PER_ROUND.get(service, {}).items()}
        inbox = rounds(rows.INBOX.replace("{copies}", str(rows.COPIES[service])))
        await fill(conn, {**inserts, "crm.inbox": inbox})
        if service == "customer":
            pool = history.house.pools["customer"]
            await fill_customers(conn, pool, history.cafes, rows.ACTIVITY, values, history.moment)
        else:
            await fill(conn, {table: [sql.format(**values)] for table, sql in rows.PER_GUEST[service].items()})

    return work

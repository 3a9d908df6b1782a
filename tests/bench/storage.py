"""What each choice of storage is worth: our table against the other way, the same batches into both in turn."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from deploy.crm.migrate import migrate
from services.visit.store import guests
from shared.clock import new_id, now
from shared.database.db import Connection
from shared.settings import Settings
from tests.bench import rows
from tests.bench.figure import Bench, Figure, Part
from tests.bench.history import (
    MAKE_PARTITIONS,
    YEAR,
    Size,
    admin_of,
    drop_databases,
    fill,
    starting,
    values_of,
    write_guests,
)

BATCH: Final = 1000
VISITS: Final = rows.PER_ROUND["visit"]["customer_visits"]
RECEIPTS: Final = rows.PER_ROUND["visit"]["visit_receipts"]
CHOSEN: Final = "FROM unnest($1::integer[]) AS chosen (n) JOIN bench_guests g USING (n)"
COUNTERS: Final = rows.PER_GUEST["visit"]["visit_counters"]
COUNT_AGAIN: Final = f"""
WITH chosen AS (SELECT g.cafe_id, g.customer_id {CHOSEN} WHERE $2::integer > 0 ORDER BY 1, 2)
INSERT INTO visit_counters AS kept (cafe_id, customer_id, last_number) SELECT cafe_id, customer_id, 1 FROM chosen
{guests.RAISE_COUNTER}
"""
HOT_SHARE: Final = """
SELECT n_tup_hot_upd::float8 / n_tup_upd FROM pg_stat_user_tables WHERE relname = $1 AND n_tup_upd > 0
"""


@dataclass(frozen=True)
class Sizes:
    """The history in each table, and how often batches of 1,000 go into both."""

    history: Size
    runs: int
    batches: int


FULL: Final = Sizes(Size(1_000_000, 5_000_000), runs=5, batches=40)
QUICK: Final = Sizes(Size(200_000, 1_000_000), runs=5, batches=20)


@dataclass(frozen=True)
class Rivals:
    """The same work in our way and in the other: statements over the numbers of the guests and that of the batch."""

    name: str
    ours: str
    other: str
    note: str


async def measure(bench: Bench) -> list[Figure]:
    """Ratios of the other way to ours."""
    config = Settings().model_copy(update={"postgres_url": bench.postgres.url, "database_prefix": "bench_storage_"})
    return await compare(bench, config, QUICK if bench.quick else FULL)


async def compare(bench: Bench, config: Settings, sizes: Sizes) -> list[Figure]:
    """All experiments, one after the other, in one database of visits."""
    try:
        await migrate(config, ["visit"])
        conn = await admin_of(config, "visit")
        try:
            await write_guests(conn, config, [new_id()], sizes.history.guests)
            await conn.execute("CREATE UNIQUE INDEX ON bench_guests (n)")
            figures = []
            for experiment in (_ids, _partitions, _fillfactor, _changing_index):
                figures += await experiment(conn, config, sizes)
                bench.say("; ".join(f"{figure.name}: {figure.value:.2f} {figure.unit}" for figure in figures[-2:]))
            return figures
        finally:
            await conn.close()
    finally:
        await drop_databases(config)


async def _ids(conn: Connection, config: Settings, sizes: Sizes) -> list[Figure]:
    past, present = _values(config, sizes)
    await _copy_of(conn, "visit_receipts", "random_receipts")
    random_ids = RECEIPTS.replace(rows.VISIT_ID, "gen_random_uuid()").replace(rows.EVENT_ID, "gen_random_uuid()")
    random_ids = random_ids.replace("visit_receipts", "random_receipts")
    await _fill(conn, sizes, past, {"visit_receipts": RECEIPTS, "random_receipts": random_ids})
    ours, other = (_of_chosen(sql, present) for sql in (RECEIPTS, random_ids))
    return await _race(conn, sizes, Rivals("random ids", ours, other, "against time-ordered ones, on the receipts"))


async def _partitions(conn: Connection, config: Settings, sizes: Sizes) -> list[Figure]:
    past, present = _values(config, sizes)
    moment = now().replace(tzinfo=None)
    await conn.execute(MAKE_PARTITIONS, moment - YEAR, moment)
    await _copy_of(conn, "customer_visits", "whole_visits")
    whole = VISITS.replace("customer_visits", "whole_visits")
    await _fill(conn, sizes, past, {"customer_visits": VISITS, "whole_visits": whole})
    ours, other = (_of_chosen(sql, present) for sql in (VISITS, whole))
    return await _race(conn, sizes, Rivals("one table of visits", ours, other, "against partitions by month"))


async def _fillfactor(conn: Connection, config: Settings, sizes: Sizes) -> list[Figure]:
    await _copy_of(conn, "visit_counters", "full_counters", "fillfactor = 100")
    figures = await _counters(conn, config, sizes, "full_counters", "fillfactor 100 on the hot row", "against 70")
    shares = []
    await conn.execute("SELECT pg_stat_force_next_flush()")
    for table in ("visit_counters", "full_counters"):
        share = await conn.fetchval(HOT_SHARE, table)
        shares.append(Figure("storage", f"HOT updates of {table}", [share * 100], "%"))
    return [*figures, *shares]


async def _changing_index(conn: Connection, config: Settings, sizes: Sizes) -> list[Figure]:
    await _copy_of(conn, "visit_counters", "indexed_counters", "fillfactor = 70")
    await conn.execute("CREATE INDEX ON indexed_counters (cafe_id, last_number)")
    name = "an index on a column that each visit changes"
    return await _counters(conn, config, sizes, "indexed_counters", name, "against none, fillfactor 70 in both")


async def _counters(conn: Connection, config: Settings, sizes: Sizes, table: str, name: str, note: str) -> list[Figure]:
    past, _ = _values(config, sizes)
    await conn.execute("TRUNCATE visit_counters")
    await _fill(conn, sizes, past, {"visit_counters": COUNTERS, table: COUNTERS.replace("visit_counters", table)}, 1)
    other = COUNT_AGAIN.replace("visit_counters", table)
    return await _race(conn, sizes, Rivals(name, COUNT_AGAIN, other, note))


async def _race(conn: Connection, sizes: Sizes, rivals: Rivals) -> list[Figure]:
    dice = random.Random(7)
    statements = [rivals.ours, rivals.other]
    seconds: list[list[float]] = [[], []]
    written: list[list[int]] = [[], []]
    await conn.execute("CHECKPOINT")
    for run in range(sizes.runs + 1):
        numbers = [
            sorted(dice.sample(range(sizes.history.guests), min(BATCH, sizes.history.guests)))
            for _ in range(sizes.batches)
        ]
        for which in (0, 1) if run % 2 else (1, 0):
            wal, started = await _wal(conn), time.perf_counter()
            for place, each in enumerate(numbers):
                await conn.execute(statements[which], each, sizes.history.rounds + run * sizes.batches + place + 1)
            # The first run finds cold pages and plans.
            if run:
                seconds[which].append(time.perf_counter() - started)
                written[which].append(await _wal(conn) - wal)
    return [
        Figure("storage", f"{rivals.name}: time", _ratios(seconds), "x", None, rivals.note),
        Figure("storage", f"{rivals.name}: WAL", _ratios(written), "x", None, rivals.note),
    ]


def _ratios(values: Sequence[Sequence[float]]) -> list[float]:
    return [other / ours for ours, other in zip(*values, strict=True)]


async def _wal(conn: Connection) -> int:
    return int(await conn.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))


async def _copy_of(conn: Connection, table: str, name: str, *options: str) -> None:
    kept = await conn.fetchval("SELECT array_to_string(reloptions, ', ') FROM pg_class WHERE relname = $1", table)
    written = ", ".join(options) or kept or "fillfactor = 70"
    await conn.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL) WITH ({written})")


async def _fill(
    conn: Connection, sizes: Sizes, past: dict[str, Any], inserts: dict[str, str], rounds: int | None = None
) -> None:
    numbers = range(1, (rounds or sizes.history.rounds) + 1)
    await fill(conn, {table: [sql.format(round=each, **past) for each in numbers] for table, sql in inserts.items()})
    for table in inserts:
        await conn.execute(f"VACUUM (FREEZE, ANALYZE) {table}")


def _values(config: Settings, sizes: Sizes) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the templates leave open, for the past year and for what happens now."""
    moment = now()
    past = values_of(config, sizes.history, moment)
    # A guest comes at most once in a millisecond, or two visits would have one id.
    return past, past | starting(moment) | {"step": max(1, 2000 // sizes.history.guests)}


def _of_chosen(sql: str, present: dict[str, Any]) -> str:
    return sql.replace(rows.OF_ROUND, CHOSEN).format(round="$2::integer", **present)


PART = Part("storage", measure)

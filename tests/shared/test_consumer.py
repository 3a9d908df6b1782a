"""A batch of records becomes one transaction, and a bad record harms only itself."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import consumer as consuming
from shared.consumer import Consumer, Reactions, TooManyParked, in_order
from shared.db import Connection, Pool, is_outage
from shared.errors import Poison
from shared.events.base import Event
from shared.events.visit import VisitRecorded, VisitVoided
from shared.records import Record, Refusal
from shared.settings import Settings
from tests.shared.records import CAFE, FakeRecord, record_of, visit

# The test's own effect, in a table that every service has: a row per event applied.
APPLY = "INSERT INTO crm.outbox (cafe_id, topic, key, type, headers) VALUES ($1, 'effect', $2, 'effect', '[]')"


class Applied:
    """A reaction that writes one row per event and fails on the receipts it is told to."""

    def __init__(
        self, *, poisoned: Sequence[str] = (), error: Callable[[], Exception] = lambda: ValueError("bug")
    ) -> None:
        self.calls: list[int] = []
        self.poisoned = set(poisoned)
        self.error = error

    async def __call__(self, conn: Connection, events: Sequence[VisitRecorded]) -> None:
        self.calls.append(len(events))
        await conn.executemany(APPLY, [(event.cafe_id, event.receipt_number) for event in events])
        if any(event.receipt_number in self.poisoned for event in events):
            raise self.error()


async def effects(pool: Pool) -> list[str]:
    return [row["key"] for row in await pool.fetch("SELECT key FROM crm.outbox WHERE topic = 'effect' ORDER BY id")]


@pytest.fixture
async def pool(database: Callable[[str], Awaitable[Pool]]) -> Pool:
    return await database("visit")


def consumer_of(pool: Pool, config: Settings, reaction: object, **more: object) -> Consumer:
    reactions = Reactions({VisitRecorded: reaction}, **more)  # type: ignore[arg-type, dict-item]
    return Consumer("visit", pool, reactions, config.keys)


async def test_batch_is_applied_in_one_call(pool: Pool, config: Settings) -> None:
    reaction = Applied()
    await consumer_of(pool, config, reaction).handle([record_of(visit(receipt_number=str(n))) for n in range(50)])
    assert reaction.calls == [50]
    assert await effects(pool) == [str(n) for n in range(50)]


async def test_repeated_event_has_one_effect_within_and_across_batches(pool: Pool, config: Settings) -> None:
    event = visit(receipt_number="once")
    consumer = consumer_of(pool, config, Applied())
    await consumer.handle([record_of(event), record_of(event)])
    await consumer.handle([record_of(event)])
    assert await effects(pool) == ["once"]


async def test_poisoned_record_is_parked_and_the_others_keep_their_order(pool: Pool, config: Settings) -> None:
    records = [record_of(visit(receipt_number=str(n))) for n in range(20)]
    await consumer_of(pool, config, Applied(poisoned=["13"])).handle(records)
    assert await effects(pool) == [str(n) for n in range(20) if n != 13]
    parked = await pool.fetchrow("SELECT * FROM crm.parked")
    assert parked is not None
    assert (parked["topic"], parked["record_offset"], parked["reason"]) == (
        "visit.events",
        records[13].offset,
        "failed",
    )
    assert parked["attempts"] == consuming.ATTEMPTS
    assert parked["detail"] == "ValueError"
    assert parked["trace"].startswith("00-")


async def test_poison_is_parked_at_first_sight(pool: Pool, config: Settings) -> None:
    reaction = Applied(poisoned=["1"], error=lambda: Poison("impossible", "visit_id names another cafe"))
    await consumer_of(pool, config, reaction).handle([record_of(visit(receipt_number="1"))])
    assert reaction.calls == [1]
    assert await pool.fetchval("SELECT reason || ': ' || detail FROM crm.parked") == (
        "impossible: impossible: visit_id names another cafe"
    )


async def test_value_no_column_takes_is_parked_at_first_sight(pool: Pool, config: Settings) -> None:
    reaction = Applied(poisoned=["1"], error=lambda: asyncpg.NumericValueOutOfRangeError("too much"))
    await consumer_of(pool, config, reaction).handle([record_of(visit(receipt_number="1"))])
    assert reaction.calls == [1]
    assert await pool.fetchval("SELECT detail FROM crm.parked") == "NumericValueOutOfRangeError"


@pytest.mark.parametrize(
    ("value", "headers", "reason"),
    [
        (b"", [("ce_type", b"visit.recorded")], "undecodable"),
        (b"{}", [("ce_type", b"visit.recorded")], "undecodable"),
        (b"\xff\xfe", [("ce_type", b"visit.recorded")], "undecodable"),
        (b"[" * 10_000, [("ce_type", b"visit.recorded")], "undecodable"),
        (b'{"final_amount": 1e999}', [("ce_type", b"visit.recorded")], "undecodable"),
        (b"{}", [], "no_type"),
        (b"{}", [("other", b"\xff")], "no_type"),
    ],
)
async def test_undecodable_record_is_parked_beside_a_good_one(
    pool: Pool, config: Settings, value: bytes, headers: list[tuple[str, bytes]], reason: str
) -> None:
    reaction = Applied()
    records = [FakeRecord("visit.events", value, headers), record_of(visit(receipt_number="good"))]
    await consumer_of(pool, config, reaction).handle(records)
    assert await effects(pool) == ["good"]
    assert reaction.calls == [1]
    assert await pool.fetchval("SELECT reason FROM crm.parked") == reason


async def test_unknown_type_and_tombstone_are_passed_over(pool: Pool, config: Settings) -> None:
    records = [
        FakeRecord("visit.events", b"{}", [("ce_type", b"visit.celebrated")]),
        FakeRecord("visit.events", None, [("ce_type", b"visit.recorded")]),
    ]
    await consumer_of(pool, config, Applied()).handle(records)
    assert await pool.fetchval("SELECT count(*) FROM crm.parked") == 0


async def test_refusals_of_an_ingress_are_parked_with_what_it_applied(pool: Pool, config: Settings) -> None:
    async def ingress(conn: Connection, records: Sequence[Record]) -> list[Refusal]:
        await conn.execute(APPLY, CAFE, "accepted")
        return [Refusal(records[0], "bad_signature", "pos_signature does not match")]

    consumer = consumer_of(pool, config, Applied(), ingress={"pos.visits": ingress})
    await consumer.handle([FakeRecord("pos.visits", b"1"), FakeRecord("pos.visits", b"2")])
    assert await effects(pool) == ["accepted"]
    assert await pool.fetchval("SELECT reason FROM crm.parked") == "bad_signature"


async def test_database_outage_parks_nothing_and_is_waited_for(
    pool: Pool, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "_pause", lambda *_: 0.0)
    failures = iter(
        [
            OSError(), asyncpg.AdminShutdownError(), asyncpg.DeadlockDetectedError(), TimeoutError(),
            asyncpg.DiskFullError("no space left on device"), asyncpg.PostgresIOError("could not read block"),
        ]
    )  # fmt: skip

    async def reaction(conn: Connection, events: Sequence[VisitRecorded]) -> None:
        for failure in failures:
            raise failure
        await conn.execute(APPLY, CAFE, "after the outage")

    await consumer_of(pool, config, reaction).handle([record_of(visit())])
    assert await effects(pool) == ["after the outage"]
    assert await pool.fetchval("SELECT count(*) FROM crm.parked") == 0


async def test_worker_stops_after_too_many_parked_in_a_row(
    pool: Pool, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "PARKED_IN_A_ROW_LIMIT", 3)
    consumer = consumer_of(pool, config, Applied(poisoned=["x"], error=lambda: Poison("no", "never")))
    await consumer.handle([record_of(visit(receipt_number="x")) for _ in range(3)])
    await consumer.handle([record_of(visit(receipt_number="fine"))])
    await consumer.handle([record_of(visit(receipt_number="x")) for _ in range(3)])
    with pytest.raises(TooManyParked):
        await consumer.handle([record_of(visit(receipt_number="x"))])


async def test_value_postgres_cannot_hold_is_parked_and_never_retried_for_ever(pool: Pool, config: Settings) -> None:
    async def reaction(conn: Connection, events: Sequence[VisitRecorded]) -> None:
        await conn.execute("SELECT $1::integer", 2**40)

    await consumer_of(pool, config, reaction).handle([record_of(visit())])
    assert await pool.fetchval("SELECT reason FROM crm.parked") == "failed"


def test_argument_that_cannot_be_encoded_is_no_outage() -> None:
    assert is_outage(asyncpg.InterfaceError("connection is closed"))
    assert not is_outage(asyncpg.exceptions._base.DataError("invalid input"))


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=60))
def test_grouping_by_class_never_reorders_one_key(plan: list[tuple[int, bool]]) -> None:
    guests = [visit().customer_id for _ in range(5)]
    events: list[Event] = [
        visit(customer_id=guests[guest])
        if recorded
        else VisitVoided(
            **{
                name: getattr(visit(customer_id=guests[guest]), name)
                for name in ("cafe_id", "occurred_at", "visit_id", "customer_id", "device_id", "receipt_number",
                             "final_amount", "currency_unit")
            },
            voided_at=visit().occurred_at,
        )
        for guest, recorded in plan
    ]  # fmt: skip
    groups = in_order(events)
    assert all(isinstance(event, kind) for kind, group in groups for event in group)
    flat = [event for _, group in groups for event in group]
    assert sorted(map(id, flat)) == sorted(map(id, events))
    for guest in guests:
        assert [e for e in flat if e.key == guest] == [e for e in events if e.key == guest]


def test_grouping_needs_one_group_per_class_when_keys_differ() -> None:
    one, other = visit(), visit()
    assert [len(group) for _, group in in_order([one, other, visit()])] == [3]


async def test_worker_that_froze_in_a_transaction_holds_nobody_up_and_takes_its_batch_again(
    pool: Pool, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "_pause", lambda *_: 0.0)
    assert await pool.fetchval("SELECT current_setting('idle_in_transaction_session_timeout')") == "15s"
    backends: list[int] = []

    async def reaction(conn: Connection, events: Sequence[VisitRecorded]) -> None:
        await conn.execute(APPLY, CAFE, "once")
        backends.append(await conn.fetchval("SELECT pg_backend_pid()"))
        if len(backends) == 1:
            await conn.execute("SET LOCAL idle_in_transaction_session_timeout = '100ms'")
            async with asyncio.timeout(10):
                while await pool.fetchval("SELECT true FROM pg_stat_activity WHERE pid = $1", backends[0]):
                    await asyncio.sleep(0.01)
            await conn.execute("SELECT 1")

    await consumer_of(pool, config, reaction).handle([record_of(visit())])
    assert (len(backends), await effects(pool)) == (2, ["once"])
    assert await pool.fetchval("SELECT count(*) FROM crm.parked") == 0

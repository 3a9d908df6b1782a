"""A batch of records becomes one transaction, and a bad record harms only itself."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.database.db import Connection, Pool, is_outage
from shared.errors import Poison
from shared.events.base import Event
from shared.events.visit import VisitRecorded, VisitVoided
from shared.messaging import consumer as consuming
from shared.messaging import parked
from shared.messaging.consumer import Consumer, Reactions, TooManyParked, in_order
from shared.messaging.records import Record, Refusal
from shared.process.telemetry import FAILING_CAFES
from shared.settings import Settings
from tests.shared.records import CAFE, FakeRecord, record_of, signed, visit

# The test's own effect, in a table that every service has: a row per event applied.
APPLY = "INSERT INTO crm.outbox (cafe_id, topic, key, type, headers) VALUES ($1, 'effect', $2, 'effect', '[]')"


class Applied:
    """A reaction that writes one row per event and fails on the receipts it is told to."""

    def __init__(
        self, *, poisoned: Collection[str] = (), error: Callable[[], Exception] = lambda: ValueError("bug")
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
    records = [signed(FakeRecord("visit.events", value, headers)), record_of(visit(receipt_number="good"))]
    await consumer_of(pool, config, reaction).handle(records)
    assert await effects(pool) == ["good"]
    assert reaction.calls == [1]
    assert await pool.fetchval("SELECT reason FROM crm.parked") == reason


async def test_unknown_type_and_tombstone_are_passed_over(pool: Pool, config: Settings) -> None:
    records = [
        FakeRecord("visit.events", b"{}", [("ce_type", b"visit.celebrated")]),
        signed(FakeRecord("visit.events", None, [("ce_type", b"visit.recorded")])),
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


async def test_worker_stops_when_nothing_but_failures_came_from_many_cafes(
    pool: Pool, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "PARKED_IN_A_ROW_LIMIT", 6)
    monkeypatch.setattr(consuming, "FAILING_CAFES_LIMIT", 3)
    await know_cafes(pool, 5)
    consumer = consumer_of(pool, config, never_good())

    def bad(cafe: int, count: int) -> list[Record]:
        return [record_of(visit(receipt_number="x", cafe_id=UUID(int=cafe))) for _ in range(count)]

    await consumer.handle(bad(1, 20))
    await consumer.handle(bad(2, 20))
    assert FAILING_CAFES.labels("visit")._value.get() == 2
    await consumer.handle([record_of(visit(receipt_number="fine")), *bad(3, 1)])
    assert FAILING_CAFES.labels("visit")._value.get() == 0
    await consumer.handle([*bad(1, 2), *bad(2, 2)])
    await consumer.handle(bad(3, 2))
    with pytest.raises(TooManyParked, match="of 3 cafes"):
        await consumer.handle(bad(3, 1))


async def test_many_failures_of_one_cafe_are_its_own_unless_there_is_no_other(
    pool: Pool, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "PARKED_IN_A_ROW_LIMIT", 10)
    records = [record_of(visit(receipt_number="x")) for _ in range(25)]
    await know_cafes(pool, 2)
    await consumer_of(pool, config, never_good()).handle(records[:12])
    await pool.execute("DELETE FROM cafes WHERE cafe_id = $1", UUID(int=1))
    with pytest.raises(TooManyParked):
        await consumer_of(pool, config, never_good()).handle(records[12:])


async def test_worker_that_stopped_makes_progress_when_it_starts_again(
    pool: Pool, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "PARKED_IN_A_ROW_LIMIT", 10)
    await know_cafes(pool, 1)
    records = [record_of(visit(receipt_number="x")) for _ in range(25)]
    # Never committed, because each process stops before: read from the first one on, again and again.
    for parked_so_far in (10, 20):
        with pytest.raises(TooManyParked):
            await consumer_of(pool, config, never_good()).handle(records)
        assert await pool.fetchval("SELECT count(*) FROM crm.parked") == parked_so_far
    await consumer_of(pool, config, never_good()).handle([*records, record_of(visit(receipt_number="fine"))])
    assert await pool.fetchval("SELECT count(*) FROM crm.parked") == 25
    assert await pool.fetchval("SELECT max(attempts) FROM crm.parked") == 1
    assert await effects(pool) == ["fine"]


async def test_parked_record_is_passed_over_when_it_is_read_again_and_taken_when_it_is_redriven(
    pool: Pool, config: Settings
) -> None:
    first, second = record_of(visit(receipt_number="x")), record_of(visit(receipt_number="y"))
    await consumer_of(pool, config, never_good()).handle([first, second])
    consumer = consumer_of(pool, config, mended := Applied())
    await consumer.handle([first, second])
    # Redriven, it has an offset of its own, and the same id as before.
    await consumer.handle([replace(first, offset=second.offset + 1000)])
    # Of a topic that was made anew, another event has that offset.
    await consumer.handle([replace(record_of(visit(receipt_number="z")), offset=first.offset)])
    assert await effects(pool) == ["y", "x", "z"]
    assert mended.calls == [1, 1]


async def test_database_is_asked_what_was_parked_only_once_and_below_the_highest_of_that(
    pool: Pool, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    places = parked.Seen.places

    async def counted(seen: parked.Seen, conn: Connection, records: Sequence[Record], **more: Any) -> list[int]:
        asked.append(len(records))
        return await places(seen, conn, records, **more)

    monkeypatch.setattr(parked.Seen, "places", counted)
    records = [record_of(visit(receipt_number="x" if number == 3 else str(number))) for number in range(8)]
    consumer = consumer_of(pool, config, never_good())
    for record in records:
        await consumer.handle([record])
    assert asked == [1]
    consumer.seen.forget()
    for record in records:
        await consumer.handle([record])
    assert asked == [1] * 5


async def test_a_cafes_bad_records_cost_what_they_are_and_hold_up_nobody(pool: Pool, config: Settings) -> None:
    await know_cafes(pool, 2)
    others = [record_of(visit(receipt_number=str(number), cafe_id=uuid4())) for number in range(500)]
    poisoned = [record_of(visit(receipt_number="x")) for _ in range(500)]
    mixed = [record for pair in zip(others, poisoned, strict=True) for record in pair]
    reaction = Applied(poisoned=["x"])
    consumer = consumer_of(pool, config, reaction)
    await consumer.handle(mixed)
    assert sorted(await effects(pool)) == sorted(str(number) for number in range(500))
    assert await pool.fetchval("SELECT count(*) FROM crm.parked") == 500
    assert len(reaction.calls) < 500 + 60
    assert sum(reaction.calls) < 10_000
    # Now it is known whose records fail: everybody else's are there after one transaction that failed.
    reaction.calls.clear()
    again = [record_of(visit(receipt_number=f"again {number}", cafe_id=uuid4())) for number in range(10)]
    await consumer.handle([record for pair in zip(again, poisoned[:10], strict=True) for record in pair])
    assert reaction.calls[:2] == [20, 10]


async def test_order_of_a_cafes_records_is_kept_when_they_are_taken_apart(pool: Pool, config: Settings) -> None:
    names = [f"{cafe}.{number}" for number in range(40) for cafe in range(5)]
    bad = {name for place, name in enumerate(names) if place % 7 == 3}
    records = [record_of(visit(receipt_number=name, cafe_id=UUID(int=int(name[0]) + 1))) for name in names]
    await consumer_of(pool, config, Applied(poisoned=bad, error=lambda: Poison("no", "never"))).handle(records)
    applied = await effects(pool)
    assert sorted(applied) == sorted(set(names) - bad)
    for cafe in range(5):
        own = [name for name in names if name[0] == str(cafe) and name not in bad]
        assert [name for name in applied if name[0] == str(cafe)] == own


async def test_tills_records_belong_to_the_cafe_of_their_key_whatever_they_say(pool: Pool, config: Settings) -> None:
    owner = uuid4()
    await pool.execute("INSERT INTO till_keys (cafe_id, key_id, revoked_at) VALUES ($1, 'own', now())", owner)
    consumer = Consumer("visit", pool, Reactions({}, ingress={"pos.visits": refuse_all}), config.keys)
    forged = ("ce_cafeid", str(uuid4()).encode())
    key_ids = (b"own", b"unknown", b"own\0")
    records = [FakeRecord("pos.visits", b"{}", [forged, ("pos_key_id", key_id)]) for key_id in key_ids]
    owners = await consumer._owners([*records, FakeRecord("pos.visits", b"{}", [forged])])
    assert owners == [str(owner), consuming.NOBODY, consuming.NOBODY, consuming.NOBODY]


async def refuse_all(_: Connection, records: Sequence[Record]) -> Sequence[Refusal]:
    return [Refusal(record, "no", "never") for record in records]


def never_good() -> "Applied":
    """Takes everything but what is called x."""
    return Applied(poisoned=["x"], error=lambda: Poison("no", "never"))


async def know_cafes(pool: Pool, count: int) -> None:
    await pool.executemany(
        "INSERT INTO cafes VALUES ($1, 1, 'cafe', 'Asia/Tehran', 'jalali', 'IRT', '00:00', '00:00', true)",
        [(UUID(int=number + 1),) for number in range(count)],
    )


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

"""What a fetch policy does to the batches of a real worker."""

import asyncio
from collections.abc import Sequence

import pytest

from shared import clock
from shared.clock import new_id
from shared.database.db import Connection, Pool
from shared.events.customer import CustomerErased
from shared.events.visit import VisitRecorded
from shared.messaging.consumer import Consumer, Reactions
from shared.messaging.fetching import gather, immediate
from shared.messaging.worker import Worker
from tests.conftest import Kafka
from tests.shared.records import CAFE, visit
from tests.shared.working import REACTIONS, SERVICE, answers, counting, publish, rate, working
from tests.support import Databases


@pytest.fixture
async def pool(database: Databases) -> Pool:
    return await database(SERVICE)


async def test_events_that_come_one_by_one_gather_into_one_batch(
    pool: Pool, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    handled = asyncio.Queue[int]()
    monkeypatch.setattr(Consumer, "handle", counting(handled))
    async with working(kafka, fetch=gather(seconds=4.0)):
        await publish(kafka, [visit()])
        await answers(kafka, 1)
        # The next question to the broker has just begun.
        await publish(kafka, [visit() for _ in range(5)])
        await answers(kafka, 6)
        assert [await handled.get() for _ in range(2)] == [1, 5]


async def test_what_nobody_waits_for_gathers_while_visits_are_taken_as_they_come(pool: Pool, kafka: Kafka) -> None:
    batches: list[list[CustomerErased]] = []
    taken = asyncio.Event()

    async def forget(_: Connection, events: Sequence[CustomerErased]) -> None:
        batches.append(list(events))
        taken.set()

    def erased() -> CustomerErased:
        return CustomerErased(cafe_id=CAFE, occurred_at=clock.now(), customer_id=new_id())

    reactions = Reactions({VisitRecorded: rate, CustomerErased: forget})
    async with (
        working(kafka, reactions=reactions, fetch=immediate("visit.events", others_seconds=4.0)),
        asyncio.timeout(30),
    ):
        await publish(kafka, [erased()])
        await taken.wait()
        taken.clear()
        for number in range(1, 4):
            await publish(kafka, [erased(), visit()])
            await answers(kafka, number)
        assert [len(batch) for batch in batches] == [1]
        await taken.wait()
    assert [len(batch) for batch in batches] == [1, 3]


async def test_what_comes_while_a_batch_is_worked_on_is_altogether_in_the_next_one(pool: Pool, kafka: Kafka) -> None:
    batches: list[int] = []
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def work_slowly(conn: Connection, events: Sequence[VisitRecorded]) -> None:
        batches.append(len(events))
        begun.set()
        await go_on.wait()
        await rate(conn, events)

    reactions = Reactions({VisitRecorded: work_slowly})
    async with (
        working(kafka, reactions=reactions, fetch=immediate("visit.events", pace_seconds=0.0)),
        asyncio.timeout(30),
    ):
        await publish(kafka, [visit()])
        await begun.wait()
        # Each by a producer of its own: a client that asks all the time has the first long before the last is there.
        for _ in range(4):
            await publish(kafka, [visit()])
        go_on.set()
        await answers(kafka, 5)
    assert batches == [1, 4]


async def test_small_batches_begin_a_pace_apart(pool: Pool, kafka: Kafka) -> None:
    batches: list[int] = []

    async def count(conn: Connection, events: Sequence[VisitRecorded]) -> None:
        batches.append(len(events))
        await rate(conn, events)

    reactions = Reactions({VisitRecorded: count})
    async with (
        working(kafka, reactions=reactions, fetch=immediate("visit.events", pace_seconds=6.0)),
        asyncio.timeout(30),
    ):
        await publish(kafka, [visit()])
        await answers(kafka, 1)
        await publish(kafka, [visit() for _ in range(3)])
        await answers(kafka, 4)
    assert batches == [1, 3]


def test_only_what_a_service_reads_can_be_taken_immediately(kafka: Kafka) -> None:
    with pytest.raises(ValueError, match=r"does not read loyalty\.events"):
        Worker(SERVICE, kafka.config, REACTIONS, fetch=immediate("loyalty.events")).build()

"""The worker's one list, driven as the consumer drives it: records in, rows and events out."""

from typing import Any

from services.campaign.worker import JOBS, REACTIONS
from shared.clock import now
from shared.events.customer import CustomerProfiled
from shared.events.visit import VisitRecorded
from shared.messaging.consumer import Consumer
from shared.process.telemetry import RECORDS
from tests.campaign.conftest import Simulator, World
from tests.shared.records import FakeRecord, record_of, signed


def consumer(world: World) -> Consumer:
    return Consumer("campaign", world.pool, REACTIONS, world.config.keys)


async def test_repeated_and_shuffled_visits_are_thanked_once_each(world: World, simulator: Simulator) -> None:
    guests = [await world.add_guest(f"+98912000000{number}") for number in range(5)]
    visits = [world.visit(guest) for guest in guests]
    records = [record_of(visit) for visit in ([*visits, *reversed(visits)])]
    for batch in (records[:4], records[4:], records):
        await consumer(world).handle(batch)
    await world.run_jobs()
    assert len(simulator.texts) == 5


async def test_profile_that_nobody_can_open_is_parked_alone(world: World, simulator: Simulator) -> None:
    guest = await world.add_guest()
    broken = CustomerProfiled(
        cafe_id=world.cafe_id, occurred_at=now(), customer_id=guest, version=9, phone_sealed="s1.unknown.key",
        registered_at=now(),
    )  # fmt: skip
    await consumer(world).handle([record_of(event) for event in (world.visit(guest), broken, world.visit(guest))])
    parked = await world.pool.fetch("SELECT event_type, reason FROM crm.parked")
    assert [tuple(row) for row in parked] == [("customer.profiled", "failed")]
    await world.run_jobs()
    assert len(simulator.texts) == 2


async def test_tombstone_of_a_profile_is_passed_over(world: World) -> None:
    await world.add_guest()
    before = RECORDS.labels("campaign", "customer.profiles", "applied")._value.get()
    tombstone = signed(FakeRecord("customer.profiles", None))
    await consumer(world).handle([tombstone])
    assert RECORDS.labels("campaign", "customer.profiles", "applied")._value.get() == before
    assert await world.pool.fetchval("SELECT count(*) FROM crm.parked") == 0


class Counted:
    """A connection that counts the statements it is given."""

    def __init__(self, conn: Any) -> None:
        self.conn, self.statements = conn, 0

    async def fetch(self, *given: Any) -> Any:
        self.statements += 1
        return await self.conn.fetch(*given)

    async def execute(self, *given: Any) -> Any:
        self.statements += 1
        return await self.conn.execute(*given)


async def test_many_visits_cost_three_statements(world: World) -> None:
    guest = await world.add_guest()
    react = REACTIONS.events[VisitRecorded]
    async with world.pool.acquire() as conn:
        for size in (1, 300):
            counted: Any = Counted(conn)
            await react(counted, [world.visit(guest) for _ in range(size)])
            assert counted.statements == 3
    assert await world.pool.fetchval("SELECT count(*) FROM journey_runs") == 301


def test_jobs_have_names_of_their_own() -> None:
    assert len({job.name for job in JOBS}) == len(JOBS) == 6

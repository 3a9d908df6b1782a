"""What the service listens to, and a day's records applied by the consumer as they come from Kafka."""

from services.visit.worker import JOBS, REACTIONS
from shared.events.identity import AccessGranted, ApiKeyCreated, BranchChanged, CafeChanged
from shared.events.loyalty import PointsEarned
from shared.events.visit import VisitRecorded
from shared.messaging.consumer import Consumer
from tests.shared.records import record_of
from tests.support import Databases
from tests.visit.given import CAFE, KEYS, NOON, bill, branch, emitted
from tests.visit.test_tills import know, signed


def test_worker_reads_tills_and_every_service_that_adds_to_a_visit() -> None:
    assert REACTIONS.topics == [
        "customer.events",
        "customer.profiles",
        "feedback.events",
        "identity.events",
        "loyalty.events",
        "pos.visits",
    ]
    assert {CafeChanged, AccessGranted, ApiKeyCreated, BranchChanged} <= set(REACTIONS.events)
    assert {job.name for job in JOBS} == {
        "visit.make_partitions", "visit.count_days", "visit.seal_words", "visit.forget_guests",
    }  # fmt: skip


async def test_bills_and_events_of_one_batch_are_applied_together(database: Databases) -> None:
    pool = await database("visit")
    await know(pool)
    consumer = Consumer("visit", pool, REACTIONS, KEYS)
    bills = [signed(bill(receipt_number=str(number))) for number in range(50)]
    await consumer.handle([*bills, record_of(branch("V1")), *bills])
    visits = await emitted(pool, VisitRecorded)
    assert len(visits) == 50
    points = [
        PointsEarned(
            cafe_id=CAFE, occurred_at=NOON, customer_id=visit.customer_id, visit_id=visit.visit_id,
            visit_at=visit.occurred_at, points=number, points_change=number, balance_after=0, account_version=number,
            program_version=1, multiplier="1",
        )
        for number, visit in enumerate(visits)
    ]  # fmt: skip
    await consumer.handle([record_of(event) for event in points * 2])
    assert await pool.fetchval("SELECT sum(points_earned) FROM customer_visits") == sum(range(50))
    assert await pool.fetchval("SELECT count(*) FROM crm.parked") == 0
    assert await pool.fetchval("SELECT code FROM branches") == "V1"

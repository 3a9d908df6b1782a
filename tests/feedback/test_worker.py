"""What the service listens to, and records applied by the consumer as they come from Kafka."""

from typing import Any

from services.feedback.worker import JOBS, REACTIONS
from shared.messaging.consumer import Consumer
from tests.feedback.given import KEYS, recorded, voided
from tests.shared.records import record_of


def test_worker_reads_visits_customers_and_identity() -> None:
    assert REACTIONS.topics == ["customer.events", "identity.events", "visit.events"]
    assert {job.name for job in JOBS} == {"feedback.trim_senders", "feedback.prune_links"}


async def test_visits_and_their_voids_of_one_batch_end_as_closed_links(database: Any) -> None:
    pool = await database("feedback")
    visits = [recorded() for _ in range(20)]
    events = [*visits, *(voided(visit) for visit in visits[:5]), *visits]
    await Consumer("feedback", pool, REACTIONS, KEYS).handle([record_of(event) for event in events])
    assert await pool.fetchval("SELECT count(*) FROM feedback_links WHERE closed_at IS NULL") == 15
    assert await pool.fetchval("SELECT count(*) FROM feedback_links WHERE closed_at IS NOT NULL") == 5
    assert await pool.fetchval("SELECT count(*) FROM crm.parked") == 0

"""The visits that this service knows, once more from their events."""

from datetime import timedelta

from services.feedback.worker import REACTIONS
from shared.clock import new_id
from tests.conftest import Kafka
from tests.feedback.given import corrected, recorded, voided
from tests.shared.taking import ends, publish, rebuilt, take_in
from tests.support import Databases

ROWS = "SELECT * FROM visits ORDER BY 1, 2"


async def test_rebuild_gives_the_same_visits_and_puts_damaged_ones_right(database: Databases, kafka: Kafka) -> None:
    pool = await database("feedback")
    visits = [recorded(visit_id=new_id()) for _ in range(30)]
    changes = [corrected(visit, corrected_at=visit.occurred_at + timedelta(hours=2)) for visit in visits[:9]]
    voids = [voided(visit) for visit in visits[6:12]]
    await publish(kafka, [*visits, *changes, *voids, *visits])
    await take_in(kafka, "feedback", pool, REACTIONS)
    right, links, said = await pool.fetch(ROWS), await pool.fetch("SELECT * FROM feedback_links"), await ends(kafka)
    assert len(right) == 30
    assert (await rebuilt(kafka, database, "feedback", check=True)).rows_differing == 0

    await pool.execute("UPDATE visits SET voided_at = NULL WHERE voided_at IS NOT NULL")
    await pool.execute("UPDATE visits SET final_amount = 1 WHERE corrected_at IS NOT NULL")
    await pool.execute("DELETE FROM visits WHERE visit_id = $1", visits[20].visit_id)
    found, guests = (await rebuilt(kafka, database, "feedback", check=True)).differences
    assert (guests.missing, guests.extra, guests.different) == (0, 0, 0)
    assert (found.missing, found.extra, found.different) == (1, 0, 12)
    assert (await rebuilt(kafka, database, "feedback")).rows_differing == 13
    assert await pool.fetch(ROWS) == right
    assert await pool.fetch("SELECT * FROM feedback_links") == links
    assert (await ends(kafka), await pool.fetchval("SELECT count(*) FROM crm.outbox")) == (said, 0)

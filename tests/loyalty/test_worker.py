"""What the worker hands to the database."""

from datetime import timedelta

from services.loyalty.worker import REACTIONS
from shared.messaging.consumer import Consumer
from shared.security.crypto import Keys
from tests.loyalty.examples import NOON, cafe_changed, recorded
from tests.shared.records import record_of
from tests.support import SECRET

PLANS = "SELECT sum(generic_plans), sum(custom_plans) FROM pg_prepared_statements"


async def test_no_statement_is_planned_anew_for_each_batch(database, clock) -> None:
    pool = await database("loyalty", max_size=1)
    consumer = Consumer("loyalty", pool, REACTIONS, Keys.from_secret(SECRET))
    await consumer.handle([record_of(cafe_changed())])
    for day in range(3):
        await consumer.handle([record_of(recorded(day, 185_000, NOON + timedelta(days=day)))])
    assert await pool.fetchval("SELECT total_visits FROM customer_loyalty") == 3
    generic, custom = await pool.fetchrow(PLANS)
    assert (generic > 0, custom) == (True, 0)

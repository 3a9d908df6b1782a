"""What is kept for some weeks only."""

from datetime import timedelta
from typing import Any

import pytest

from services.feedback import rules
from services.feedback.handlers import submissions, upkeep
from services.feedback.models.http import Submission
from services.feedback.models.values import SubmittedFrom
from shared.clock import now
from shared.database.db import Pool, transaction
from tests.feedback.given import recorded, token_of, visits


@pytest.fixture
async def pool(database: Any) -> Pool:
    opened: Pool = await database("feedback")
    return opened


async def test_retention_forgets_old_senders_and_dead_links_only(pool: Pool) -> None:
    old, fresh, dead = recorded(), recorded(), recorded(recorded_at=now() - timedelta(days=14) - rules.KEEP_DEAD_LINKS)
    await visits(pool, old, fresh, dead)
    sender = SubmittedFrom({"system": "ios", "mobile": True, "language": None}, "2001:db8::1")
    async with transaction(pool) as conn:
        for visit in (old, fresh):
            await submissions.submit(conn, token_of(visit), Submission(overall_rating=5), "sms_link", sender)
    await pool.execute(
        "UPDATE customer_feedback SET created_at = $2 WHERE visit_id = $1",
        old.visit_id,
        now() - rules.KEEP_SENDER - timedelta(minutes=1),
    )
    assert await upkeep.trim_senders(pool) == 1
    assert await upkeep.trim_senders(pool) == 0
    kept = await pool.fetch("SELECT visit_id FROM customer_feedback WHERE ip_address IS NOT NULL")
    assert [row["visit_id"] for row in kept] == [fresh.visit_id]
    assert await pool.fetchval("SELECT count(*) FROM customer_feedback WHERE device_info IS NOT NULL") == 1
    assert await upkeep.prune_links(pool) == 1
    assert await upkeep.prune_links(pool) == 0
    left = {row["visit_id"] for row in await pool.fetch("SELECT visit_id FROM feedback_links")}
    assert left == {old.visit_id, fresh.visit_id}

"""What a service has taken in is forgotten after its time, some at a time."""

import pytest

from shared.clock import new_id
from shared.messaging import inbox
from tests.support import Databases


async def test_what_is_old_is_forgotten_in_parts_and_the_rest_stays(
    database: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = await database("visit")
    young = [new_id() for _ in range(3)]
    async with pool.acquire() as conn:
        await conn.execute(
            "INSERT INTO crm.inbox (event_id, received_at)"
            " SELECT gen_random_uuid(), now() - interval '31 days' FROM generate_series(1, 5)"
        )
        await inbox.first_seen(conn, young)
    monkeypatch.setattr(inbox, "PRUNE_AT_ONCE", 2)
    rounds = []
    while taken := await inbox.PRUNING.run(pool):
        rounds.append(taken)
    assert rounds == [2, 2, 1]
    assert {row["event_id"] for row in await pool.fetch("SELECT event_id FROM crm.inbox")} == set(young)

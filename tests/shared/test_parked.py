"""Parked records can be listed, looked into, sent again or given up; what they hold is sealed at rest."""

import pytest

from shared.clock import new_id
from shared.database.db import Pool, transaction
from shared.errors import Rejected
from shared.messaging import parked
from shared.messaging.records import Refusal
from shared.settings import Settings
from tests.shared.records import FakeRecord
from tests.support import Databases

BODY = b'{"phone": "09123456789"}'
HEADERS = [("ce_id", b"e-1"), ("ce_type", b"pos.visit_recorded"), ("odd", b"\xff\x00")]


@pytest.fixture
async def pool(database: Databases) -> Pool:
    return await database("visit")


async def park_one(pool: Pool, config: Settings, record: FakeRecord) -> dict[str, object]:
    async with transaction(pool) as conn:
        refusal = Refusal(record, "invalid_input", "total: must be a number")
        await parked.park(conn, [refusal], topics={record.topic: "pos.visits"}, keys=config.keys)
        return (await parked.list_parked(conn))[0]


async def test_parked_record_shows_where_it_came_from_and_why(pool: Pool, config: Settings) -> None:
    row = await park_one(pool, config, FakeRecord("x.pos.visits", BODY, HEADERS, offset=41, partition=3))
    assert (row["topic"], row["partition"], row["record_offset"]) == ("pos.visits", 3, 41)
    assert (row["event_id"], row["event_type"]) == ("e-1", "pos.visit_recorded")
    assert (row["reason"], row["detail"], row["status"]) == ("invalid_input", "total: must be a number", "parked")


async def test_body_is_sealed_at_rest_and_opens_for_the_operator(pool: Pool, config: Settings) -> None:
    row = await park_one(pool, config, FakeRecord("pos.visits", BODY, HEADERS))
    stored = str(await pool.fetchrow("SELECT * FROM crm.parked"))
    assert "09123456789" not in stored
    async with transaction(pool) as conn:
        shown = await parked.show(conn, row["id"], config.keys)  # type: ignore[arg-type]
    assert shown["body"] == BODY.decode()
    assert shown["headers"]["ce_type"] == "pos.visit_recorded"


async def test_same_record_refused_again_is_another_attempt(pool: Pool, config: Settings) -> None:
    record = FakeRecord("pos.visits", BODY, HEADERS)
    await park_one(pool, config, record)
    assert (await park_one(pool, config, record))["attempts"] == 2


async def test_redriven_record_leaves_by_the_outbox_as_it_came(pool: Pool, config: Settings) -> None:
    row = await park_one(pool, config, FakeRecord("pos.visits", BODY, HEADERS[:2], key=b"till-1"))
    async with transaction(pool) as conn:
        assert await parked.redrive(conn, [row["id"]], config.keys, "phone rule fixed") == 1  # type: ignore[list-item]
        assert await parked.redrive(conn, [row["id"]], config.keys, "twice") == 0  # type: ignore[list-item]
    sent = await pool.fetchrow("SELECT topic, key, payload FROM crm.outbox")
    assert sent is not None
    assert (sent["topic"], sent["key"], sent["payload"]) == ("pos.visits", "till-1", BODY)
    settled = await pool.fetchrow("SELECT status, resolution, resolved_at FROM crm.parked")
    assert settled is not None
    assert (settled["status"], settled["resolution"]) == ("redriven", "phone rule fixed")
    assert settled["resolved_at"] is not None


async def test_discarded_record_is_settled_with_its_note(pool: Pool, config: Settings) -> None:
    row = await park_one(pool, config, FakeRecord("pos.visits", None, HEADERS))
    async with transaction(pool) as conn:
        assert await parked.discard(conn, [row["id"]], "sent by a test till") == 1  # type: ignore[list-item]
        assert await parked.count_waiting(conn) == 0
        assert await parked.list_parked(conn) == []
        assert len(await parked.list_parked(conn, "discarded")) == 1


async def test_unknown_id_is_a_clear_answer(pool: Pool, config: Settings) -> None:
    async with transaction(pool) as conn:
        with pytest.raises(Rejected, match="no such parked record"):
            await parked.show(conn, new_id(), config.keys)


async def test_nul_and_huge_headers_fit(pool: Pool, config: Settings) -> None:
    headers = [("ce_id", b"\x00" * 10), ("ce_type", b"y" * 100_000)]
    row = await park_one(pool, config, FakeRecord("pos.visits", b"\x00", headers, key=b"\xff\x00"))
    assert len(str(row["event_type"])) == 200

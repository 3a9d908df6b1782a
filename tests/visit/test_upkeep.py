"""Partitions made ahead and detached."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import typer
from typer.testing import CliRunner

from deploy.crm import archive_commands
from services.visit.handlers import upkeep
from shared.clock import now
from shared.database import db
from shared.database.db import Pool
from tests.support import Databases
from tests.visit.given import correction, record, statuses, take, visit_row

PARTITION = "SELECT tableoid::regclass::text FROM customer_visits WHERE receipt_number = $1"


@pytest.fixture
async def pool(database: Databases) -> Pool:
    return await database("visit")


async def partitions(pool: Pool) -> list[str]:
    rows = await pool.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits"
        " WHERE inhparent = 'customer_visits'::regclass ORDER BY 1"
    )
    return [row["name"] for row in rows]


async def test_partitions_are_made_ahead_and_once(pool: Pool) -> None:
    await upkeep.make_partitions(pool)
    made = await partitions(pool)
    today = now()
    for months in range(4):
        ahead = date(today.year + (today.month - 1 + months) // 12, (today.month - 1 + months) % 12 + 1, 1)
        assert f"customer_visits_y{ahead:%Y}m{ahead:%m}" in made
    await upkeep.make_partitions(pool)
    assert await partitions(pool) == made


async def test_todays_visit_goes_into_its_month(pool: Pool) -> None:
    await take(pool, record(occurred_at=now().isoformat()))
    assert await pool.fetchval(PARTITION, "14050101-1") == f"customer_visits_y{now():%Y}m{now():%m}"


async def test_crowded_month_moves_out_of_the_default_partition(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    await take(pool, record(occurred_at="2016-12-31T23:59:59Z", receipt_number="before"))
    await take(
        pool, *(record(occurred_at=f"2017-01-{day:02}T10:00:00Z", receipt_number=str(day)) for day in (1, 15, 31))
    )
    before = await visit_row(pool, "31")
    monkeypatch.setattr(upkeep, "CROWDED", 3)
    await upkeep.make_partitions(pool)
    assert await pool.fetchval(PARTITION, "31") == "customer_visits_y2017m01"
    assert await pool.fetchval(PARTITION, "before") == "customer_visits_default"
    assert await visit_row(pool, "31") == before
    assert statuses(await take(pool, correction(receipt_number="31", occurred_at="2016-12-30T10:00:00Z"))) == [
        "corrected"
    ]
    assert await pool.fetchval(PARTITION, "31") == "customer_visits_default"


async def test_detached_months_are_tables_of_their_own(database: Databases) -> None:
    pool = await database("visit")
    old = datetime(2016, 5, 10, tzinfo=UTC)
    await take(pool, record(occurred_at=old.isoformat()), record(receipt_number="new"))
    async with db.transaction(pool) as conn:
        await conn.fetchval("SELECT make_visit_partition('2016-05-01')")
        assert await upkeep.detach_old_visits(conn, date(2016, 5, 31)) == []
        assert await upkeep.detach_old_visits(conn, date(2016, 6, 1)) == ["customer_visits_y2016m05"]
    assert [row["receipt_number"] for row in await pool.fetch("SELECT receipt_number FROM customer_visits")] == ["new"]
    assert statuses(await take(pool, record(occurred_at=old.isoformat()))) == ["repeated"]
    assert statuses(await take(pool, correction(occurred_at=old.isoformat()))) == ["archived"]
    owner = await asyncpg.connect(await database.owner_dsn("visit"))
    try:
        assert await owner.fetchval("SELECT count(*) FROM customer_visits_y2016m05") == 1
    finally:
        await owner.close()


async def test_operator_archives_what_is_older_than_a_year(database: Databases) -> None:
    pool = await database("visit")
    await pool.execute("SELECT make_visit_partition('2016-05-01')")
    app = typer.Typer()
    app.command()(archive_commands.archive_visits)

    async def archive(day: date) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, [day.isoformat()])

    assert (await archive(date(2016, 6, 1))).stdout.split() == ["customer_visits_y2016m05"]
    assert (await archive(date(2016, 6, 1))).stdout.split() == []
    refused = await archive(now().date() - timedelta(days=archive_commands.FEWEST_DAYS - 1))
    assert (refused.exit_code, "corrections" in refused.output) == (2, True)


async def test_only_the_service_may_reshape_the_table(pool: Pool) -> None:
    for role in ("staff_role", "till_role"):
        for call in (
            "make_visit_partition('2016-05-01')",
            "detach_visit_partitions('2016-05-01')",
            "refresh_daily_stats()",
            "count_days(NULL, NULL, now())",
        ):
            async with db.transaction(pool) as conn:
                await conn.execute(f"SET LOCAL ROLE {role}")
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await conn.execute(f"SELECT {call}")

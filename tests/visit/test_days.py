"""Daily figures: each day of each cafe is counted once it has ended, and again when one of its visits changes."""

import time as time_module
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.visit.handlers import reactions, upkeep
from services.visit.handlers.ingest import record_visits
from services.visit.store import statistics
from shared.clock import new_id, now
from shared.database import db
from shared.database.db import Connection, Pool
from shared.events.feedback import FeedbackReceived
from shared.events.identity import CafeChanged
from shared.jobs import by_cafe
from shared.persian.calendar import day_bounds, local_date
from shared.security.access import on_cafe_changed
from tests.support import Databases
from tests.visit.given import (
    CAFE,
    KEYS,
    NOON,
    OTHER_CAFE,
    STAFF,
    branch,
    correction,
    known_cafe,
    react,
    record,
    take,
    visit_row,
    void,
)  # fmt: skip

TEHRAN = "Asia/Tehran"
TODAY = local_date(now(), TEHRAN)
DAY = TODAY - timedelta(days=3)
FIGURES = "SELECT * FROM daily_stats WHERE branch_id IS NULL ORDER BY cafe_id, stat_date"
# Rows as a fault of ours, or a hand in the database, might leave them.
RAW = """
INSERT INTO customer_visits (id, cafe_id, visit_date, device_id, receipt_number, total_amount, currency_unit)
SELECT gen_random_uuid(), $1, $2, 'raw', n::text, $3, 'IRT' FROM generate_series(1, $4::int) AS n
"""
# What the version before sends.
STATS_WERE_OLD = """
SELECT NOT EXISTS (SELECT FROM daily_customer_stats) OR EXISTS (
    SELECT FROM cafes c CROSS JOIN (SELECT max(refreshed_at) AS at FROM daily_customer_stats) s
    WHERE ($1::timestamptz AT TIME ZONE c.time_zone)::date > (s.at AT TIME ZONE c.time_zone)::date
)
"""
DAILY_BEFORE = """
SELECT stat_date, unique_customers, total_visits, total_revenue, avg_order_value, avg_rating, currency_unit,
       refreshed_at
FROM cafe_daily_stats WHERE cafe_id = $1 ORDER BY stat_date
"""
MONTHLY_BEFORE = "SELECT * FROM get_monthly_crm_stats($2, $1)"
READ = """
SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) AS rows FROM pg_stat_xact_user_tables
"""


@pytest.fixture
async def pool(database: Databases) -> Pool:
    pool = await database("visit")
    await known_cafe(pool)
    return pool


def on(day: date, number: str, hour: int = 12, **facts: Any) -> Any:
    moment = datetime.combine(day, time(hour), tzinfo=UTC) - timedelta(hours=3, minutes=30)
    return record(occurred_at=moment.isoformat(), receipt_number=number, **facts)


async def count(pool: Pool, moment: datetime | None = None, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
    """Works off all that is due."""
    if monkeypatch:
        monkeypatch.setattr(upkeep, "now", lambda: moment)
    while await upkeep.count_days(pool):
        pass


async def figures(pool: Pool, cafe_id: UUID = CAFE) -> dict[date, tuple[int, int, Decimal]]:
    """Guests, visits and revenue of each counted day."""
    return {
        row["stat_date"]: (row["unique_customers"], row["total_visits"], row["total_revenue"])
        for row in await pool.fetch(FIGURES)
        if row["cafe_id"] == cafe_id
    }


async def shown(pool: Pool, branch_id: UUID | None = None, moment: datetime | None = None) -> dict[date, int]:
    """The visits of each day as people of the cafe read them."""
    async with db.staff_transaction(pool, STAFF) as conn:
        days = date(2000, 1, 1), date(2100, 1, 1)
        rows = await statistics.daily(conn, CAFE, branch_id, days, moment or now())
    return {row["stat_date"]: row["total_visits"] for row in rows}


async def test_late_visit_is_in_the_figures_of_its_day(pool: Pool) -> None:
    await take(pool, on(DAY, "1", total="100"), on(DAY, "2", total="300"), on(DAY, "3", total="50", phone=...))
    await count(pool)
    assert await figures(pool) == {DAY: (1, 3, Decimal(450))}
    await take(pool, on(DAY, "late", total="3000", currency_unit="IRR", phone="09120000002"))
    await count(pool)
    assert await figures(pool) == {DAY: (2, 4, Decimal(750))}
    assert await pool.fetchval("SELECT count(*) FROM days_to_count WHERE due_at <= now()") == 0


async def test_correction_that_moves_a_visit_counts_both_days_anew(pool: Pool) -> None:
    await take(pool, on(DAY, "1"), on(DAY, "2"), on(DAY, "only", phone=...))
    await take(pool, on(DAY - timedelta(days=1), "3"))
    await count(pool)
    moved = on(DAY - timedelta(days=1), "1").body.occurred_at.isoformat()
    await take(pool, correction(occurred_at=moved, receipt_number="1", total="10"))
    await count(pool)
    assert {day: visits for day, (_, visits, _) in (await figures(pool)).items()} == {
        DAY - timedelta(days=1): 2, DAY: 2,
    }  # fmt: skip
    assert (await figures(pool))[DAY - timedelta(days=1)][2] == Decimal(185_010)


async def test_void_takes_a_visit_out_and_with_the_last_one_the_day(pool: Pool) -> None:
    await take(pool, on(DAY, "1", total="100"), on(DAY, "2", total="300"))
    await count(pool)
    await take(pool, void(receipt_number="1"))
    await count(pool)
    assert await figures(pool) == {DAY: (1, 1, Decimal(300))}
    await take(pool, void(receipt_number="2"))
    await count(pool)
    assert await figures(pool) == {}


@pytest.mark.parametrize("names_the_date", [True, False])
async def test_rating_that_comes_later_is_in_the_average(pool: Pool, names_the_date: bool) -> None:
    await take(pool, on(DAY, "1"), on(DAY, "2"))
    await count(pool)
    assert await pool.fetchval("SELECT avg_rating FROM daily_stats") is None
    for number, rating in (("1", 4), ("2", 5)):
        visit = await visit_row(pool, number)
        feedback = FeedbackReceived(
            cafe_id=CAFE, customer_id=visit["customer_id"], feedback_id=new_id(), source="sms_link",
            overall_rating=rating, visit_id=visit["id"], visit_at=visit["visit_date"] if names_the_date else None,
            occurred_at=now(),
        )  # fmt: skip
        await react(pool, reactions.on_feedback_received, feedback)
    await count(pool)
    assert await pool.fetchval("SELECT avg_rating FROM daily_stats") == Decimal("4.50")


async def test_today_is_counted_as_it_is_read_and_stays_when_midnight_passes(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    midnight = day_bounds(TODAY, TEHRAN)[1]
    await take(pool, record(occurred_at=now().isoformat(), receipt_number="1"))
    await take(pool, record(occurred_at=now().isoformat(), receipt_number="2"))
    # Its first visit noted the day; the others add nothing.
    assert await pool.fetchval("SELECT count(*) FROM days_to_count WHERE stat_date = $1", TODAY) == 1
    await count(pool, midnight - timedelta(seconds=1), monkeypatch)
    assert await figures(pool) == {}
    assert await shown(pool) == {TODAY: 2}
    assert await shown(pool, moment=midnight) == {}
    await count(pool, midnight, monkeypatch)
    assert await shown(pool, moment=midnight) == {TODAY: 2}
    assert await pool.fetchval("SELECT count(*) FROM days_to_count") == 0


async def test_day_waits_for_those_who_began_before_its_end(
    pool: Pool, database: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    midnight = day_bounds(TODAY, TEHRAN)[1]
    await take(pool, record(occurred_at=now().isoformat(), receipt_number="1"))
    other = await database("visit", max_size=1)
    async with db.transaction(other) as conn:
        await record_visits(conn, [record(occurred_at=now().isoformat(), receipt_number="2")], keys=KEYS)
        await count(pool, midnight, monkeypatch)
        assert await figures(pool) == {}
    await count(pool, midnight, monkeypatch)
    assert await shown(pool, moment=midnight) == {TODAY: 2}


async def test_cafes_in_other_time_zones_have_their_own_days(pool: Pool) -> None:
    await known_cafe(pool, OTHER_CAFE, time_zone="America/Los_Angeles")
    evening = datetime.combine(DAY, time(22), tzinfo=UTC).isoformat()
    await take(pool, record(occurred_at=evening), record(cafe_id=OTHER_CAFE, occurred_at=evening))
    await count(pool)
    assert list(await figures(pool)) == [DAY + timedelta(days=1)]
    assert list(await figures(pool, OTHER_CAFE)) == [DAY]


async def test_change_of_the_time_zone_counts_all_days_anew(pool: Pool) -> None:
    evening = datetime.combine(DAY, time(22), tzinfo=UTC)
    await take(pool, record(occurred_at=evening.isoformat()))
    await count(pool)
    moved = CafeChanged(
        cafe_id=CAFE, occurred_at=NOON, version=2, name="کافه", time_zone="Europe/London", calendar="gregorian",
        currency_unit="IRT",
    )  # fmt: skip
    await react(pool, on_cafe_changed, moved)
    await count(pool)
    assert list(await figures(pool)) == [local_date(evening, "Europe/London")]


async def test_visits_from_before_are_found_for_a_whole_cafe(pool: Pool) -> None:
    long_ago = TODAY - timedelta(days=800)
    await take(pool, on(DAY, "1"), on(TODAY - timedelta(days=90), "2"), on(long_ago, "3"))
    await pool.execute("DELETE FROM days_to_count")
    await pool.execute("INSERT INTO days_to_count (cafe_id, due_at) VALUES ($1, now())", CAFE)
    await count(pool)
    assert list(await figures(pool)) == [long_ago, TODAY - timedelta(days=90), DAY]
    await take(pool, on(long_ago, "4"))
    await count(pool)
    assert (await figures(pool))[long_ago][1] == 2


async def test_figures_stay_when_the_visits_of_their_month_are_taken_out(pool: Pool) -> None:
    long_ago = date(2024, 5, 10)
    await take(pool, on(long_ago, "1"), on(long_ago + timedelta(days=1), "2"), on(DAY, "3"))
    await count(pool)
    before = await figures(pool), await pool.fetch("SELECT * FROM guest_months ORDER BY first_month, month")
    async with db.transaction(pool) as conn:
        await conn.fetchval("SELECT make_visit_partition('2024-05-01')")
        assert await upkeep.detach_old_visits(conn, date(2024, 6, 1)) == ["customer_visits_y2024m05"]
    await pool.execute("INSERT INTO days_to_count (cafe_id, due_at) VALUES ($1, now())", CAFE)
    await pool.execute("INSERT INTO days_to_count (cafe_id, stat_date, due_at) VALUES ($1, $2, now())", CAFE, long_ago)
    await count(pool)
    assert await pool.fetchval("SELECT count(*) FROM customer_visits") == 1
    assert (await figures(pool), await pool.fetch("SELECT * FROM guest_months ORDER BY first_month, month")) == before


async def test_branches_have_figures_of_their_own(pool: Pool) -> None:
    first, second = branch("V1"), branch("V2")
    await react(pool, reactions.on_branch_changed, first, second)
    for day in (DAY, TODAY):
        await take(pool, on(day, f"{day} 1", 0, branch="V1"), on(day, f"{day} 2", 0, branch="V2"))
        await take(pool, on(day, f"{day} 3", 0, branch="V1", phone=...), on(day, f"{day} 4", 0))
    await count(pool)
    assert await shown(pool) == {DAY: 4, TODAY: 4}
    assert await shown(pool, first.branch_id) == {DAY: 2, TODAY: 2}
    assert await shown(pool, second.branch_id) == {DAY: 1, TODAY: 1}
    at_branch = await pool.fetchrow(
        "SELECT * FROM daily_stats WHERE stat_date = $1 AND branch_id = $2", DAY, first.branch_id
    )
    assert at_branch
    assert at_branch["unique_customers"] == 1


async def test_sums_are_as_large_as_they_are(pool: Pool) -> None:
    await pool.execute(RAW, CAFE, datetime.combine(DAY, time(10), tzinfo=UTC), Decimal("9999999999999999.99"), 200)
    await pool.execute("INSERT INTO days_to_count (cafe_id, due_at) VALUES ($1, now())", CAFE)
    await count(pool)
    total = 200 * Decimal("9999999999999999.99")
    assert await figures(pool) == {DAY: (0, 200, total)}
    month = await pool.fetchrow(MONTHLY_BEFORE, CAFE, DAY)
    assert month
    assert month["total_revenue"] == total


async def test_cafe_whose_figures_cannot_be_made_is_put_aside_and_harms_nobody(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await known_cafe(pool, OTHER_CAFE, staff=new_id())
    await take(pool, on(DAY, "1"), on(DAY, "1", cafe_id=OTHER_CAFE), on(DAY - timedelta(days=1), "2"))
    await pool.execute(RAW, OTHER_CAFE, datetime.combine(DAY, time(10), tzinfo=UTC), Decimal("NaN"), 1)
    await count(pool)
    assert list(await figures(pool)) == [DAY - timedelta(days=1), DAY]
    assert await figures(pool, OTHER_CAFE) == {}
    # Once it is mended, its turn comes again.
    await pool.execute("DELETE FROM customer_visits WHERE device_id = 'raw'")
    monkeypatch.setattr(by_cafe, "time", SimpleNamespace(monotonic=lambda: time_module.monotonic() + 3600))
    await count(pool)
    assert list(await figures(pool, OTHER_CAFE)) == [DAY]


async def test_what_the_version_before_sends_still_works(pool: Pool) -> None:
    await take(pool, on(DAY, "1"), record(occurred_at=now().isoformat(), receipt_number="2"))
    await pool.fetchval(STATS_WERE_OLD, now())
    await pool.execute("SELECT refresh_daily_stats()")
    async with db.staff_transaction(pool, STAFF) as conn:
        days = await conn.fetch(DAILY_BEFORE, CAFE)
        month = await conn.fetchrow(MONTHLY_BEFORE, CAFE, TODAY)
    assert [(row["stat_date"], row["total_visits"], row["currency_unit"]) for row in days] == [
        (DAY, 1, "IRT"), (TODAY, 1, "IRT"),
    ]  # fmt: skip
    assert month
    assert month["cafe_id"] == CAFE


async def test_zone_that_the_server_does_not_know_is_refused(pool: Pool) -> None:
    with pytest.raises(asyncpg.DataError):
        await pool.execute("UPDATE cafes SET time_zone = 'Mars/Olympus'")


async def test_one_cafes_days_are_read_without_those_of_others(database: Databases) -> None:
    pool = await database("visit", max_size=1)
    await known_cafe(pool)
    await pool.execute(
        "INSERT INTO daily_stats (cafe_id, stat_date, unique_customers, total_visits, total_revenue, avg_order_value,"
        " counted_at) SELECT gen_random_uuid(), $1, 1, 1, 1, 1, now() FROM generate_series(1, 5000)",
        DAY,
    )
    await pool.execute(
        "INSERT INTO customer_visits (id, cafe_id, visit_date, device_id, receipt_number, total_amount, currency_unit)"
        " SELECT gen_random_uuid(), gen_random_uuid(), now(), 'raw', n::text, 1, 'IRT' FROM generate_series(1, 5000) n"
    )
    await pool.execute(
        "INSERT INTO days_to_count (cafe_id, stat_date, due_at)"
        " SELECT gen_random_uuid(), $1, now() + interval '1 hour' FROM generate_series(1, 5000) n",
        TODAY,
    )
    await take(pool, *(on(DAY, f"{n}") for n in range(5)), *(on(TODAY, f"today {n}", 0) for n in range(5)))
    owner = await asyncpg.connect(await database.owner_dsn("visit"))
    await owner.execute("ANALYZE")
    await owner.close()
    async with db.keyed_transaction(pool) as conn:
        before = await _read(conn)
        days = await statistics.due_days(conn, now(), 200, [])
        assert days == [(CAFE, DAY)]
        await statistics.count_days(conn, days, now())
        assert max((await _read(conn) - before).values()) <= 250
    async with db.staff_transaction(pool, STAFF) as conn:
        before = await _read(conn)
        assert len(await statistics.daily(conn, CAFE, None, (DAY, TODAY), now())) == 2
        assert max((await _read(conn) - before).values()) <= 50


async def _read(conn: Connection) -> Counter[str]:
    return Counter({row["relname"]: row["rows"] for row in await conn.fetch(READ)})

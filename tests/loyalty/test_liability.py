"""What a club owes: by the month in which it lapses, counted from what changed, and the same as the lots say."""

from datetime import date, timedelta

import pytest

from services.loyalty.handlers import liability, periodic
from services.loyalty.handlers.cafes import on_cafe_changed
from services.loyalty.store import club as club_store
from shared.database.db import Pool, transaction
from tests.loyalty import books
from tests.loyalty.examples import CAFE, NOON, cafe_changed, corrected, guest_number, recorded, voided
from tests.loyalty.test_club import count_all
from tests.loyalty.test_notices import publish
from tests.loyalty.test_time_terms import until_done, wall

DAY = timedelta(days=1)
LOTS = """
SELECT crm.last_day(expires_at, $2) AS day, sum(remaining)::bigint AS points
FROM point_lots WHERE cafe_id = $1 AND remaining > 0 AND expires_at IS NOT NULL GROUP BY 1
"""
NEVER = "SELECT coalesce(sum(remaining), 0)::bigint FROM point_lots WHERE remaining > 0 AND expires_at IS NULL"


async def shown(pool: Pool, clock, monkeypatch):
    monkeypatch.setattr(liability, "now", clock)
    await count_all(pool)
    async with transaction(pool) as conn:
        return await liability.show(conn, CAFE)


async def agrees(pool: Pool, zone: str = "Asia/Tehran") -> bool:
    """Whether the days that are kept are those of the lots."""
    await count_all(pool)
    lots = {row["day"]: row["points"] for row in await pool.fetch(LOTS, CAFE, zone)}
    async with transaction(pool) as conn:
        return await club_store.ending(conn, CAFE) == lots


async def test_points_are_shown_by_the_month_in_which_they_lapse(pool, clock, monkeypatch) -> None:
    await books.take_in(pool, recorded(1, 40_000))
    await publish(pool, expiry={"kind": "month_end", "after": 1}, toman_per_point=20)
    await books.take_in(pool, recorded(2, 100_000, NOON + timedelta(minutes=1)))
    await books.take_in(pool, recorded(3, 70_000, NOON + 20 * DAY, guest=guest_number(2)))
    found = await shown(pool, clock, monkeypatch)
    months = [(each.first, each.last, each.points, each.worth) for each in found.months]
    assert months == [
        (date(2026, 5, 22), date(2026, 6, 21), 100, 2000),
        (date(2026, 6, 22), date(2026, 7, 22), 70, 1400),
    ]
    assert (found.outstanding, found.worth, found.never, found.never_worth) == (210, 4200, 40, 800)


async def test_it_adds_up_after_spending_corrections_voids_and_lapsing(pool, clock, monkeypatch) -> None:
    await publish(pool, expiry={"kind": "days", "days": 40})
    await books.take_in(
        pool, *(recorded(n, 50_000 + n * 1000, NOON + n * DAY, guest=guest_number(n % 5)) for n in range(30))
    )
    await books.take_in(pool, recorded(40, 1000, NOON + 31 * DAY, guest=guest_number(0), points_to_redeem=90))
    await books.take_in(pool, corrected(3, 9000, NOON + 9 * DAY, guest=guest_number(3)))
    await books.take_in(pool, voided(4, at=NOON + 4 * DAY, guest=guest_number(4)))
    assert await agrees(pool)
    clock.moment = NOON + 45 * DAY
    before = await shown(pool, clock, monkeypatch)
    await until_done(periodic.expire_points, pool)
    assert await agrees(pool)
    found = await shown(pool, clock, monkeypatch)
    assert 0 < found.outstanding < before.outstanding
    for each in (before, found):
        assert each.outstanding == sum(month.points for month in each.months) + each.never
    assert found.never == await pool.fetchval(NEVER) == 0


async def test_days_are_those_of_the_time_zone_that_the_cafe_has_now(pool, clock) -> None:
    await publish(pool, expiry={"kind": "days", "days": 40})
    await books.take_in(pool, recorded(1, 50_000, wall("Asia/Tehran", 2026, 5, 11, 1)))
    assert await agrees(pool)
    async with transaction(pool) as conn:
        await on_cafe_changed(conn, [cafe_changed(version=2, time_zone="Europe/Berlin")])
    clock.moment += DAY
    await until_done(periodic.recount, pool)
    assert await agrees(pool, "Europe/Berlin")


async def test_answer_reads_no_lots(pool, clock, monkeypatch) -> None:
    """A million lots are kept by their days: it takes as long as with ten."""
    await publish(pool, expiry={"kind": "days", "days": 40})
    await books.take_in(pool, recorded(1, 50_000))
    await count_all(pool)
    monkeypatch.setattr(liability, "now", clock)
    scans = "SELECT idx_scan + seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'point_lots'"
    async with transaction(pool) as conn:
        before = await conn.fetchval(scans)
        assert (await liability.show(conn, CAFE)).outstanding == 50
        assert await conn.fetchval(scans) == before


@pytest.mark.parametrize("day", [date(2026, 5, 1), date(2026, 5, 10), date(2026, 5, 21)])
def test_what_is_over_and_not_yet_taken_lapses_this_month(day: date) -> None:
    today, next_month = date(2026, 5, 10), date(2026, 5, 22)
    months = liability.by_month({day: 5, next_month: 7}, today, "jalali")
    assert list(months.items()) == [
        ((date(2026, 4, 21), date(2026, 5, 21)), 5),
        ((next_month, date(2026, 6, 21)), 7),
    ]

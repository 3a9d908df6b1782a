"""What happens by the passing of time, and by new rules or calendars."""

from datetime import date, timedelta
from uuid import uuid4

import pytest

from services.loyalty.handlers import periodic
from services.loyalty.handlers.cafes import on_cafe_changed, publish_program
from services.loyalty.models.http import PublishProgram
from services.loyalty.models.programs import MOST_VERSIONS, ProgramRules
from services.loyalty.store import programs
from shared.database import db
from shared.errors import Rejected
from shared.events.loyalty import PointsChanged, TierChanged
from tests.loyalty import books
from tests.loyalty.examples import (
    CAFE,
    GUEST,
    NOON,
    OTHER_CAFE,
    cafe_changed,
    corrected,
    guest_number,
    recorded,
    visit_number,
    voided,
)
from tests.loyalty.schemes import KEYS

DAY = timedelta(days=1)
MANAGER = uuid4()
LAPSING = ProgramRules(tier_period="jalali_year", points_expire_days=10)
DOUBLE = ProgramRules(tier_period="jalali_year", earn_per_toman=500)


async def publish(pool, rules: ProgramRules, valid_from=None) -> None:
    async with db.transaction(pool) as conn:
        await publish_program(conn, CAFE, MANAGER, PublishProgram(rules=rules, valid_from=valid_from), KEYS)


async def until_done(job, pool) -> int:
    runs = 0
    while await job(pool):
        runs += 1
    return runs


async def test_cafe_has_so_many_versions_of_its_rules_and_no_more(pool, clock) -> None:
    kept = DOUBLE.model_dump(mode="json")
    async with db.transaction(pool) as conn:
        for number in range(2, MOST_VERSIONS):
            await programs.publish(conn, CAFE, number, NOON - DAY + number * timedelta(seconds=1), kept, MANAGER)
    await publish(pool, DOUBLE)
    clock.moment += DAY
    with pytest.raises(Rejected) as refused:
        await publish(pool, DOUBLE)
    assert (refused.value.code, refused.value.status) == ("too_many_versions", 409)
    assert await pool.fetchval("SELECT max(version) FROM programs") == MOST_VERSIONS


# --- expiry


async def test_points_lapse_once_when_their_time_is_over(pool, clock) -> None:
    await publish(pool, LAPSING)
    await books.take_in(pool, recorded(1, 100_000), recorded(2, 50_000, NOON + 5 * DAY, points_to_redeem=30))
    clock.moment = NOON + 10 * DAY - timedelta(seconds=1)
    assert await until_done(periodic.expire_points, pool) == 0
    clock.moment = NOON + 10 * DAY
    assert await until_done(periodic.expire_points, pool) == 1
    assert await until_done(periodic.expire_points, pool) == 0
    assert (await books.ledger(pool))[-1] == ("expired", -70, 50)
    row = await pool.fetchrow(
        "SELECT points_earned, points_redeemed, points_expired, current_points FROM customer_loyalty"
    )
    assert tuple(row) == (150, 30, 70, 50)
    [event] = [each for each in await books.sent(pool, PointsChanged) if each.transaction_type == "expired"]
    assert (event.points_change, event.balance_after, event.occurred_at) == (-70, 50, NOON + 10 * DAY)
    await books.ending(pool)


async def test_points_of_a_cafe_without_expiry_never_lapse(pool, clock) -> None:
    await books.take_in(pool, recorded(1, 100_000))
    clock.moment = NOON + 4000 * DAY
    assert await until_done(periodic.expire_points, pool) == 0


async def test_void_of_a_lapsed_visit_leaves_a_debt_not_a_gap(pool, clock) -> None:
    await publish(pool, LAPSING)
    await books.take_in(pool, recorded(1, 100_000))
    clock.moment = NOON + 10 * DAY
    await periodic.expire_points(pool)
    await books.take_in(pool, voided(1))
    assert (await books.ending(pool)).balance == -100


@pytest.mark.parametrize("toman", [100_000, 40_000, 130_000])
async def test_points_of_a_visit_moved_by_a_correction_lapse_by_its_true_day(pool, clock, toman: int) -> None:
    await publish(pool, LAPSING)
    clock.moment = NOON + 9 * DAY
    await books.take_in(pool, recorded(1, 100_000, NOON + 8 * DAY))
    await books.take_in(pool, corrected(1, toman, NOON))
    clock.moment = NOON + 10 * DAY
    assert await until_done(periodic.expire_points, pool) == 1
    assert (await books.ending(pool)).balance == 0


# --- tiers


async def lapses(pool) -> dict[str, int | None]:
    """Receipt -> after how many days the visit's points lapse."""
    rows = await pool.fetch(
        "SELECT e.receipt_number, l.expires_at - e.occurred_at AS after FROM point_lots l"
        " JOIN visit_earnings e ON e.visit_id = l.lot_id ORDER BY 1"
    )
    return {row["receipt_number"]: row["after"] and row["after"].days for row in rows}


async def test_points_lapse_by_the_rules_of_their_visit_whatever_rules_come_later(pool, clock) -> None:
    await publish(pool, LAPSING)
    await books.take_in(pool, recorded(1, 10_000), recorded(3, 30_000, NOON + DAY))
    clock.moment = NOON + 2 * DAY
    await publish(pool, ProgramRules(tier_period="jalali_year", points_expire_days=3, earn_per_toman=500))
    clock.moment = NOON + 3 * DAY
    await books.take_in(pool, recorded(4, 10_000, NOON + 3 * DAY), recorded(2, 10_000, NOON + timedelta(hours=1)))
    await until_done(periodic.recount, pool)
    await books.take_in(pool, corrected(3, 10_000, NOON + DAY))
    assert await lapses(pool) == {"00001": 10, "00002": 10, "00003": 10, "00004": 3}


async def test_points_that_were_spent_taken_back_and_given_back_lapse_on_the_day_of_their_visit(pool, clock) -> None:
    await publish(pool, LAPSING)
    await books.take_in(pool, recorded(1, 100_000), recorded(2, 0, NOON + DAY, points_to_redeem=80))
    await books.take_in(pool, corrected(1, 70_000))
    await books.take_in(pool, voided(2, at=NOON + DAY))
    assert (await books.ending(pool)).balance == 70
    clock.moment = NOON + 10 * DAY
    await until_done(periodic.expire_points, pool)
    assert (await books.ending(pool)).balance == 0


async def test_tier_ends_with_its_last_day_on_the_cafe_s_wall(pool, clock) -> None:
    await books.take_in(pool, recorded(1, 600_000))
    # The tier's last day is 2028-03-19; in Tehran it is over at 20:30 UTC.
    clock.moment = NOON.replace(year=2028, month=3, day=19, hour=20, minute=29)
    assert await until_done(periodic.end_tiers, pool) == 0
    clock.moment += timedelta(minutes=1)
    assert await until_done(periodic.end_tiers, pool) == 1
    row = await pool.fetchrow("SELECT tier_level::text, tier_start_date, tier_expires_date FROM customer_loyalty")
    assert tuple(row) == ("bronze", date(2028, 3, 20), None)
    down = (await books.sent(pool, TierChanged))[-1]
    assert (down.previous_tier, down.tier, down.starts_on) == ("silver", "bronze", date(2028, 3, 20))
    assert await until_done(periodic.end_tiers, pool) == 0


async def test_ended_tier_does_not_disturb_a_late_visit_of_the_old_period(pool, clock) -> None:
    await books.take_in(pool, recorded(1, 600_000))
    clock.moment = NOON + 700 * DAY
    await until_done(periodic.end_tiers, pool)
    await books.take_in(pool, recorded(2, 10_000, NOON + DAY))
    assert (await books.ledger(pool))[-1] == ("earned_purchase", 12, 612)
    assert (await books.ending(pool)).rank.tier == "bronze"


async def test_ending_tiers_reads_only_those_that_end(pool) -> None:
    async with db.transaction(pool) as conn:
        await conn.execute("SET LOCAL enable_seqscan = off")
        plan = await conn.fetch(
            "EXPLAIN SELECT 1 FROM customer_loyalty AS a LEFT JOIN cafes AS c ON c.cafe_id = a.cafe_id"
            " WHERE a.tier_expires_date < '2026-01-01' ORDER BY a.tier_expires_date LIMIT 10"
        )
    assert any("idx_loyalty_tier_expires" in row[0] for row in plan)


# --- programs


async def test_new_cafe_starts_with_the_default_program(pool) -> None:
    async with db.transaction(pool) as conn:
        await on_cafe_changed(conn, [cafe_changed(OTHER_CAFE, calendar="gregorian"), cafe_changed(version=2)])
        [default] = await programs.list_programs(conn, CAFE)
        [other] = await programs.list_programs(conn, OTHER_CAFE)
    assert ProgramRules.model_validate(default.rules) == ProgramRules(tier_period="jalali_year")
    assert other.rules["tier_period"] == "gregorian_year"
    assert default.valid_from.year == 1970


async def test_late_visit_earns_by_the_rules_of_its_time(pool, clock) -> None:
    clock.moment = NOON + 2 * DAY
    await publish(pool, DOUBLE)
    await books.take_in(pool, recorded(1, 100_000), recorded(2, 100_000, NOON + 3 * DAY))
    assert (await books.ledger(pool)) == [("earned_purchase", 100, 100), ("earned_purchase", 200, 300)]


@pytest.mark.parametrize("days", [-1, -1000])
async def test_rules_never_begin_in_the_past(pool, days: int) -> None:
    with pytest.raises(Rejected, match="valid_from_too_early"):
        await publish(pool, DOUBLE, NOON + days * DAY)


async def test_rules_begin_after_those_before_them(pool) -> None:
    await publish(pool, DOUBLE, NOON + 2 * DAY)
    with pytest.raises(Rejected, match="valid_from_too_early"):
        await publish(pool, LAPSING, NOON + DAY)


async def test_tier_period_is_fixed_once_guests_earned_by_it(pool) -> None:
    gregorian = ProgramRules(tier_period="gregorian_year")
    await publish(pool, gregorian)
    await books.take_in(pool, recorded(1, 100_000))
    with pytest.raises(Rejected, match="tier_period_is_fixed"):
        await publish(pool, DOUBLE, NOON + DAY)


async def test_new_rules_reach_guests_who_do_not_come_and_visits_counted_too_early(pool, clock) -> None:
    easier = ProgramRules(
        tier_period="jalali_year",
        earn_per_toman=500,
        tiers=[
            {"tier": "bronze", "threshold": 0, "multiplier": 1},
            {"tier": "gold", "threshold": 100, "multiplier": 2},
        ],
    )
    other = guest_number(1)
    # A till whose clock is fast: this visit was counted before the rules of its moment were published.
    await books.take_in(pool, recorded(1, 150_000), recorded(2, 150_000, NOON + timedelta(seconds=30), guest=other))
    clock.moment = NOON + timedelta(seconds=10)
    await publish(pool, easier)
    assert await until_done(periodic.recount, pool) == 0
    clock.moment = NOON + timedelta(minutes=2)
    assert await until_done(periodic.recount, pool) > 0
    assert await books.ledger(pool) == [("earned_purchase", 150, 150)]
    assert await books.ledger(pool, other) == [("earned_purchase", 150, 150), ("adjustment_add", 150, 300)]
    assert [(await books.ending(pool, guest)).rank.tier for guest in (GUEST, other)] == ["gold", "gold"]
    assert await pool.fetchval("SELECT count(*) FROM recounts") == 0


async def test_recount_goes_on_where_it_stopped(pool, monkeypatch) -> None:
    monkeypatch.setattr(periodic, "RECOUNTS_AT_ONCE", 2)
    await books.take_in(pool, *(recorded(n, 10_000, guest=guest_number(n)) for n in range(5)))
    async with db.transaction(pool) as conn:
        await programs.ask_recount(conn, [CAFE], NOON)
    assert await until_done(periodic.recount, pool) == 4
    await books.ending(pool, guest_number(0))


async def test_cafe_heard_of_after_its_guests_has_them_counted_by_its_own_calendar(database, clock) -> None:
    pool = await database("loyalty")
    last_of_ordibehesht = NOON.replace(day=21, hour=20, minute=0)
    await books.take_in(pool, recorded(1, 10_000, last_of_ordibehesht), recorded(2, 10_000, last_of_ordibehesht + DAY))
    assert (await books.ending(pool)).standing.month_visits == 1
    async with db.transaction(pool) as conn:
        await on_cafe_changed(conn, [cafe_changed(calendar="gregorian")])
    await until_done(periodic.recount, pool)
    assert (await books.ending(pool)).standing.month_visits == 2
    assert await pool.fetchval("SELECT count(*) FROM loyalty_transactions WHERE visit_id = $1", visit_number(1)) == 1


async def test_unchanged_calendar_asks_for_no_recount(pool) -> None:
    async with db.transaction(pool) as conn:
        await on_cafe_changed(conn, [cafe_changed(version=2, name="نام تازه")])
    assert await pool.fetchval("SELECT count(*) FROM recounts") == 0

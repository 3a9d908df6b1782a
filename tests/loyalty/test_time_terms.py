"""When points lapse by the calendar, and how guests fall when a tier period ends."""

from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic import ValidationError

from services.loyalty.handlers import periodic
from services.loyalty.handlers.cafes import on_cafe_changed, publish_program
from services.loyalty.models.accounts import Plan, Standing
from services.loyalty.models.http import PublishProgram
from services.loyalty.models.programs import ProgramRules, TierRule, apart
from services.loyalty.rules import falling, lapsing, programs, schemes, tiers
from shared.database import db
from shared.persian.calendar import year_of
from tests.loyalty import books
from tests.loyalty.examples import CAFE, NOON, TEHRAN, a_visit, cafe_changed, corrected, plan_of, recorded, voided
from tests.loyalty.schemes import KEYS
from tests.loyalty.test_time import MANAGER, until_done

DAY = timedelta(days=1)


def rules_of(**changes) -> ProgramRules:
    return ProgramRules.model_validate({"tier_period": "jalali_year"} | changes)


def lapses(expiry, moment: datetime, zone: str = TEHRAN, calendar="jalali") -> datetime | None:
    program = programs.program(1, programs.EVER, rules_of(expiry=expiry))
    return lapsing.expiry(Plan(zone, calendar, (program,)), program, moment)


def wall(zone: str, *moment: int) -> datetime:
    return datetime(*moment, tzinfo=ZoneInfo(zone)).astimezone(UTC)


# --- expiry

MONTH, YEAR = {"kind": "month_end"}, {"kind": "year_end"}
BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("expiry", "zone", "calendar", "earned", "gone"),
    [
        # 20 Ordibehesht 1405; the month has 31 days and ends on 21 May.
        (MONTH, TEHRAN, "jalali", (2026, 5, 10, 12), (2026, 5, 22)),
        (MONTH, TEHRAN, "jalali", (2026, 5, 21, 23, 59), (2026, 5, 22)),
        (MONTH, TEHRAN, "jalali", (2026, 5, 22, 0, 0), (2026, 6, 22)),
        (MONTH | {"after": 1}, TEHRAN, "jalali", (2026, 5, 21, 23, 59), (2026, 6, 22)),
        (MONTH | {"after": 12}, TEHRAN, "jalali", (2026, 5, 10, 12), (2027, 5, 22)),
        # Esfand 1403 had 30 days, that of 1404 has 29.
        (MONTH, TEHRAN, "jalali", (2025, 3, 1, 9), (2025, 3, 21)),
        (MONTH, TEHRAN, "jalali", (2026, 3, 1, 9), (2026, 3, 21)),
        (YEAR, TEHRAN, "jalali", (2025, 3, 20, 23, 59), (2025, 3, 21)),
        (YEAR, TEHRAN, "jalali", (2025, 3, 21), (2026, 3, 21)),
        (YEAR | {"after": 1}, TEHRAN, "jalali", (2026, 5, 10, 12), (2028, 3, 20)),
        (MONTH, TEHRAN, "gregorian", (2028, 2, 3, 9), (2028, 3, 1)),
        (MONTH, TEHRAN, "gregorian", (2027, 2, 3, 9), (2027, 3, 1)),
        (MONTH | {"after": 1}, TEHRAN, "gregorian", (2026, 1, 31, 9), (2026, 3, 1)),
        (YEAR, TEHRAN, "gregorian", (2026, 5, 10, 12), (2027, 1, 1)),
        # Summer time begins on 29 March and ends on 25 October.
        (MONTH, BERLIN, "gregorian", (2026, 3, 2, 9), (2026, 4, 1)),
        (MONTH, BERLIN, "gregorian", (2026, 10, 2, 9), (2026, 11, 1)),
        (YEAR | {"after": 10}, BERLIN, "gregorian", (2026, 7, 2, 9), (2037, 1, 1)),
        # On that day there was no midnight: it began at one o'clock.
        (MONTH, "America/Asuncion", "gregorian", (2017, 9, 24, 9), (2017, 10, 1, 1)),
    ],
)
def test_points_lapse_at_midnight_after_the_last_day_of_the_cafe_s_month_or_year(
    expiry, zone, calendar, earned, gone
) -> None:
    assert lapses(expiry, wall(zone, *earned), zone, calendar) == wall(zone, *gone)


def test_days_are_counted_to_the_minute_and_never_is_never() -> None:
    assert lapses({"kind": "days", "days": 14}, NOON) == NOON + 14 * DAY
    assert lapses({"kind": "never"}, NOON) is None
    assert lapses(None, NOON) is None


@pytest.mark.parametrize(
    ("expiry", "moves"), [(MONTH, True), (YEAR, True), ({"kind": "days", "days": 3}, False), (None, False)]
)
def test_another_calendar_moves_only_what_lapses_by_it(expiry, moves: bool) -> None:
    assert lapsing.by_calendar(softly(expiry=expiry)) is moves


def test_older_rules_that_name_days_mean_days() -> None:
    older, newer = rules_of(points_expire_days=14), rules_of(expiry={"kind": "days", "days": 14})
    assert programs.program(1, NOON, older) == programs.program(1, NOON, newer)


@pytest.mark.parametrize(
    "expiry",
    [
        {"kind": "days"},
        {"kind": "days", "days": 0},
        {"kind": "days", "days": 5, "after": 1},
        {"kind": "month_end", "days": 5},
        {"kind": "month_end", "after": 121},
        {"kind": "year_end", "after": 11},
        {"kind": "never", "after": 1},
        {"kind": "week_end"},
    ],
)
def test_expiry_that_says_nothing_clear_is_refused(expiry) -> None:
    with pytest.raises(ValidationError):
        rules_of(expiry=expiry)


def test_points_lapse_in_one_way() -> None:
    with pytest.raises(ValidationError, match="leave one of them null"):
        rules_of(expiry=MONTH, points_expire_days=30)


def test_terms_stay_until_rules_say_otherwise() -> None:
    kept = rules_of(expiry=YEAR, tier_grace_days=30, downgrade="one_step").model_dump(mode="json")
    assert schemes.as_before(kept, rules_of()).expiry == rules_of(expiry=YEAR).expiry
    assert schemes.as_before(kept, rules_of(expiry=None)).expiry is None
    in_days = schemes.as_before(kept, rules_of(points_expire_days=30))
    assert (in_days.expiry, in_days.points_expire_days, in_days.tier_grace_days) == (None, 30, 30)


def test_program_without_terms_is_kept_as_before() -> None:
    assert apart(rules_of().model_dump(mode="json"))[2] is None
    assert apart(rules_of(tier_grace_days=1).model_dump(mode="json"))[2] is not None


async def test_points_of_a_month_lapse_together_at_its_end(pool, clock) -> None:
    async with db.transaction(pool) as conn:
        await publish_program(conn, CAFE, MANAGER, PublishProgram(rules=rules_of(expiry=MONTH)), KEYS)
    await books.take_in(
        pool, recorded(1, 100_000), recorded(2, 50_000, NOON + 5 * DAY), recorded(3, 7000, NOON + 20 * DAY)
    )
    clock.moment = wall(TEHRAN, 2026, 5, 21, 23, 59)
    assert await until_done(periodic.expire_points, pool) == 0
    clock.moment = wall(TEHRAN, 2026, 5, 22)
    assert await until_done(periodic.expire_points, pool) == 1
    assert (await books.ending(pool)).balance == 7


async def test_points_lapse_by_the_calendar_that_the_cafe_has_now(pool, clock) -> None:
    async with db.transaction(pool) as conn:
        await publish_program(conn, CAFE, MANAGER, PublishProgram(rules=rules_of(expiry=MONTH)), KEYS)
    await books.take_in(pool, recorded(1, 100_000))
    async with db.transaction(pool) as conn:
        await on_cafe_changed(conn, [cafe_changed(version=2, calendar="gregorian")])
    await books.take_in(pool, recorded(2, 50_000, NOON + DAY))
    clock.moment = NOON + 2 * DAY
    await until_done(periodic.recount, pool)
    ends = await pool.fetch("SELECT DISTINCT expires_at FROM point_lots")
    assert [row["expires_at"] for row in ends] == [wall(TEHRAN, 2026, 6, 1)]


# --- falling

GOLD = a_visit(1, NOON, 1_600_000)
PERIOD = date(2028, 3, 20)
"""1 Farvardin 1407: gold of 1405 held in 1406."""


def softly(**terms) -> Plan:
    program = programs.program(1, programs.EVER, rules_of(**terms))
    return Plan(TEHRAN, "jalali", (program,))


def stand(plan: Plan, *visits) -> Standing:
    return tiers.fold(plan, tiers.NOBODY, sorted(visits, key=tiers.order_of))[0]


def at(day: date) -> datetime:
    return wall(TEHRAN, day.year, day.month, day.day, 12)


@pytest.mark.parametrize(
    ("terms", "falls"),
    [
        ({}, [("bronze", PERIOD, None)]),
        ({"tier_grace_days": 10}, [("bronze", PERIOD + 10 * DAY, None)]),
        (
            {"downgrade": "one_step"},
            [("silver", PERIOD, date(2029, 3, 19)), ("bronze", date(2029, 3, 20), None)],
        ),
        (
            {"downgrade": "one_step", "tier_grace_days": 10},
            [("silver", PERIOD + 10 * DAY, date(2029, 3, 29)), ("bronze", date(2029, 3, 30), None)],
        ),
        ({"tier_grace_days": 90}, [("bronze", PERIOD + 90 * DAY, None)]),
    ],
)
def test_guest_who_stays_away_falls_as_the_program_says(terms, falls) -> None:
    plan = softly(**terms)
    standing = stand(plan, GOLD)
    expected = [("gold", date(2026, 5, 10), falls[0][1] - DAY), *falls]
    for place, (tier, since, until) in enumerate(expected):
        found = tiers.rank(plan, standing, at(since))
        assert (found.tier, found.since, found.until) == (tier, since, until)
        end = until or since + 3000 * DAY
        assert tiers.rank(plan, standing, at(end)).tier == tier
        if until:
            assert tiers.rank(plan, standing, at(until + DAY)).tier == expected[place + 1][0]


def test_bill_in_the_days_of_grace_earns_by_the_tier_that_is_kept() -> None:
    plan = softly(tier_grace_days=10)
    visits = [GOLD, a_visit(2, at(PERIOD + 9 * DAY), 10_000), a_visit(3, at(PERIOD + 10 * DAY), 10_000)]
    _, earnings = tiers.fold(plan, tiers.NOBODY, visits)
    assert [earnings[each.visit_id].points for each in visits] == [1600, 15, 10]


def test_guest_who_earns_the_tier_again_keeps_it_by_points() -> None:
    plan = softly(tier_grace_days=10, downgrade="one_step")
    standing = stand(plan, GOLD, a_visit(2, at(PERIOD + 3 * DAY), 1_100_000))
    found = tiers.rank(plan, standing, at(PERIOD + 20 * DAY))
    assert (found.tier, found.since, found.until) == ("gold", date(2026, 5, 10), date(2030, 3, 30))


def test_points_that_reach_more_than_what_is_kept_count() -> None:
    plan = softly(downgrade="one_step")
    standing = stand(plan, GOLD, a_visit(2, at(PERIOD + 3 * DAY), 2_000_000))
    assert standing.kept == "silver"
    assert tiers.rank(plan, standing, at(PERIOD + 4 * DAY)).tier == "gold"


def test_one_step_is_one_of_the_program_s_own() -> None:
    ladder = [TierRule(tier="bronze", threshold=0, multiplier=1), TierRule(tier="gold", threshold=500, multiplier=2)]
    plan = softly(downgrade="one_step", tiers=ladder)
    assert tiers.rank(plan, stand(plan, GOLD), at(PERIOD)).tier == "bronze"


def test_period_s_end_promises_by_the_program_of_that_day() -> None:
    hard, soft = rules_of(), rules_of(tier_grace_days=10)
    before, inside = at(PERIOD - DAY), at(PERIOD + 3 * DAY)
    for then, later, tier in ((hard, soft, "bronze"), (soft, hard, "gold")):
        plan = replace(plan_of(), programs=tuple(
            programs.program(number, since, rules)
            for number, (since, rules) in enumerate([(programs.EVER, then), (before, then), (inside, later)], 1)
        ))  # fmt: skip
        assert tiers.rank(plan, stand(plan, GOLD), at(PERIOD + 4 * DAY)).tier == tier
        assert tiers.rank(plan, stand(plan, GOLD), at(PERIOD + 10 * DAY)).tier == "bronze"


HISTORIES = st.lists(
    st.tuples(st.integers(0, 6 * 365).map(lambda days: NOON + days * DAY), st.integers(0, 2_500_000)), max_size=12
)
TERMS = st.fixed_dictionaries(
    {"tier_grace_days": st.sampled_from([0, 1, 30, 90]), "downgrade": st.sampled_from(["by_points", "one_step"])}
)


@given(history=HISTORIES, terms=TERMS, days=st.integers(0, 4000))
def test_tier_holds_to_its_last_day_and_changes_on_the_next(history, terms, days) -> None:
    plan = softly(**terms)
    standing = stand(plan, *(a_visit(number, *each) for number, each in enumerate(history)))
    moment = NOON + 6 * 365 * DAY + days * DAY
    found = tiers.rank(plan, standing, moment)
    if found.until is None:
        assert tiers.rank(plan, standing, moment + 4000 * DAY).tier == found.tier == "bronze"
    else:
        assert tiers.rank(plan, standing, at(found.until)).tier == found.tier
        assert tiers.rank(plan, standing, at(found.until + DAY)).tier != found.tier


@given(history=HISTORIES, terms=TERMS, data=st.data())
def test_fold_may_stop_and_be_looked_at_anywhere(history, terms, data) -> None:
    plan = softly(**terms)
    visits = sorted((a_visit(number, *each) for number, each in enumerate(history)), key=tiers.order_of)
    whole, earnings = tiers.fold(plan, tiers.NOBODY, visits)
    standing, pieces = tiers.NOBODY, {}
    for visit in visits:
        if data.draw(st.booleans()):
            standing = tiers.as_of(plan, standing, visit.occurred_at)
        standing, more = tiers.fold(plan, standing, [visit])
        pieces |= more
    assert (standing, pieces) == (whole, earnings)


@given(history=HISTORIES, days=st.integers(0, 4000))
def test_plain_program_falls_as_the_points_say(history, days) -> None:
    plan = softly()
    standing = stand(plan, *(a_visit(number, *each) for number, each in enumerate(history)))
    found = tiers.rank(plan, standing, NOON + days * DAY)
    carried, program = tiers.as_of(plan, standing, NOON + days * DAY), plan.programs[0]
    assert (carried.kept, carried.kept_until) == (None, None)
    own, before = (falling.step_for(program, each) for each in (carried.period_points, carried.previous_points))
    assert found.tier == max(own, before, key=lambda step: step.threshold).tier
    if found.tier != "bronze":
        next_year = year_of(carried.period_ends + DAY, "jalali")[1]
        assert found.until == (next_year if own.tier == found.tier else carried.period_ends)


def test_any_order_of_arrival_makes_the_same_standing() -> None:
    plan = softly(tier_grace_days=20, downgrade="one_step", expiry=MONTH)
    story = [
        recorded(1, 1_600_000),
        recorded(2, 700_000, at(PERIOD + 5 * DAY)),
        recorded(3, 40_000, at(PERIOD + 400 * DAY)),
        recorded(4, 90_000, at(PERIOD + 19 * DAY)),
        recorded(5, 2_000_000, at(PERIOD + 30 * DAY)),
    ]
    later = [corrected(2, 20_000, at(PERIOD + 6 * DAY)), voided(5, at=at(PERIOD + 30 * DAY))]
    endings = set()
    random = Random(7)
    for order in permutations(story):
        memory = books.Memory(plan, at(PERIOD + 500 * DAY))
        events = [*order, *later]
        size = random.choice([1, 2, 7])
        for start in range(0, len(events), size):
            memory.take_in(events[start : start + size])
        lots = tuple(sorted((str(each.lot_id), each.remaining, each.expires_at) for each in memory.lots.values()))
        endings.add((memory.account.standing, memory.account.rank, memory.account.balance, lots))
    assert len(endings) == 1


async def test_tier_that_is_kept_is_written_and_ends_with_its_last_day(pool, clock) -> None:
    async with db.transaction(pool) as conn:
        rules = rules_of(tier_grace_days=10, downgrade="one_step")
        await publish_program(conn, CAFE, MANAGER, PublishProgram(rules=rules), KEYS)
    await books.take_in(pool, recorded(1, 1_600_000))
    clock.moment = at(PERIOD + 2 * DAY)
    await books.take_in(pool, recorded(2, 10_000, clock.moment))
    row = await pool.fetchrow(
        "SELECT tier_level::text, tier_expires_date, kept_tier::text, kept_until FROM customer_loyalty"
    )
    assert tuple(row) == ("gold", PERIOD + 9 * DAY, "gold", PERIOD + 9 * DAY)
    clock.moment = at(PERIOD + 10 * DAY)
    assert await until_done(periodic.end_tiers, pool) == 1
    row = await pool.fetchrow("SELECT tier_level::text, tier_start_date, tier_expires_date FROM customer_loyalty")
    assert tuple(row) == ("silver", PERIOD + 10 * DAY, date(2029, 3, 29))
    await books.ending(pool)

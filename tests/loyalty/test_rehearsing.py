"""Rules tried on everything that happened: they find what the books say, and what other rules would have made of it."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from uuid import UUID, uuid4

import msgspec
import pytest
from msgspec.structs import replace

from services.loyalty.handlers import periodic
from services.loyalty.handlers.cafes import on_cafe_changed
from services.loyalty.models.programs import ProgramRules
from services.loyalty.models.rehearsals import RehearsalReport
from services.loyalty.rules import programs as program_rules
from services.loyalty.store import programs
from shared.database import db
from shared.events.visit import VisitEvent
from tests.loyalty import books, schemes
from tests.loyalty.conftest import Clock
from tests.loyalty.examples import (
    CAFE,
    GUEST,
    NOON,
    OTHER_CAFE,
    cafe_changed,
    corrected,
    guest_number,
    recorded,
    voided,
)
from tests.loyalty.generated import live
from tests.loyalty.rehearsing import DAY, DEFAULT, found, outcomes, rules_of, wanted


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_rules_in_force_find_what_the_books_say(pool: db.Pool, clock: Clock, seed: int) -> None:
    """Bills late, corrected, voided, paid with points, points by hand and lapsed, four versions of rules."""
    await live(pool, clock, seed, 120)
    made = await found(pool, wanted(rules_of(earn_per_toman=2000), clock.moment))
    check = made.report.check
    assert check.visits == await pool.fetchval("SELECT count(*) FROM visit_earnings")
    assert (check.visits_differing, check.differing_visits) == (0, ())
    assert (check.redemptions_differing, check.differing_redemptions) == (0, ())
    assert check.holds
    assert made.report.points_before == await pool.fetchval("SELECT sum(points) FROM visit_earnings")
    assert made.report.guests == len(outcomes(made)) == await pool.fetchval("SELECT count(*) FROM customer_loyalty")


async def test_check_says_how_many_and_which_differ(pool: db.Pool, clock: Clock) -> None:
    await books.take_in(pool, recorded(1, 90_000), recorded(2, 40_000, NOON + DAY))
    await pool.execute("UPDATE visit_earnings SET points = 7 WHERE receipt_number = '00002'")
    check = (await found(pool, wanted(DEFAULT, NOON + 2 * DAY))).report.check
    assert (check.holds, check.visits, check.visits_differing) == (False, 2, 1)
    assert [(each.kept, each.counted) for each in check.differing_visits] == [(7, 40)]


def some_events(random: Random, count: int, asked: int = 0) -> list[VisitEvent]:
    """Bills of a dozen guests, some late, corrected or voided. Each guest's first is large; later ones ask for
    points."""
    events: list[VisitEvent] = []
    for number in range(count):
        guest, is_first = guest_number(number % 12), number < 12
        at = NOON + (timedelta(hours=number) if is_first else random.randrange(1, 200) * DAY)
        toman = 900_000 if is_first else random.choice((0, 30_000, 180_000, 700_000))
        facts = schemes.facts_of(random)
        points = asked if not is_first and random.random() < 0.3 else 0
        events.append(recorded(number, toman, at, guest=guest, points_to_redeem=points, **facts))
        if not is_first and random.random() < 0.2:
            events.append(corrected(number, toman + 50_000, at + DAY, guest=guest, points_to_redeem=points, **facts))
        if not is_first and not points and random.random() < 0.1:
            events.append(voided(number, at=at, guest=guest))
    return [*events[:12], *random.sample(events[12:], len(events) - 12)]


async def take_all(pool: db.Pool, events: Sequence[VisitEvent], cafe_id: UUID) -> None:
    moved = [replace(event, cafe_id=cafe_id) for event in events]
    for start in range(0, len(moved), 10):
        await books.take_in(pool, *moved[start : start + 10])
    while await periodic.expire_points(pool):
        pass


async def books_of(pool: db.Pool, cafe_id: UUID) -> dict[UUID, tuple[int, int, str]]:
    rows = await pool.fetch(
        """
        SELECT customer_id, current_points, tier_level::text, coalesce((
            SELECT sum(points) FROM visit_earnings AS e
            WHERE e.cafe_id = a.cafe_id AND e.customer_id = a.customer_id
        ), 0)::bigint AS earned
        FROM customer_loyalty AS a WHERE cafe_id = $1
        """,
        cafe_id,
    )
    return {row["customer_id"]: (row["earned"], row["current_points"], row["tier_level"]) for row in rows}


@pytest.mark.parametrize(
    ("draft", "asked"),
    [
        (schemes.rules_of(points_expire_days=90), 0),
        (schemes.rules_of(points_expire_days=None, caps={}), 0),
        (rules_of(earn_per_toman=400, points_expire_days=120), 30),
        (rules_of(earn_per_toman=700), 60),
    ],
)
@pytest.mark.parametrize("seed", [1, 2])
async def test_draft_finds_the_books_of_a_cafe_that_had_it_from_the_start(
    pool: db.Pool, clock: Clock, draft: ProgramRules, asked: int, seed: int
) -> None:
    """The same life in two cafes: in one under default rules with the draft rehearsed, in the other under the draft."""
    clock.moment = NOON + 300 * DAY
    events = some_events(Random(seed), 120, asked)
    async with db.transaction(pool) as conn:
        rules, codes = draft.model_dump(mode="json"), schemes.codes_of(draft)
        await programs.publish(conn, OTHER_CAFE, 1, program_rules.EVER, rules, uuid4(), codes)
        await on_cafe_changed(conn, [cafe_changed(OTHER_CAFE)])
    await take_all(pool, events, CAFE)
    await take_all(pool, events, OTHER_CAFE)
    assert not await pool.fetchval("SELECT count(*) FROM redemptions WHERE state = 'refused'")
    made = await found(pool, wanted(draft, clock.moment))
    assert made.report.check.holds
    assert await books_of(pool, OTHER_CAFE) == {
        key: (each.points_after, each.balance_after, each.tier_after) for key, each in outcomes(made).items()
    }
    assert await books_of(pool, CAFE) == {
        key: (each.points_before, each.balance_before, each.tier_before) for key, each in outcomes(made).items()
    }
    assert (made.report.redemptions > 0) == (asked > 0)


async def test_rules_in_force_against_themselves_change_nothing(pool: db.Pool, clock: Clock) -> None:
    await live(pool, clock, 4, 120)
    latest = await pool.fetchval(
        "SELECT rules || earning FROM programs WHERE cafe_id = $1 ORDER BY version DESC LIMIT 1", CAFE
    )
    draft = ProgramRules.model_validate(latest)
    made = (await found(pool, wanted(draft, clock.moment, "from_date", clock.moment))).report
    assert (made.winning, made.losing, made.moves, made.uncovered) == (0, 0, (), 0)
    assert made.points_before == made.points_after
    assert made.liability_before == made.liability_after
    assert all(each.before == each.after for each in made.months + made.lapses + made.ladder)


async def test_from_a_date_on_earlier_bills_stay_and_later_ones_count_by_the_draft(pool: db.Pool, clock: Clock) -> None:
    bills = [recorded(number, 100_000, NOON + number * DAY) for number in range(4)]
    await books.take_in(pool, *bills)
    made = await found(pool, wanted(rules_of(earn_per_toman=500), NOON + 9 * DAY, "from_date", NOON + 2 * DAY))
    (guest,) = outcomes(made).values()
    assert (guest.points_before, guest.points_after) == (400, 2 * 100 + 2 * 200)


async def test_tiers_move_on_the_day_from_which_the_draft_counts(pool: db.Pool, clock: Clock) -> None:
    await books.take_in(pool, recorded(1, 600_000), recorded(2, 300_000, guest=guest_number(2)))
    tiers = [{"tier": "bronze", "threshold": 0, "multiplier": "1"}, {"tier": "gold", "threshold": 600, "multiplier": 2}]
    moment, since = NOON + DAY, NOON + 30 * DAY
    made = (await found(pool, wanted(rules_of(tiers=tiers), moment, "from_date", since))).report
    assert (made.at, made.ladder_at) == (moment, since)
    assert [(each.origin, each.target, each.guests) for each in made.moves] == [("silver", "gold", 1)]
    assert [(each.tier, each.before, each.after) for each in made.ladder] == [
        ("bronze", 1, 1), ("silver", 1, 0), ("gold", 0, 1), ("platinum", 0, 0),
    ]  # fmt: skip
    assert made.points_before == made.points_after == 900


async def test_report_adds_up(pool: db.Pool, clock: Clock) -> None:
    await live(pool, clock, 5, 150)
    draft = schemes.rules_of(tier_period="gregorian_year", points_expire_days=400, toman_per_point=50)
    made = await found(pool, wanted(draft, clock.moment))
    report, guests = made.report, outcomes(made).values()
    for side in ("before", "after"):
        issued = sum(getattr(each, side) for each in report.months)
        assert issued == getattr(report, f"points_{side}") == sum(getattr(each, f"points_{side}") for each in guests)
        assert sum(getattr(each, side) for each in report.lapses) == getattr(report, f"liability_{side}")
        assert sum(getattr(each, side) for each in report.ladder) == report.guests
    assert sum(each.guests for each in report.groups) == report.guests
    assert report.winning == sum(each.change > 0 for each in guests)
    assert report.losing == sum(each.change < 0 for each in guests)
    assert [each.change for each in report.winners] == sorted((g.change for g in guests if g.change > 0), reverse=True)
    assert [each.change for each in report.losers] == sorted(g.change for g in guests if g.change < 0)
    assert {each.rule for each in report.months} >= {"base", "visit", "beans"}
    assert (report.toman_per_point_before, report.toman_per_point_after) == (None, 50)
    assert msgspec.json.decode(msgspec.json.encode(report), type=RehearsalReport) == report


async def test_redemptions_that_the_draft_would_not_have_covered(pool: db.Pool, clock: Clock) -> None:
    await books.take_in(pool, recorded(1, 100_000), recorded(2, 10_000, NOON + DAY, points_to_redeem=80))
    other = [
        recorded(3, 500_000, guest=guest_number(3)),
        recorded(4, 0, NOON + DAY, guest=guest_number(3), points_to_redeem=80),
    ]
    await books.take_in(pool, *other)
    made = await found(pool, wanted(rules_of(earn_per_toman=2000), NOON + 9 * DAY))
    assert (made.report.redemptions, made.report.uncovered, made.report.uncovered_points) == (2, 1, 80)
    (one,) = made.report.uncovered_first
    assert (one.customer_id, one.points, one.had, one.at) == (GUEST, 80, 50, NOON + DAY)
    # What was not covered was not spent either.
    assert outcomes(made)[GUEST].balance_after == 55


async def test_points_that_would_still_have_waited_cover_nothing(pool: db.Pool, clock: Clock) -> None:
    hour = timedelta(hours=1)
    await books.take_in(pool, recorded(1, 200_000), recorded(2, 10_000, NOON + hour, points_to_redeem=80))
    await books.take_in(pool, recorded(3, 10_000, NOON + 2 * DAY, points_to_redeem=50))
    made = await found(pool, wanted(rules_of(pending={"hours": 24, "above_points": 100}), NOON + 9 * DAY))
    (one,) = made.report.uncovered_first
    assert (one.points, one.had, one.at) == (80, 0, NOON + hour)
    assert (outcomes(made)[GUEST].balance_before, outcomes(made)[GUEST].balance_after) == (90, 170)


async def test_cards_that_the_draft_completes_are_counted(pool: db.Pool, clock: Clock) -> None:
    coffee = schemes.line(20_000, quantity=2, category="دانه قهوه")
    await books.take_in(pool, *(recorded(number, 20_000, NOON + number * DAY, items=[coffee]) for number in range(4)))
    draft = rules_of(
        cards=[{"key": "coffee", "name": "قهوه", "need": 3, "match": {"categories": ["دانه قهوه"]}, "reward": "یکی"}]
    )
    made = (await found(pool, wanted(draft, NOON + 9 * DAY))).report
    assert (made.cards_before, made.cards_after) == (0, 2)


async def test_points_lapse_by_the_draft_and_not_by_the_books(pool: db.Pool, clock: Clock) -> None:
    await books.take_in(pool, recorded(1, 100_000), recorded(2, 50_000, NOON + 40 * DAY))
    made = (await found(pool, wanted(rules_of(points_expire_days=60), NOON + 70 * DAY))).report
    assert (made.lapsed_before, made.lapsed_after) == (0, 100)
    assert (made.liability_before, made.liability_after) == (150, 50)
    never, month = (each for each in sorted(made.lapses, key=lambda each: each.month is not None))
    assert (never.month, never.before, never.after) == (None, 150, 0)
    assert (month.before, month.after) == (0, 50)

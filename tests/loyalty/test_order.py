"""The end state is the same whatever arrives when, in batches of any size, and however often."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.loyalty.models.programs import ProgramRules
from shared.events.visit import VisitEvent
from tests.loyalty import books
from tests.loyalty.books import Ending, Memory
from tests.loyalty.examples import (
    Bill,
    bills_of,
    corrected,
    guest_number,
    naive_points,
    naive_tier,
    plan_of,
    recorded,
    visit_number,
    voided,
    year_number,
)

START = datetime(2024, 2, 1, tzinfo=UTC)
END = START + timedelta(days=3 * 365)
MOMENTS = st.integers(0, 3 * 365 * 24).map(lambda hours: START + timedelta(hours=hours))
AMOUNTS = st.decimals(0, 900_000, places=2)
NUMBERS = itertools.count()
PLAN = plan_of((START + timedelta(days=400), ProgramRules(earn_per_toman=500, tier_period="jalali_year")))


@st.composite
def stories(draw, most: int = 12) -> list[list[VisitEvent]]:
    """Visits of one guest, each with its own events in order: recorded, corrected some times, perhaps voided."""
    found = []
    for number in range(draw(st.integers(1, most))):
        at = draw(MOMENTS)
        story: list[VisitEvent] = [
            recorded(number, draw(AMOUNTS), at, currency_unit=draw(st.sampled_from(["IRT", "IRR"])))
        ]
        for times in range(draw(st.integers(0, 2))):
            moved = draw(st.booleans())
            fixed = corrected(
                number, draw(AMOUNTS), draw(MOMENTS) if moved else at, corrected_at=END + timedelta(hours=times)
            )
            story.append(fixed)
        if draw(st.integers(0, 4)) == 0:
            story.append(voided(number, at=at))
        found.append(story)
    return found


@st.composite
def arrivals(draw, kept: Sequence[Sequence[VisitEvent]]) -> list[list[VisitEvent]]:
    """The events in any order that keeps each visit's own, some of them twice, cut into batches."""
    random = Random(draw(st.integers(0, 2**32)))
    waiting = [list(story) for story in kept]
    order: list[VisitEvent] = []
    while any(waiting):
        story = random.choice([each for each in waiting if each])
        order.append(story.pop(0))
        if random.random() < 0.2:
            order.append(random.choice(order))
    batches, place = [], 0
    while place < len(order):
        size = random.choice([1, 2, 5, len(order)])
        batches.append(order[place : place + size])
        place += size
    return batches


def in_memory(batches: Sequence[Sequence[VisitEvent]], plan=PLAN) -> Ending:
    memory = Memory(plan, END)
    for batch in batches:
        memory.take_in(batch)
    return memory.ending()


def comparable(ending: Ending) -> Ending:
    """Without the day on which the account of a guest with no visit left began."""
    has_visits = ending.standing.total_visits > 0
    return ending if has_visits else replace(ending, rank=msgspec.structs.replace(ending.rank, since=None))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_end_state_does_not_depend_on_the_order_of_arrival(data) -> None:
    kept = data.draw(stories())
    sorted_batches = [[event] for story in kept for event in story]
    expected = in_memory(sorted_batches)
    assert in_memory(data.draw(arrivals(kept))) == expected


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_end_state_is_that_of_the_published_rule(data) -> None:
    kept = data.draw(stories())
    ending = in_memory(data.draw(arrivals(kept)), plan_of())
    bills = bills_of([event for story in kept for event in story])
    expected = naive_points(bills)
    assert {key: counted.points for key, counted in ending.visits.items() if counted.earning} == {
        visit_number(bill.number): expected[bill.number] for bill in bills
    }
    assert_books(ending, bills, expected)


def assert_books(ending: Ending, bills: list[Bill], points: dict[int, int]) -> None:
    year = year_number(END, "jalali")
    own, before = (
        sum(points[b.number] for b in bills if year_number(b.at, "jalali") == each) for each in (year, year - 1)
    )
    assert ending.rank.tier == naive_tier(max(own, before))
    assert ending.standing.total_visits == len(bills)
    toman = sum(
        (b.amount if b.unit == "IRT" else b.amount / 10).quantize(Decimal("0.01"), "ROUND_HALF_UP") for b in bills
    )
    assert ending.standing.lifetime_spent == toman * 100


def test_late_visit_changes_the_multiplier_of_the_visits_after_it() -> None:
    day = timedelta(days=1)
    memory = Memory(plan_of(), END)
    memory.take_in([recorded(2, 100_000, START + day)])
    assert memory.account.balance == 100
    memory.take_in([recorded(1, 500_000, START)])
    assert memory.account.balance == 620
    assert [(entry.draft.type, entry.draft.change) for entry in memory.entries[1:]] == [
        ("earned_purchase", 500),
        ("adjustment_add", 20),
    ]
    assert memory.anew == 1


def test_visits_in_order_are_never_counted_anew() -> None:
    memory = Memory(PLAN, END)
    for number in range(40):
        memory.take_in([recorded(number, 70_000, START + timedelta(days=20 * number))])
    assert memory.anew == 0
    assert memory.ending() == in_memory([[recorded(n, 70_000, START + timedelta(days=20 * n)) for n in range(40)]])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_database_agrees_with_memory_whatever_arrives_when(pool, clock, data) -> None:
    clock.moment = END
    # New guests each time, because a failing example is run again on the same database.
    guests = [guest_number(next(NUMBERS)), guest_number(next(NUMBERS))]
    kept = data.draw(stories(most=8))
    of_first = [[msgspec.structs.replace(event, customer_id=guests[0]) for event in story] for story in kept]
    of_second = [[msgspec.structs.replace(event, customer_id=guests[1]) for event in story] for story in kept]
    for batch in data.draw(arrivals(of_first + of_second)):
        await books.take_in(pool, *batch)
    expected = in_memory([[event] for story in kept for event in story], plan_of())
    for guest in guests:
        ending = await books.ending(pool, guest)
        assert comparable(ending) == comparable(expected)

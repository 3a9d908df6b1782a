"""Why a guest has these points: the same rules, counted again, give what the ledger says."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from random import Random
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from services.loyalty.api.app import make_app
from services.loyalty.handlers import explaining
from services.loyalty.models.explaining import Totals
from services.loyalty.rules import explaining as rules
from services.loyalty.rules.explaining import Booked
from shared.database.db import Pool, transaction
from shared.events.identity import AccessGranted
from shared.inputs.explaining import ALWAYS, MOST_EXPLAINED, NEVER, ExplainedStep, Explanation, next_before
from shared.security import access
from shared.security.auth import Staff
from shared.web.dependencies import current_staff
from tests.loyalty import books, generated
from tests.loyalty.books import Memory
from tests.loyalty.conftest import Clock
from tests.loyalty.examples import CAFE, GUEST, NOON, corrected, recorded, visit_number, voided
from tests.loyalty.test_order import END, PLAN, arrivals, stories

HELPER, MANAGER = uuid4(), uuid4()
DAY = timedelta(days=1)


def booked_of(memory: Memory) -> Booked:
    ledger = Counter[UUID]()
    for entry in memory.entries:
        assert entry.draft.visit_id is not None
        ledger[entry.draft.visit_id] += entry.draft.change
    totals = Totals(balance=sum(ledger.values()))
    return Booked(
        cafe_id=CAFE, customer_id=GUEST, plan=memory.plan, history=memory.visits, redemptions={}, facts=(),
        ledger=ledger, totals=totals,
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_rules_counted_again_give_what_the_ledger_says(data) -> None:
    memory = Memory(PLAN, END)
    for batch in data.draw(arrivals(data.draw(stories()))):
        memory.take_in(batch)
    booked = booked_of(memory)
    again = rules.recount(booked, set(memory.visits))
    assert rules.balance_step(booked, again, END).outcome == "agrees"
    for visit_id, counted in memory.visits.items():
        points, *tier = rules.bill_steps(booked, again, visit_id, "IRT")
        assert points.outcome != "differs"
        assert points.values["points"] == counted.points == booked.ledger[visit_id]
        assert bool(tier) == (counted.earning is not None)
        if counted.earning is not None:
            traced = again.traced[visit_id]
            step = next(each for each in traced.program.steps if each.tier == traced.rank_before.tier)
            assert step.multiplier == counted.earning.multiplier


@pytest.mark.parametrize("seed", [1, 2])
async def test_explained_sum_is_the_ledger_in_a_life_with_everything(pool: Pool, clock: Clock, seed: int) -> None:
    visits = 500
    await generated.live(pool, clock, seed, visits)
    outcomes, rows = Counter[str](), 0
    async with transaction(pool) as conn:
        for guest in generated.guests_of(visits):
            found = await explaining.explain_guest(conn, CAFE, guest, ALWAYS, NEVER)
            steps = [*found.steps]
            while found.next_before:
                found = await explaining.explain_guest(conn, CAFE, guest, ALWAYS, found.next_before)
                steps += found.steps
            balance = await conn.fetchval(
                "SELECT coalesce(sum(points_change), 0) FROM loyalty_transactions WHERE customer_id = $1", guest
            )
            outcomes.update(f"{step.what} {step.outcome}" for step in steps)
            rows += sum(step.what == "points" for step in steps)
            assert told_of(steps) == balance
    assert outcomes["points differs"] == outcomes["balance differs"] == 0
    assert rows == visits
    expected = {"points voided", "points nothing", "redemption completed", "redemption refused", "tier up",
                "by_hand given", "by_hand taken", "by_hand lapsed"}  # fmt: skip
    assert expected <= outcomes.keys()


def told_of(steps: list[ExplainedStep]) -> int:
    """What a reader adds up to: bills, points by hand, less what was spent."""
    total = 0
    for step in steps:
        points = step.values.get("points") or 0
        assert isinstance(points, int)
        if step.what in ("points", "by_hand"):
            total += points
        elif step.what == "redemption" and step.outcome == "completed":
            total -= points
    return total


async def test_step_names_the_rule_and_what_was_in_the_way(pool: Pool) -> None:
    await books.take_in(pool, recorded(1, 499_000), recorded(2, 300, NOON + DAY), recorded(3, 2_000, NOON + 2 * DAY))
    async with transaction(pool) as conn:
        first, small, third = [
            await explaining.explain_visit(conn, CAFE, visit_number(number), GUEST) for number in (1, 2, 3)
        ]
    points = of(first, "points")
    assert (points.outcome, points.rule, points.values["points"]) == ("earned", "program", 499)
    assert points.values["program_version"] == 1
    assert points.amounts == {"earn_per": 1000, "bill": 499_000}
    tier = of(first, "tier")
    assert (tier.outcome, tier.values["tier"], tier.values["to_next"]) == ("kept", "bronze", 1)
    assert tier.not_because == ["tier_step"]
    nothing = of(small, "points")
    assert (nothing.outcome, nothing.not_because) == ("nothing", ["amount_earns", "tier_step"])
    assert (of(third, "tier").outcome, of(third, "tier").values["tier"]) == ("up", "silver")


async def test_refused_points_say_how_many_the_guest_had(pool: Pool) -> None:
    await books.take_in(pool, recorded(1, 100_000), recorded(2, 50_000, NOON + DAY, points_to_redeem=300))
    async with transaction(pool) as conn:
        found = await explaining.explain_visit(conn, CAFE, visit_number(2), GUEST)
    refused = of(found, "redemption")
    assert (refused.outcome, refused.rule, refused.because) == ("refused", "insufficient_points", [visit_number(2)])
    (condition,) = refused.conditions
    assert (condition.held, condition.values) == (False, {"had": 100, "points": 300})


async def test_books_that_were_changed_by_hand_are_told(pool: Pool) -> None:
    await books.take_in(pool, recorded(1, 100_000), corrected(1, 40_000))
    await pool.execute("UPDATE visit_earnings SET final_amount = 90000")
    async with transaction(pool) as conn:
        found = await explaining.explain_guest(conn, CAFE, GUEST, ALWAYS, NEVER)
    assert of(found, "points").outcome == of(found, "balance").outcome == "differs"
    assert of(found, "balance").values["expected"] == 90
    assert of(found, "balance").values["ledger"] == 40


async def test_bills_come_fifty_at_a_time_and_none_twice(pool: Pool) -> None:
    await books.take_in(pool, *(recorded(number, 5_000, NOON + number * DAY / 2) for number in range(120)))
    told: list[UUID] = []
    before = NEVER
    async with transaction(pool) as conn:
        while True:
            found = await explaining.explain_guest(conn, CAFE, GUEST, NOON + 5 * DAY, before)
            told += [step.id for step in found.steps if step.what == "points"]
            assert sum(step.what == "points" for step in found.steps) <= MOST_EXPLAINED
            if found.next_before is None:
                break
            before = found.next_before
    assert told == [visit_number(number) for number in range(119, 9, -1)]


def test_those_of_one_moment_stay_together() -> None:
    random = Random(5)
    moments = sorted((NOON + random.randrange(9) * DAY for _ in range(60)), reverse=True)
    kept, before = list[int](), NEVER
    while True:
        rest = [each for each in moments if each < before]
        cut = next_before(rest[:21], 20)
        kept.append(sum(each >= cut for each in rest) if cut else len(rest))
        if cut is None:
            break
        before = cut
    assert sum(kept) == 60
    assert max(kept) <= 20


async def test_unknown_bill_and_bill_of_nobody(pool: Pool) -> None:
    async with transaction(pool) as conn:
        unknown = await explaining.explain_visit(conn, CAFE, visit_number(9), GUEST)
        nobodys = await explaining.explain_visit(conn, CAFE, visit_number(9), None)
    assert [step.outcome for step in unknown.steps] == ["not_heard"]
    assert nobodys.steps == []


@pytest.fixture
async def app(pool: Pool) -> AsyncIterator[FastAPI]:
    granted = [
        AccessGranted(cafe_id=CAFE, user_id=user, role=role, version=1, occurred_at=NOON)  # type: ignore[arg-type]
        for user, role in ((HELPER, "staff"), (MANAGER, "manager"))
    ]
    async with transaction(pool) as conn:
        await access.on_access_granted(conn, granted)
    await books.take_in(pool, recorded(1, 100_000), voided(2))
    app = make_app()
    async with app.router.lifespan_context(app):
        yield app


async def test_amounts_are_for_managers(app: FastAPI) -> None:
    for user, sees in ((HELPER, False), (MANAGER, True)):
        app.dependency_overrides[current_staff] = lambda user=user: Staff(user)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://crm.test") as client:
            guest = (await client.get(f"/cafes/{CAFE}/explain/guests/{GUEST}")).json()
            visit = (await client.get(f"/cafes/{CAFE}/explain/visits/{visit_number(1)}?customer_id={GUEST}")).json()
        for told in (guest, visit):
            (step,) = [
                each for each in told["steps"] if each["what"] == "points" and each["id"] == str(visit_number(1))
            ]
            assert (step["amounts"] == {"earn_per": "1000", "bill": "100000"}) == sees
            assert all((each["amounts"] is not None) == sees for each in step["conditions"])
            assert step["values"]["points"] == 100


def of(found: Explanation, what: str) -> ExplainedStep:
    (step,) = [each for each in found.steps if each.what == what]
    return step

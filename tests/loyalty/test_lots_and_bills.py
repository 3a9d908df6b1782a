"""Lots that shrink and are refilled, and which points bills may spend, case by case and without a database."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from services.loyalty.models.accounts import Counted, Earning, Fact, Lot, Redemption, Standing, TierStep
from services.loyalty.models.http import ProgramRules
from services.loyalty.rules import lots, programs, redeeming, tiers
from services.loyalty.rules.earning import earn
from shared.errors import Rejected
from shared.inputs.bounds import MOST_POINTS, MOST_TOMAN
from tests.loyalty.examples import CAFE, GUEST, NOON, a_visit, plan_of, visit_number

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
DEBT = GUEST
ONE, TWO, THREE, OVER = (visit_number(number) for number in range(1, 5))
OTHER_GUEST, CLERK = UUID(int=1), UUID(int=2)


def lot(lot_id: UUID, points: int, remaining: int, days: int | None = None, earned_at: datetime = NOON) -> Lot:
    return Lot(lot_id, points, remaining, earned_at, None if days is None else NOON + days * DAY)


def debt(remaining: int) -> Lot:
    return Lot(DEBT, 0, remaining, NOON)


def purse(*each: Lot) -> dict[UUID, Lot]:
    return {one.lot_id: one for one in each}


# --- lots


@pytest.mark.parametrize(
    ("before", "points", "after"),
    [
        ([lot(ONE, 100, 100, 9)], 30, [lot(ONE, 70, 70, 9)]),
        # What is left of it is less than what is taken back: others pay, and its size is what is left.
        ([lot(ONE, 100, 20, 9), lot(TWO, 50, 50, 3)], 30, [lot(ONE, 70, 0, 9), lot(TWO, 50, 40, 3)]),
        ([lot(ONE, 100, 20, 9)], 30, [lot(ONE, 70, 0, 9), debt(-10)]),
        ([lot(ONE, 100, 100, 9)], 100, [lot(ONE, 0, 0, 9)]),
        # More than it ever held: it is empty, and never less.
        ([lot(ONE, 10, 10, 9), lot(TWO, 50, 50, 3)], 30, [lot(ONE, 0, 0, 9), lot(TWO, 50, 30, 3)]),
        ([lot(TWO, 50, 50, 3)], 10, [lot(TWO, 50, 40, 3)]),
        ([], 10, [debt(-10)]),
        # Its own points are taken first, though another lot lapses sooner.
        ([lot(ONE, 10, 10, 9), lot(TWO, 50, 50, 3)], 10, [lot(ONE, 0, 0, 9), lot(TWO, 50, 50, 3)]),
    ],
)
def test_earning_that_is_taken_back_shrinks_its_own_lot(before: list[Lot], points: int, after: list[Lot]) -> None:
    assert lots.shrink(purse(*before), ONE, points, DEBT, NOON) == purse(*after)


@pytest.mark.parametrize(
    ("before", "drawn", "after"),
    [
        # It had shrunk meanwhile: no more than its size returns, and the rest keeps the time of a lot with room.
        ([lot(ONE, 40, 0, 9), lot(TWO, 50, 20, 3)], [(ONE, 60)], [lot(ONE, 40, 40, 9), lot(TWO, 50, 40, 3)]),
        # Nowhere is room: it comes as a lot of its own, that never lapses.
        (
            [lot(ONE, 40, 0, 9), lot(TWO, 50, 50, 3)], [(ONE, 60)],
            [lot(ONE, 40, 40, 9), lot(TWO, 50, 50, 3), lot(OVER, 20, 20)],
        ),
        # The soonest to lapse is filled first, and one that has lapsed not at all.
        (
            [lot(ONE, 10, 0, 9), lot(TWO, 50, 45, 5), lot(THREE, 50, 45, 3)], [(ONE, 18)],
            [lot(ONE, 10, 10, 9), lot(TWO, 50, 48, 5), lot(THREE, 50, 50, 3)],
        ),
        (
            [lot(ONE, 0, 0, 9), lot(TWO, 50, 40, 0)], [(ONE, 5)],
            [lot(ONE, 0, 0, 9), lot(TWO, 50, 40, 0), lot(OVER, 5, 5)],
        ),
        # The debt that came of the shrinking is paid before anything returns.
        (
            [lot(ONE, 40, 0, 9), debt(-15)], [(ONE, 60)],
            [lot(ONE, 40, 40, 9), debt(0), lot(OVER, 20, 5)],
        ),
        # A lot that is not there any more has no room.
        ([lot(TWO, 50, 50, 3)], [(ONE, 5)], [lot(TWO, 50, 50, 3), lot(OVER, 5, 5)]),
        ([lot(ONE, 40, 10, 9), lot(TWO, 40, 10)], [(ONE, 30), (TWO, 30)], [lot(ONE, 40, 40, 9), lot(TWO, 40, 40)]),
    ],
)  # fmt: skip
def test_undone_spending_returns_to_what_its_lots_have_become(
    before: list[Lot], drawn: list[tuple[UUID, int]], after: list[Lot]
) -> None:
    assert lots.refill(purse(*before), tuple(drawn), OVER, DEBT, NOON) == purse(*after)


def test_shrunk_and_refilled_lot_lapses_when_it_would_have() -> None:
    full = purse(lot(ONE, 100, 100, 9))
    spent, drawn = lots.spend(full, 70, NOON)
    shrunk = lots.shrink(spent, ONE, 60, DEBT, NOON)
    assert shrunk == purse(lot(ONE, 40, 0, 9), debt(-30))
    again = lots.refill(shrunk, drawn, OVER, DEBT, NOON)
    assert again == purse(lot(ONE, 40, 40, 9), debt(0), lot(OVER, 30, 0))
    dated = lots.date(again, ONE, NOON - DAY, NOON + 3 * DAY)
    assert dated[ONE] == lot(ONE, 40, 40, 3, NOON - DAY)
    assert lots.date(again, TWO, NOON, None) == again


def test_points_pay_the_debt_first_and_come_together_under_one_id() -> None:
    owing = purse(debt(-30))
    assert lots.add(owing, lot(ONE, 20, 20), DEBT, NOON) == purse(debt(-10), lot(ONE, 20, 0))
    assert lots.add(owing, lot(ONE, 40, 40), DEBT, NOON) == purse(debt(0), lot(ONE, 40, 10))
    held = purse(lot(ONE, 20, 5, 9))
    assert lots.add(held, lot(ONE, 10, 10, 4), DEBT, NOON) == purse(lot(ONE, 30, 15, 4))


def test_what_waits_is_spent_last_and_rather_than_owed() -> None:
    waiting = replace(lot(ONE, 10, 10, 1), available_at=NOON + MINUTE)
    after, drawn = lots.spend_or_owe(purse(waiting, lot(TWO, 9, 9)), 12, DEBT, NOON)
    assert (after, drawn) == (purse(replace(waiting, remaining=7), lot(TWO, 9, 0)), ((TWO, 9), (ONE, 3)))
    _, drawn = lots.spend_or_owe(purse(waiting, lot(TWO, 9, 9)), 9, DEBT, NOON + MINUTE)
    assert drawn == ((ONE, 9),)
    assert [lots.waiting(purse(waiting, lot(TWO, 9, 9)), NOON + late * MINUTE) for late in range(2)] == [10, 0]


def test_what_lots_lack_is_owed_and_drawn_from_none() -> None:
    after, drawn = lots.spend_or_owe(purse(lot(ONE, 10, 10)), 25, DEBT, NOON)
    assert (after, drawn) == (purse(lot(ONE, 10, 0), debt(-15)), ((ONE, 10),))
    enough, drawn = lots.spend_or_owe(purse(lot(ONE, 10, 10), lot(TWO, 9, 9, 5)), 10, DEBT, NOON)
    assert (enough, drawn) == (purse(lot(ONE, 10, 9), lot(TWO, 9, 0, 5)), ((TWO, 9), (ONE, 1)))


def test_of_lots_that_lapse_together_the_older_is_spent_first() -> None:
    _, drawn = lots.spend(purse(lot(ONE, 5, 5, 9, NOON + MINUTE), lot(TWO, 5, 5, 9)), 6, NOON)
    assert drawn == ((TWO, 5), (ONE, 1))


# --- what bills spend


def bill(number: int, minutes: int, earned: int = 0, asks: int | None = 0, **more: Any) -> Counted:
    visit = replace(a_visit(number, NOON + minutes * MINUTE, 1), points_to_redeem=asks, **more)
    return Counted(visit, None if visit.state == "voided" else Earning(earned, 100, 1))


def spent(redemption_id: UUID, points: int, **more: Any) -> Redemption:
    """Points that somebody of the staff let a guest spend over HTTP at noon."""
    facts: dict[str, Any] = {"kind": "discount", "state": "completed", "created_by": CLERK, "created_at": NOON}
    return Redemption(
        redemption_id=redemption_id, cafe_id=CAFE, customer_id=GUEST, points=points, **facts | more
    )  # fmt: skip


Found = tuple[UUID, int, str | None, bool]


def wishes(
    bills: list[Counted],
    redemptions: list[Redemption] = [],  # noqa: B006
    facts: list[Fact] = [],  # noqa: B006
    lost: dict[UUID, int] | None = None,
    waits: dict[UUID, datetime] | None = None,
) -> list[Found]:
    known = {each.redemption_id: each for each in redemptions}
    found = redeeming.wishes_of(bills, lost or {}, known, facts, GUEST, waits or {})
    return [(wish.redemption_id, wish.points, wish.refusal, wish.is_fact) for wish in found]


EARNS = bill(1, 0, earned=100)
BY_HAND = spent(OVER, 60)
OF_ITS_BILL = spent(OVER, 60, state="reversed", reversed_at=NOON, created_by=None, visit_id=TWO)
SHORT = redeeming.INSUFFICIENT


@pytest.mark.parametrize(
    ("bills", "found"),
    [
        ([EARNS, bill(2, 1, asks=100)], [(TWO, 100, None, False)]),
        ([EARNS, bill(2, 1, asks=101)], [(TWO, 101, SHORT, False)]),
        # A bill does not pay with what it earns itself, or with what comes later.
        ([bill(1, 0, earned=100, asks=1)], [(ONE, 1, SHORT, False)]),
        ([bill(2, 0, asks=50), bill(1, 1, earned=100)], [(TWO, 50, SHORT, False)]),
        # All or nothing, in the order of the bills: what is refused leaves its points to the next.
        (
            [EARNS, bill(2, 1, asks=70), bill(3, 2, asks=40), bill(4, 3, asks=30)],
            [(TWO, 70, None, False), (THREE, 40, SHORT, False), (OVER, 30, None, False)],
        ),
        ([EARNS, bill(2, 1, asks=50, state="voided")], []),
        ([EARNS, bill(2, 1, asks=0)], []),
    ],
)
def test_bill_spends_what_its_guest_had_just_before_it(bills: list[Counted], found: list[Found]) -> None:
    assert wishes(bills) == found


@pytest.mark.parametrize(
    ("minutes", "change", "refusal"),
    [(0, 50, None), (1, 50, None), (2, 50, SHORT), (0, 49, SHORT)],
)
def test_gift_counts_from_its_moment_on(minutes: int, change: int, refusal: str | None) -> None:
    assert wishes([bill(2, 1, asks=50)], facts=[Fact(NOON + minutes * MINUTE, change)]) == [(TWO, 50, refusal, False)]


def test_what_is_gone_later_is_not_there_for_a_bill_that_comes_late() -> None:
    later = Fact(NOON + 5 * MINUTE, -80)
    assert wishes([EARNS, bill(2, 1, asks=30)], facts=[later]) == [(TWO, 30, SHORT, False)]
    assert wishes([EARNS, bill(2, 1, asks=20)], facts=[later]) == [(TWO, 20, None, False)]
    # The least that is left counts, however often points go.
    sooner, last = Fact(NOON + 5 * MINUTE, -10), Fact(NOON + 6 * MINUTE, -80)
    assert wishes([EARNS, bill(2, 1, asks=30)], facts=[sooner, last]) == [(TWO, 30, SHORT, False)]
    # Unless points that came before it pay for it.
    more = Fact(NOON + 4 * MINUTE, 10)
    assert wishes([EARNS, bill(2, 1, asks=30)], facts=[later, more]) == [(TWO, 30, None, False)]


@pytest.mark.parametrize(("voided_after", "refusal"), [(3, None), (2, SHORT), (1, SHORT)])
def test_points_of_a_bill_count_until_it_is_voided(voided_after: int, refusal: str | None) -> None:
    voided = bill(1, 0, state="voided", voided_at=NOON + voided_after * MINUTE)
    found = wishes([voided, bill(2, 2, asks=50)], lost={ONE: 50})
    assert found == [(TWO, 50, refusal, False)]


@pytest.mark.parametrize(
    ("minutes", "points", "refusal"), [(4, 100, SHORT), (4, 30, None), (5, 130, None), (6, 130, None), (6, 131, SHORT)]
)
def test_points_of_a_bill_that_waits_count_from_the_moment_on_at_which_they_can_be_spent(
    minutes: int, points: int, refusal: str | None
) -> None:
    bills = [bill(3, -1, earned=30), EARNS, bill(2, minutes, asks=points)]
    assert wishes(bills, waits={ONE: NOON + 5 * MINUTE}) == [(TWO, points, refusal, False)]


@pytest.mark.parametrize(
    ("voided", "asked", "refusal"), [(4, 6, SHORT), (5, 6, SHORT), (7, 6, None), (7, 4, SHORT), (7, 8, SHORT)]
)
def test_points_of_a_voided_bill_that_waited_count_between_their_moment_and_the_void(
    voided: int, asked: int, refusal: str | None
) -> None:
    bills = [bill(1, 0, state="voided", voided_at=NOON + voided * MINUTE), bill(2, asked, asks=100)]
    assert wishes(bills, lost={ONE: 100}, waits={ONE: NOON + 5 * MINUTE}) == [(TWO, 100, refusal, False)]


def test_bill_that_was_voided_before_its_own_moment_never_counted() -> None:
    voided = bill(1, 5, state="voided", voided_at=NOON + MINUTE)
    bills, gift = [bill(2, 3, asks=50), voided], Fact(NOON, 50)
    assert wishes(bills, facts=[gift], lost={ONE: 50}) == [(TWO, 50, None, False)]


@pytest.mark.parametrize(
    ("known", "asks", "found"),
    [
        # What was spent over HTTP is the bill's, as much of it as it asks for.
        (BY_HAND, 60, [(OVER, 60, None, True)]),
        (BY_HAND, 40, [(OVER, 40, None, True)]),
        (BY_HAND, 90, [(OVER, 60, None, True), (TWO, 30, None, False)]),
        (BY_HAND, 101, [(OVER, 60, None, True), (TWO, 41, SHORT, False)]),
        (replace(BY_HAND, customer_id=OTHER_GUEST), 60, [(TWO, 60, redeeming.TAKEN, False)]),
        # Released before the bill came, the bill asks anew; given back by hand it is settled.
        (replace(BY_HAND, state="reversed", reversed_at=NOON), 60, [(TWO, 60, None, False)]),
        (OF_ITS_BILL, 60, []),
        (replace(OF_ITS_BILL, undone_by_bill=True), 60, [(OVER, 60, None, False)]),
        (None, 60, [(OVER, 60, None, False)]),
    ],
)  # fmt: skip
def test_redemption_that_a_bill_names(known: Redemption | None, asks: int, found: list[Found]) -> None:
    bills = [EARNS, bill(2, 1, asks=asks, redemption_id=OVER)]
    assert wishes(bills, [known] if known else []) == found


def test_of_two_bills_that_name_one_redemption_the_first_has_it() -> None:
    bills = [EARNS, bill(2, 1, asks=60, redemption_id=OVER), bill(3, 2, asks=10, redemption_id=OVER)]
    assert wishes(bills, [BY_HAND]) == [(OVER, 60, None, True), (THREE, 10, redeeming.TAKEN, False)]


@pytest.mark.parametrize(
    ("state", "found"),
    [("completed", [(OVER, 60, None, True)]), ("refused", [(OVER, 60, None, False)]), ("reversed", [])],
)
def test_bill_from_before_it_was_kept_what_they_ask_for(state: Any, found: list[Found]) -> None:
    known = spent(OVER, 60, created_by=None, visit_id=TWO, state=state)
    assert wishes([EARNS, bill(2, 1, asks=None)], [known]) == found
    assert wishes([EARNS, bill(2, 1, asks=None)]) == []


def test_what_staff_let_a_guest_spend_is_not_there_for_bills() -> None:
    bills = [EARNS, bill(2, 1, asks=50)]
    assert wishes(bills, [BY_HAND]) == [(TWO, 50, SHORT, False)]
    given_back = replace(BY_HAND, state="reversed", reversed_at=NOON + MINUTE)
    assert wishes(bills, [given_back]) == [(TWO, 50, None, False)]
    too_late = replace(given_back, reversed_at=NOON + 2 * MINUTE)
    assert wishes(bills, [too_late]) == [(TWO, 50, SHORT, False)]
    assert wishes(bills, [replace(BY_HAND, customer_id=OTHER_GUEST)]) == [(TWO, 50, None, False)]


# --- rules and points


def test_points_of_the_largest_bill_have_a_bound() -> None:
    program = programs.program(1, programs.EVER, ProgramRules(earn_per_toman=1, tier_period="jalali_year"))

    def points(toman: int | str, multiplier: int) -> int:
        step = TierStep("gold", 0, multiplier)
        return earn(plan_of(), program, step, tiers.NOBODY, a_visit(1, NOON, toman))[0].points

    assert points(MOST_TOMAN, 150) == MOST_POINTS
    assert points("1.99", 100) == 1


@pytest.mark.parametrize(("points", "tier"), [(499, "bronze"), (500, "silver"), (1499, "silver"), (1500, "gold")])
def test_tier_is_reached_with_its_threshold(points: int, tier: str) -> None:
    assert tiers.step_for(plan_of().programs[0], points).tier == tier


def test_program_is_in_force_from_its_own_moment_on() -> None:
    plan = plan_of((NOON, ProgramRules(earn_per_toman=1, tier_period="jalali_year")))
    assert [tiers.in_force(plan, NOON + wait).version for wait in (-MINUTE, timedelta(0), MINUTE)] == [1, 2, 2]
    assert tiers.in_force(plan, programs.EVER - DAY).version == 1


def test_voided_bill_would_have_earned_by_the_tier_before_it() -> None:
    plan = plan_of()
    first, second = a_visit(1, NOON, 1000, "voided"), a_visit(2, NOON + MINUTE, 600_000)
    third, fourth = a_visit(3, NOON + 2 * MINUTE, 10_000), a_visit(4, NOON + 3 * MINUTE, 10_000, "voided")
    _, earnings = tiers.fold(plan, tiers.NOBODY, [second, third])
    assert tiers.lost(plan, [first, second, third, fourth], earnings) == {ONE: 1, OVER: 12}


def test_spending_is_rounded_to_the_hundredth_and_bounded() -> None:
    plan = plan_of()
    half = replace(a_visit(1, NOON, 1), final_amount=Decimal("0.05"), currency_unit="IRR")
    assert tiers.fold(plan, tiers.NOBODY, [half])[0].lifetime_spent == 1
    full = replace(Standing(), lifetime_spent=tiers.MOST_SPENT, total_visits=1, program_version=1, last_visit_at=NOON)
    assert tiers.fold(plan, full, [a_visit(2, NOON + MINUTE, 5)])[0].lifetime_spent == tiers.MOST_SPENT


RULES = {"tier_period": "jalali_year"}


@pytest.mark.parametrize(
    ("rules", "earn_per", "unit", "kept"),
    [
        (RULES, None, "IRR", 1000),
        (RULES, 5000, "IRR", 500),
        (RULES, 5000, "IRT", 5000),
        (RULES, 5001, "IRR", "whole_toman"),
        (RULES, 0, "IRT", "whole_toman"),
        (RULES, 10, "IRR", 1),
        (RULES, MOST_TOMAN, "IRT", MOST_TOMAN),
        (RULES, MOST_TOMAN + 1, "IRT", "whole_toman"),
        (RULES | {"earn_per_toman": 500}, 5000, "IRR", 500),
        (RULES | {"earn_per_toman": 501}, 5000, "IRR", "earn_per_twice"),
    ],
)
def test_what_earns_a_point_is_kept_in_toman(
    rules: dict[str, Any], earn_per: int | None, unit: Any, kept: int | str
) -> None:
    amount = None if earn_per is None else Decimal(earn_per)
    try:
        found: Any = programs.in_toman(ProgramRules.model_validate(rules), amount, None, unit).earn_per_toman
    except Rejected as refused:
        found = refused.problems[0].code
    assert found == kept


@pytest.mark.parametrize(
    ("rules", "point_worth", "unit", "kept"),
    [
        (RULES, None, "IRR", None),
        (RULES, 1000, "IRR", 100),
        (RULES, 100, "IRT", 100),
        (RULES, 5, "IRR", "whole_toman"),
        (RULES | {"toman_per_point": 100}, 1000, "IRR", 100),
        (RULES | {"toman_per_point": 100}, 100, "IRR", "point_worth_twice"),
    ],
)
def test_worth_of_a_point_is_kept_in_toman(
    rules: dict[str, Any], point_worth: int | None, unit: Any, kept: int | str | None
) -> None:
    amount = None if point_worth is None else Decimal(point_worth)
    try:
        found: Any = programs.in_toman(ProgramRules.model_validate(rules), None, amount, unit).toman_per_point
    except Rejected as refused:
        found = refused.problems[0].code
    assert found == kept

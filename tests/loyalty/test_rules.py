from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.loyalty.models.accounts import Account, EntryDraft, Lot, Rank, Standing, Visit
from services.loyalty.models.programs import ProgramRules, TierRule
from services.loyalty.rules import ledger, lots, programs, tiers
from services.loyalty.rules.ledger import noted_rule
from shared.persian.calendar import Calendar
from tests.loyalty.examples import CAFE, GUEST, NOON, Bill, a_visit, naive_points, plan_of, visit_number, year_number

PLAN = plan_of()
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
SILVER_LINE = a_visit(1, NOON, 500_000)


def fold(*visits: Visit, plan=PLAN) -> tuple[Standing, list[int]]:
    standing, earnings = tiers.fold(plan, tiers.NOBODY, sorted(visits, key=tiers.order_of))
    return standing, [earnings[visit.visit_id].points for visit in visits]


def rank(standing: Standing, moment: datetime) -> Rank:
    return tiers.rank(PLAN, standing, moment)


@pytest.mark.parametrize(
    ("amount", "unit", "points"),
    [
        ("185000", "IRT", 185),
        ("999.99", "IRT", 0),
        ("1000", "IRT", 1),
        ("1850000", "IRR", 185),
        ("9999.99", "IRR", 0),
        ("0", "IRT", 0),
    ],
)
def test_points_are_rounded_down_from_the_exact_toman(amount: str, unit, points: int) -> None:
    visit = Visit(visit_number(1), "recorded", NOON, "till-1", "1", Decimal(amount), unit)
    assert fold(visit)[1] == [points]


def test_multiplier_is_of_the_tier_before_the_visit() -> None:
    standing, points = fold(SILVER_LINE, a_visit(2, NOON + DAY, 10_000))
    assert points == [500, 12]
    assert rank(standing, NOON + DAY).tier == "silver"


def test_rounding_is_of_the_product_not_of_its_parts() -> None:
    assert fold(SILVER_LINE, a_visit(2, NOON + DAY, "1999"))[1] == [500, 2]


def test_tier_holds_through_the_next_period_and_then_drops() -> None:
    standing, _ = fold(SILVER_LINE)
    silver = Rank("silver", date(2026, 5, 10), date(2028, 3, 19), 1500, 1000)
    assert rank(standing, NOON) == silver
    last_moment = datetime(2028, 3, 19, 20, 29, tzinfo=UTC)
    assert rank(standing, last_moment) == Rank("silver", silver.since, silver.until, 1500, 1500)
    assert rank(standing, last_moment + MINUTE) == Rank("bronze", date(2028, 3, 20), None, 500, 500)


def test_last_period_s_tier_multiplies_from_nowruz_on() -> None:
    before, after = datetime(2027, 3, 20, 20, 29, tzinfo=UTC), datetime(2027, 3, 20, 20, 30, tzinfo=UTC)
    standing, points = fold(SILVER_LINE, a_visit(2, before, 100_000), a_visit(3, after, 100_000))
    assert points == [500, 120, 120]
    assert (standing.period_points, standing.previous_points) == (120, 620)
    assert rank(standing, after).until == date(2028, 3, 19)


def test_many_years_away_leave_nothing() -> None:
    assert rank(fold(SILVER_LINE)[0], NOON + 3000 * DAY) == Rank("bronze", date(2028, 3, 20), None, 500, 500)


def test_guest_who_comes_back_years_later_starts_from_bronze() -> None:
    standing, points = fold(SILVER_LINE, a_visit(2, NOON + 3000 * DAY, 10_000))
    assert points == [500, 10]
    assert (standing.period_points, standing.previous_points, standing.tier_since) == (10, 0, date(2028, 3, 20))


def test_points_to_next_tier_come_from_the_tier_s_own_points() -> None:
    standing, _ = fold(a_visit(1, NOON, 1_600_000))
    assert (rank(standing, NOON).tier, rank(standing, NOON).to_next) == ("gold", 1400)
    assert rank(standing, NOON + 365 * DAY).to_next == 3000
    assert rank(fold(a_visit(1, NOON, 3_000_000))[0], NOON).to_next == 0


def test_month_and_year_are_the_cafe_s() -> None:
    last_of_month = datetime(2026, 5, 21, 20, 0, tzinfo=UTC)
    standing, _ = fold(a_visit(1, last_of_month, 7000), a_visit(2, last_of_month + timedelta(hours=1), 9000))
    assert (standing.month_spent, standing.month_visits, standing.year_spent) == (900_000, 1, 1_600_000)
    gregorian, _ = fold(
        a_visit(1, last_of_month, 7000),
        a_visit(2, last_of_month + timedelta(hours=1), 9000),
        plan=plan_of(calendar="gregorian"),
    )
    assert (gregorian.month_spent, gregorian.month_visits, gregorian.month_ends) == (1_600_000, 2, date(2026, 5, 31))


def test_visit_earns_by_the_rules_of_its_own_moment() -> None:
    generous = ProgramRules(earn_per_toman=100, tier_period="jalali_year")
    plan = plan_of((NOON, generous))
    standing, points = fold(a_visit(1, NOON - DAY, 10_000), a_visit(2, NOON, 10_000), plan=plan)
    assert points == [10, 100]
    assert standing.program_version == 2


def test_new_thresholds_move_a_guest_on_the_day_they_come_into_force() -> None:
    easier = ProgramRules(
        tiers=(TierRule(tier="bronze", threshold=0, multiplier=1), TierRule(tier="gold", threshold=100, multiplier=2)),
        tier_period="jalali_year",
    )
    plan = plan_of((NOON + DAY, easier))
    standing, _ = fold(a_visit(1, NOON, 200_000), plan=plan)
    assert tiers.rank(plan, standing, NOON).tier == "bronze"
    later = tiers.rank(plan, standing, NOON + 5 * DAY)
    assert (later.tier, later.since, later.to_next) == ("gold", date(2026, 5, 11), 0)


HISTORIES = st.lists(
    st.tuples(
        st.integers(0, 5 * 365 * 24 * 60).map(lambda minutes: datetime(2023, 1, 1, tzinfo=UTC) + minutes * MINUTE),
        st.decimals(0, 2_500_000, places=2),
        st.sampled_from(["IRT", "IRR"]),
    ),
    max_size=25,
)


@given(history=HISTORIES, calendar=st.sampled_from(["jalali", "gregorian"]))
def test_fold_agrees_with_the_published_rule(history, calendar: Calendar) -> None:
    bills = [Bill(number, *each) for number, each in enumerate(history)]
    visits = [
        Visit(visit_number(b.number), "recorded", b.at, "till-1", f"{b.number:05}", b.amount, b.unit) for b in bills
    ]
    expected = naive_points(bills, calendar)
    standing, points = fold(*visits, plan=plan_of(calendar=calendar))
    assert points == [expected[bill.number] for bill in bills]
    assert standing.total_visits == len(bills)
    assert standing.period_points == sum(
        expected[bill.number] for bill in bills if in_last_period(bill, bills, calendar)
    )


def in_last_period(bill: Bill, bills: list[Bill], calendar: Calendar) -> bool:
    return year_number(bill.at, calendar) == max(year_number(each.at, calendar) for each in bills)


@given(history=HISTORIES, data=st.data())
def test_fold_may_stop_and_go_on_anywhere(history, data) -> None:
    visits = sorted(
        (Visit(visit_number(i), "recorded", at, "t", f"{i:05}", *bill) for i, (at, *bill) in enumerate(history)),
        key=tiers.order_of,
    )
    whole, earnings = tiers.fold(PLAN, tiers.NOBODY, visits)
    standing, pieces = tiers.NOBODY, {}
    while visits:
        size = data.draw(st.integers(1, len(visits)))
        part, visits = visits[:size], visits[size:]
        standing, more = tiers.fold(PLAN, standing, part)
        pieces |= more
    assert (standing, pieces) == (whole, earnings)


def test_only_a_later_visit_goes_on() -> None:
    standing, _ = fold(SILVER_LINE)
    assert not tiers.goes_on(standing, a_visit(2, NOON - MINUTE, 1000))
    assert not tiers.goes_on(standing, a_visit(2, NOON, 1000))
    assert tiers.goes_on(standing, a_visit(2, NOON + MINUTE, 1000))


# --- programs


def test_rules_survive_storing() -> None:
    rules = programs.default_rules("jalali")
    stored = rules.model_dump_json()
    assert programs.plan(None, None, [(1, programs.EVER, stored, None)]) == PLAN
    assert programs.plan(None, None, []) == PLAN


def test_version_is_read_once_as_long_as_it_says_the_same() -> None:
    rules = programs.default_rules("jalali")
    dearer = rules.model_copy(update={"earn_per_toman": rules.earn_per_toman * 2})
    first, again, other = (
        programs.plan(None, None, [(1, programs.EVER, each.model_dump_json(), None)]).programs[0]
        for each in (rules, rules, dearer)
    )
    assert again is first
    assert other.earn_per_toman == 2 * first.earn_per_toman


@pytest.mark.parametrize(
    "steps",
    [
        [("silver", 0, "1")],
        [("bronze", 1, "1")],
        [("bronze", 0, "1"), ("gold", 500, "1"), ("silver", 900, "1")],
        [("bronze", 0, "1"), ("silver", 500, "1"), ("gold", 500, "1")],
        [("bronze", 0, "1"), ("silver", 500, "1.234")],
        [("bronze", 0, "0")],
    ],
)
def test_rules_that_make_no_ladder_are_refused(steps) -> None:
    with pytest.raises(ValidationError):
        ProgramRules(
            tiers=[{"tier": tier, "threshold": least, "multiplier": factor} for tier, least, factor in steps],
            tier_period="jalali_year",
        )


# --- lots

DEBT = GUEST


def lot(number: int, points: int, expires_in: int | None = None) -> Lot:
    expires_at = NOON + expires_in * DAY if expires_in else None
    return Lot(visit_number(number), points, points, NOON + number * timedelta(minutes=1), expires_at)


def held(*each: Lot) -> dict[UUID, Lot]:
    return {one.lot_id: one for one in each}


def test_spending_takes_the_closest_to_expiry_first_and_the_never_expiring_last() -> None:
    purse = held(lot(1, 10), lot(2, 10, expires_in=9), lot(3, 10, expires_in=3), lot(4, 10))
    after, drawn = lots.spend(purse, 25, NOON)
    assert [(lot_id, points) for lot_id, points in drawn] == [
        (visit_number(3), 10),
        (visit_number(2), 10),
        (visit_number(1), 5),
    ]
    assert lots.total(after) == 15


def test_spending_more_than_held_is_an_error() -> None:
    with pytest.raises(ValueError, match="less than 11"):
        lots.spend(held(lot(1, 10)), 11, NOON)


def test_refund_after_spending_leaves_a_debt_that_the_next_points_pay() -> None:
    spent, _ = lots.spend(held(lot(1, 100)), 80, NOON)
    owing = lots.shrink(spent, visit_number(1), 100, DEBT, NOON)
    assert (lots.total(owing), owing[DEBT].remaining) == (-80, -80)
    paid = lots.add(owing, lot(2, 100), DEBT, NOON)
    assert (lots.total(paid), paid[DEBT].remaining, paid[visit_number(2)].remaining) == (20, 0, 20)


def test_giving_back_restores_the_lots_it_drew_on() -> None:
    purse = held(lot(1, 10), lot(2, 10, expires_in=3))
    after, drawn = lots.spend(purse, 15, NOON)
    assert lots.refill(after, drawn, uuid4(), DEBT, NOON) == purse


def test_points_given_back_after_a_correction_lie_as_if_less_had_been_earned_from_the_beginning() -> None:
    purse = held(lot(1, 100, expires_in=9), lot(2, 10, expires_in=20))
    spent, drawn = lots.spend(purse, 80, NOON)
    corrected = lots.shrink(spent, visit_number(1), 30, DEBT, NOON)
    assert lots.total(corrected) == 0
    again = lots.refill(corrected, drawn, uuid4(), DEBT, NOON)
    assert again == held(lot(1, 70, expires_in=9), lot(2, 10, expires_in=20))


def test_points_given_back_pay_the_debt_of_a_correction_before_they_return_to_their_lot() -> None:
    spent, drawn = lots.spend(held(lot(1, 100, expires_in=9)), 80, NOON)
    owing = lots.shrink(spent, visit_number(1), 30, DEBT, NOON)
    assert owing[DEBT].remaining == -10
    overflow = uuid4()
    again = lots.refill(owing, drawn, overflow, DEBT, NOON)
    assert (again[visit_number(1)], again[DEBT].remaining) == (lot(1, 70, expires_in=9), 0)
    assert again[overflow].remaining == 0


def test_points_given_back_do_not_return_to_a_lot_that_has_lapsed() -> None:
    lapsed = Lot(visit_number(2), 50, 0, NOON, NOON)
    spent, drawn = lots.spend(held(lot(1, 100)), 80, NOON)
    corrected = lots.shrink(spent, visit_number(1), 100, DEBT, NOON) | {lapsed.lot_id: lapsed}
    overflow = uuid4()
    again = lots.refill(lots.add(corrected, lot(3, 80), DEBT, NOON), drawn, overflow, DEBT, NOON)
    assert again[lapsed.lot_id] == lapsed
    assert lots.total(again) == 80


@st.composite
def purses(draw):
    """A guest's lots after any sequence of doings, and the balance that bookkeeping without lots arrives at."""
    purse: dict[UUID, Lot] = {}
    balance, earned, open_spendings = 0, {}, []
    for step in range(draw(st.integers(0, 12))):
        doing = draw(st.sampled_from(["earn", "take back", "spend", "give back"]))
        amount = draw(st.integers(1, 100))
        if doing == "earn":
            gained = lot(step, amount, draw(st.none() | st.integers(1, 50)))
            purse, balance, earned[gained.lot_id] = lots.add(purse, gained, DEBT, NOON), balance + amount, amount
        elif doing == "take back" and earned:
            lot_id = draw(st.sampled_from(sorted(earned)))
            amount = min(amount, earned[lot_id])
            if amount:
                purse, balance = lots.shrink(purse, lot_id, amount, DEBT, NOON), balance - amount
                earned[lot_id] -= amount
        elif doing == "spend" and balance >= amount:
            purse, drawn = lots.spend(purse, amount, NOON)
            open_spendings.append((drawn, amount))
            balance -= amount
        elif doing == "give back" and open_spendings:
            drawn, amount = open_spendings.pop(draw(st.integers(0, len(open_spendings) - 1)))
            purse, balance = lots.refill(purse, drawn, visit_number(1000 + step), DEBT, NOON), balance + amount
    return purse, balance


@given(purses())
def test_lots_always_sum_up_to_the_balance(state) -> None:
    purse, balance = state
    assert lots.total(purse) == balance
    debt = purse.pop(DEBT, Lot(DEBT, 0, 0, NOON))
    assert debt.remaining == min(0, balance)
    for each in purse.values():
        assert 0 <= each.remaining <= each.points


# --- the ledger


def account(**changes) -> Account:
    fields = {"earned": 0, "redeemed": 0, "expired": 0, "owed": 0, "version": 7} | changes
    return Account(CAFE, GUEST, **fields)


def draft(kind, change: int, **more) -> EntryDraft:
    return EntryDraft(type=kind, change=change, occurred_at=NOON, description="x", **more)


def test_rows_are_numbered_and_carry_the_balance_after_them() -> None:
    after, entries = ledger.post(
        account(earned=100, redeemed=30),
        [
            draft("earned_purchase", 50),
            draft("redeemed_item", -20, redemption_id=uuid4()),
            draft("adjustment_add", 20, redemption_id=uuid4()),
            draft("expired", -10),
        ],
    )
    assert [(entry.account_version, entry.balance_after) for entry in entries] == [
        (8, 120),
        (9, 100),
        (10, 120),
        (11, 110),
    ]
    assert (after.earned, after.redeemed, after.expired, after.balance, after.version) == (150, 30, 10, 110, 11)


def test_only_taking_back_may_leave_a_debt() -> None:
    owing, _ = ledger.post(account(earned=10, redeemed=10), [draft("adjustment_subtract", -10)], may_owe=True)
    assert (owing.balance, owing.owed) == (-10, 10)
    paying, _ = ledger.post(owing, [draft("earned_bonus", 4)])
    assert (paying.balance, paying.owed) == (-6, 6)
    rich, _ = ledger.post(account(earned=30), [draft("adjustment_subtract", -10)], may_owe=True)
    assert (rich.balance, rich.owed) == (20, 0)
    overdrawn, _ = ledger.post(account(), [draft("redeemed_item", -5)])
    assert overdrawn.owed == 0


@pytest.mark.parametrize(
    ("notes", "rule"),
    [
        ("v1 x1", (1, Decimal(1))),
        ("v12 x1.25", (12, Decimal("1.25"))),
        (None, None),
        ("", None),
        ("adjustment 018f3c1e-0000-7000-8000-000000000001", None),
        ("v1 x1 and more", None),
    ],
)
def test_rule_of_an_entry_is_read_from_what_was_noted(notes: str | None, rule: tuple[int, Decimal] | None) -> None:
    assert noted_rule(notes) == rule

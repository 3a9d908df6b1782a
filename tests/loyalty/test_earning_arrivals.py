"""Bills under every kind of rule: one end state for every order of arrival, kept, filled, audited and explained."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from services.loyalty.handlers import backfilling
from services.loyalty.handlers.explaining import explain_visit
from services.loyalty.handlers.guests import plans_of
from services.loyalty.models.accounts import Account, Counted, Plan
from services.loyalty.models.programs import ProgramRules
from services.loyalty.rules.counting import news_of, tally
from services.loyalty.store import programs
from services.loyalty.store.audit import audit
from shared.database.db import Pool, transaction
from shared.events.visit import VisitEvent
from tests.loyalty import books, schemes
from tests.loyalty.books import Ending, Memory
from tests.loyalty.conftest import Clock
from tests.loyalty.examples import CAFE, GUEST, NOON, corrected, recorded, visit_number, voided
from tests.loyalty.schemes import (
    BRANCH,
    EVERYTHING,
    MENU,
    PlainBill,
    code,
    codes_of,
    facts_of,
    line,
    naive_cards,
    naive_parts,
    plan_by,
    program_of,
    rules_of,
)

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
EVER = datetime(1970, 1, 1, tzinfo=UTC)


STARTS = NOON - 60 * DAY
# The same cards with other needs, the younger first, and one more.
OTHER_CARDS = [
    EVERYTHING["cards"][1] | {"need": 2},
    EVERYTHING["cards"][0] | {"need": 5},
    {"key": "all", "name": "همه‌چیز", "need": 2, "reward": "یک کیک", "lives_days": 7},
]
VERSIONS: list[tuple[datetime, dict[str, Any]]] = [
    (EVER, {"tier_period": "jalali_year"}),
    (STARTS + 15 * DAY, EVERYTHING),
    (STARTS + 50 * DAY, EVERYTHING | {"stacking": "best", "caps": {"day": 400}, "cards": OTHER_CARDS}),
]


def stories_of(random: Random, visits: int) -> list[list[VisitEvent]]:
    """Bills with lines and branches, close to each other, some corrected, some voided."""
    found = []
    for number in range(visits):
        at = STARTS + random.randrange(70 * 24 * 2) * timedelta(minutes=30)
        story: list[VisitEvent] = [recorded(number, *_bill(random), at, **facts_of(random))]
        if random.random() < 0.3:
            moved = at + random.choice((0, 0, 5)) * HOUR
            fixed = NOON + 20 * DAY + timedelta(minutes=number)
            story.append(corrected(number, *_bill(random), moved, corrected_at=fixed, **facts_of(random)))
        if random.random() < 0.15:
            story.append(voided(number, at=story[-1].occurred_at))
        found.append(story)
    return found


def _bill(random: Random) -> tuple[Decimal]:
    return (Decimal(random.choice((0, 4_000, 45_000, 180_000, 900_000))) + Decimal(random.randrange(100)) / 100,)


def shuffled(random: Random, stories: Sequence[Sequence[VisitEvent]]) -> list[list[VisitEvent]]:
    waiting, order = [list(story) for story in stories], list[VisitEvent]()
    while any(waiting):
        order.append(random.choice([each for each in waiting if each]).pop(0))
        if random.random() < 0.1:
            order.append(random.choice(order))
    batches, place = [], 0
    while place < len(order):
        size = random.choice((1, 2, 5, 20))
        batches.append(order[place : place + size])
        place += size
    return batches


def ending_of(plan: Plan, batches: Sequence[Sequence[VisitEvent]]) -> Ending:
    memory = Memory(plan, NOON + 40 * DAY)
    for batch in batches:
        memory.take_in(batch)
    return memory.ending()


def plan_of_versions() -> Plan:
    return plan_by(*((since, ProgramRules.model_validate(rules)) for since, rules in VERSIONS))


# A thousand orders take a minute and a half.
ORDERS = int(os.environ.get("EARNING_ORDERS", "80"))


@pytest.mark.parametrize("seed", range(8))
def test_every_order_of_arrival_ends_the_same_with_every_kind_of_rule(seed: int) -> None:
    random, plan = Random(seed), plan_of_versions()
    stories = stories_of(random, 24)
    expected = ending_of(plan, [[event] for story in stories for event in story])
    for _ in range(ORDERS // 8):
        assert ending_of(plan, shuffled(random, stories)) == expected


@pytest.mark.parametrize("seed", range(20))
def test_fold_agrees_with_the_naive_rule(seed: int) -> None:
    random, plan = Random(1000 + seed), plan_of_versions()
    stories = stories_of(random, 40)
    ending = ending_of(plan, [[event] for story in stories for event in story])
    standing = [story[-1] for story in stories if story[-1].type != "visit.voided"]
    bills = [plain_bill(each) for each in sorted(standing, key=lambda event: (event.occurred_at, event.receipt_number))]
    naive = naive_parts(VERSIONS, bills)
    seen = set[str]()
    for event in standing:
        earning = ending.visits[event.visit_id].earning
        assert earning is not None
        parts = {"base": earning.points} if earning.parts is None and earning.points else dict(earning.parts or {})
        assert parts == naive[event.visit_id]
        seen |= parts.keys()
    states, completed_by = naive_cards(VERSIONS, bills)
    assert {each.key: (each.stamps, each.completed) for each in ending.standing.cards} == states
    assert {(each.card_key, each.number): each.visit_id for each in ending.vouchers.values()} == completed_by
    assert {"base", "extra", "visit"} <= seen


WORDS = {
    f"{what}:{code(word)}": word
    for each in MENU
    for what, word in zip(("category", "sku", "name"), each, strict=True)
    if word
}


def plain_bill(event: Any) -> PlainBill:
    lines = [
        (
            WORDS.get(f"category:{each.category_code}"), WORDS.get(f"sku:{each.sku_code}"),
            WORDS.get(f"name:{each.name_code}"), Fraction(each.quantity),
            None if each.amount is None else Fraction(each.amount),
        )
        for each in event.items
    ]  # fmt: skip
    return PlainBill(event.visit_id, event.occurred_at, Fraction(event.final_amount), event.branch_id, lines)


def test_late_bill_and_correction_move_what_caps_leave_to_later_bills() -> None:
    plan = schemes.only(caps={"day": 100}, earn=[{"key": "visit", "kind": "visit", "points": 10, "per_day": 1}])
    memory = Memory(plan, NOON + DAY)
    memory.take_in([recorded(2, 70_000, NOON + HOUR)])
    assert memory.account.balance == 80
    memory.take_in([recorded(1, 50_000, NOON)])
    points = {number: memory.visits[visit_number(number)].earning for number in (1, 2)}
    assert [points[number] and points[number].parts for number in (1, 2)] == [{"base": 50, "visit": 10}, {"base": 40}]
    memory.take_in([corrected(1, 20_000, NOON)])
    assert memory.visits[visit_number(2)].points == 70
    memory.take_in([voided(1)])
    assert memory.visits[visit_number(2)].points == 80
    assert memory.ending().balance == 80


def test_what_a_voided_bill_would_have_earned_is_as_the_guest_stood_then() -> None:
    plan = schemes.only(earn=[{"key": "second", "kind": "nth_visit", "n": [2], "points": 40}])
    bills = [recorded(number, 1_000, NOON + number * DAY) for number in range(3)]
    visits = [visit for visit, _ in news_of(bills, "recorded", {}).values()]
    history = {each.visit_id: each for each in visits}
    history[visit_number(1)] = replace(history[visit_number(1)], state="voided", voided_at=NOON + 9 * DAY)
    account = Account(GUEST, GUEST, 0, 0, 0, 0, 0)
    counted = tally(plan, account, {key: Counted(each, None) for key, each in history.items()}, {})
    assert counted.lost == {visit_number(1): 41}


def test_program_keeps_its_scheme_apart_from_plain_rules() -> None:
    assert program_of(ProgramRules(tier_period="jalali_year")).scheme is None
    full = program_of(rules_of()).scheme
    assert full is not None
    assert [each.key for each in full.rules] == ["base", "extra", "visit", "beans", "cakes", "first", "third"]
    assert UUID(int=1) in full.multipliers[3].branches


async def test_database_agrees_with_memory_and_facts_are_filled_again(pool: Pool, clock: Clock) -> None:
    """Every kind of rule through the database, then a loss of what was on the bills, then the events once more."""
    clock.moment = NOON + 40 * DAY
    random, stories = Random(5), stories_of(Random(5), 30)
    async with transaction(pool) as conn:
        for number, (since, body) in enumerate(VERSIONS[1:], 2):
            rules = ProgramRules.model_validate(body)
            dumped = rules.model_dump(mode="json")
            await programs.publish(conn, CAFE, number, since, dumped, uuid4(), codes_of(rules))
        plan = (await plans_of(conn, [CAFE]))[CAFE]
    assert plan.programs[1:] == plan_of_versions().programs[1:]
    expected = ending_of(plan, [[event] for story in stories for event in story])
    for batch in shuffled(random, stories):
        await books.take_in(pool, *batch)
    assert await books.ending(pool) == expected
    await pool.execute("UPDATE visit_earnings SET facts = NULL")
    events = [event for story in stories for event in story]
    async with transaction(pool) as conn:
        assert await backfilling.fill(conn, events) == len(stories)
    async with transaction(pool) as conn:
        assert await backfilling.fill(conn, events) == 0
        assert await conn.fetchval("SELECT count(*) FROM recounts WHERE cafe_id = $1", CAFE) == 1
    assert await books.ending(pool) == expected


async def test_audit_finds_parts_that_are_not_the_points(pool: Pool) -> None:
    rules = rules_of()
    async with transaction(pool) as conn:
        await programs.publish(conn, CAFE, 2, NOON - DAY, rules.model_dump(mode="json"), uuid4(), codes_of(rules))
    await books.take_in(pool, recorded(1, 90_000))
    assert await pool.fetchval("SELECT parts FROM visit_earnings") == {
        "base": 112,
        "extra": 16,
        "visit": 6,
        "first": 62,
    }
    await pool.execute("""UPDATE visit_earnings SET parts = parts || '{"visit": 7}'""")
    async with transaction(pool) as conn:
        (breach,) = await audit(conn)
    assert (breach["breach"], breach["expected"], breach["actual"]) == ("parts_are_not_points", 196, 197)


async def test_explanation_names_what_matched_and_what_did_not(pool: Pool) -> None:
    rules = rules_of()
    async with transaction(pool) as conn:
        await programs.publish(conn, CAFE, 2, NOON - DAY, rules.model_dump(mode="json"), uuid4(), codes_of(rules))
    lines = [line(30_000, category="دخانیات"), line(20_000, 2, category="دانه قهوه")]
    await books.take_in(pool, recorded(1, 90_000, items=lines, branch_id=BRANCH), recorded(2, 9_000, NOON + HOUR))
    async with transaction(pool) as conn:
        first, second = [await explain_visit(conn, CAFE, visit_number(number), GUEST) for number in (1, 2)]
    told = next(each for each in first.steps if each.what == "points")
    assert (told.outcome, told.values["points"]) == ("earned", 75 + 48 + 6 + 150 + 62)
    rules_told = {each.values["key"]: (each.rule, each.held, each.values.get("points")) for each in told.conditions
                  if "key" in each.values}  # fmt: skip
    assert rules_told == {
        "base": ("earns_amount", True, 75), "extra": ("earns_amount", True, 48), "visit": ("earns_visit", True, 6),
        "beans": ("earns_items", True, 150), "cakes": ("earns_items_amount", False, 0),
        "first": ("earns_nth_visit", True, 62), "third": ("earns_every_nth_visit", False, 0),
        "tuesday": ("multiplies", False, None), "night": ("multiplies", False, None),
        "spring": ("multiplies", True, None), "garden": ("multiplies", True, None),
    }  # fmt: skip
    small = next(each for each in second.steps if each.what == "points")
    minimum = next(each for each in small.conditions if each.rule == "minimum_bill")
    assert (minimum.held, minimum.depth, minimum.amounts) == (False, 1, {"bill": 9000, "minimum": 10000})
    assert {"minimum_bill", "item_bought", "visit_is_nth"} <= {each.rule for each in small.conditions if not each.held}

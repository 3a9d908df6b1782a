"""Stamp cards by worked bills, and vouchers that are issued, moved, withdrawn and owed."""

from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from services.loyalty.models.accounts import Plan
from services.loyalty.models.cards import CardState, Voucher, VoucherUse
from services.loyalty.models.programs import ProgramRules
from services.loyalty.rules import cards, programs
from services.loyalty.rules.schemes import as_before
from shared.errors import Rejected
from shared.events.loyalty import CardCompleted
from tests.loyalty import schemes
from tests.loyalty.books import Memory
from tests.loyalty.examples import CAFE, GUEST, NOON, corrected, recorded, visit_number, voided
from tests.loyalty.schemes import line

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
COFFEE: dict[str, Any] = {
    "key": "coffee", "name": "کارت قهوه", "need": 9, "match": {"categories": ["قهوه"]}, "reward": "یک قهوهٔ دم‌نشده",
}  # fmt: skip


def plan_with(*own: dict[str, Any]) -> Plan:
    return schemes.only(cards=list(own))


def bill(number: int, coffees: Any, days: int = 0, **more: Any) -> Any:
    lines = [line(60_000, coffees, category="قهوه")] if coffees else [line(40_000, category="کیک")]
    return recorded(number, 60_000, NOON + days * DAY, **({"items": lines} | more))


def memory_of(plan: Plan, *events: Any) -> Memory:
    memory = Memory(plan, NOON + 90 * DAY)
    for event in events:
        memory.take_in([event])
    return memory


def open_numbers(memory: Memory, key: str = "coffee") -> list[int]:
    return sorted(each.number for each in memory.vouchers.values() if (each.card_key, each.state) == (key, "open"))


def state(memory: Memory, key: str = "coffee") -> tuple[int, int]:
    found = {each.key: each for each in memory.account.standing.cards}.get(key, CardState(key))
    return found.stamps, found.completed


@pytest.mark.parametrize(
    ("card", "lines", "stamped"),
    [
        ({}, [line(60_000, 2, category="قهوه")], 2),
        ({}, [line(60_000, 2, category="قهوه"), line(50_000, category="کیک")], 2),
        ({}, [line(60_000, category="قهوه"), line(None, 3, category="قهوه")], 4),
        ({}, [line(60_000, category="قهوه"), line(0, category="قهوه")], 1),
        ({}, [line(60_000, 3, category="قهوه"), line(-20_000, 3, category="قهوه")], 3),
        ({}, [line(60_000, "0.5", category="قهوه"), line(60_000, "0.7", category="قهوه")], 1),
        ({}, [line(60_000, "0.9", category="قهوه")], 0),
        ({}, [line(60_000, category="Qahve")], 0),
        ({"per_visit": 3}, [line(60_000, 5, category="قهوه")], 3),
        ({}, [line(60_000, 1_000_000, category="قهوه")], 100),
        ({"per": "visit"}, [line(60_000, 5, category="قهوه")], 1),
        ({"per": "visit"}, [line(60_000, 5, category="کیک")], 0),
        ({"per": "visit", "match": None}, [], 1),
        ({"match": None}, [line(60_000, 2, name="هرچه"), line(1_000, 1)], 3),
        ({"minimum_toman": 60_000}, [line(60_000, category="قهوه")], 1),
        ({"minimum_toman": 60_001}, [line(60_000, category="قهوه")], 0),
    ],
)
def test_what_a_bill_stamps(card: dict[str, Any], lines: list[Any], stamped: int) -> None:
    plan = plan_with(COFFEE | card)
    memory = memory_of(plan, recorded(1, 60_000, items=lines))
    stamps, completed = state(memory)
    assert stamps + completed * 9 == stamped


def test_nine_coffees_make_a_card_and_what_is_over_goes_on() -> None:
    memory = memory_of(plan_with(COFFEE | {"lives_days": 30}), bill(1, 4), bill(2, 4, 1), bill(3, 0, 2))
    assert (state(memory), open_numbers(memory)) == ((8, 0), [])
    memory.take_in([bill(4, 3, 3)])
    assert (state(memory), open_numbers(memory)) == ((2, 1), [1])
    [voucher] = memory.vouchers.values()
    assert (voucher.visit_id, voucher.earned_at, voucher.expires_at) == (
        visit_number(4), NOON + 3 * DAY, NOON + 33 * DAY
    )  # fmt: skip
    assert (voucher.card_name, voucher.reward) == (COFFEE["name"], COFFEE["reward"])
    memory.take_in([bill(5, 30, 4)])
    assert (state(memory), open_numbers(memory)) == ((5, 4), [1, 2, 3, 4])
    said = [each for each in memory.said if isinstance(each, CardCompleted)]
    assert [each.number for each in said] == [1, 2, 3, 4]
    assert {each.event_id for each in said} == {
        cards_event.event_id for cards_event in said if cards_event.voucher_id in memory.vouchers
    }


def test_program_without_cards_is_not_touched_by_them() -> None:
    plain = memory_of(schemes.only(), bill(1, 20))
    assert (plain.account.standing.cards, plain.vouchers) == ((), {})
    assert not cards.has_cards(plain.plan)
    earning = memory_of(plan_with(COFFEE), bill(1, 20))
    assert earning.visits == plain.visits


def test_other_need_counts_from_the_next_stamp_on_and_stamps_stay() -> None:
    plan = schemes.plan_by(
        (programs.EVER, ProgramRules.model_validate({"tier_period": "jalali_year", "cards": [COFFEE]})),
        (NOON + 10 * DAY, ProgramRules.model_validate({"tier_period": "jalali_year", "cards": [COFFEE | {"need": 5}]})),
        (NOON + 20 * DAY, ProgramRules.model_validate({"tier_period": "jalali_year"})),
        (NOON + 30 * DAY, ProgramRules.model_validate({"tier_period": "jalali_year", "cards": [COFFEE]})),
    )
    memory = memory_of(plan, bill(1, 8), bill(2, 0, 11))
    assert state(memory) == (8, 0)
    assert cards.shown(plan.programs[1], memory.account.standing.cards, [], NOON)[0].missing == 1
    memory.take_in([bill(3, 1, 12)])
    assert state(memory) == (4, 1)
    memory.take_in([bill(4, 4, 21)])
    assert state(memory) == (4, 1)
    memory.take_in([bill(5, 4, 31)])
    assert (state(memory), open_numbers(memory)) == ((8, 1), [1])


def test_late_bill_moves_the_voucher_to_the_bill_that_now_completes_the_card() -> None:
    memory = memory_of(plan_with(COFFEE), bill(1, 5, 1), bill(2, 5, 5))
    [voucher] = memory.vouchers.values()
    assert voucher.visit_id == visit_number(2)
    memory.take_in([bill(3, 4, 0)])
    [moved] = memory.vouchers.values()
    assert (moved.voucher_id, moved.visit_id, moved.earned_at) == (
        voucher.voucher_id, visit_number(1), NOON + DAY
    )  # fmt: skip
    assert len([each for each in memory.said if isinstance(each, CardCompleted)]) == 1


def test_correction_and_void_withdraw_what_nobody_used_and_it_comes_again_as_the_same() -> None:
    memory = memory_of(plan_with(COFFEE), bill(1, 5), bill(2, 5, 1))
    fixed = corrected(2, 60_000, NOON + DAY, items=[line(60_000, 2, category="قهوه")])
    memory.take_in([fixed])
    assert (state(memory), open_numbers(memory)) == ((7, 0), [])
    memory.take_in([bill(3, 2, 2)])
    assert (state(memory), open_numbers(memory)) == ((0, 1), [1])
    memory.take_in([voided(1)])
    assert (state(memory), open_numbers(memory)) == ((4, 0), [])
    assert len(memory.vouchers) == 1
    assert len([each for each in memory.said if isinstance(each, CardCompleted)]) == 1


def used(memory: Memory, number: int, request_id: UUID | None = None) -> Voucher:
    """Uses a voucher as a till does."""
    states = memory.account.standing.cards
    known = memory.vouchers[cards.voucher_id(CAFE, GUEST, "coffee", number)]
    wanted = VoucherUse(request_id=request_id or uuid4(), till_key_id="till")
    after = cards.use(known, states, list(memory.vouchers.values()), wanted, NOON + 8 * DAY)
    memory.vouchers[after.voucher_id] = after
    return after


def shown(memory: Memory) -> tuple[int, int]:
    """Cards that are owed, and what is missing to the next voucher."""
    [found] = cards.shown(memory.plan.programs[-1], memory.account.standing.cards, list(memory.vouchers.values()), NOON)
    return found.owed, found.missing


def test_void_after_use_leaves_a_debt_that_the_next_card_pays() -> None:
    memory = memory_of(plan_with(COFFEE), bill(1, 5), bill(2, 5, 1))
    used(memory, 1)
    memory.take_in([voided(2, at=NOON + DAY)])
    assert (state(memory), open_numbers(memory), shown(memory)) == ((5, 0), [], (1, 4 + 9))
    memory.take_in([bill(3, 6, 2)])
    # Number 1 is reached again: it is used, and gives nothing.
    assert (state(memory), open_numbers(memory), shown(memory)) == ((2, 1), [], (0, 7))
    [voucher] = memory.vouchers.values()
    assert (voucher.state, voucher.visit_id) == ("used", visit_number(3))
    memory.take_in([bill(4, 7, 3)])
    assert (state(memory), open_numbers(memory)) == ((0, 2), [2])
    assert [each.number for each in memory.said if isinstance(each, CardCompleted)] == [1, 2]


def test_open_voucher_stands_for_what_is_owed() -> None:
    """Of two cards the second voucher is used, then a void leaves one card: the first can't be used as well."""
    memory = memory_of(plan_with(COFFEE), bill(1, 9), bill(2, 9, 1))
    used(memory, 2)
    memory.take_in([voided(2, at=NOON + DAY)])
    assert (state(memory), open_numbers(memory), shown(memory)) == ((0, 1), [1], (1, 9))
    with pytest.raises(Rejected, match="card_owed"):
        used(memory, 1)
    standing = list(memory.vouchers.values())
    assert cards.usable_ones(memory.account.standing.cards, standing, NOON) == []
    memory.take_in([bill(3, 9, 2)])
    assert used(memory, 1).state == "used"


def test_voucher_whose_time_is_over_stands_for_nothing() -> None:
    """The first lapsed, the third was used, then a bill is voided: the second stands for the third."""
    bills = [bill(number, 9, number) for number in range(3)]
    memory = memory_of(plan_with(COFFEE | {"lives_days": 7}), *bills)
    used(memory, 3)
    memory.take_in([voided(1, at=NOON + DAY)])
    assert (state(memory), open_numbers(memory)) == ((0, 2), [1, 2])
    with pytest.raises(Rejected, match="card_owed"):
        used(memory, 2)


def test_cards_are_kept_in_the_order_of_their_keys() -> None:
    cakes = COFFEE | {"key": "cakes", "match": {"categories": ["کیک"]}}
    memory = memory_of(plan_with(COFFEE, cakes), bill(1, 2), bill(2, 0, 1))
    assert memory.account.standing.cards == (CardState("cakes", 1), CardState("coffee", 2))


def test_voucher_that_was_used_and_is_owed_is_withdrawn_when_the_use_is_taken_back() -> None:
    memory = memory_of(plan_with(COFFEE), bill(1, 9))
    request = uuid4()
    after = used(memory, 1, request)
    states = memory.account.standing.cards
    back = cards.take_back_at_till(after, states, request, "till", NOON + 8 * DAY + HOUR)
    assert (back.state, back.used_at, back.undone_request_id) == ("open", None, request)
    memory.take_in([voided(1)])
    assert cards.take_back(after, memory.account.standing.cards).state == "withdrawn"


def test_use_has_its_refusals() -> None:
    memory = memory_of(plan_with(COFFEE | {"lives_days": 8}), bill(1, 9))
    with pytest.raises(Rejected, match="voucher_expired"):
        used(memory, 1)
    memory = memory_of(plan_with(COFFEE | {"lives_days": 9}), bill(1, 9))
    request = uuid4()
    once = used(memory, 1, request)
    assert used(memory, 1, request) == once
    with pytest.raises(Rejected, match="voucher_used"):
        used(memory, 1)
    states = memory.account.standing.cards
    with pytest.raises(Rejected, match="used_by_another"):
        cards.take_back_at_till(once, states, request, "other", NOON + 8 * DAY)
    with pytest.raises(Rejected, match="used_by_another"):
        cards.take_back_at_till(once, states, uuid4(), "till", NOON + 8 * DAY)
    with pytest.raises(Rejected, match="too_late_to_take_back"):
        cards.take_back_at_till(once, states, request, "till", NOON + 8 * DAY + 2 * HOUR + timedelta(seconds=1))
    back = cards.take_back_at_till(once, states, request, "till", NOON + 8 * DAY + 2 * HOUR)
    assert cards.take_back_at_till(back, states, request, "till", NOON + 9 * DAY) == back
    memory.vouchers[back.voucher_id] = back
    with pytest.raises(Rejected, match="use_taken_back"):
        used(memory, 1, request)
    assert used(memory, 1).state == "used"
    memory = memory_of(plan_with(COFFEE), bill(1, 9), voided(1))
    with pytest.raises(Rejected, match="voucher_withdrawn"):
        used(memory, 1)


@pytest.mark.parametrize("seed", range(25))
def test_nobody_uses_more_than_the_bills_of_then_complete(seed: int) -> None:
    """Bills that come late, are corrected and voided, vouchers that are used and taken back, in any order."""
    random = Random(seed)
    memory = memory_of(plan_with(COFFEE | {"need": 3, "lives_days": 40}))
    events, was_used = dict[int, Any](), set[int]()
    for step in range(120):
        match random.choice(("bill", "bill", "correct", "void", "use", "use", "back")):
            case "bill":
                events[step] = bill(step, random.randrange(4), random.randrange(30))
                memory.take_in([events[step]])
            case "correct" if events:
                number = random.choice(list(events))
                lines = [line(60_000, random.randrange(1, 5), category="قهوه")]
                fixed = NOON + 30 * DAY + step * HOUR
                memory.take_in([corrected(number, 60_000, events[number].occurred_at, corrected_at=fixed, items=lines)])
            case "void" if events:
                number = random.choice(list(events))
                memory.take_in([voided(number, at=events.pop(number).occurred_at)])
            case "use" if memory.vouchers:
                number = random.choice([each.number for each in memory.vouchers.values()])
                try:
                    used(memory, number)
                except Rejected:
                    continue
                was_used.add(number)
                assert len(was_used) <= state(memory)[1]
            case "back" if was_used:
                number = was_used.pop()
                name = cards.voucher_id(CAFE, GUEST, "coffee", number)
                memory.vouchers[name] = cards.take_back(memory.vouchers[name], memory.account.standing.cards)
        completed = state(memory)[1]
        assert open_numbers(memory) == sorted(set(range(1, completed + 1)) - was_used)
        owed, missing = shown(memory)
        assert owed == len([number for number in was_used if number > completed])
        assert missing >= 1
    said = [each.number for each in memory.said if isinstance(each, CardCompleted)]
    assert sorted(said) == sorted(each.number for each in memory.vouchers.values())


def test_cards_stay_when_a_new_version_leaves_them_out() -> None:
    latest = {"tier_period": "jalali_year", "cards": [COFFEE]}
    said = ProgramRules.model_validate({"tier_period": "jalali_year", "earn_per_toman": 500})
    assert as_before(latest, said).cards[0].key == "coffee"
    emptied = ProgramRules.model_validate({"tier_period": "jalali_year", "cards": []})
    assert as_before(latest, emptied).cards == ()


@pytest.mark.parametrize(
    "wrong",
    [{"need": 1}, {"need": 101}, {"per": "guest"}, {"per_visit": 0}, {"per_visit": 101}, {"lives_days": 0},
     {"name": ""}, {"reward": "x" * 201}, {"key": "Coffee"}, {"match": {}}, {"minimum_toman": -1}],
)  # fmt: skip
def test_what_no_card_may_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ProgramRules.model_validate({"tier_period": "jalali_year", "cards": [COFFEE | wrong]})

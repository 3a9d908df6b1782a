"""Who may have a reward, and what bills make of one that is reserved: case by case and without a database."""

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from services.loyalty.models.earning import BillLine
from services.loyalty.models.rewards import Conditions, GoodFor, Occasion, Reward, RewardSeeker, Terms
from services.loyalty.rules import redeeming, rewards
from tests.loyalty.examples import CAFE, GUEST, NOON, TEHRAN
from tests.loyalty.test_lots_and_bills import BY_HAND, EARNS, ONE, OTHER_GUEST, OVER, THREE, TWO, bill, spent, wishes

HERE, THERE, REWARD = UUID(int=11), UUID(int=12), UUID(int=13)
# A Sunday in Tehran.
LOCAL = NOON.astimezone(ZoneInfo(TEHRAN))
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
COFFEE = "0" * 15 + "a"


def reward(*, stock: int | None = None, taken: int = 0, is_active: bool = True, **fields: Any) -> Reward:
    terms = {name: fields.pop(name) for name in ("cost_points", "minimum_bill") if name in fields}
    whole: dict[str, Any] = {
        "name": "قهوه", "kind": "item", "cost_points": 100, "value": None, "minimum_bill": Decimal(0),
    }  # fmt: skip
    return Reward(
        cafe_id=CAFE, reward_id=REWARD, key="coffee", version=1, is_active=is_active, stock=stock, taken=taken,
        terms=Terms(conditions=Conditions(**fields), **whole | terms), created_by=GUEST, created_at=NOON,
    )  # fmt: skip


def asked(
    each: Reward, *, at: datetime = LOCAL, tier: Any = "silver", balance: int = 100, had: int = 0, **more: Any
) -> Any:
    occasion = Occasion(at=at, **more)
    return rewards.refusals(each, occasion, RewardSeeker(tier=tier, balance=balance, had={REWARD: had}))


@pytest.mark.parametrize(
    ("each", "told", "refused"),
    [
        (reward(), {}, []),
        (reward(is_active=False), {}, ["reward_inactive"]),
        (reward(valid_from=NOON + MINUTE), {}, ["reward_not_valid"]),
        (reward(valid_from=NOON, valid_until=NOON + MINUTE), {}, []),
        (reward(valid_until=NOON), {}, ["reward_not_valid"]),
        (reward(cost_points=None), {"balance": 0}, ["not_for_points"]),
        (reward(branches=(HERE,)), {"branch": HERE}, []),
        (reward(branches=(HERE,)), {"branch": THERE}, ["wrong_branch"]),
        (reward(branches=(HERE,)), {}, ["wrong_branch"]),
        (reward(), {"branch": HERE}, []),
        (reward(weekdays=("sun",)), {}, []),
        (reward(weekdays=("sat", "mon")), {}, ["wrong_day"]),
        (reward(from_time="12:00", until_time="12:01"), {}, []),
        (reward(until_time="12:00"), {}, ["wrong_hour"]),
        (reward(from_time="12:01"), {}, ["wrong_hour"]),
        (reward(from_time="22:00", until_time="02:00"), {}, ["wrong_hour"]),
        (reward(from_time="22:00", until_time="02:00"), {"at": LOCAL + 11 * 60 * MINUTE}, []),
        (reward(from_time="22:00", until_time="02:00"), {"at": LOCAL + 13 * 60 * MINUTE}, []),
        (reward(least_tier="silver"), {}, []),
        (reward(least_tier="gold"), {}, ["tier_too_low"]),
        (reward(minimum_bill=Decimal(500)), {"bill": Decimal(500)}, []),
        (reward(minimum_bill=Decimal(500)), {"bill": Decimal("499.99")}, ["bill_too_small"]),
        (reward(minimum_bill=Decimal(500)), {}, ["bill_too_small"]),
        (reward(per_guest=2), {"had": 1}, []),
        (reward(per_guest=2), {"had": 2}, ["guest_limit"]),
        (reward(), {"balance": 99}, ["INSUFFICIENT_POINTS"]),
        (reward(stock=3, taken=2), {}, []),
        (reward(stock=3, taken=3), {}, ["out_of_stock"]),
        # All of them, the one that matters first.
        (
            reward(is_active=False, weekdays=("fri",), least_tier="platinum", stock=0),
            {"balance": 0},
            ["reward_inactive", "wrong_day", "tier_too_low", "INSUFFICIENT_POINTS", "out_of_stock"],
        ),
    ],
)
def test_what_keeps_a_guest_from_a_reward(each: Reward, told: dict[str, Any], refused: list[str]) -> None:
    assert asked(each, **told) == refused


@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        # Nothing is told of what is on the bill.
        ((), []),
        ((BillLine(None, None, 10, 1000, 5),), []),
        ((BillLine(None, None, 10, 1000, None),), []),
        ((BillLine(10, None, None, 1000, 5),), ["not_on_bill"]),
        # What takes off a price was not bought.
        ((BillLine(None, None, 10, 1000, -5), BillLine(None, None, 11, 1000, 5)), ["not_on_bill"]),
    ],
)
def test_reward_is_good_for_what_it_names(lines: tuple[BillLine, ...], refused: list[str]) -> None:
    each = reward(match=GoodFor(names=("قهوه",)), codes={"قهوه": COFFEE})
    assert asked(each, lines=lines) == refused


def test_near_is_what_only_points_keep_from_the_guest() -> None:
    occasion = Occasion(at=LOCAL)
    guest = RewardSeeker(tier="bronze", balance=-20)
    assert rewards.missing(reward(), occasion, guest) == 120
    assert rewards.missing(reward(stock=0), occasion, guest) is None
    assert rewards.missing(reward(), occasion, replace(guest, balance=100)) is None


def test_days_of_a_limit_are_those_of_the_cafe() -> None:
    midnight = LOCAL.replace(hour=0)
    assert rewards.counts_since(Conditions(per_guest=1), LOCAL) is None
    assert rewards.counts_since(Conditions(per_guest=1, per_guest_days=1), LOCAL) == midnight
    assert rewards.counts_since(Conditions(per_guest=1, per_guest_days=7), LOCAL) == midnight - 6 * DAY


def test_cheapest_stand_first_and_those_of_cards_last() -> None:
    dear, cheap, of_cards = reward(cost_points=9), reward(cost_points=3), reward(cost_points=None)
    assert rewards.cheapest_first([of_cards, dear, cheap]) == [cheap, dear, of_cards]


# --- what bills make of it

COFFEE_HELD = spent(OVER, 60, reward_id=REWARD, kind="item")
GONE = replace(COFFEE_HELD, state="reversed", reversed_at=NOON)


@pytest.mark.parametrize(
    ("bills", "known", "found"),
    [
        # The whole reward, whatever the bill asks for.
        ([EARNS, bill(2, 1, asks=60, redemption_id=OVER)], COFFEE_HELD, [(OVER, 60, None, True)]),
        ([EARNS, bill(2, 1, asks=10, redemption_id=OVER)], COFFEE_HELD, [(OVER, 60, None, True)]),
        ([EARNS, bill(2, 1, asks=0, redemption_id=OVER)], COFFEE_HELD, [(OVER, 60, None, True)]),
        ([EARNS, bill(2, 1, asks=90, redemption_id=OVER)], COFFEE_HELD,
         [(OVER, 60, None, True), (TWO, 30, None, False)]),
        # Points that are of no reward are used as far as the bill asks.
        ([EARNS, bill(2, 1, asks=10, redemption_id=OVER)], BY_HAND, [(OVER, 10, None, True)]),
        ([EARNS, bill(2, 1, asks=0, redemption_id=OVER)], BY_HAND, []),
        # It went back before the bill came: the bill asks for itself, or for nothing.
        ([EARNS, bill(2, 1, asks=60, redemption_id=OVER)], GONE, [(TWO, 60, None, False)]),
        ([EARNS, bill(2, 1, asks=0, redemption_id=OVER)], GONE, []),
        # The first bill that names it has it.
        (
            [EARNS, bill(2, 1, asks=0, redemption_id=OVER), bill(3, 2, asks=20, redemption_id=OVER)],
            COFFEE_HELD,
            [(OVER, 60, None, True), (THREE, 20, redeeming.TAKEN, False)],
        ),
        ([EARNS, bill(2, 1, asks=0, redemption_id=OVER), bill(3, 2, asks=0, redemption_id=OVER)], COFFEE_HELD,
         [(OVER, 60, None, True)]),
        # One of somebody else is nothing to this guest.
        ([EARNS, bill(2, 1, asks=0, redemption_id=OVER)], replace(COFFEE_HELD, customer_id=OTHER_GUEST), []),
        ([EARNS, bill(2, 1, asks=60, redemption_id=OVER)], replace(COFFEE_HELD, customer_id=OTHER_GUEST),
         [(TWO, 60, redeeming.TAKEN, False)]),
    ],
)  # fmt: skip
def test_bill_that_names_a_reward(bills: list[Any], known: Any, found: list[Any]) -> None:
    assert wishes(bills, [known]) == found


def test_order_of_arrival_changes_nothing_of_what_bills_make_of_it() -> None:
    bills = [
        EARNS,
        bill(2, 1, asks=0, redemption_id=OVER),
        bill(3, 2, asks=50, redemption_id=OVER),
        bill(4, 3, asks=40),
    ]
    told = [wishes(sorted(each, key=lambda one: one.visit.occurred_at), [COFFEE_HELD]) for each in permutations(bills)]
    assert all(each == told[0] for each in told)
    assert ONE not in {wish for wish, *_ in told[0]}

"""The end does not depend on the order of arrival: one history in many orders, with repeats, through all services."""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid5

from services.loyalty.handlers.adjustments import adjust, decide
from services.loyalty.models.accounts import Adjustment
from services.loyalty.models.earn_rules import words_of
from services.loyalty.models.programs import ProgramRules
from services.loyalty.store import programs
from shared.clock import new_id, now
from shared.database import db
from shared.events.identity import AccessGranted
from shared.security import access, ids
from tests.chaos.databases import databases_on
from tests.chaos.history import GIFT, GUESTS, SPENDER, TWIN, Sent, an_order, history, phone
from tests.chaos.house import House, open_house
from tests.chaos.lives import EARNING
from tests.chaos.scenario import Scenario, World, assert_sound
from tests.chaos.snapshot import Snapshot, assert_nothing_parked, assert_same_bills, snapshot

PERMUTATIONS = 1_000
QUICK_SECONDS = 15.0
# Cafes whose records arrive at the same time, and so share batches.
AT_ONCE, QUICK_AT_ONCE = 25, 5
LARGEST_BATCH = 150
PHONES = {guest: phone(guest) for guest in range(GUESTS)}
MOST_LINES = 40
# What all bills of the history have on them.
COFFEES = {
    "key": "coffees", "name": "قهوه", "need": 2, "match": {"names": ["قهوه ترک"]}, "reward": "یک قهوه",
    "lives_days": 90,
}  # fmt: skip
TURKISH = {"key": "turkish", "kind": "item", "points": 3, "match": {"names": ["قهوه ترک"]}}


@dataclass(frozen=True)
class Cafe:
    """A cafe that hears the history in an order of its own."""

    cafe_id: UUID
    api_key: str
    order: Sequence[Sent]


async def run(world: World) -> str:
    """All orders end as the plain one does, and the books of all services are sound."""
    seconds = QUICK_SECONDS if world.quick else None
    async with databases_on(world, "arrival") as databases:
        house = await open_house(databases.config, databases, world.dice)
        house.largest_batch = LARGEST_BATCH
        told = await arrive(house, world.seed, PERMUTATIONS, seconds)
        await assert_sound(house.config)
    world.say(told)
    return told


async def arrive(house: House, seed: int, most: int, seconds: float | None = None) -> str:
    """Delivers one history in up to `most` orders, no new ones begun after `seconds`; says how many.

    Raises AssertionError with the first order that ends differently.
    """
    dice = random.Random(seed)
    sent = history(dice, now())
    expected = await plain_order(house, sent)
    started, done, delivered = time.monotonic(), 0, 0
    at_once = AT_ONCE if seconds is None else QUICK_AT_ONCE
    while done < most and (seconds is None or time.monotonic() - started < seconds):
        cafes = [await open_cafe(house, an_order(dice, sent)) for _ in range(min(at_once, most - done))]
        await deliver(house, dice, cafes)
        for cafe in cafes:
            found = expected.differences(await snapshot(house, cafe.cafe_id, PHONES, phone(TWIN)))
            assert not found, told_apart(seed, done, cafe, found)
            await assert_same_bills(house, cafe.cafe_id)
            done += 1
            delivered += len(cafe.order)
        await assert_nothing_parked(house)
    return f"{done:,} orders of {len(sent)} records, {delivered:,} deliveries, one end state"


async def plain_order(house: House, sent: Sequence[Sent]) -> Snapshot:
    """The end state when each record comes once, a few at a time in the order in which things happened."""
    cafe = await open_cafe(house, sent)
    for start in range(0, len(sent), 5):
        for each in sent[start : start + 5]:
            house.hand_in(cafe.api_key, each.kind, each.body, own_id(cafe, each))
        await house.settle()
    found = await snapshot(house, cafe.cafe_id, PHONES, phone(TWIN))
    assert all(found.tables[key] for key in found.tables if key != ("visit", "gaps")), "the history leaves tables empty"
    return found


async def earn_by_rules(house: House, cafe_id: UUID) -> None:
    """Rules of every kind for the younger half of the history."""
    rules = ProgramRules.model_validate(
        {"tier_period": "jalali_year"}
        | EARNING
        | {"earn": [*EARNING["earn"], TURKISH], "cards": [*EARNING["cards"], COFFEES]}
    )
    codes = {
        word: ids.menu_code(house.config.keys, cafe_id, word)
        for word in words_of(rules.base, (*rules.earn, *rules.cards))
    }
    since = (now() - timedelta(days=200)).replace(hour=12, minute=0, second=0, microsecond=0)
    async with db.transaction(house.pools["loyalty"]) as conn:
        assert await programs.publish(conn, cafe_id, 2, since, rules.model_dump(mode="json"), new_id(), codes)


async def open_cafe(house: House, order: Sequence[Sent]) -> Cafe:
    """A cafe with every kind of earning rule, whose spender has registered and has been given points."""
    cafe_id, api_key = await house.make_cafe()
    await house.settle()
    await earn_by_rules(house, cafe_id)
    spender = ids.customer_id(house.config.keys, cafe_id, PHONES[SPENDER])
    body = {
        "device_id": "till-0",
        "receipt_number": "opening",
        "phone": PHONES[SPENDER],
        "occurred_at": (now() - timedelta(days=500)).replace(hour=12, minute=0, second=0, microsecond=0).isoformat(),
        "total": "1000",
        "currency_unit": "IRT",
    }
    house.hand_in(api_key, "pos.visit_recorded", body)
    await house.settle()
    await give(house.pools["loyalty"], cafe_id, spender)
    await house.settle()
    return Cafe(cafe_id, api_key, order)


async def give(pool: db.Pool, cafe_id: UUID, customer_id: UUID) -> None:
    """The spender's points, from one manager with the word of another."""
    author, other = new_id(), new_id()
    granted = [
        AccessGranted(cafe_id=cafe_id, user_id=user_id, role="manager", version=1, occurred_at=now())
        for user_id in (author, other)
    ]
    gift = Adjustment(
        adjustment_id=new_id(),
        cafe_id=cafe_id,
        customer_id=customer_id,
        type="earned_bonus",
        points=GIFT,
        reason=None,
        state="pending",
        created_by=author,
        created_at=now(),
    )
    async with db.transaction(pool) as conn:
        await access.on_access_granted(conn, granted)
    async with db.staff_transaction(pool, author) as conn:
        await adjust(conn, gift, new_id())
    async with db.staff_transaction(pool, other) as conn:
        await decide(conn, cafe_id, gift.adjustment_id, other, approve=True, correlation_id=new_id())


async def deliver(house: House, dice: random.Random, cafes: Sequence[Cafe]) -> None:
    """Hands in the cafes' records, each cafe's in its order, while the services are at work."""
    waiting = {number: list(reversed(cafe.order)) for number, cafe in enumerate(cafes)}
    while waiting:
        for _ in range(dice.randint(1, 60)):
            if not waiting:
                break
            number = dice.choice(list(waiting))
            cafe, each = cafes[number], waiting[number].pop()
            house.hand_in(cafe.api_key, each.kind, each.body, own_id(cafe, each))
            if not waiting[number]:
                del waiting[number]
        for _ in range(dice.randint(0, 12)):
            await house.relay()
            ready = [queue for queue, records in house.queues.items() if records]
            if ready:
                await house.deliver(dice.choice(ready))
    await house.settle()


def own_id(cafe: Cafe, sent: Sent) -> UUID:
    """The message's id in this cafe: no two cafes send the same one."""
    return uuid5(cafe.cafe_id, str(sent.event_id))


def told_apart(seed: int, number: int, cafe: Cafe, found: Sequence[str]) -> str:
    """What is to be read when an order ends differently."""
    rows = [*found[:MOST_LINES], *([f"... {len(found) - MOST_LINES} more"] if len(found) > MOST_LINES else [])]
    lines: Mapping[str, Sequence[str]] = {
        f"seed {seed}, order {number}: the end differs (- plain order, + this one)": rows,
        "it arrived so": [f"{place:3} {each}" for place, each in enumerate(cafe.order)],
    }
    return "\n".join(line for title, body in lines.items() for line in (title, *(f"  {each}" for each in body)))


SCENARIOS = [Scenario("arrival_in_any_order", run)]

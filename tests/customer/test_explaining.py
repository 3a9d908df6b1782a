"""Why a guest is in a segment: the conditions of its tree as they hold now, and the moves with their causes."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

import httpx2
import pytest

from services.customer.handlers import explaining
from services.customer.handlers.activity import on_tier_changed
from services.customer.handlers.customers import erase_customer
from services.customer.models.values import Act
from shared.clock import new_id
from shared.database.db import Pool, staff_transaction, transaction
from shared.events.loyalty import TierChanged
from shared.inputs.explaining import ALWAYS, NEVER, Condition, ExplainedStep, Explanation
from tests.customer.given import (
    CAFE,
    DAY,
    NOON,
    STAFF,
    add_segment,
    cafe,
    guest_of,
    guests,
    keys_of,
    learned,
    recalculated,
    recorded,
    staff,
    visits,
)

GUEST = guest_of()
LEAVES: list[dict[str, Any]] = [
    {"visit_count": {"min": 2}},
    {"visit_count": {"min": 1, "max": 3}},
    {"monthly_visits": {"min": 2, "max": 5}},
    {"last_visit_days": {"min": 3, "max": 20}},
    {"first_visit_days": {"max": 9}},
    {"created_within_days": 12},
    {"lifetime_spent": {"min": 150_000}},
    {"avg_spend": {"max": "99999.50"}},
    {"tier_level": ["gold", "platinum"]},
    {"points": {"min": 5}},
    {"avg_rating": {"min": 4.5}},
    {"rating_count": {"max": 0}},
    {"status": ["active"]},
    {"city": ["تهران"]},
    {"has_birthday": True},
    {"has_email": False},
]


@pytest.fixture
async def house(database: Any) -> Pool:
    opened: Pool = await database("customer")
    await cafe(opened)
    await staff(opened)
    return opened


async def told(pool: Pool, now: Any = NOON) -> Explanation:
    async with transaction(pool) as conn:
        return await explaining.explain_guest(conn, CAFE, GUEST.customer_id, ALWAYS, NEVER, now=now)


def about(found: Explanation, key: str) -> ExplainedStep:
    (step,) = [each for each in found.steps if each.what == "segment" and each.values["segment_key"] == key]
    return step


def tree(random: Random, depth: int = 0) -> dict[str, Any]:
    kind = random.random()
    if depth == 3 or kind < 0.4:
        return random.choice(LEAVES)
    if kind < 0.5:
        return {"not": tree(random, depth + 1)}
    return {random.choice(("all", "any")): [tree(random, depth + 1) for _ in range(random.randrange(1, 4))]}


def judged(conditions: Sequence[Condition]) -> bool:
    """Whether a tree holds, from nothing but its leaves."""
    first, rest = conditions[0], list(conditions[1:])
    if first.rule not in ("all", "any", "not"):
        assert not rest
        return first.held
    starts = [place for place, each in enumerate(rest) if each.depth == first.depth + 1]
    parts = [judged(rest[start:end]) for start, end in zip(starts, [*starts[1:], len(rest)], strict=True)]
    return not parts[0] if first.rule == "not" else all(parts) if first.rule == "all" else any(parts)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_nodes_of_a_tree_say_what_the_segment_is(house: Pool, seed: int) -> None:
    random = Random(seed)
    await guests(house)
    await visits(house, [recorded(at=NOON - random.randrange(25) * DAY, amount="70000") for _ in range(seed * 2)])
    for number in range(15):
        await add_segment(house, {"visit_count": {"min": 1}}, key=f"own_{number}")
        # Deeper than people may write today.
        await house.execute(
            "UPDATE customer_segments SET criteria = $1 WHERE segment_key = $2", tree(random), f"own_{number}"
        )
    await recalculated(house)
    found = await told(house)
    inside = await keys_of(house)
    steps = [each for each in found.steps if each.what == "segment"]
    assert len(steps) == 18
    for step in steps:
        assert (step.outcome == "inside") == (step.values["segment_key"] in inside)
        assert judged(step.conditions) == step.conditions[0].held == (step.outcome == "inside")
        assert bool(step.not_because) == (step.outcome == "outside")
        assert step.as_of == "now"


async def test_condition_has_the_guests_value_beside_what_was_asked(house: Pool) -> None:
    await guests(house)
    await visits(house, [recorded(at=NOON - 6 * DAY, amount="80000"), recorded(at=NOON - 2 * DAY, amount="50000")])
    found = await told(house)
    vip = about(found, "vip_customers")
    assert (vip.outcome, vip.not_because) == ("outside", ["tier_level", "lifetime_spent"])
    tier, spent = vip.conditions[1:]
    assert spent.amounts == {"value": 130_000, "least": 500_000}
    assert tier.values == {"value": "bronze", "one_of": "gold, platinum"}
    regular = about(found, "regular_customers")
    assert [each.values["value"] for each in regular.conditions[1:]] == [2, 2]
    new = about(found, "new_customers")
    assert (new.outcome, new.values["changes_at"]) == ("inside", (NOON - 6 * DAY + 30 * DAY).isoformat())


async def test_moves_name_the_visit_that_caused_them(house: Pool) -> None:
    await guests(house)
    visit = recorded()
    await visits(house, [visit])
    async with transaction(house) as conn:
        gold = TierChanged(
            cafe_id=CAFE, customer_id=GUEST.customer_id, occurred_at=NOON, tier="gold", previous_tier="bronze",
            starts_on=NOON.date(), expires_on=None, account_version=2,
        )  # fmt: skip
        await on_tier_changed(conn, [gold], now=NOON + DAY)
        found = await explaining.explain_visit(conn, CAFE, visit.visit_id, GUEST.customer_id, now=NOON + DAY)
        nobodys = await explaining.explain_visit(conn, CAFE, visit.visit_id, None, now=NOON)
    moves = [each for each in found.steps if each.what == "stay"]
    assert [each.because[0] for each in moves] == [visit.visit_id] * len(moves)
    assert nobodys.steps == []
    whole = [each for each in (await told(house)).steps if each.what == "stay"]
    assert {(each.outcome, each.rule) for each in whole} >= {("entered", "visit")} | {
        (each.outcome, each.rule) for each in moves
    }


async def test_erased_guest_is_in_no_segment(house: Pool) -> None:
    await guests(house)
    await visits(house, [recorded()])
    async with staff_transaction(house, STAFF) as conn:
        await erase_customer(conn, GUEST, act=Act(STAFF, NOON + DAY, new_id()))
    found = await told(house, NOON + 2 * DAY)
    steps = [each for each in found.steps if each.what == "segment"]
    assert steps
    assert {(each.outcome, each.not_because[0]) for each in steps} == {("outside", "registered")}


async def test_city_is_not_told_and_amounts_are_for_managers(client: httpx2.AsyncClient, pool: Pool) -> None:
    await guests(pool, learned(name="نگار رضایی"))
    await visits(pool, [recorded()])
    await add_segment(pool, {"city": ["تهران"]}, key="tehran")
    for role, sees in (("manager", True), ("staff", False)):
        await staff_again(pool, role)
        answer = await client.get(f"/cafes/{CAFE}/explain/guests/{GUEST.customer_id}")
        by_visit = await client.get(f"/cafes/{CAFE}/explain/visits/{new_id()}?customer_id={GUEST.customer_id}")
        for each in (answer, by_visit):
            steps = {step["values"]["segment_key"]: step for step in each.json()["steps"] if step["what"] == "segment"}
            spent = steps["vip_customers"]["conditions"][2]
            assert (spent["amounts"] == {"value": "100000.00", "least": "500000"}) == sees
            assert steps["tehran"]["conditions"][0]["values"]["value"] is None
            assert "نگار" not in each.text


async def staff_again(pool: Pool, role: Any) -> None:
    await pool.execute("UPDATE user_cafe_access SET role = $1 WHERE cafe_id = $2 AND user_id = $3", role, CAFE, STAFF)


async def test_moves_are_bounded_and_go_on(house: Pool) -> None:
    await guests(house)
    await visits(house, [recorded()])
    (segment,) = [step for step in (await told(house)).steps if step.values["segment_key"] == "vip_customers"]
    await house.executemany(
        "INSERT INTO segment_history (cafe_id, customer_id, segment_id, entered_at, left_at, reason, left_reason)"
        " VALUES ($1, $2, $3, $4, $5, 'time', 'time')",
        [
            (*GUEST, segment.id, NOON - number * DAY, NOON - number * DAY + timedelta(hours=1))
            for number in range(1, 81)
        ],
    )
    counted, before = 0, NEVER
    async with transaction(house) as conn:
        while True:
            found = await explaining.explain_guest(conn, CAFE, GUEST.customer_id, ALWAYS, before, now=NOON)
            counted += sum(step.what == "stay" and step.rule == "time" for step in found.steps)
            if found.next_before is None:
                break
            before = found.next_before
    assert counted == 160

"""What a cafe may define is bounded, so that judging its guests holds up no other cafe's."""

from typing import Any

import pytest

from services.customer.handlers import segments as handlers
from services.customer.handlers.segments import MOST_CONDITIONS
from services.customer.models.shapes import Rule
from services.customer.rules.compile import HEAVY, RULESETS_AT_ONCE, compile_rules, statements
from shared.db import Pool, transaction
from shared.errors import Rejected
from tests.customer.given import CAFE, NOON, check_counts, guests, learned
from tests.customer.test_segments import add_segment, pool

__all__ = ["pool"]


def conditions(count: int) -> dict[str, Any]:
    """Criteria of so many conditions, which every guest meets."""
    return {"any": [{"visit_count": {"min": 0, "max": 10_000 + number}} for number in range(count)]}


async def test_cafe_with_too_many_conditions_is_refused_before_it_slows_down_others(pool: Pool) -> None:
    # The three system segments have six.
    for number in range(5):
        await add_segment(pool, conditions(50), key=f"own_{number}")
    with pytest.raises(Rejected) as caught:
        await add_segment(pool, conditions(45), key="one_too_many")
    assert (caught.value.status, caught.value.code) == (422, "too_many_conditions")
    assert [problem.field for problem in caught.value.problems] == ["criteria"]
    assert str(MOST_CONDITIONS) in caught.value.en
    await add_segment(pool, conditions(44), key="just_enough")
    own = await pool.fetchval("SELECT id FROM customer_segments WHERE segment_key = 'own_0'")
    async with transaction(pool) as conn:
        await handlers.change_segment(conn, CAFE, own, handlers.ChangeSegment(criteria=conditions(50)), now=NOON)
        with pytest.raises(Rejected, match="too_many_conditions"):
            await handlers.change_segment(conn, CAFE, own, handlers.ChangeSegment(criteria=conditions(51)), now=NOON)
    await guests(pool, learned())
    await check_counts(pool)


def test_heavy_rules_are_asked_alone_and_light_ones_together() -> None:
    light = [(Rule(3, f'{{"visit_count": {{"min": {number}}}}}'),) for number in range(2 * RULESETS_AT_ONCE + 1)]
    heavy = (Rule(3, '{"any": [' + ", ".join(['{"visit_count": {"min": 1}}'] * (HEAVY + 1)) + "]}"),)
    asked = statements(sorted([*light, heavy]))
    assert [len(chunk) for chunk in asked] == [1, RULESETS_AT_ONCE, RULESETS_AT_ONCE, 1]
    assert asked[0] == (heavy,)
    # The protocol takes 32,767 parameters: no statement comes near.
    most = (Rule(3, '{"any": [' + ", ".join(['{"visit_count": {"min": 1, "max": 2}}'] * MOST_CONDITIONS) + "]}"),)
    assert len(compile_rules((most,), 5, by_key=True).values) < 2_000

"""What the demo's club has beside a year of visits: a price of its points, rewards, and points about to lapse."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID, uuid4

import httpx2

from deploy.demo import gifts
from shared.database.db import Pool

# In Toman: a fifth of what 1,000 Toman of a bill would be.
WORTH_OF_A_POINT: Final = "100"
# What guests have for their points.
REWARDS: Final[tuple[dict[str, Any], ...]] = (
    {"key": "espresso", "name": "یک اسپرسو", "kind": "item", "cost_points": 60, "stock": 40},
    {
        "key": "carrot_cake", "name": "کیک هویج با چای", "kind": "item", "cost_points": 150, "stock": 12,
        "conditions": {
            "weekdays": ["sat", "sun", "mon"], "from_time": "15:00", "until_time": "18:00",
            "per_guest": 1, "per_guest_days": 7,
        },
    },
    {
        "key": "fifty_off", "name": "۵۰ هزار تومان تخفیف", "kind": "discount", "value": "50000", "cost_points": 400,
        "minimum_bill": "200000",
    },
    {
        "key": "mug", "name": "ماگ سفالی کافه", "kind": "item", "cost_points": 900, "stock": 3,
        "conditions": {"per_guest": 1},
    },
    {
        "key": "dinner", "name": "شام دونفره", "kind": "item", "cost_points": 2500, "stock": 3,
        "conditions": {"least_tier": "gold"},
    },
)  # fmt: skip
# A year of visits has nothing that lapses under rules that began with it; counted at once, not at the next full hour.
LET_LAPSE: Final = """
WITH soon AS (
    SELECT customer_id, lot_id, row_number() OVER (ORDER BY earned_at, lot_id) AS place FROM point_lots
    WHERE cafe_id = $1 AND remaining > 0 ORDER BY earned_at, lot_id LIMIT 60
), dated AS (
    UPDATE point_lots l SET expires_at = now() + interval '6 hours' + soon.place / 3 * interval '1 day' FROM soon
    WHERE l.cafe_id = $1 AND l.customer_id = soon.customer_id AND l.lot_id = soon.lot_id
)
UPDATE crm.club_progress SET lapsing_counted_at = 'epoch'
"""


async def price_points(
    owner: httpx2.AsyncClient, manager: httpx2.AsyncClient, urls: Mapping[str, str], cafe_id: UUID
) -> None:
    """Rules that give points a price, and points for birthdays and referrals: the owner asks for them, and the manager
    approves."""
    programs = f"{urls['loyalty']}/cafes/{cafe_id}/programs"
    (last,) = (await owner.get(programs)).raise_for_status().json()[-1:]
    kept = {name: value for name, value in last["rules"].items() if name not in ("toman_per_point", "approval_above")}
    kept |= gifts.TERMS
    asked: dict[str, Any] = {"rules": kept, "point_worth": WORTH_OF_A_POINT, "currency_unit": "IRT"}
    proposed = (await owner.post(programs, json=asked)).raise_for_status().json()
    if "proposal_id" in proposed:
        decision = f"{programs}/proposals/{proposed['proposal_id']}/decision"
        (await manager.post(decision, json={"approve": True})).raise_for_status()


async def offer_rewards(manager: httpx2.AsyncClient, urls: Mapping[str, str], cafe_id: UUID) -> None:
    """Puts a few rewards on offer."""
    for each in REWARDS:
        body = {"reward_id": str(uuid4()), "currency_unit": "IRT", **each}
        (await manager.post(f"{urls['loyalty']}/cafes/{cafe_id}/rewards", json=body)).raise_for_status()


async def let_points_lapse(loyalty: Pool, cafe_id: UUID) -> None:
    """Lets the oldest points lapse within the next weeks."""
    await loyalty.execute(LET_LAPSE, cafe_id)

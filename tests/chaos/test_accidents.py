"""Nobody is written to by accident: what tills tell late, correct and void, what managers define anew, what is counted
anew and what comes again, in any order, begins no journey. A visit of today that crosses the line begins exactly one.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from deploy.demo import till
from services.customer.handlers import rebuilding, segments
from services.customer.handlers.periodic import recalculate
from services.customer.models.http import ChangeSegment
from shared.clock import new_id, now
from shared.database import db
from shared.persian.phone import canonical
from shared.security.ids import customer_id
from shared.settings import Settings
from tests.chaos.house import House, open_house
from tests.support import Databases

GUESTS, DEEDS = 6, 40
# Those that late bills cross, and in whose place the big bill of today must come alone.
DEFINITIONS: list[dict[str, Any]] = [
    {"visit_count": {"min": 1}},
    {"visit_count": {"max": 100}},
    {"lifetime_spent": {"min": 200_000}},
    {"points": {"min": 100}},
    {"tier_level": ["bronze", "silver"]},
    {"any": [{"lifetime_spent": {"min": 300_000}}, {"visit_count": {"min": 3}}]},
    {"lifetime_spent": {"min": 9_000_000}},
    {"visit_count": {"max": 99}},
]
OUT_OF_REACH: list[dict[str, Any]] = [
    {"lifetime_spent": {"min": 50_000_000}},
    {"tier_level": ["platinum"]},
    {"points": {"min": 40_000}},
    {"lifetime_spent": {"min": 50_000_000}, "tier_level": ["platinum"]},
]
BEGUN = """
SELECT r.customer_id FROM journey_runs r JOIN journeys j ON j.cafe_id = r.cafe_id AND j.id = r.journey_id
WHERE r.cafe_id = $1 AND j.trigger = 'segment.entered' AND r.state <> 'skipped'
"""

ENTERED = """
SELECT DISTINCT h.reason
FROM segment_history h JOIN customer_segments s ON s.cafe_id = h.cafe_id AND s.id = h.segment_id
WHERE h.cafe_id = $1 AND s.segment_key = 'vip_customers'
"""


@dataclass
class Town:
    """A cafe, its till's key, and the late bills that stand."""

    house: House
    cafe_id: UUID
    api_key: str
    bills: list[dict[str, Any]] = field(default_factory=list)
    handed_in: list[tuple[str, dict[str, Any], UUID]] = field(default_factory=list)
    numbers: int = 0

    @property
    def dice(self) -> random.Random:
        return self.house.dice

    def hand_in(self, kind: str, body: dict[str, Any]) -> None:
        event_id = new_id()
        self.handed_in.append((kind, body, event_id))
        self.house.hand_in(self.api_key, kind, body, event_id)

    def bill(self, guest: int, total: int, age: timedelta) -> dict[str, Any]:
        self.numbers += 1
        return {
            "device_id": "till-1", "receipt_number": str(self.numbers), "phone": till.phone_of(guest),
            "occurred_at": (now() - age).isoformat(), "total": str(total), "currency_unit": "IRT",
            "marketing_consent": True,
        }  # fmt: skip

    async def define(self, criteria: dict[str, Any]) -> None:
        async with db.transaction(self.house.pools["customer"]) as conn:
            vip = "SELECT id FROM customer_segments WHERE cafe_id = $1 AND segment_key = 'vip_customers'"
            segment_id = await conn.fetchval(vip, self.cafe_id)
            await segments.change_segment(conn, self.cafe_id, segment_id, ChangeSegment(criteria=criteria), now=now())

    async def begun(self) -> Counter[UUID]:
        return Counter(row["customer_id"] for row in await self.house.pools["campaign"].fetch(BEGUN, self.cafe_id))

    async def settle(self) -> None:
        """Also the job that judges everybody again."""
        await self.house.settle()
        while await recalculate(self.house.pools["customer"]):
            pass
        await self.house.settle()


async def everybody_enters_late(town: Town) -> None:
    """Once by a bill of long ago, and once by a definition."""
    await town.define({"visit_count": {"min": 1}})
    await town.settle()
    for guest in range(GUESTS):
        town.bills.append(town.bill(guest, 50_000, timedelta(days=48)))
        town.hand_in("pos.visit_recorded", town.bills[-1])
    for criteria in DEFINITIONS[-2:]:
        await town.settle()
        await town.define(criteria)
    await town.settle()
    reasons = await town.house.pools["customer"].fetch(ENTERED, town.cafe_id)
    assert {row["reason"] for row in reasons} == {"visit", "definition"}


async def tell(town: Town) -> None:
    """A late bill, mostly; or an older one corrected, voided, or told of again."""
    dice = town.dice
    what = dice.choice(("late", "late", "late", "correct", "void", "again"))
    if what == "late" or not town.bills:
        late = timedelta(days=dice.randint(2, 400))
        town.bills.append(town.bill(dice.randrange(GUESTS), dice.randint(50, 250) * 1000, late))
        town.hand_in("pos.visit_recorded", town.bills[-1])
    elif what == "correct":
        corrected = dice.choice(town.bills)
        corrected["total"] = str(dice.randint(50, 250) * 1000)
        town.hand_in("pos.visit_corrected", corrected | {"corrected_at": now().isoformat()})
    elif what == "void":
        voided = town.bills.pop(dice.randrange(len(town.bills)))
        names = ("device_id", "receipt_number")
        town.hand_in("pos.visit_voided", {name: voided[name] for name in names} | {"voided_at": now().isoformat()})
    else:
        town.house.hand_in(town.api_key, *dice.choice(town.handed_in))


async def do_what_is_no_guests_doing(town: Town) -> None:
    """One deed, after which some of what waits has happened."""
    dice = town.dice
    deed = dice.choice(("tell", "tell", "tell", "define", "count anew", "judge", "settle"))
    if deed == "tell":
        await tell(town)
    elif deed == "define":
        await town.define(dice.choice(DEFINITIONS))
    elif deed == "count anew":
        async with db.transaction(town.house.pools["customer"]) as conn:
            await rebuilding.evaluate_again(conn, [town.cafe_id])
    elif deed == "judge":
        await recalculate(town.house.pools["customer"])
    else:
        await town.settle()
    for queue in [queue for queue, records in town.house.queues.items() if records and dice.random() < 0.5]:
        await town.house.deliver(queue)
    if dice.random() < 0.5:
        await town.house.relay()


@pytest.mark.parametrize(("seed", "reentry"), [(1, "never"), (2, "every_stay"), (3, "never"), (4, "every_stay")])
async def test_only_a_visit_of_today_that_crosses_the_line_begins_a_journey(
    seed: int, reentry: str, config: Settings, database: Databases
) -> None:
    house = await open_house(config, database, random.Random(seed))
    town = Town(house, *await house.make_cafe())
    await house.pools["campaign"].execute("UPDATE journeys SET reentry = $1 WHERE segment_key IS NOT NULL", reentry)
    await everybody_enters_late(town)
    for _ in range(DEEDS):
        await do_what_is_no_guests_doing(town)
    await town.settle()
    assert await town.begun() == {}

    await town.define(town.dice.choice(OUT_OF_REACH))
    await town.settle()
    for guest in range(GUESTS):
        town.hand_in("pos.visit_recorded", town.bill(guest, 60_000_000, timedelta(minutes=3)))
    await town.settle()
    guests = [customer_id(config.keys, town.cafe_id, canonical(till.phone_of(guest))) for guest in range(GUESTS)]
    assert await town.begun() == Counter(guests)

    for _ in range(DEEDS):
        await do_what_is_no_guests_doing(town)
    await town.settle()
    assert await town.begun() == Counter(guests)

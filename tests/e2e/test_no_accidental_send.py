"""Through the running system: nobody is written to by what managers define or tills tell late."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from deploy.demo import run as demo
from shared.database.db import Pool
from tests.e2e.bills import bill
from tests.e2e.conftest import System, eventually
from tests.e2e.test_journey import guest

GUESTS = [f"0912333000{number}" for number in range(8)]
MEMBERS = """
SELECT count(*) FROM segment_members
WHERE cafe_id = $1 AND segment_key = 'vip_customers' AND is_member AND reason = $2
"""
MESSAGES = "SELECT count(*) FROM campaign_deliveries WHERE cafe_id = $1"
WELCOMES = """
SELECT count(*) FROM campaign_deliveries d JOIN campaigns c ON c.cafe_id = d.cafe_id AND c.id = d.campaign_id
WHERE d.cafe_id = $1 AND d.customer_id = $2 AND c.purpose = 'marketing' AND d.delivery_status = 'delivered'
"""


async def define_vip(system: System, cafe: demo.DemoCafe, owner: httpx2.AsyncClient, criteria: dict[str, Any]) -> None:
    segments = f"{system.api('customer')}/cafes/{cafe.cafe_id}/segments"
    listed = (await owner.get(segments)).raise_for_status().json()
    [vip] = [segment for segment in listed if segment["segment_key"] == "vip_customers"]
    (await owner.patch(f"{segments}/{vip['id']}", json={"criteria": criteria})).raise_for_status()


async def test_definitions_and_late_visits_send_nothing_and_a_visit_of_today_one_welcome(
    system: System, cafe: demo.DemoCafe, pools: dict[str, Pool], till: httpx2.AsyncClient, owner: httpx2.AsyncClient
) -> None:
    await demo.thank_at_once(system.config, cafe)
    visits, campaign = f"{system.api('visit')}/visits", pools["campaign"]
    for number in range(24):
        late = (datetime.now(UTC) - timedelta(days=48 + 6 * number)).isoformat()
        old = bill(f"l{number}", phone=GUESTS[number % 8], occurred_at=late, marketing_consent=True)
        assert (await till.post(visits, json=old)).status_code == 201
    skipped = "SELECT count(*) FROM journey_runs WHERE cafe_id = $1 AND reason = 'too_late'"
    await eventually(campaign, skipped, cafe.cafe_id, wanted=24)

    await define_vip(system, cafe, owner, {"visit_count": {"min": 1}})
    await eventually(campaign, MEMBERS, cafe.cafe_id, "definition", wanted=8)
    await define_vip(system, cafe, owner, {"visit_count": {"min": 4}})
    await eventually(campaign, MEMBERS, cafe.cafe_id, "definition", wanted=0)

    crossing = bill("today", phone=GUESTS[0])
    assert (await till.post(visits, json=crossing)).status_code == 201
    await eventually(campaign, WELCOMES, cafe.cafe_id, guest(system, cafe, GUESTS[0]), wanted=1)
    # The welcome, and the thanks for that visit.
    await eventually(campaign, MESSAGES, cafe.cafe_id, wanted=2)

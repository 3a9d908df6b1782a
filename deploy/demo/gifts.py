"""What the demo's guests get and lose apart from their bills, until the ledger has a row of each of its types."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID, uuid4

import httpx2

from services.loyalty.store.audit import count_types
from shared.clock import now
from shared.database.db import Pool

NEW_GUEST: Final = "+989350000077"
TERMS: Final[Mapping[str, Any]] = {
    "birthday": {"points": {"bronze": 50, "silver": 100, "gold": 200, "platinum": 300}},
    "referral": {"referrer": 100, "referee": 50, "minimum_bill": 100_000, "within_days": 30, "referrer_visits": 1},
}
# The day had begun before anybody noted a birthday.
TELL_AGAIN: Final = """
UPDATE birthday_turns SET day = (now() AT TIME ZONE 'Asia/Tehran')::date, due_at = now(), through = NULL
WHERE cafe_id = $1
"""
LAPSE_ONE: Final = """
UPDATE point_lots SET expires_at = now() WHERE cafe_id = $1 AND (customer_id, lot_id) = (
    SELECT customer_id, lot_id FROM point_lots WHERE cafe_id = $1 AND remaining > 0 ORDER BY earned_at, lot_id LIMIT 1
)
"""
WITHIN_SECONDS: Final = 180


async def give(
    owner: httpx2.AsyncClient,
    manager: httpx2.AsyncClient,
    urls: Mapping[str, str],
    cafe_id: UUID,
    till_key: str,
) -> None:
    """A guest brings another, a segment gets a bonus, points are spent, given and taken."""
    cafe = f"/cafes/{cafe_id}"
    loyalty = f"{urls['loyalty']}{cafe}"
    newest = (await manager.get(f"{urls['visit']}{cafe}/visits", params={"limit": 40})).raise_for_status().json()
    known = list(dict.fromkeys(each["customer_id"] for each in newest["items"] if each["customer_id"]))
    rich = [guest for guest in known if await _points(manager, loyalty, guest) > 20]
    if not rich:
        return
    guest = f"{loyalty}/customers/{rich[0]}"
    for kind in ("discount", "item"):
        spent = {"redemption_id": str(uuid4()), "customer_id": rich[0], "points": 5, "kind": kind}
        (await manager.post(f"{loyalty}/redemptions", json=spent)).raise_for_status()
    for kind in ("adjustment_add", "adjustment_subtract"):
        by_hand = {"adjustment_id": str(uuid4()), "type": kind, "points": 3, "reason": "شمارش دوباره"}
        (await manager.post(f"{guest}/adjustments", json=by_hand)).raise_for_status()
    await _bonus(owner, manager, urls, cafe)
    code = (await manager.get(f"{guest}/referrals")).raise_for_status().json()["code"]
    headers = {"X-Api-Key": till_key}
    claim = {"phone": NEW_GUEST, "code": code, "device_id": "till-new"}
    (await manager.post(f"{urls['loyalty']}/loyalty/referrals", json=claim, headers=headers)).raise_for_status()
    bill = {
        "device_id": "till-new", "receipt_number": "1", "phone": NEW_GUEST, "occurred_at": now().isoformat(),
        "total": "260000", "currency_unit": "IRT", "payment_method": "card",
    }  # fmt: skip
    (await manager.post(f"{urls['visit']}/visits", json=bill, headers=headers)).raise_for_status()


async def let_time_pass(customer: Pool, loyalty: Pool, cafe_id: UUID) -> None:
    """Has today's birthdays told, which were noted after the day began, and the oldest points lapse."""
    await customer.execute(TELL_AGAIN, cafe_id)
    await loyalty.execute(LAPSE_ONE, cafe_id)


async def complete(loyalty: Pool, cafe_id: UUID, say: Callable[[str], None]) -> bool:
    """Whether the ledger has a row of each type, once the jobs have come by."""
    until = time.monotonic() + WITHIN_SECONDS
    while True:
        async with loyalty.acquire() as conn:
            counts = await count_types(conn, cafe_id)
        missing = [kind for kind, count in counts.items() if not count]
        if not missing:
            say("the ledger has rows of all its types: " + ", ".join(f"{kind} {n:,}" for kind, n in counts.items()))
            return True
        if time.monotonic() > until:
            say("the ledger has no row of: " + ", ".join(missing))
            return False
        await asyncio.sleep(0.5)


async def _points(client: httpx2.AsyncClient, loyalty: str, guest: str) -> int:
    account = (await client.get(f"{loyalty}/customers/{guest}/loyalty")).raise_for_status().json()
    return int(account["available_points"])


async def _bonus(owner: httpx2.AsyncClient, manager: httpx2.AsyncClient, urls: Mapping[str, str], cafe: str) -> None:
    """To the segment with the fewest guests: the owner asks, and the manager approves what is large."""
    segments = (await owner.get(f"{urls['customer']}{cafe}/segments")).raise_for_status().json()
    loyalty = f"{urls['loyalty']}{cafe}"
    found = []
    for key in (each["segment_key"] for each in segments if each["customer_count"]):
        asked = {"segment_keys": [key], "points": 10}
        seen = (await owner.post(f"{loyalty}/bonuses/preview", json=asked)).raise_for_status().json()
        if seen["guests"]:
            found.append((seen["guests"], seen["total_points"], asked))
    if not found:
        return
    _, total, asked = min(found, key=lambda each: each[0])
    run = asked | {"run_id": str(uuid4()), "reason": "جشن پاییزی", "budget_points": total + 1000}
    made = (await owner.post(f"{loyalty}/bonuses", json=run)).raise_for_status().json()
    if made["state"] == "pending":
        decision = f"{loyalty}/grant-runs/{run['run_id']}/decision"
        (await manager.post(decision, json={"approve": True})).raise_for_status()

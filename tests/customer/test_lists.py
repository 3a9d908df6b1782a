"""Lists of guests: what a card says, and in which order cards come."""

import httpx2
import pytest

from services.customer.handlers.activity import on_points_changed, on_tier_changed
from shared.clock import new_id
from shared.database.db import Pool, transaction
from shared.events.base import Tier
from shared.events.loyalty import TierChanged
from tests.customer.given import CAFE, NOON, OTHER_CAFE, guest_of, guests, learned
from tests.customer.test_api import CUSTOMERS, SEGMENTS, register
from tests.customer.test_handlers import earned


def climbed(tier: Tier) -> TierChanged:
    guest = guest_of()
    return TierChanged(
        cafe_id=guest.cafe_id, customer_id=guest.customer_id, occurred_at=NOON, tier=tier, previous_tier="bronze",
        starts_on=NOON.date(), expires_on=None, account_version=1,
    )  # fmt: skip


async def test_every_card_says_points_tier_and_whether_advertising_may_be_sent(
    client: httpx2.AsyncClient, pool: Pool
) -> None:
    body = await register(client, birthday="1990-05-05")
    async with transaction(pool) as conn:
        await on_points_changed(conn, [earned(150, 1)])
        await on_tier_changed(conn, [climbed("gold")])
    segment = await pool.fetchval(
        "SELECT segment_id FROM segment_members WHERE cafe_id = $1 AND customer_id = $2", *guest_of()
    )

    async def shown() -> list[tuple[str, int, bool]]:
        cards = [
            (await client.post(f"{CUSTOMERS}/search", json={})).json()["customers"],
            (await client.get(f"{CUSTOMERS}/birthdays?on=2026-05-05")).json(),
            (await client.post(f"{CUSTOMERS}/cards", json={"ids": [body["id"]]})).json(),
            (await client.get(f"{SEGMENTS}/{segment}/members")).json()["members"],
        ]
        return [(card["tier_level"], card["current_points"], card["marketing_reachable"]) for (card,) in cards]

    consents, status = f"{CUSTOMERS}/{body['id']}/consents", f"{CUSTOMERS}/{body['id']}/status"
    assert await shown() == [("gold", 150, False)] * 4
    await client.put(consents, json={"channel": "sms", "purpose": "marketing", "granted": True})
    assert await shown() == [("gold", 150, True)] * 4
    await client.put(status, json={"status": "blocked"})
    assert await shown() == [("gold", 150, False)] * 4
    await client.put(status, json={"status": "active"})
    await client.put(consents, json={"channel": "sms", "purpose": "marketing", "granted": False})
    await client.put(consents, json={"channel": "email", "purpose": "marketing", "granted": True})
    assert await shown() == [("gold", 150, False)] * 4


async def test_cards_come_in_the_order_asked_and_without_strangers(client: httpx2.AsyncClient, pool: Pool) -> None:
    ids = [(await register(client, phone=f"0912000000{number}"))["id"] for number in range(3)]
    await guests(pool, learned(cafe_id=OTHER_CAFE))
    await client.delete(f"{CUSTOMERS}/{ids[1]}")
    asked = [ids[2], str(guest_of(cafe_id=OTHER_CAFE).customer_id), ids[1], str(new_id()), ids[0]]
    answer = await client.post(f"{CUSTOMERS}/cards", json={"ids": asked})
    assert [card["id"] for card in answer.json()] == [ids[2], ids[0]]


@pytest.mark.parametrize("ids", [[str(CAFE)] * 201, ["x"], None])
async def test_cards_of_too_many_or_of_no_ids_are_refused(client: httpx2.AsyncClient, ids: object) -> None:
    assert (await client.post(f"{CUSTOMERS}/cards", json={"ids": ids})).status_code == 422

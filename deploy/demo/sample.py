"""`crm sample`: the two guests of the seed document, made through the services of the running system.

The seed's first guest has 250 points for 1,250,000 Toman, so its cafe's program earns one point per 5,000 Toman.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx2

from deploy.demo.run import DemoCafe, api_url, known_everywhere, make_cafe, opened
from shared.settings import Settings

TOMAN_PER_POINT = 5_000
BILLS = (*[85_000] * 14, 60_000)
GUESTS: tuple[dict[str, Any], ...] = (
    {
        "phone": "+989123456789",
        "name": "احمد محمدی",
        "email": "ahmad@email.com",
        "birthday": "1985-03-15",
        "notes": "مشتری منظم - ترجیح قهوه ترک",
        "preferences": {"favorite_drink": "turkish_coffee", "allergies": [], "preferred_time": "morning"},
    },
    {
        "phone": "+989987654321",
        "name": "فاطمه احمدی",
        "email": "fateme@email.com",
        "birthday": "1990-07-22",
        "notes": "ترجیح نوشیدنی سرد",
        "preferences": {"favorite_drink": "iced_coffee", "allergies": ["nuts"], "preferred_time": "afternoon"},
    },
)
WITHIN_SECONDS = 60


async def load(config: Settings, say: Callable[[str], None]) -> dict[str, Any]:
    """Makes a cafe with the seed's two guests; returns the first one's summary once the numbers hold.

    Raises `TimeoutError` when they do not come to hold, `httpx2.HTTPStatusError` when a service refuses.
    """
    cafe = await asyncio.to_thread(make_cafe, say)
    async with opened(config) as pools:
        await known_everywhere(pools, cafe)
    async with httpx2.AsyncClient(timeout=30) as client:
        headers = await signed_in(client, config, cafe)
        valid_from = await _publish_program(client, config, cafe, headers)
        ids = [await _register(client, config, cafe, headers, guest) for guest in GUESTS]
        await _visit(client, config, cafe, valid_from)
        summary = await _summary_when_it_holds(client, config, cafe, headers, ids[0])
    say(f"cafe {cafe.cafe_id}, owner {cafe.owner} with {cafe.password}, till key {cafe.api_key}")
    return summary


async def signed_in(client: httpx2.AsyncClient, config: Settings, cafe: DemoCafe) -> dict[str, str]:
    """The headers of the cafe's owner."""
    body = {"login": cafe.owner, "password": cafe.password}
    answer = (await client.post(f"{config.identity_url}/sessions", json=body)).raise_for_status()
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def _publish_program(
    client: httpx2.AsyncClient, config: Settings, cafe: DemoCafe, headers: dict[str, str]
) -> datetime:
    rules = {"earn_per_toman": TOMAN_PER_POINT, "tier_period": "jalali_year"}
    url = f"{api_url(config, 'loyalty')}/cafes/{cafe.cafe_id}/programs"
    answer = (await client.post(url, json={"rules": rules}, headers=headers)).raise_for_status()
    return datetime.fromisoformat(answer.json()["valid_from"])


async def _register(
    client: httpx2.AsyncClient, config: Settings, cafe: DemoCafe, headers: dict[str, str], guest: dict[str, Any]
) -> str:
    url = f"{api_url(config, 'customer')}/cafes/{cafe.cafe_id}/customers"
    answer = (await client.post(url, json=guest, headers=headers)).raise_for_status()
    return str(answer.json()["id"])


async def _visit(client: httpx2.AsyncClient, config: Settings, cafe: DemoCafe, first: datetime) -> None:
    visits = [
        {
            "device_id": "sample",
            "receipt_number": str(number),
            "phone": GUESTS[0]["phone"],
            "occurred_at": (first + timedelta(milliseconds=number)).isoformat(),
            "total": str(amount),
            "currency_unit": "IRT",
            "payment_method": "card",
        }
        for number, amount in enumerate(BILLS, 1)
    ]
    url = f"{api_url(config, 'visit')}/visits/batch"
    (await client.post(url, json={"visits": visits}, headers={"X-Api-Key": cafe.api_key})).raise_for_status()


async def _summary_when_it_holds(
    client: httpx2.AsyncClient, config: Settings, cafe: DemoCafe, headers: dict[str, str], guest: str
) -> dict[str, Any]:
    url, until = f"{api_url(config, 'customer')}/cafes/{cafe.cafe_id}/customers/{guest}/summary", time.monotonic()
    while True:
        summary: dict[str, Any] = (await client.get(url, headers=headers)).raise_for_status().json()
        facts = (summary["current_points"], Decimal(summary["lifetime_spent"] or 0), summary["total_visits"])
        if facts == (sum(BILLS) // TOMAN_PER_POINT, Decimal(sum(BILLS)), len(BILLS)):
            return summary
        if time.monotonic() - until > WITHIN_SECONDS:
            raise TimeoutError(f"points, spent, visits are {facts}")
        await asyncio.sleep(0.1)

"""Who works in the demo's cafe, and what they did today: no screen of the console is empty."""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import httpx2
from persiantools.jdatetime import JalaliDate

from deploy.demo.shell import crm
from shared.database.db import Pool

NAMES: Final = {"manager": "مینا صادقی", "staff": "آرش نوری"}
NOTES: Final = ("بدون شکر", "به گردو حساسیت دارد", "میز کنار پنجره را دوست دارد")
SAID: Final = (
    (1, "قهوه سرد بود و میز تمیز نبود. انتظارش را نداشتم."),
    (5, "لاته‌تان بهترین لاتهٔ شهر است!"),
    (4, "فضا دلنشین بود، فقط کمی شلوغ."),
    (5, "ممنون از برخورد خوب همکارتان."),
    (2, "سفارش‌مان نیم ساعت طول کشید."),
    (5, "کیک هویج عالی بود 🌿"),
    (3, "قیمت‌ها بالا رفته است."),
)
KNOWN_WITHIN_SECONDS: Final = 60
# A leap year: every day of the calendar is in it.
BORN_IN: Final = 1370
AGE_A_CASE: Final = """
UPDATE feedback_cases SET opened_at = opened_at - interval '3 days', due_at = due_at - interval '3 days'
WHERE cafe_id = $1 AND id = (SELECT id FROM feedback_cases WHERE cafe_id = $1 AND status = 'open' ORDER BY id LIMIT 1)
"""


@dataclass(frozen=True)
class CrewMember:
    """Somebody who works there."""

    role: str
    login: str
    password: str


def hire(cafe_id: UUID, role: str, login: str | None = None) -> CrewMember:
    """A person with that role, made as an operator makes them."""
    login, password = login or f"{role}-{cafe_id.hex[-8:]}@example.com", secrets.token_urlsafe(12)
    words = ("user", "add", login, NAMES[role], "--cafe", str(cafe_id), "--role", role, "--password-stdin")
    crm(*words, typed=password)
    return CrewMember(role, login, password)


async def work(client: httpx2.AsyncClient, urls: Mapping[str, str], cafe_id: UUID) -> None:
    """What a manager does in a day, over the APIs at `urls`: notes, birthdays, what guests said at the
    counter, and points that need a second person. `client` is signed in as the manager."""
    cafe = f"/cafes/{cafe_id}"
    newest = await client.get(f"{urls['visit']}{cafe}/visits", params={"limit": 40})
    visits = newest.raise_for_status().json()["items"]
    known = list(dict.fromkeys(each["customer_id"] for each in visits if each["customer_id"]))
    today = JalaliDate(datetime.now(UTC).astimezone(ZoneInfo("Asia/Tehran")).date())  # type: ignore[no-untyped-call]
    for guest_id, note in zip(known, NOTES, strict=False):
        changed = {"notes": note, "birthday": f"{BORN_IN}-{today.month:02}-{today.day:02}"}
        guest = f"{urls['customer']}{cafe}/customers/{guest_id}"
        await _until_known(client, guest)
        (await client.patch(guest, json=changed)).raise_for_status()
    if not visits:
        return
    for visit, (rating, comment) in zip(visits, SAID, strict=False):
        told = {"source": "staff_tablet", "visit_id": visit["id"], "overall_rating": rating, "comment": comment}
        await _post(client, f"{urls['feedback']}{cafe}/feedback", told)
    if known:
        gift = {
            "adjustment_id": str(uuid4()),
            "type": "adjustment_add",
            "points": 5_000,
            "reason": "پوزش برای قهوهٔ سرد",
        }
        await _post(client, f"{urls['loyalty']}{cafe}/customers/{known[0]}/adjustments", gift)


async def let_a_case_wait(feedback: Pool, cafe_id: UUID) -> None:
    """Lets an unhappy guest have written three days ago: a demo of some minutes has nothing overdue of its own."""
    await feedback.execute(AGE_A_CASE, cafe_id)


async def _until_known(client: httpx2.AsyncClient, url: str) -> None:
    """The customer service may still be taking in what the others already have."""
    async with asyncio.timeout(KNOWN_WITHIN_SECONDS):
        while (await client.get(url)).status_code == 404:
            await asyncio.sleep(0.2)


async def _post(client: httpx2.AsyncClient, url: str, body: dict[str, Any]) -> None:
    (await client.post(url, json=body)).raise_for_status()

"""Rewards in a browser: a manager makes one, and at the counter it is a guest's in two taps, once."""

import asyncio
import os
import re
from dataclasses import dataclass
from unittest import mock
from uuid import UUID

import httpx2
import pytest
from playwright.async_api import Browser, expect

from deploy.demo import crew
from deploy.demo import run as demo
from services.loyalty.models.programs import ProgramRules
from services.loyalty.store import programs
from shared.clock import new_id, now
from shared.database.db import Pool, transaction
from shared.security.guest_links import guest_token
from shared.settings import settings
from tests.e2e import pages
from tests.e2e.bills import a_phone, bill
from tests.e2e.conftest import System, eventually

pytestmark = pages.in_a_browser
CARDS = [{"key": "coffee", "name": "کارت قهوه", "need": 2, "reward": "یک لاته"}]
REDEMPTIONS = "SELECT count(*) FROM redemptions WHERE cafe_id = $1 AND state = 'completed'"
POINTS = "SELECT current_points FROM customer_loyalty WHERE customer_id = $1"


@dataclass(frozen=True)
class Counter:
    """A cafe of its own with a stamp card and a guest: by its rewards guests of other tests would have others."""

    base: str
    cafe: demo.DemoCafe
    people: dict[str, tuple[str, str]]
    guest_id: UUID

    @property
    def home(self) -> str:
        return f"/c/{self.cafe.cafe_id}"


@pytest.fixture
async def counter(system: System, houses: dict[str, Pool]) -> Counter:
    with mock.patch.dict(os.environ, system.environment):
        settings.cache_clear()
        cafe = await asyncio.to_thread(demo.make_cafe, print)
        hired = [await asyncio.to_thread(crew.hire, cafe.cafe_id, role) for role in crew.NAMES]
    settings.cache_clear()
    await demo.known_everywhere(houses, cafe)
    known = "SELECT count(*) FROM user_cafe_access WHERE cafe_id = $1 AND role IS NOT NULL"
    for pool in houses.values():
        await eventually(pool, known, cafe.cafe_id, wanted=3)
    rules = ProgramRules.model_validate({"tier_period": "jalali_year", "cards": CARDS}).model_dump(mode="json")
    async with transaction(houses["loyalty"]) as conn:
        last = await conn.fetchval("SELECT max(version) FROM programs WHERE cafe_id = $1", cafe.cafe_id)
        assert await programs.publish(conn, cafe.cafe_id, last + 1, now(), rules, new_id(), {})
    people = {each.role: (each.login, each.password) for each in hired}
    written = bill("c1", phone=a_phone(), guest_name="نگار", occurred_at=now().isoformat())
    async with httpx2.AsyncClient(timeout=30, headers={"X-Api-Key": cafe.api_key}) as client:
        sent = (await client.post(f"{system.api('visit')}/visits", json=written)).raise_for_status().json()
    guest_id = UUID(sent["customer_id"])
    await eventually(houses["loyalty"], POINTS, guest_id, wanted=120)
    await eventually(houses["customer"], "SELECT count(*) FROM customers WHERE id = $1", guest_id, wanted=1)
    return Counter(f"http://127.0.0.1:{system.config.outside_port('console')}", cafe, people, guest_id)


async def offer(visit: pages.Visit, home: str, name: str, points: str) -> None:
    await visit.go(f"{home}/club/rewards/new")
    await visit.page.fill("#f-name", name)
    await visit.page.fill("#f-cost_points", points)
    await visit.page.locator(".reward-form .btn.primary").click()
    await visit.page.wait_for_url(re.compile("done=offered"))


async def test_reward_is_made_by_a_manager_and_given_in_two_taps_once(
    counter: Counter, browser: Browser, houses: dict[str, Pool], system: System
) -> None:
    cafe_id, guest = counter.cafe.cafe_id, f"{counter.home}/guests/{counter.guest_id}"
    async with pages.visiting(browser, counter.base) as visit:
        await pages.sign_in(visit, *counter.people["manager"])
        await offer(visit, counter.home, "یک اسپرسو", "۶۰")
        await offer(visit, counter.home, "ماگ", "۹۰۰")
        await expect(visit.page.locator(".reward")).to_have_count(2)
        await visit.page.locator(".reward", has_text="اسپرسو").locator(".fold summary").click()
        await visit.page.locator(".reward", has_text="اسپرسو").locator("[name=left]").fill("۵")
        await visit.page.locator(".reward", has_text="اسپرسو").locator(".restock button").click()
        await expect(visit.page.locator(".reward", has_text="اسپرسو")).to_contain_text("۵ تا مانده از ۵")
        assert await visit.unfit() == []
        assert visit.complaints == []
    async with pages.visiting(browser, counter.base, width=390) as visit:
        await pages.sign_in(visit, *counter.people["staff"])
        await visit.go(guest)
        ready = visit.page.locator("[aria-labelledby=of] .take", has_text="اسپرسو")
        await expect(ready).to_be_visible()
        await expect(visit.page.locator("#offers .stamps .on")).to_have_count(0)
        await expect(visit.page.locator("#offers .voucher")).to_contain_text("یک لاته")
        assert (await visit.unfit(), await visit.overflow()) == ([], 0)
        await visit.page.fill("#f-amount", "۷۰٬۰۰۰")
        await visit.page.press("#f-amount", "Enter")
        await expect(visit.page.locator("#bill-out .earns")).to_contain_text("۷۰")
        await ready.locator("summary").click()
        await ready.locator("form button").dblclick()
        await expect(visit.page.locator(".note")).to_contain_text("پاداش داده شد")
        await expect(visit.page.locator("#offers")).to_contain_text("۶۰ امتیاز در دست")
        await visit.page.locator("#offers .voucher summary").click()
        await visit.page.locator("#offers .voucher form button").click()
        await expect(visit.page.locator(".note")).to_contain_text("کوپن خرج شد")
        assert visit.complaints == []
    assert await houses["loyalty"].fetchval(REDEMPTIONS, cafe_id) == 1
    assert await houses["loyalty"].fetchval(POINTS, counter.guest_id) == 60
    context = await browser.new_context(viewport={"width": 390, "height": 844})
    page = await context.new_page()
    await page.goto(f"{counter.base}/g/{guest_token(system.config.keys, cafe_id, counter.guest_id, now())}")
    await expect(page.locator("main")).to_contain_text("می‌توانید بگیرید")
    await expect(page.locator("main")).to_contain_text("۸۴۰ امتیاز دیگر")
    await expect(page.locator(".stamps i")).to_have_count(2)
    await context.close()


async def test_everything_works_without_javascript(counter: Counter, browser: Browser, houses: dict[str, Pool]) -> None:
    guest = f"{counter.base}{counter.home}/guests/{counter.guest_id}"
    context = await browser.new_context(java_script_enabled=False)
    visit = pages.Visit(counter.base, await context.new_page())
    await pages.sign_in(visit, *counter.people["manager"])
    await visit.go(f"{counter.home}/club/rewards/new")
    await visit.page.fill("#f-name", "چای")
    await visit.page.fill("#f-cost_points", "صد")
    await visit.page.locator(".reward-form .btn.primary").click()
    await expect(visit.page.locator("#d-cost_points")).to_contain_text("عدد صحیح")
    assert await visit.page.input_value("#f-name") == "چای"
    await visit.page.fill("#f-cost_points", "۱۰۰")
    await visit.page.locator(".reward-form .btn.primary").click()
    await expect(visit.page.locator(".reward")).to_have_count(1)
    await visit.page.goto(guest)
    await visit.page.locator(".offers-wait a").click()
    await visit.page.fill("#f-amount", "۵۰۰۰۰")
    await visit.page.locator("form[action$='/bill'] button").click()
    await expect(visit.page.locator("#bill-out .earns")).to_contain_text("۵۰")
    await visit.page.locator("#offers .takes .take summary").first.click()
    await visit.page.locator("#offers .takes .take form button").first.click()
    await expect(visit.page.locator(".note")).to_contain_text("پاداش داده شد")
    assert await houses["loyalty"].fetchval(REDEMPTIONS, counter.cafe.cafe_id) == 1
    await context.close()

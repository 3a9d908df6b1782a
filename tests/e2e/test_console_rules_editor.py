"""The editor of rules in a browser, in a cafe of its own: rules are never tried in everybody's cafe."""

import asyncio
import json
import os
import re
from dataclasses import dataclass
from unittest import mock

import pytest
from playwright.async_api import Browser, expect

from deploy.demo import crew
from deploy.demo import run as demo
from shared.database.db import Pool
from shared.settings import settings
from tests.e2e import pages
from tests.e2e.conftest import System, eventually

pytestmark = pages.in_a_browser
EARNING = "SELECT earning::text FROM programs WHERE cafe_id = $1 ORDER BY version DESC LIMIT 1"
# Names stand between marks of their own direction.
BOUGHT = re.compile("هر عدد از \u2068?«لاته»\u2069?، ۲۰ امتیاز دارد")
HIRED = "SELECT count(*) FROM user_cafe_access WHERE cafe_id = $1 AND role IS NOT NULL"


@dataclass(frozen=True)
class OwnCafe:
    """A cafe that only this test knows, and its manager."""

    cafe: demo.DemoCafe
    manager: tuple[str, str]
    base: str

    @property
    def editor(self) -> str:
        return f"/c/{self.cafe.cafe_id}/club/rules/new"


@pytest.fixture
async def own(system: System, houses: dict[str, Pool]) -> OwnCafe:
    with mock.patch.dict(os.environ, system.environment):
        settings.cache_clear()
        cafe = await asyncio.to_thread(demo.make_cafe, print)
        manager = await asyncio.to_thread(crew.hire, cafe.cafe_id, "manager")
    settings.cache_clear()
    for pool in houses.values():
        await eventually(pool, HIRED, cafe.cafe_id, wanted=2)
    programs = "SELECT count(*) FROM programs WHERE cafe_id = $1"
    await eventually(houses["loyalty"], programs, cafe.cafe_id, wanted=1)
    return OwnCafe(cafe, (manager.login, manager.password), f"http://127.0.0.1:{system.config.outside_port('console')}")


async def test_owner_writes_rules_in_sentences_and_another_approves_them(
    own: OwnCafe, browser: Browser, houses: dict[str, Pool]
) -> None:
    async with pages.visiting(browser, own.base) as visit:
        page = visit.page
        await pages.sign_in(visit, *own.manager)
        await visit.go(own.editor)
        await expect(page.locator("#changes")).to_contain_text("چیزی عوض نمی‌شود")
        await page.click(".kinds summary")
        await page.click("button[value='add.item']")
        await page.fill("[name='earn.0.points']", "۲۰")
        await page.fill("[name='earn.0.match.word']", "لاته")
        await page.press("[name='earn.0.match.word']", "Tab")
        await expect(page.locator("[name='earn.0.match.word']")).to_have_count(2)
        await page.click("button[value='add.times']")
        await page.fill("[name='multiply.0.factor']", "۲")
        await page.click("button[value='with.multiply.0.weekdays']")
        await page.check("[name='multiply.0.weekdays'][value=tue]")
        await page.click("button[value='with.multiply.0.hours']")
        await page.fill("[name='multiply.0.from_time']", "۱۵")
        await page.fill("[name='multiply.0.until_time']", "۱۸:۰۰")
        await page.click("button[value='with.caps.cap_day']")
        await page.fill("[name='caps.day']", "۳٬۰۰۰")
        changes = page.locator("#changes li")
        await expect(changes).to_have_count(3)
        await expect(changes.nth(0)).to_contain_text(BOUGHT)
        await expect(changes.nth(1)).to_contain_text(re.compile("سه‌شنبه.*ساعت ۱۵:۰۰ تا ۱۸:۰۰"))
        assert await houses["loyalty"].fetchval(EARNING, own.cafe.cafe_id) is None
        await visit.click("button[value=send]")
        await expect(page.locator(".note")).to_contain_text("در انتظار تأیید")
        assert visit.complaints == []
    async with pages.visiting(browser, own.base, width=390) as visit:
        await pages.sign_in(visit, own.cafe.owner, own.cafe.password)
        await visit.go(f"/c/{own.cafe.cafe_id}/approvals")
        matter = visit.page.locator(".matter", has_text="قاعده‌های باشگاه")
        await expect(matter).to_contain_text(BOUGHT)
        await matter.locator("button[value=approve]").click()
        await visit.page.wait_for_load_state()
    kept = json.loads(await houses["loyalty"].fetchval(EARNING, own.cafe.cafe_id))
    assert kept["earn"][0]["match"]["names"] == ["لاته"]
    assert (kept["multiply"][0]["weekdays"], kept["multiply"][0]["from_time"]) == (["tue"], "15:00")
    assert kept["caps"]["day"] == 3000


async def test_what_the_service_refuses_comes_back_at_its_field(own: OwnCafe, browser: Browser) -> None:
    async with pages.visiting(browser, own.base, language="en") as visit:
        page = visit.page
        await pages.sign_in(visit, *own.manager)
        await visit.go(own.editor)
        await page.click("button[value='add.times']")
        await page.fill("[name='multiply.0.factor']", "2")
        await page.click("button[value='with.multiply.0.dates']")
        await page.fill("[name='multiply.0.dates.0.first']", "2020-01-01")
        await page.fill("[name='multiply.0.dates.0.last']", "2020-01-02")
        await expect(page.locator("#changes li")).to_have_count(1)
        await page.click("button[value=send]")
        await expect(page.locator("#f-multiply-0-dates-d")).to_contain_text("over before the rules begin")
        await page.fill("[name='multiply.0.factor']", "17")
        await expect(page.locator("#changes")).to_contain_text("17")
        await page.click("button[value=send]")
        await expect(page.locator("[name='multiply.0.factor']")).to_have_attribute("aria-invalid", "true")
        assert await page.input_value("[name='multiply.0.dates.0.first']") == "2020-01-01"


async def test_editor_works_without_javascript_and_shows_a_month_with_it(own: OwnCafe, browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844})
    visit = pages.Visit(own.base, await context.new_page())
    await pages.sign_in(visit, *own.manager)
    await visit.go(own.editor)
    await visit.click(".kinds summary")
    await visit.click("button[value='add.every_nth_visit']")
    await visit.page.fill("[name='earn.0.n']", "۱۰")
    await visit.click("button[value='with.earn.0.by_tier']")
    assert await visit.page.input_value("[name='earn.0.n']") == "۱۰"
    await visit.click("noscript button[value=look], aside button[value=look]")
    await expect(visit.page.locator("#f-earn-0-points-d")).to_be_visible()
    await visit.page.fill("[name='earn.0.points']", "۵۰")
    await visit.click("noscript button[value=look], aside button[value=look] >> nth=0")
    await expect(visit.page.locator("#changes")).to_contain_text("هر ۱۰ بازدید یک بار، ۵۰ امتیاز.")
    await visit.click("button[value='remove.earn.0']")
    assert await visit.page.locator("[name='earn.0.n']").count() == 0
    await context.close()
    async with pages.visiting(browser, own.base) as other:
        await pages.sign_in(other, *own.manager)
        await other.go(own.editor)
        await other.page.click("button[value='add.times']")
        await other.page.click("button[value='with.multiply.0.dates']")
        await other.page.click("[popovertarget='m-multiply-0-dates-0-first']")
        await other.page.locator("#m-multiply-0-dates-0-first td button").nth(9).click()
        await expect(other.page.locator("[name='multiply.0.dates.0.first']")).not_to_have_value("")


@pytest.mark.parametrize(
    ("width", "theme", "language"),
    [(390, "light", "fa"), (390, "dark", "en"), (1440, "dark", "fa"), (1440, "light", "en")],
)
async def test_editor_with_every_rule_is_fit_for_everybody(
    own: OwnCafe, browser: Browser, width: int, theme: str, language: str
) -> None:
    async with pages.visiting(browser, own.base, width=width, theme=theme, language=language) as visit:
        await pages.sign_in(visit, *own.manager)
        await visit.go(own.editor)
        for key in ("visit", "item", "item_amount", "every_nth_visit", "nth_visit", "amount"):
            if not await visit.page.locator(".kinds").first.evaluate("each => each.open"):
                await visit.page.click(".kinds summary")
            await visit.page.click(f"button[value='add.{key}']")
            await visit.settled()
        for term in ("birthday", "referral", "pending", "expiry_month"):
            await visit.page.click(f".kinds:has([value='add.{term}']) summary")
            await visit.page.click(f"button[value='add.{term}']")
            await visit.settled()
        await visit.page.click("button[value='add.card']")
        await visit.page.click("button[value='add.times']")
        for limit in ("weekdays", "hours", "dates", "segments", "on"):
            await visit.page.click(f"button[value='with.multiply.0.{limit}']")
            await visit.settled()
        await expect(visit.page.locator("#changes a").first).to_be_visible()
        assert await visit.unfit() == []
        assert await visit.overflow() == 0
        assert visit.foreign == []

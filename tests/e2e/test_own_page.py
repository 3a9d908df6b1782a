"""A guest's own page on the whole running system, in a browser without a script: what a tap says reaches the decision
whether to write to the guest."""

import os
from pathlib import Path

import httpx2
import pytest
from playwright.async_api import Browser, Page, expect

from deploy.demo import run as demo
from shared.clock import new_id, now
from shared.database.db import Pool
from shared.security.guest_links import guest_token
from tests.e2e import pages
from tests.e2e.bills import bill
from tests.e2e.conftest import System, eventually

pytestmark = pages.in_a_browser
PICTURES = os.environ.get("CRM_PICTURES")
KNOWN = "SELECT count(*) FROM customers WHERE id = $1"
SAID = "SELECT granted FROM consents WHERE customer_id = $1 AND channel = 'sms' AND purpose = 'marketing'"


@pytest.fixture
async def own_link(
    system: System, pools: dict[str, Pool], till: httpx2.AsyncClient, cafe: demo.DemoCafe
) -> tuple[str, str]:
    """The link of a receipt, and whose it is."""
    body = bill(new_id().hex[-12:], phone=f"0912{new_id().int % 10**7:07}", guest_name="نگار رضایی")
    taken = (await till.post(f"{system.api('visit')}/visits", json=body)).raise_for_status().json()
    await eventually(pools["customer"], KNOWN, taken["customer_id"], wanted=1)
    points = "SELECT points_earned::int FROM customer_loyalty WHERE customer_id = $1"
    await eventually(pools["loyalty"], points, taken["customer_id"], wanted=120)
    return taken["guest_link"], taken["customer_id"]


async def keep(page: Page, name: str) -> None:
    """A picture to look at, where somebody asked for them."""
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


@pytest.mark.parametrize(("language", "theme"), [("fa", "light"), ("en", "dark")])
async def test_page_is_small_and_fit_for_everybody(
    own_link: tuple[str, str], browser: Browser, language: str, theme: str
) -> None:
    address, _ = own_link
    base, _, token = address.rpartition("/g/")
    async with pages.visiting(browser, base, width=390, theme=theme) as visit:
        loaded: list[str] = []
        visit.page.on("request", lambda asked: loaded.append(asked.url))
        assert await visit.go(f"/g/{token}?lang={language}") == 200
        assert await visit.unfit() == []
        assert await visit.overflow() == 0
        assert loaded == [f"{address}?lang={language}"]
        assert visit.foreign == []
        await keep(visit.page, f"own-{language}-{theme}")
        await visit.page.set_viewport_size({"width": 320, "height": 640})
        assert await visit.overflow() == 0
        kept = {each["name"] for each in await visit.page.context.cookies()}
        assert kept == {"look"}


async def test_tap_without_a_script_reaches_the_decision_whether_to_write(
    own_link: tuple[str, str], browser: Browser, pools: dict[str, Pool]
) -> None:
    address, guest = own_link
    context = await browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844})
    page = await context.new_page()
    await page.goto(address)
    await expect(page.locator(".points b")).to_have_text("۱۲۰")
    assert "نگار" not in await page.content()
    marketing = page.locator(".consent", has_text="خبر و پیشنهادهای کافه")
    for wanted in (True, False):
        await marketing.locator("button").click()
        await expect(page.locator(".said")).to_be_visible()
        await eventually(pools["campaign"], SAID, guest, wanted=wanted)
        assert (await marketing.locator("button").inner_text()) == ("نرسد" if wanted else "برسد")
    await page.get_by_text("English").click()
    await expect(page.locator("h2").first).to_have_text("Your last visits")
    await context.close()


async def test_page_is_gone_with_the_guest(
    own_link: tuple[str, str], browser: Browser, system: System, owner: httpx2.AsyncClient, cafe: demo.DemoCafe
) -> None:
    address, guest = own_link
    page = await browser.new_page()
    (await owner.delete(f"{system.api('customer')}/cafes/{cafe.cafe_id}/customers/{guest}")).raise_for_status()
    answer = await page.goto(address)
    assert answer is not None
    assert answer.status == 410
    await expect(page.locator("h1")).to_have_text("این صفحه دیگر نیست")
    await keep(page, "own-gone")
    forged = await page.goto(address[:-3] + "xyz")
    assert forged is not None
    assert forged.status == 404
    elsewhere = guest_token(system.config.keys, new_id(), new_id(), now())
    strange = await page.goto(f"{address.rpartition('/g/')[0]}/g/{elsewhere}")
    assert strange is not None
    assert strange.status == 410
    await page.close()

"""From a segment to a sent campaign in a real browser: with how few clicks, approved by another person, delivered by
the provider, and told by numbers that are those of the tables."""

import re
import secrets
from typing import Any
from uuid import UUID

import httpx2
import pytest
from playwright.async_api import Browser, expect

from shared.database.db import Pool
from shared.persian.phone import canonical
from shared.persian.text import latin_digits
from shared.security.ids import customer_id
from tests.e2e import pages
from tests.e2e.bills import bill
from tests.e2e.conftest import System, eventually
from tests.e2e.screens import Scene

SEGMENT = "new_customers"
MEMBER = """
SELECT count(*) FROM segment_members m JOIN consents s USING (cafe_id, customer_id)
WHERE m.customer_id = $1 AND m.segment_key = $2 AND m.is_member AND s.purpose = 'marketing' AND s.granted
"""
DELIVERED = """
SELECT count(*) FROM campaign_deliveries
WHERE campaign_id = $1 AND customer_id = $2 AND delivery_status IN ('delivered', 'opened')
"""
COUNTED = """
SELECT count(*) AS recipients, count(*) FILTER (WHERE sent_at IS NOT NULL) AS sent,
       count(*) FILTER (WHERE delivered_at IS NOT NULL) AS delivered
FROM campaign_deliveries WHERE campaign_id = $1 AND NOT is_test
"""
SEGMENT_ID = "SELECT id FROM customer_segments WHERE cafe_id = $1 AND segment_key = $2"
NEWEST = "SELECT id FROM campaigns WHERE cafe_id = $1 AND name = $2"


async def happy_guest(system: System, scene: Scene, campaign: Pool) -> UUID:
    """A guest who was here once, agreed to advertising and has complained of nothing."""
    number = f"0912{secrets.randbelow(10**7):07}"
    written = bill(number, phone=number, guest_name="مهتاب", marketing_consent=True)
    async with httpx2.AsyncClient(timeout=30, headers={"X-Api-Key": scene.cafe.api_key}) as client:
        (await client.post(f"{system.api('visit')}/visits", json=written)).raise_for_status()
    guest = customer_id(system.config.keys, scene.cafe.cafe_id, canonical(number))
    await eventually(campaign, MEMBER, guest, SEGMENT, wanted=1)
    return guest


async def number_of(visit: pages.Visit, word: str) -> int:
    """The number beside a word among the figures of the page."""
    said = await visit.page.locator(".stat", has_text=word).first.locator("b").inner_text()
    return int(re.sub(r"\D", "", latin_digits(said)))


# The provider is asked for the first time twenty seconds after it took a message.
@pytest.mark.timeout(300)
@pages.in_a_browser
async def test_campaign_goes_from_a_segment_to_its_guests_in_seven_clicks(
    system: System, scene: Scene, houses: dict[str, Pool], browser: Browser
) -> None:
    guest = await happy_guest(system, scene, houses["campaign"])
    name = f"آزمون {secrets.token_hex(3)}"
    async with pages.visiting(browser, scene.base) as author, pages.visiting(browser, scene.base) as other:
        await pages.sign_in(author, *scene.people["owner"])
        segment_id = await houses["customer"].fetchval(SEGMENT_ID, scene.cafe.cafe_id, SEGMENT)
        await author.go(f"{scene.home}/segments/{segment_id}")
        await author.click("a[href*='campaigns/new']")
        await expect(author.page.locator("#reach")).to_contain_text("پیام می‌گیرند")
        await author.page.fill("#f-name", name)
        await author.click("form.cols button.primary")
        await author.page.fill("#f-text", "{{name|دوست}} عزیز، خوش آمدید")
        await expect(author.page.locator("#look")).to_contain_text("مهتاب عزیز، خوش آمدید")
        await author.click("button[value=next]")
        await author.click("button[value=next]")
        await expect(author.page.locator("main")).to_contain_text("همکار دیگری باید آن را تأیید کند")
        await author.click("form[action$='/send'] button")
        await expect(author.page.locator("main")).to_contain_text("در انتظار تأیید")
        campaign_id = UUID(author.page.url.rpartition("/")[2])
        await pages.sign_in(other, *scene.people["manager"])
        await other.click("a[href$='/approvals'] >> visible=true")
        own = other.page.locator("li.matter", has_text=name)
        other.clicks += 1
        await own.locator("button[value=approve]").click()
        await expect(own).to_have_count(0)
        assert author.clicks + other.clicks <= 7
        await eventually(houses["campaign"], DELIVERED, campaign_id, guest, wanted=1, within=90)
        truth = await houses["campaign"].fetchrow(COUNTED, campaign_id)
        await author.page.reload()
        shown = {word: await number_of(author, said) for word, said in (("sent", "فرستاده‌شده"), ("delivered", "رسیده"))}
        assert shown == {"sent": truth["sent"], "delivered": truth["delivered"]}
        steps = await author.page.locator("ol.steps-down > li > b").all_inner_texts()
        assert int(latin_digits(steps[0])) == truth["recipients"]
        await expect(author.page.locator("section", has_text="گیرندگان").last).to_contain_text("مهتاب")
        await kept_as_files(author, scene, campaign_id)
        assert author.complaints == other.complaints == []


async def kept_as_files(visit: pages.Visit, scene: Scene, campaign_id: UUID) -> None:
    cookies: dict[str, Any] = {each["name"]: each["value"] for each in await visit.page.context.cookies()}  # type: ignore[typeddict-item]
    async with httpx2.AsyncClient(base_url=scene.base, cookies=cookies, timeout=30) as client:
        csv = await client.get(f"{scene.home}/campaigns/{campaign_id}/files/guests.csv?only=delivered")
        assert csv.content.startswith(b"\xef\xbb\xbf")
        assert "مهتاب" in csv.text
        assert (await client.get(f"{scene.home}/campaigns/{campaign_id}/files/guests.xlsx")).content.startswith(b"PK")


@pages.in_a_browser
async def test_draft_is_kept_from_step_to_step_and_a_scheduled_one_rests_and_goes_on(
    scene: Scene, houses: dict[str, Pool], browser: Browser
) -> None:
    name, text = f"آزمون {secrets.token_hex(3)}", "{{name|دوست}} عزیز، تا پنجشنبه"
    async with pages.visiting(browser, scene.base, width=390) as visit:
        await pages.sign_in(visit, *scene.people["owner"])
        await visit.go(f"{scene.home}/campaigns/new")
        await visit.page.fill("#f-name", name)
        await visit.click("form.cols button.primary")
        await visit.page.fill("#f-text", text)
        await visit.click("button[value=back]")
        await visit.page.check("input[value=service]")
        await visit.click("form.cols button.primary")
        assert await visit.page.input_value("#f-text") == text
        await visit.click("button[value=next]")
        await visit.page.check("input[value=later]")
        await visit.page.fill("#f-day", "۱۴۷۰/۱/۱")
        await visit.page.fill("#f-clock", "۱۸:۳۰")
        await visit.page.fill("#f-budget", "۵۰٬۰۰۰")
        await visit.click("button[value=next]")
        await expect(visit.page.locator("main")).to_contain_text("۱ فروردین ۱۴۷۰، ۱۸:۳۰")
        await expect(visit.page.locator("main")).to_contain_text("۵۰٬۰۰۰ تومان")
        await visit.click("form[action$='/send'] button")
        await visit.click("button[value=pause]")
        await expect(visit.page.locator(".chip", has_text="متوقف").first).to_be_visible()
        campaign_id = await houses["campaign"].fetchval(NEWEST, scene.cafe.cafe_id, name)
        rests = "SELECT paused_at IS NOT NULL FROM campaigns WHERE id = $1"
        assert await houses["campaign"].fetchval(rests, campaign_id) is True
        await visit.click("button[value=resume]")
        assert await houses["campaign"].fetchval(rests, campaign_id) is False
        await visit.click("button[value=cancel]")
        await expect(visit.page.locator("main")).to_contain_text("لغوشده")
        assert visit.complaints == []


@pages.in_a_browser
async def test_staff_see_no_campaigns(scene: Scene, browser: Browser) -> None:
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["staff"])
        await expect(visit.page.locator("a[href$='/campaigns']")).to_have_count(0)
        for path in ("campaigns", "campaigns/new"):
            assert await visit.go(f"{scene.home}/{path}") == 403, path

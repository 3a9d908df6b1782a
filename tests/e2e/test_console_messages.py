"""What goes out by itself, in a browser: on and off, what it says and costs, and who may see it."""

from decimal import Decimal

from playwright.async_api import Browser, expect

from shared.database.db import Pool
from shared.persian.money import in_unit
from shared.persian.text import latin_digits, persian_digits
from tests.e2e import pages
from tests.e2e.conftest import eventually
from tests.e2e.screens import Scene

pytestmark = pages.in_a_browser
ACTIVE = "SELECT is_active FROM journeys WHERE cafe_id = $1 AND journey_key = 'thanks'"
SPENT = "SELECT coalesce(sum(cost), 0) FROM sms_usage WHERE cafe_id = $1"
SENT = """
SELECT coalesce(sum(amount), 0)::int FROM campaign_days d JOIN journeys j USING (cafe_id, campaign_id)
WHERE d.cafe_id = $1 AND j.journey_key = 'thanks' AND d.what = 'sent'
"""

SAID = """
SELECT template_content FROM campaigns c JOIN journeys j ON j.campaign_id = c.id AND j.cafe_id = c.cafe_id
WHERE c.cafe_id = $1 AND journey_key = 'thanks'
"""


def thanks(visit: pages.Visit):  # type: ignore[no-untyped-def]
    return visit.page.locator("li.card", has=visit.page.locator("a", has_text="سپاس پس از بازدید"))


async def test_a_journey_is_switched_off_in_two_clicks(scene: Scene, browser: Browser, houses: dict[str, Pool]) -> None:
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["manager"])
        await visit.go(f"{scene.home}/today")
        await visit.click(f".side a[href='{scene.home}/messages']")
        await visit.click(f"{_of_thanks()} button[name=on][value=no]")
        assert visit.clicks == 2
        await expect(thanks(visit)).to_contain_text("خاموش")
        assert await houses["campaign"].fetchval(ACTIVE, scene.cafe.cafe_id) is False
        await visit.click(f"{_of_thanks()} button[name=on][value=yes]")
        await eventually(houses["campaign"], ACTIVE, scene.cafe.cafe_id, wanted=True)
        assert visit.complaints == []


async def test_another_text_shows_its_parts_and_waits_for_another_person(
    scene: Scene, browser: Browser, houses: dict[str, Pool]
) -> None:
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["manager"])
        await visit.go(f"{scene.home}/messages")
        await visit.click(f"{_of_thanks()} h2 a")
        await visit.page.fill("#f-template", "")
        await visit.page.locator("button[data-insert]", has_text="نام مهمان").click()
        await visit.page.locator("#f-template").press("End")
        await visit.page.keyboard.type(" عزیز، ممنونیم " + "که آمدید " * 8)
        await expect(visit.page.locator("#preview")).to_contain_text("سارا عزیز")
        await expect(visit.page.locator("#preview")).to_contain_text(f"{persian_digits('2')} پیامک")
        await visit.page.fill("#f-template", "{{rating}} ستاره")
        await expect(visit.page.locator("#preview")).to_contain_text("rating")
        await visit.page.fill("#f-template", "{{name|مهمان}} عزیز، سپاس از دیدارتان. {{link}}")
        await visit.click("form:has(#f-template) .btn.primary")
        await expect(visit.page.locator(".note")).to_contain_text("در انتظار تأیید")
        assert visit.complaints == []
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["owner"])
        await visit.go(f"{scene.home}/approvals")
        await visit.page.locator(".matter", has_text="سپاس از دیدارتان").locator("button[value=approve]").click()
        await visit.page.wait_for_load_state()
    said = "SELECT template_content FROM campaigns c JOIN journeys j ON j.campaign_id = c.id AND j.cafe_id = c.cafe_id"
    found = await houses["campaign"].fetchval(
        f"{said} WHERE c.cafe_id = $1 AND journey_key = 'thanks'", scene.cafe.cafe_id
    )
    assert "سپاس از دیدارتان" in found


async def test_figures_and_costs_are_those_of_the_books(
    scene: Scene, browser: Browser, houses: dict[str, Pool]
) -> None:
    campaign, cafe_id = houses["campaign"], scene.cafe.cafe_id
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["manager"])
        await visit.go(f"{scene.home}/messages")
        shown = latin_digits(await thanks(visit).locator(".four dd").first.inner_text())
        assert int(shown.replace("٬", "")) == await campaign.fetchval(SENT, cafe_id)
        await visit.go(f"{scene.home}/messages/spend")
        spent = latin_digits(await visit.page.locator(".stat.hero b").inner_text()).split()[0]
        kept = in_unit(await campaign.fetchval(SPENT, cafe_id), "IRR", "IRT")
        assert Decimal(spent.replace("٬", "").replace("٫", ".")) == kept
        assert visit.complaints == []


async def test_a_text_of_the_library_is_written_changed_and_removed(scene: Scene, browser: Browser) -> None:
    async with pages.visiting(browser, scene.base, width=390) as visit:
        await pages.sign_in(visit, *scene.people["manager"])
        await visit.go(f"{scene.home}/messages/templates/new")
        await visit.page.fill("#f-name", "یلدا")
        await visit.page.fill("#f-content", "{{name|مهمان}} عزیز، یلدا مبارک")
        await expect(visit.page.locator("#preview")).to_contain_text("سارا عزیز، یلدا مبارک")
        await visit.click("form:has(#f-content) .btn.primary")
        own = visit.page.locator("li.card", has_text="یلدا").first
        await expect(own).to_contain_text("یلدا مبارک")
        await own.locator("h2 a").click()
        await visit.page.fill("#f-content", "{{nme}}")
        await visit.click("form:has(#f-content) .btn.primary")
        await expect(visit.page.locator("#f-content")).to_have_attribute("aria-invalid", "true")
        await visit.click("form[action$='/remove'] button")
        await expect(visit.page.locator("main")).not_to_contain_text("یلدا")


async def test_accounts_are_for_owners_and_their_keys_are_never_shown(scene: Scene, browser: Browser) -> None:
    key = "a-secret-key-of-the-cafe-0123456789"
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["owner"])
        await visit.go(f"{scene.home}/settings/sms")
        await visit.page.fill("#a-new-api_key", key)
        await visit.page.fill("#a-new-sender_line", "۱۰۰۰۴۳۴۶")
        await visit.page.fill("#a-new-cost_per_sms", "۱۵۰")
        await visit.page.fill("#a-new-priority_order", "۹")
        await visit.click("form:has(#a-new-api_key) .btn.primary")
        await expect(visit.page.locator(".note")).to_be_visible()
        await expect(visit.page.locator("main")).to_contain_text("حساب خود کافه")
        await expect(visit.page.locator("main")).to_contain_text("۱۵۰ تومان")
        assert key not in await visit.page.content()
        await visit.go(f"{scene.home}/settings/messages")
        await visit.page.fill("#f-guest_daily_cap", "۲")
        await visit.page.fill("#f-monthly_budget", "۵۰۰٬۰۰۰")
        await visit.click("form:has(#f-guest_daily_cap) .btn.primary")
        await expect(visit.page.locator("#f-monthly_budget")).to_have_value("۵۰۰۰۰۰")
        assert visit.complaints == []


async def test_staff_and_managers_find_locked_doors(scene: Scene, browser: Browser) -> None:
    locked = {
        "staff": ("/messages", "/messages/spend", "/messages/templates", "/settings/sms"),
        "manager": ("/settings/sms",),
    }
    for role, paths in locked.items():
        async with pages.visiting(browser, scene.base) as visit:
            await pages.sign_in(visit, *scene.people[role])
            for path in paths:
                assert await visit.go(f"{scene.home}{path}") == 403, (role, path)
            assert (await visit.page.locator(f".side a[href='{scene.home}/messages']").count() > 0) == (
                role == "manager"
            )


def _of_thanks() -> str:
    return "li.card:has(a:text-is('سپاس پس از بازدید'))"

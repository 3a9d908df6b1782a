"""The console in a real browser on the whole running system: every screen, the tasks of a day, and who may see what."""

import os
import re
import secrets
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from deploy.demo import run as demo
from shared.database.db import Pool
from shared.persian.text import persian_digits
from tests.e2e import pages
from tests.e2e.conftest import NAME
from tests.e2e.screens import Scene

# One test walks through every screen.
pytestmark = [pages.in_a_browser, pytest.mark.timeout(400)]
PICTURES = os.environ.get("CRM_PICTURES")


@pytest.mark.parametrize(
    ("width", "theme", "language"),
    [(390, "light", "fa"), (390, "dark", "en"), (1440, "dark", "fa"), (1440, "light", "en")],
)
async def test_every_screen_is_fit_for_everybody(
    scene: Scene, browser: Browser, width: int, theme: str, language: str
) -> None:
    async with pages.visiting(browser, scene.base, width=width, theme=theme, language=language) as visit:
        await visit.go("/in")
        assert await visit.unfit() == []
        await pages.sign_in(visit, *scene.people["owner"])
        for path in scene.screens:
            assert await visit.go(path) == 200, path
            await visit.settled()
            assert await visit.unfit() == [], path
            assert await visit.overflow() == 0, path
            if PICTURES:
                name = path.replace(scene.home, "").replace(scene.guest_id, "guest").strip("/").replace("/", "-")
                await visit.page.screenshot(
                    path=Path(PICTURES) / f"{name}-{width}-{theme}-{language}.png", full_page=True
                )
        assert visit.complaints == []
        assert visit.foreign == []


async def test_nothing_is_wider_than_a_narrow_phone(scene: Scene, browser: Browser) -> None:
    async with pages.visiting(browser, scene.base, width=320) as visit:
        await pages.sign_in(visit, *scene.people["owner"])
        for path in scene.screens:
            await visit.go(path)
            assert await visit.overflow() == 0, path


async def test_guest_is_found_by_number_without_a_mouse(scene: Scene, browser: Browser) -> None:
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["staff"])
        await visit.page.wait_for_url(re.compile("/desk"))
        await visit.page.keyboard.type(persian_digits(scene.number))
        await expect(visit.page.locator(".guest-card")).to_contain_text(NAME)
        await visit.page.keyboard.press("Enter")
        await visit.page.wait_for_url(re.compile(scene.guest_id))
        assert visit.clicks == 0
        assert scene.number[-4:] not in visit.page.url.replace(scene.guest_id, "")
        assert visit.complaints == []


async def test_a_new_guest_is_registered_in_three_clicks(scene: Scene, browser: Browser) -> None:
    async with pages.visiting(browser, scene.base, width=390) as visit:
        await pages.sign_in(visit, *scene.people["staff"])
        await visit.page.fill("#typed", f"0935 555 {secrets.randbelow(9000) + 1000}")
        await visit.click("#found button.primary")
        await visit.page.fill("#f-name", "مینا")
        await visit.click("label:has([name=consent][value=yes])")
        await visit.click("form[action$='/guests/new'] button.primary")
        await expect(visit.page.locator("h1")).to_have_text("مینا")
        await expect(visit.page.locator(".chips")).to_contain_text("پیامک تبلیغی")
        assert visit.clicks == 3


async def test_a_double_tap_on_redeem_spends_once(scene: Scene, browser: Browser, houses: dict[str, Pool]) -> None:
    async with pages.visiting(browser, scene.base, width=390) as visit:
        await pages.sign_in(visit, *scene.people["staff"])
        await visit.go(f"{scene.home}/guests/{scene.guest_id}")
        await visit.click("a[href$='/redeem']")
        await visit.click(".quick button >> nth=0")
        form = "form[action$='/redeem']"
        await visit.page.evaluate('delete document.querySelector("form[data-once]").dataset.once')
        await visit.page.dblclick(f"{form} button.primary")
        await visit.page.wait_for_url(re.compile("done=redeemed"))
        await expect(visit.page.locator(".stat.hero b")).to_have_text("۷۰")
        await visit.page.go_back()
        await expect(visit.page.locator(".huge b")).to_have_text("۷۰")
    spent = "SELECT count(*) FROM redemptions WHERE customer_id = $1::uuid"
    assert await houses["loyalty"].fetchval(spent, scene.guest_id) == 1


async def test_a_complaint_is_answered_and_closed(scene: Scene, browser: Browser) -> None:
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["manager"])
        await visit.go(f"{scene.home}/feedback")
        await visit.click(f"a[href$='{scene.rating_id}']")
        await visit.page.fill("#f-text", "پوزش می‌خواهیم")
        await visit.click("form[action$='/answer'] button")
        await expect(visit.page.locator(".reply")).to_contain_text("پوزش می‌خواهیم")
        await visit.page.fill("#f-resolution", "تماس گرفتیم")
        await visit.click("form[action$='/close'] button")
        await expect(visit.page.locator("aside")).to_contain_text("تماس گرفتیم")
        assert visit.clicks == 3


async def test_a_bill_is_voided_and_stays_to_be_seen(scene: Scene, browser: Browser) -> None:
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["owner"])
        await visit.go(f"{scene.home}/visits/{scene.visit_id}")
        await visit.page.fill("#f-reason", "دو بار زده شد")
        await visit.click("form[action$='/void'] button")
        await expect(visit.page.locator("main")).to_contain_text(re.compile("باطل شد|در انتظار تأیید"))


async def test_points_that_need_a_second_person_wait_until_one_agrees(
    scene: Scene, browser: Browser, houses: dict[str, Pool]
) -> None:
    async with pages.visiting(browser, scene.base) as first, pages.visiting(browser, scene.base) as second:
        await pages.sign_in(first, *scene.people["manager"])
        await first.go(f"{scene.home}/guests/{scene.guest_id}")
        await first.click("a[href$='/points']")
        await first.page.fill("#f-points", "۵۰۰۰")
        await first.page.fill("#f-reason", "پوزش برای قهوهٔ سرد")
        await first.click("form[action$='/points'] button.primary")
        await first.page.wait_for_url(re.compile("done=asked"))
        assert first.clicks <= 3
        await pages.sign_in(second, *scene.people["owner"])
        await second.click(f".side a[href='{scene.home}/approvals']")
        mine = second.page.locator(".matter", has_text="۵٬۰۰۰")
        await second.click(".matter:has-text('۵٬۰۰۰') button[value=approve]")
        assert second.clicks == 2
        await expect(mine).to_have_count(0)
    points = "SELECT current_points FROM customer_loyalty WHERE cafe_id = $1 AND customer_id = $2::uuid"
    assert await houses["loyalty"].fetchval(points, scene.cafe.cafe_id, scene.guest_id) == 5120


async def test_counter_staff_see_no_money_and_no_doors_that_are_shut(scene: Scene, browser: Browser) -> None:
    guest = f"{scene.home}/guests/{scene.guest_id}"
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["staff"])
        for path in ("/today", "/visits", f"/visits/{scene.visit_id}", f"/guests/{scene.guest_id}"):
            assert await visit.go(f"{scene.home}{path}") == 200
            text = await visit.page.inner_text("main")
            # The form that asks what a bill would earn names the unit.
            assert not re.search("[۰-۹]\\s*\u2069?\\s*(تومان|ریال)|۱۲۰٬۰۰۰", text), path
        assert await visit.page.locator("a[href$='/points']").count() == 0
        for path in (f"{guest}/points", f"{scene.home}/settings/people", f"{scene.home}/settings/tills"):
            status = await visit.go(path)
            if path.endswith("/points"):
                await visit.page.fill("#f-points", "5")
                await visit.page.fill("#f-reason", "for nothing")
                await visit.click("form[action$='/points'] button.primary")
                await expect(visit.page.locator(".alert")).to_be_visible()
            else:
                assert status == 403, path


async def test_another_cafe_of_nobody_here_is_not_there(scene: Scene, browser: Browser, cafe: demo.DemoCafe) -> None:
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["owner"])
        assert await visit.go(f"/c/{cafe.cafe_id}/today") == 404
        assert await visit.go(f"/c/{cafe.cafe_id}/guests/{scene.guest_id}") == 404


async def test_signing_out_ends_the_session_everywhere_it_was_copied_to(scene: Scene, browser: Browser) -> None:
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["owner"])
        copied = await visit.page.context.cookies()
        await visit.go("/me")
        await visit.click("form[action='/out'] button")
        await visit.page.wait_for_url(re.compile("/in"))
        await visit.page.context.add_cookies(copied)  # type: ignore[arg-type]
        await visit.go(f"{scene.home}/today")
        assert "/in" in visit.page.url


async def test_forms_work_without_javascript(scene: Scene, browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=False)
    visit = pages.Visit(scene.base, await context.new_page())
    await pages.sign_in(visit, *scene.people["staff"])
    await visit.page.fill("#typed", scene.number)
    await visit.page.press("#typed", "Enter")
    await visit.page.wait_for_url(re.compile(scene.guest_id))
    await context.close()


async def test_a_birthday_is_picked_from_a_month_without_a_mouse(scene: Scene, browser: Browser) -> None:
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["staff"])
        await visit.go(f"{scene.home}/guests/{scene.guest_id}/edit")
        await visit.page.focus(".pick")
        await visit.page.keyboard.press("Enter")
        month = visit.page.locator(".month")
        await expect(month.locator("[aria-current=date]")).to_be_visible()
        assert await visit.unfit() == []
        await month.locator("select").select_option(label="۱۳۷۰")
        await expect(month.locator(".month-head b")).to_contain_text("۱۳۷۰")
        await month.locator("td button", has_text=re.compile("^۸$")).focus()
        await visit.page.keyboard.press("ArrowLeft")
        await visit.page.keyboard.press("ArrowDown")
        await visit.page.keyboard.press("Enter")
        await expect(visit.page.locator("#f-birthday")).to_have_value(re.compile("^۱۳۷۰/.*/۱۶$"))
        await expect(visit.page.locator("#f-birthday")).to_be_focused()
        await visit.page.keyboard.press("Enter")
        await visit.page.wait_for_url(re.compile("done=written"))
        assert visit.complaints == []


async def test_whoever_may_not_is_told_who_may(scene: Scene, browser: Browser) -> None:
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["staff"])
        assert await visit.go(f"{scene.home}/settings/people") == 403
        await expect(visit.page.locator("main")).to_contain_text("نسرین احمدی")
        await expect(visit.page.locator("main")).to_contain_text("مالک")

"""Segments in a real browser: a rule made from words, who comes and goes before saving, and nothing of other cafes."""

import os
import re
import secrets
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.async_api import Browser, expect

from deploy.demo import run as demo
from shared.database.db import Pool
from tests.e2e import pages
from tests.e2e.conftest import NAME, System, eventually
from tests.e2e.screens import Scene

pytestmark = pages.in_a_browser
PICTURES = os.environ.get("CRM_PICTURES")
IS_MEMBER = "SELECT count(*) FROM segment_members WHERE customer_id = $1::uuid AND segment_id = $2::uuid"


async def made(system: System, scene: Scene, criteria: dict[str, Any], cafe: demo.DemoCafe | None = None) -> str:
    """A segment of the scene's cafe, or of another one."""
    where = cafe or scene.cafe
    async with httpx2.AsyncClient(timeout=30) as client:
        body = {"login": where.owner, "password": where.password}
        token = (await client.post(f"{system.api('identity')}/sessions", json=body)).json()["access_token"]
        written = {"name": "خوش‌خرید", "segment_key": f"e2e_{secrets.token_hex(6)}", "criteria": criteria}
        path = f"{system.api('customer')}/cafes/{where.cafe_id}/segments"
        answer = await client.post(path, json=written, headers={"Authorization": f"Bearer {token}"})
        segment_id: str = answer.raise_for_status().json()["id"]
        return segment_id


async def test_a_segment_is_made_from_words_in_three_clicks(
    scene: Scene, browser: Browser, houses: dict[str, Pool]
) -> None:
    """New, one condition more, saving; everything between is typed or chosen."""
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["manager"])
        await visit.go(f"{scene.home}/segments")
        await visit.click("main a.primary")
        await expect(visit.page.locator("#f-name")).to_be_focused()
        await visit.page.keyboard.type("تازه‌واردهای پرامتیاز")
        await visit.page.fill("[name='v.0']", "۱")
        await visit.click("button[value='add.']")
        await visit.page.select_option("[name='of.1']", "points")
        await expect(visit.page.locator("#r-1 .cond-hint")).to_contain_text("امتیاز")
        await visit.page.fill("[name='v.1']", "۱۰۰")
        await expect(visit.page.locator("#count .said-rule")).to_have_text(
            re.compile("تعداد بازدید.*دست‌کم ۱ و .*امتیاز.*دست‌کم ۱۰۰")
        )
        await expect(visit.page.locator("#count .faces")).to_contain_text(NAME)
        await visit.click("button[value=save]")
        await visit.page.wait_for_url(re.compile("done=made"))
        assert visit.clicks == 3
        await expect(visit.page.locator("h1")).to_have_text("تازه‌واردهای پرامتیاز")
        segment_id = visit.page.url.split("/")[-1].partition("?")[0]
        await eventually(houses["customer"], IS_MEMBER, scene.guest_id, segment_id, wanted=1)
        await visit.go(f"{scene.home}/segments/{segment_id}")
        await expect(visit.page.locator(".list")).to_contain_text(NAME)
        assert visit.complaints == []


async def test_a_segment_is_made_without_a_mouse(scene: Scene, browser: Browser) -> None:
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["owner"])
        await visit.go(f"{scene.home}/segments/new")
        keyboard = visit.page.keyboard
        await expect(visit.page.locator("#f-name")).to_be_focused()
        await keyboard.type("بی‌موش")
        for wanted in ("how", "of.0", "is.0", "v.0"):
            await keyboard.press("Tab")
            assert await visit.page.evaluate("document.activeElement.name") == wanted
        await keyboard.type("2")
        await expect(visit.page.locator("#count .said-rule")).to_contain_text("۲")
        for wanted in ("remove.0", "add."):
            await keyboard.press("Tab")
            assert await visit.page.evaluate("document.activeElement.value") == wanted
        await keyboard.press("Enter")
        await expect(visit.page.locator("#r-1")).to_be_visible()
        assert await visit.page.input_value("[name='v.0']") == "۲"
        await visit.page.focus("[name='v.1']")
        await keyboard.type("3")
        await visit.page.focus("button[value=save]")
        await keyboard.press("Enter")
        await visit.page.wait_for_url(re.compile("done=made"))
        assert visit.clicks == 0


async def test_a_change_shows_who_comes_and_who_goes_before_it_is_saved(
    scene: Scene, browser: Browser, system: System, houses: dict[str, Pool]
) -> None:
    segment_id = await made(system, scene, {"points": {"min": 100}})
    await eventually(houses["customer"], IS_MEMBER, scene.guest_id, segment_id, wanted=1)
    async with pages.visiting(browser, scene.base, width=390) as visit:
        await pages.sign_in(visit, *scene.people["manager"])
        await visit.go(f"{scene.home}/segments/{segment_id}/edit")
        await expect(visit.page.locator("#count")).to_contain_text("کسی نمی‌آید و نمی‌رود")
        await visit.page.fill("[name='v.0']", "۵۰۰۰۰۰")
        await expect(visit.page.locator("#count .chip.warn")).to_contain_text("می‌روند")
        await expect(visit.page.locator("#count .faces")).to_contain_text(NAME)
        await visit.page.fill("[name='v.0']", "پنج")
        await expect(visit.page.locator("#count a[href='#r-0']")).to_contain_text("شرط ۱")
        await visit.click("button[value=save]")
        await expect(visit.page.locator("#r-0 .fault")).to_be_visible()
        assert await houses["customer"].fetchval(IS_MEMBER, scene.guest_id, segment_id) == 1
        await visit.page.fill("[name='v.0']", "۵۰۰۰۰۰")
        await visit.click("button[value=save]")
        await visit.page.wait_for_url(re.compile("done=saved"))
        await eventually(houses["customer"], IS_MEMBER, scene.guest_id, segment_id, wanted=0)


async def test_groups_are_made_in_groups_and_taken_away(scene: Scene, browser: Browser) -> None:
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["manager"])
        await visit.go(f"{scene.home}/segments/new")
        await visit.click("button[value='group.']")
        await visit.click("button[value='group.1']")
        await expect(visit.page.locator("#g-1-1")).to_be_visible()
        await visit.page.select_option("[name='how.1.1']", "none")
        for name, value in (("v.0", "1"), ("v.1.0", "2"), ("v.1.1.0", "3")):
            await visit.page.fill(f"[name='{name}']", value)
        await expect(visit.page.locator("#count .said-rule")).to_have_text(re.compile("۱ و .*۲ یا هیچ‌کدام از .*۳"))
        await visit.click("button[value='remove.1.1']")
        await expect(visit.page.locator("#g-1-1")).to_have_count(0)
        await expect(visit.page.locator("#count .said-rule")).not_to_contain_text("هیچ‌کدام")


async def test_a_segment_is_deleted_after_a_warning(
    scene: Scene, browser: Browser, system: System, houses: dict[str, Pool]
) -> None:
    segment_id = await made(system, scene, {"visit_count": {"min": 1}})
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["manager"])
        await visit.go(f"{scene.home}/segments/{segment_id}")
        await visit.click("a[href$='/delete']")
        await expect(visit.page.locator(".strip")).to_contain_text("بیرون می‌روند")
        await visit.click("button.danger")
        await visit.page.wait_for_url(re.compile("/segments$"))
        assert await visit.go(f"{scene.home}/segments/{segment_id}") == 404
    gone = "SELECT deleted_at IS NOT NULL FROM customer_segments WHERE id = $1::uuid"
    assert await houses["customer"].fetchval(gone, segment_id)


async def test_another_cafes_segment_is_not_there(
    scene: Scene, browser: Browser, system: System, cafe: demo.DemoCafe, pools: dict[str, Pool]
) -> None:
    other = await made(system, scene, {"visit_count": {"min": 1}}, cafe)
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["owner"])
        for path in ("", "/edit", "/delete"):
            assert await visit.go(f"{scene.home}/segments/{other}{path}") == 404, path
            assert await visit.go(f"/c/{cafe.cafe_id}/segments/{other}{path}") == 404, path
        assert await visit.go(f"{scene.home}/segments/new?of={other}") == 404


async def test_staff_read_segments_and_make_none(scene: Scene, browser: Browser) -> None:
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["staff"])
        assert await visit.go(f"{scene.home}/segments") == 200
        assert await visit.page.locator("main a.primary").count() == 0
        await visit.click(".seg-card a >> nth=0")
        assert await visit.page.locator(".acts a").count() == 0
        assert await visit.go(f"{scene.home}/segments/new") == 403


async def test_the_builder_works_without_javascript(scene: Scene, browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=False)
    visit = pages.Visit(scene.base, await context.new_page())
    await pages.sign_in(visit, *scene.people["owner"])
    await visit.go(f"{scene.home}/guests?only=gold")
    await visit.go(f"{scene.home}/segments/new?only=quiet")
    assert await visit.page.input_value("[name='of.0']") == "last_visit_days"
    await visit.page.fill("#f-name", "بی‌جاوا")
    await visit.page.select_option("[name='of.0']", "points")
    await visit.click("button[value=shape]")
    await visit.page.fill("[name='v.0']", "100")
    await visit.click("button[value=count] >> nth=1")
    await expect(visit.page.locator("#count .faces")).to_contain_text(NAME)
    await visit.click("button[value=save]")
    await expect(visit.page.locator("h1")).to_have_text("بی‌جاوا")
    await context.close()


@pytest.mark.parametrize(
    ("width", "theme", "language"),
    [(390, "light", "fa"), (390, "dark", "en"), (1440, "dark", "fa"), (1440, "light", "en")],
)
async def test_screens_of_one_segment_are_fit_for_everybody(
    scene: Scene, browser: Browser, system: System, width: int, theme: str, language: str
) -> None:
    criteria = {
        "visit_count": {"min": 1, "max": 50},
        "any": [{"tier_level": ["bronze", "gold"]}, {"not": {"city": ["تهران"], "lifetime_spent": {"max": 5000}}}],
    }
    segment_id = await made(system, scene, criteria)
    async with pages.visiting(browser, scene.base, width=width, theme=theme, language=language) as visit:
        await pages.sign_in(visit, *scene.people["owner"])
        for path in ("", f"/{segment_id}", f"/{segment_id}/edit", f"/{segment_id}/delete"):
            assert await visit.go(f"{scene.home}/segments{path}") == 200
            await visit.page.wait_for_load_state("networkidle")
            assert await visit.unfit() == [], path
            assert await visit.overflow() == 0, path
            if PICTURES:
                name = "segments" + path.replace(segment_id, "one").replace("/", "-")
                await visit.page.screenshot(
                    path=Path(PICTURES) / f"{name}-{width}-{theme}-{language}.png", full_page=True
                )
        assert visit.complaints == []
        assert visit.foreign == []

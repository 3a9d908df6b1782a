"""The console on a bad line and in more than one tab."""

import re
from typing import Any

import httpx2
from playwright.async_api import Browser, expect

from shared.database.db import Pool
from tests.e2e import pages
from tests.e2e.conftest import System, eventually
from tests.e2e.screens import Scene

pytestmark = pages.in_a_browser
KEPT = """async () => {
  const found = [];
  for (const name of await caches.keys())
    for (const request of await (await caches.open(name)).keys()) found.push(new URL(request.url).pathname);
  return found;
}"""
READY = "async () => { await navigator.serviceWorker.ready; return true; }"


async def test_without_a_line_the_page_says_so_and_nothing_can_be_sent(scene: Scene, browser: Browser) -> None:
    async with pages.visiting(browser, scene.base, width=390) as visit:
        await pages.sign_in(visit, *scene.people["staff"])
        await visit.go(f"{scene.home}/desk/new")
        assert await visit.page.locator("form button:disabled").count() == 0
        await visit.page.context.set_offline(True)
        await expect(visit.page.locator("#banner")).to_contain_text(
            re.compile("بی‌ارتباط · آخرین داده .?[۰-۹]{2}:[۰-۹]{2}")
        )
        assert await visit.page.locator("form[method=post] button:not(:disabled)").count() == 0
        assert await visit.overflow() == 0
        assert await visit.unfit() == []
        await visit.page.context.set_offline(False)
        await expect(visit.page.locator("#banner")).to_be_hidden()
        assert await visit.page.locator("form button:disabled").count() == 0


async def test_page_that_cannot_be_loaded_says_why_and_loads_when_the_line_is_back(
    scene: Scene, browser: Browser
) -> None:
    async with pages.visiting(browser, scene.base, width=390) as visit:
        await pages.sign_in(visit, *scene.people["staff"])
        await visit.go(f"{scene.home}/guests/{scene.guest_id}")
        await visit.page.evaluate(READY)
        await visit.page.reload()
        await visit.page.context.set_offline(True)
        await visit.page.goto(f"{scene.base}{scene.home}/guests")
        await expect(visit.page.locator("h1")).to_have_text("اینترنت وصل نیست")
        assert await visit.unfit() == []
        kept: list[str] = await visit.page.evaluate(KEPT)
        assert kept
        assert not [path for path in kept if not path.startswith("/static/") and path != "/offline"]
        await visit.page.context.set_offline(False)
        await expect(visit.page.locator("h1")).to_have_text("مهمان‌ها", timeout=30_000)
        # Whoever uses the device next finds nothing.
        await visit.go("/me")
        await visit.click("form[action='/out'] button")
        await visit.page.wait_for_url(re.compile("/in"))
        assert await visit.page.evaluate(KEPT) == []
        assert await visit.page.evaluate("async () => (await navigator.serviceWorker.getRegistrations()).length") == 0


async def test_back_leads_to_the_page_before_as_it_is_now(scene: Scene, browser: Browser) -> None:
    async with pages.visiting(browser, scene.base, width=390) as visit:
        await pages.sign_in(visit, *scene.people["staff"])
        await visit.go(f"{scene.home}/guests")
        await visit.click(f"a[href$='{scene.guest_id}']")
        await visit.click("a[href$='/edit']")
        await visit.page.fill("#f-notes", "بدون شکر")
        await visit.click("form[action$='/edit'] button.primary")
        await expect(visit.page.locator(".strip").first).to_contain_text("بدون شکر")
        # A page that comes out of the browser's memory loads itself anew, which `go_back` takes for a failure.
        for address in ("/edit$", f"{scene.guest_id}$"):
            await visit.page.evaluate("history.back()")
            await visit.page.wait_for_url(re.compile(address))
        await expect(visit.page.locator(".strip").first).to_contain_text("بدون شکر")
        await visit.page.evaluate("history.back()")
        await visit.page.wait_for_url(re.compile("/guests$"))


async def second_cafe(system: System, scene: Scene, houses: dict[str, Pool]) -> str:
    """Another cafe of the scene's owner."""
    async with httpx2.AsyncClient(timeout=30) as client:
        body = {"login": scene.cafe.owner, "password": scene.cafe.password}
        token = (await client.post(f"{system.api('identity')}/sessions", json=body)).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        made = await client.post(f"{system.api('identity')}/cafes", json={"name": "کافهٔ دوم"}, headers=headers)
        cafe_id: str = made.raise_for_status().json()["cafe_id"]
    known = "SELECT count(*) FROM user_cafe_access WHERE cafe_id = $1::uuid AND role IS NOT NULL"
    for pool in houses.values():
        await eventually(pool, known, cafe_id, wanted=1)
    return cafe_id


async def test_two_tabs_with_two_cafes_keep_apart(
    system: System, scene: Scene, houses: dict[str, Pool], browser: Browser
) -> None:
    other = await second_cafe(system, scene, houses)
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["owner"])
        await visit.go(f"{scene.home}/guests")
        tab = await visit.page.context.new_page()
        asked: list[Any] = []
        tab.on("request", lambda each: asked.append(each.url))
        await tab.goto(f"{scene.base}/c/{other}/today")
        await expect(tab.locator(".cafe")).to_contain_text("کافهٔ دوم")
        await tab.goto(f"{scene.base}/c/{other}/guests")
        assert await tab.locator(".guest-card, main a[href*='/guests/']").count() == 0
        # What is done in the first tab afterwards is done in its own cafe.
        await visit.page.reload()
        await expect(visit.page.locator(f"a[href$='{scene.guest_id}']")).to_be_visible()
        await visit.click(f"a[href$='{scene.guest_id}']")
        assert scene.home in visit.page.url
        assert not [each for each in asked if scene.home in each]
        answer = await tab.goto(f"{scene.base}/c/{other}/guests/{scene.guest_id}")
        assert answer is not None
        assert answer.status == 404

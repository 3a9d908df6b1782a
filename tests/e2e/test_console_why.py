"""«چه شد و چرا» in a real browser: loaded when it is opened, the same without a script, and to be copied as text."""

import os
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.e2e import pages
from tests.e2e.screens import Scene

pytestmark = pages.in_a_browser
PICTURES = os.environ.get("CRM_PICTURES")


async def keep(visit: pages.Visit, name: str) -> None:
    """A picture to look at, where somebody asked for them."""
    if PICTURES:
        await visit.page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


@pytest.mark.parametrize(
    ("width", "theme", "language"), [(390, "light", "fa"), (1440, "light", "en"), (1440, "dark", "fa")]
)
async def test_why_of_a_bill_opens_in_its_page(
    scene: Scene, browser: Browser, width: int, theme: str, language: str
) -> None:
    async with pages.visiting(browser, scene.base, width=width, theme=theme, language=language) as visit:
        await visit.go("/in")
        await pages.sign_in(visit, *scene.people["owner"])
        assert await visit.go(f"{scene.home}/visits/{scene.visit_id}") == 200
        why = visit.page.locator("details.why")
        await why.locator("summary").click()
        await expect(why.locator(".told .step").first).to_be_visible()
        assert await why.locator(".told .step").count() >= 6
        assert await visit.unfit() == []
        assert await visit.overflow() == 0
        if PICTURES:
            await visit.page.screenshot(
                path=Path(PICTURES) / f"bill-why-{width}-{theme}-{language}.png", full_page=True
            )
        await visit.go(f"{scene.home}/guests/{scene.guest_id}")
        first = visit.page.locator("details.why").first
        await first.locator("summary").first.click()
        await expect(first.locator(".told .step").first).to_be_visible()
        await keep(visit, f"guest-why-{width}-{theme}-{language}")
        for path in (f"/visits/{scene.visit_id}/why", f"/guests/{scene.guest_id}/why"):
            assert await visit.go(scene.home + path) == 200
            assert await visit.unfit() == []
            assert await visit.overflow() == 0
        await keep(visit, f"all-why-{width}-{theme}-{language}")
        assert visit.complaints == []


async def test_counter_sees_reasons_and_no_amounts(scene: Scene, browser: Browser) -> None:
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["staff"])
        assert await visit.go(f"{scene.home}/visits/{scene.visit_id}/why") == 200
        told = await visit.page.locator(".told").inner_text()
        assert "تومان" not in told
        assert "امتیاز" in told

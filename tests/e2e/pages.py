"""A real browser on the console: what it complains of, and whether a page is fit for everybody."""

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import axe_playwright_python
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
WIDTHS = (390, 1440)


def chromium() -> str | None:
    """Where Chromium is on this machine."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


# Nothing here measures time: a busy machine may take as long as it wants.
expect.set_options(timeout=30_000)

in_a_browser = pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine: apt-get install chromium")


@asynccontextmanager
async def opened() -> AsyncIterator[Browser]:
    """The browser."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Visit:
    """One person's tab. `complaints`: what the console of the browser said; `foreign`: requests to others."""

    base: str
    page: Page
    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    clicks: int = 0

    async def go(self, path: str) -> int:
        """Opens a page of the console; its status."""
        answer = await self.page.goto(f"{self.base}{path}")
        assert answer is not None
        return answer.status

    async def click(self, selector: str) -> None:
        """One click, counted."""
        self.clicks += 1
        await self.page.click(selector)
        await self.page.wait_for_load_state()

    async def settled(self) -> None:
        """Waits until no part of the page is on its way. Its live stream lasts."""
        await self.page.wait_for_load_state()
        await expect(self.page.locator(".htmx-request")).to_have_count(0, timeout=30_000)

    async def unfit(self) -> list[str]:
        """What axe calls serious or critical on the page."""
        await self.page.evaluate(AXE)
        found: dict[str, Any] = await self.page.evaluate("axe.run()")
        bad = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
        return [f"{each['id']}: {each['nodes'][0]['html'][:160]}" for each in bad]

    async def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        width: int = await self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return width


@asynccontextmanager
async def visiting(
    browser: Browser, base: str, *, width: int = 1440, theme: str = "light", language: str = "fa"
) -> AsyncIterator[Visit]:
    """A tab of a person of their own."""
    size = {"width": width, "height": 844 if width < 600 else 900}
    context = await browser.new_context(viewport=size, color_scheme=theme)  # type: ignore[arg-type]
    await context.add_cookies([{"name": "look", "value": f"{language}.auto", "url": base}])
    page = await context.new_page()
    visit = Visit(base, page)
    page.on("console", lambda said: visit.complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    home = urlsplit(base).netloc
    page.on("request", lambda asked: _note(visit, asked.url, home))
    try:
        yield visit
    finally:
        await context.close()


async def sign_in(visit: Visit, login: str, password: str) -> None:
    """Through the door."""
    await visit.go("/in")
    await visit.page.fill("#f-login", login)
    await visit.page.fill("#f-password", password)
    await visit.page.press("#f-password", "Enter")
    await visit.page.wait_for_url(re.compile("/(c|cafes)"))


def _note(visit: Visit, address: str, home: str) -> None:
    if not address.startswith("data:") and urlsplit(address).netloc != home:
        visit.foreign.append(address)

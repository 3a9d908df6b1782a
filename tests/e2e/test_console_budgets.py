"""What a page costs a cheap tablet on a bad line: bytes and requests of a first visit, and the size of each part.

How long a page takes is measured by `make bench BENCH='--only console'`.
"""

import gzip
import re
from pathlib import Path

import httpx2
from playwright.async_api import Browser, Request

from services.console.api.rendering import FOLDER
from tests.e2e import pages
from tests.e2e.screens import Scene

KB = 1024
STATIC = FOLDER / "static"


def packed(paths: list[Path]) -> int:
    """How many bytes of these files travel, each packed by itself."""
    return sum(len(gzip.compress(path.read_bytes())) for path in paths)


def test_scripts_and_styles_are_small() -> None:
    own, others = sorted(STATIC.glob("*.js")), sorted((STATIC / "vendor").glob("*.js"))
    assert packed(own) <= 8 * KB
    assert packed(own + others) <= 26 * KB
    assert packed([STATIC / "console.css"]) <= 7 * KB
    # Each page loads one of the others at most.
    assert all(packed([path]) <= 2 * KB for path in STATIC.glob("*.css") if path.name != "console.css")


@pages.in_a_browser
async def test_first_visit_is_light(scene: Scene, browser: Browser) -> None:
    async with pages.visiting(browser, scene.base, width=390) as visit:
        await pages.sign_in(visit, *scene.people["owner"])
        cookies = await visit.page.context.cookies()
        for screen in ("today", "desk", f"guests/{scene.guest_id}"):
            fresh = await browser.new_context(viewport={"width": 390, "height": 844})
            await fresh.add_cookies(cookies)  # type: ignore[arg-type]
            page, done = await fresh.new_page(), list[Request]()
            page.on("requestfinished", lambda asked, done=done: done.append(asked))
            await page.goto(f"{scene.base}{scene.home}/{screen}", wait_until="load")
            await page.evaluate("document.fonts.ready")
            sizes = [await each.sizes() for each in done if not each.url.endswith("/live")]
            # A part that the page asks for once it can be read is none of them.
            first = [each for each in done if "hx-request" not in await each.all_headers()]
            assert len([each for each in first if not each.url.endswith("/live")]) <= 10, [each.url for each in first]
            assert sum(each["responseBodySize"] for each in sizes) <= 130 * KB, screen
            await fresh.close()


@pages.in_a_browser
async def test_every_page_is_short(scene: Scene, browser: Browser) -> None:
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["owner"])
        cookies = {each["name"]: each["value"] for each in await visit.page.context.cookies()}  # type: ignore[typeddict-item]
    async with httpx2.AsyncClient(base_url=scene.base, cookies=cookies, timeout=30) as client:
        for path in scene.screens:
            answer = await client.get(path)
            assert answer.status_code == 200, path
            assert len(gzip.compress(answer.content)) <= 12 * KB, path
            assert not re.search(r"<(?:script|style)(?![^>]*src=)[^>]*>", answer.text), path

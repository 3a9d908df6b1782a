"""The guest's page in a real browser, at the width of a phone and of a desk."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from deploy.engines.engine import free_port
from services.feedback.api.app import make_app
from shared.database.db import Pool
from tests.feedback import browser
from tests.feedback.given import cafe_with_staff, recorded, token_of, visits

pytestmark = pytest.mark.skipif(browser.found() is None, reason="no Chromium on this machine: apt-get install chromium")

# A folder for looking at the pages; nothing is kept without it.
PICTURES = os.environ.get("CRM_PICTURES")


@pytest.fixture
async def pool(database: Any) -> Pool:
    opened: Pool = await database("feedback")
    await cafe_with_staff(opened)
    return opened


@contextlib.asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, lifespan="on"))
    running = asyncio.create_task(server.serve())
    while not server.started:
        assert not running.done(), "the server ended"
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await running


async def keep_picture(tab: browser.Tab, name: str) -> None:
    if PICTURES:
        await tab.picture(Path(PICTURES) / f"{name}.png")


@pytest.mark.parametrize("width", [320, 390, 1280])
async def test_guest_rates_a_visit(pool: Pool, tmp_path: Path, width: int) -> None:
    visit = recorded()
    await visits(pool, visit)
    async with served(make_app()) as address, browser.tab(tmp_path) as tab:
        url = f"{address}/f/{token_of(visit)}"
        await tab.open(url, width)
        await keep_picture(tab, f"form-{width}")
        # Nothing hangs over the edge; on a desk the scroll bar takes its part.
        assert await tab.value("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        assert await tab.value("window.innerWidth") == width
        # The policy let our own style through: stars are drawn, and from the right.
        assert await tab.value("getComputedStyle(document.querySelector('.mark')).borderRadius") == "50%"
        first, last = [
            await tab.value(f"document.querySelector('[for=overall_rating-{n}]').getBoundingClientRect().x")
            for n in (1, 5)
        ]
        assert first > last
        await tab.click("[for=overall_rating-2]")
        await tab.click("[for=service-1]")
        assert await tab.value("getComputedStyle(document.querySelector('.ask')).display") == "block"
        await tab.value("document.querySelector('textarea').value = 'قهوه سرد بود'")
        await keep_picture(tab, f"filled-{width}")
        await tab.click("button")
        await tab.loaded()
        await keep_picture(tab, f"thanks-{width}")
        assert await tab.value("document.querySelector('h1').textContent") == "سپاس از شما"
        assert await tab.value("location.pathname") == f"/f/{token_of(visit)}/thanks"
        await tab.open(url, width)
        assert "ثبت شده است" in await tab.value("document.querySelector('h1').textContent")
        asked = {request for request in tab.requested if not request.endswith("/favicon.ico")}
        assert asked == {url, f"{url}/thanks"}
        refused = [text for text in tab.complaints if "favicon" not in text and "409" not in text]
        assert refused == []
    row = await pool.fetchrow("SELECT overall_rating, category_ratings, comment, device_info FROM customer_feedback")
    assert tuple(row)[:3] == (2, {"service": 1}, "قهوه سرد بود")
    assert row["device_info"]["system"] == "linux"


async def test_guest_without_stars_is_asked_for_them_by_the_browser_itself(pool: Pool, tmp_path: Path) -> None:
    visit = recorded()
    await visits(pool, visit)
    async with served(make_app()) as address, browser.tab(tmp_path) as tab:
        await tab.open(f"{address}/f/{token_of(visit)}", 390)
        await tab.click("button")
        assert await tab.value("document.querySelector('#overall_rating-1').validity.valueMissing") is True
        assert len(tab.requested) == 1 + sum(request.endswith("favicon.ico") for request in tab.requested)
    assert await pool.fetchval("SELECT count(*) FROM customer_feedback") == 0

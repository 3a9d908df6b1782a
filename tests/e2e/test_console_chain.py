"""Two cafes of one person in a real browser: side by side, and a copy from one to the other, over nothing."""

import asyncio
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from unittest import mock
from uuid import UUID

import httpx2
import pytest
from playwright.async_api import Browser, expect

from deploy.demo import run as demo
from deploy.demo.shell import crm
from shared.database.db import Pool
from shared.settings import settings
from tests.e2e import pages
from tests.e2e.bills import bill
from tests.e2e.conftest import System, eventually

pytestmark = pages.in_a_browser
PICTURES = os.environ.get("CRM_PICTURES")
SEGMENTS = "SELECT count(*) FROM customer_segments WHERE cafe_id = $1 AND name = $2"


@dataclass(frozen=True)
class Chain:
    """`first` has a visit, a segment and a text; `second` has nothing yet. One person owns both."""

    base: str
    first: demo.DemoCafe
    second: UUID
    login: str
    password: str
    segment: str


def second_cafe(system: System, login: str) -> tuple[UUID, str]:
    """A cafe more, and the code by which that person becomes its owner too."""
    with mock.patch.dict(os.environ, system.environment):
        settings.cache_clear()
        made, link = crm("cafe", "create", "کافهٔ دوم", "--owner", login, "--owner-name", "نسرین").split("\n")
    settings.cache_clear()
    return UUID(made), link.partition("#")[2]


@pytest.fixture
async def chain(system: System, cafe: demo.DemoCafe, pools: dict[str, Pool]) -> Chain:
    """Two cafes of one person, known to every service."""
    second, code = await asyncio.to_thread(second_cafe, system, cafe.owner)
    password, name = secrets.token_urlsafe(12), f"خوش‌خرید {secrets.token_hex(3)}"
    async with httpx2.AsyncClient(timeout=30) as client:
        accepted = {"code": code, "password": cafe.password, "new_password": password}
        (await client.post(f"{system.api('identity')}/invitations/accept", json=accepted)).raise_for_status()
        for pool in pools.values():
            owners = "SELECT count(*) FROM user_cafe_access WHERE cafe_id = $1 AND role = 'owner'"
            await eventually(pool, owners, second, wanted=1)
        await eventually(
            pools["customer"], "SELECT count(*) FROM customer_segments WHERE cafe_id = $1", second, wanted=3
        )
        key = {"X-Api-Key": cafe.api_key}
        (await client.post(f"{system.api('visit')}/visits", json=bill("chain-1"), headers=key)).raise_for_status()
        signed = await client.post(
            f"{system.api('identity')}/sessions", json={"login": cafe.owner, "password": password}
        )
        client.headers["Authorization"] = f"Bearer {signed.raise_for_status().json()['access_token']}"
        written = {"name": name, "segment_key": "big_spenders", "criteria": {"lifetime_spent": {"min": 500000}}}
        at = f"{system.api('customer')}/cafes/{cafe.cafe_id}/segments"
        (await client.post(at, json=written)).raise_for_status()
        text = {"name": "خوش‌آمد", "content": "{{name}} عزیز، خوش آمدید", "variables": {"name": "مهمان"}}
        at = f"{system.api('campaign')}/cafes/{cafe.cafe_id}/templates"
        (await client.post(at, json=text)).raise_for_status()
    base = f"http://127.0.0.1:{system.config.outside_port('console')}"
    return Chain(base, cafe, second, cafe.owner, password, name)


async def test_cafes_stand_side_by_side_and_one_is_opened(chain: Chain, browser: Browser) -> None:
    async with pages.visiting(browser, chain.base) as visit:
        await pages.sign_in(visit, chain.login, chain.password)
        await visit.go("/cafes")
        await visit.click("a[href='/chain']")
        rows = visit.page.locator(".chain tbody tr")
        await expect(rows).to_have_count(2)
        mine = rows.filter(has=visit.page.locator(f"a[href*='{chain.first.cafe_id}']"))
        await expect(mine.locator("td b").first).to_have_text("۱")
        await expect(visit.page.locator(".chain [colspan]")).to_have_count(0)
        await visit.click("a[href='/chain?sort=visits']")
        await expect(rows.first.locator("a").first).to_have_attribute("href", re.compile(str(chain.first.cafe_id)))
        await visit.click(".chain a >> nth=0")
        await visit.page.wait_for_url(re.compile(f"/c/{chain.first.cafe_id}/today"))
        assert visit.complaints == []


async def test_what_works_in_one_cafe_is_copied_to_another_and_only_once(
    chain: Chain, browser: Browser, pools: dict[str, Pool]
) -> None:
    async with pages.visiting(browser, chain.base, width=390) as visit:
        await pages.sign_in(visit, chain.login, chain.password)

        async def choose() -> None:
            await visit.go(f"/chain/copy?source={chain.first.cafe_id}")
            await visit.page.get_by_label(chain.segment).check()
            await visit.page.get_by_label("خوش‌آمد").check()
            await visit.page.check("[name=target]")
            await visit.click("button[value=preview]")

        await choose()
        await expect(visit.page.locator(".chip.good")).to_have_count(2)
        assert await pools["customer"].fetchval(SEGMENTS, chain.second, chain.segment) == 0
        await visit.click("button[value=copy]")
        await expect(visit.page.locator(".chip.good")).to_have_text(["ساخته شد", "ساخته شد"])
        assert await pools["customer"].fetchval(SEGMENTS, chain.second, chain.segment) == 1
        await choose()
        await expect(visit.page.locator("main")).to_contain_text("همین آن‌جا هست")
        assert await visit.page.locator("button[value=copy]").count() == 0


@pytest.mark.parametrize(
    ("width", "theme", "language"), [(390, "light", "fa"), (1440, "dark", "en"), (1440, "light", "fa")]
)
async def test_screens_of_the_chain_are_fit_for_everybody(
    chain: Chain, browser: Browser, width: int, theme: str, language: str
) -> None:
    async with pages.visiting(browser, chain.base, width=width, theme=theme, language=language) as visit:
        await pages.sign_in(visit, chain.login, chain.password)
        for path in ("/cafes", "/chain", "/chain?sort=revenue", "/chain/copy", "plan"):
            if path == "plan":
                for box in await visit.page.locator("[name=item], [name=target]").all():
                    await box.check()
                await visit.click("button[value=preview]")
            else:
                assert await visit.go(path) == 200
            await visit.page.wait_for_load_state("networkidle")
            assert await visit.unfit() == [], path
            assert await visit.overflow() == 0, path
            if PICTURES:
                name = re.sub(r"\W+", "-", path)
                await visit.page.screenshot(
                    path=Path(PICTURES) / f"chain{name}-{width}-{theme}-{language}.png", full_page=True
                )
        assert visit.complaints == []

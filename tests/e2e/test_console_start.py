"""The first hour of a cafe in a browser: from the owner's invitation to the first visit; and the menu of commands."""

import asyncio
import os
import re
import secrets
import shlex
import subprocess
from unittest import mock

from playwright.async_api import Browser, expect

from deploy.demo.shell import crm
from shared.settings import settings
from tests.e2e import pages
from tests.e2e.conftest import NAME, System
from tests.e2e.screens import Scene

pytestmark = pages.in_a_browser
PASSWORD = "violet teapot marches"


def invited(system: System) -> tuple[str, str]:
    """A new owner's login and the link of their invitation to a new cafe, as an operator makes them."""
    login = f"owner-{secrets.token_hex(4)}@example.com"
    with mock.patch.dict(os.environ, system.environment):
        settings.cache_clear()
        _, link = crm("cafe", "create", "کافهٔ تازه", "--owner", login, "--owner-name", "پری").split("\n")
    settings.cache_clear()
    return login, link


async def accept(visit: pages.Visit, login: str, link: str) -> None:
    """From the link to the first steps."""
    await visit.page.goto(link)
    await visit.page.click("button.primary")
    await expect(visit.page.locator("main")).to_contain_text("کافهٔ تازه")
    assert link.partition("#")[2] not in visit.page.url
    await visit.page.fill("[name=password]", PASSWORD)
    await visit.page.click("button.primary")
    await visit.page.fill("#f-login", login)
    await visit.page.fill("#f-password", PASSWORD)
    await visit.page.press("#f-password", "Enter")
    await visit.page.wait_for_url(re.compile("/today"))
    # The services hear of a new cafe within a second or two.
    async with asyncio.timeout(60):
        while not await visit.page.locator("main a[href$='/start']").count():
            await visit.page.reload()
    await visit.page.click("main a[href$='/start']")
    await visit.page.wait_for_url(re.compile("/start"))


async def test_an_owner_comes_from_the_invitation_to_the_first_visit_without_a_terminal(
    system: System, browser: Browser
) -> None:
    login, link = await asyncio.to_thread(invited, system)
    async with pages.visiting(browser, link.partition("/invitation#")[0], width=390) as visit:
        await accept(visit, login, link)
        await visit.page.fill("#branch #f-name", "ولیعصر")
        await visit.page.click("#branch button.primary")
        await expect(visit.page.locator("#branch.done")).to_contain_text("ولیعصر")
        await visit.page.fill("#f-device_name", "صندوق ۱")
        await visit.page.click("#till button.primary")
        await expect(visit.page.locator("#once")).to_have_text(re.compile(r"^crm_[\w-]{30,}"))
        assert await visit.unfit() == []
        assert await visit.overflow() == 0
        await visit.page.fill("#f-phone", f"0919{secrets.randbelow(10**7):07}")
        await visit.page.click("#visit button.primary")
        await expect(visit.page.locator("#visit .note")).to_be_visible()
        await visit.page.click("#visit a[href*='/visits/']")
        await expect(visit.page.locator("main")).to_contain_text("۱۰۰٬۰۰۰")
        assert visit.complaints == []


async def test_the_call_that_is_shown_is_taken_and_its_visit_appears_by_itself(
    system: System, browser: Browser
) -> None:
    login, link = await asyncio.to_thread(invited, system)
    async with pages.visiting(browser, link.partition("/invitation#")[0]) as visit:
        await accept(visit, login, link)
        await visit.page.fill("#f-device_name", "صندوق ۱")
        await visit.page.click("#till button.primary")
        called = shlex.split(await visit.page.inner_text("#call"))
        assert called[0] == "curl"
        # Other tests look at what the phone of the example gets.
        called[-1] = called[-1].replace("09121112233", f"0919{secrets.randbelow(10**7):07}")
        # The key travels to the visit service within a second or two.
        tried = ("--retry", "30", "--retry-delay", "1", "--retry-all-errors", "--fail", "--silent")
        await asyncio.to_thread(subprocess.run, [*called, *tried], check=True, timeout=60)
        await expect(visit.page.locator("#visit .note")).to_be_visible(timeout=15_000)


async def test_a_guest_a_page_and_something_to_do_are_found_by_keyboard(scene: Scene, browser: Browser) -> None:
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["manager"])
        await visit.go(f"{scene.home}/today")
        await visit.page.keyboard.press("Control+k")
        await expect(visit.page.locator("#results a").first).to_be_visible()
        assert await visit.unfit() == []
        await visit.page.keyboard.type("people")
        await expect(visit.page.locator("#results a")).to_have_count(1)
        await visit.page.keyboard.press("Enter")
        await visit.page.wait_for_url(re.compile("/settings/people"))
        await visit.page.keyboard.press("Control+k")
        await visit.page.keyboard.type(scene.number)
        await expect(visit.page.locator("#results")).to_contain_text(NAME)
        await visit.page.keyboard.press("ArrowDown")
        await visit.page.keyboard.press("Enter")
        await visit.page.wait_for_url(re.compile(scene.guest_id))
        assert visit.clicks == 0
        assert visit.complaints == []

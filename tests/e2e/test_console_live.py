"""The console while things happen: feeds follow, those of other cafes don't, and who lost the right sees it no more."""

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import httpx2
from playwright.async_api import Browser, expect

from deploy import pids
from deploy.crm import engines, processes
from deploy.demo import crew
from deploy.demo import run as demo
from deploy.engines.engine import free_port
from shared.database.db import Pool
from shared.messaging import topics
from tests.e2e import pages
from tests.e2e.bills import bill
from tests.e2e.conftest import System
from tests.e2e.screens import Scene

pytestmark = pages.in_a_browser
LIVE, ROWS, SOON = ".alive[data-state=live]", "[role=log] .ev", 30_000


async def post(system: System, cafe: demo.DemoCafe, receipt: str, phone: str | None = None) -> str:
    """A bill over HTTP; its visit."""
    async with httpx2.AsyncClient(timeout=30) as client:
        written = bill(receipt, phone=phone) if phone else bill(receipt)
        url = f"{system.api('visit')}/visits"
        answer = await client.post(url, json=written, headers={"X-Api-Key": cafe.api_key})
        visit_id: str = answer.raise_for_status().json()["visit_id"]
        return visit_id


@asynccontextmanager
async def at(browser: Browser, scene: Scene, path: str, role: str = "owner") -> AsyncIterator[pages.Visit]:
    """Somebody on a page of the scene, its stream open."""
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people[role])
        async with visit.page.expect_response(re.compile("/live$")):
            assert await visit.go(f"{scene.home}/{path}") == 200
        yield visit


async def test_a_visit_is_in_the_feed_within_a_second_and_its_points_follow(
    system: System, scene: Scene, browser: Browser
) -> None:
    async with at(browser, scene, "today") as visit:
        await visit.settled()
        started = time.monotonic()
        visit_id = await post(system, scene.cafe, f"live-{time.time_ns()}", scene.number)
        await visit.page.wait_for_selector(f"#v-{visit_id}", state="attached")
        print(f"{(time.monotonic() - started) * 1000:.0f} ms from POST /visits to the row")
        await expect(visit.page.locator(f"#v-{visit_id} .pts")).to_be_visible(timeout=SOON)
        assert visit.complaints == []
        assert visit.foreign == []


async def test_feed_that_is_held_moves_only_when_it_is_let_go(system: System, scene: Scene, browser: Browser) -> None:
    async with at(browser, scene, "today") as visit:
        await visit.settled()
        await visit.page.click("[data-pause]")
        visit_id = await post(system, scene.cafe, f"held-{time.time_ns()}")
        await expect(visit.page.locator("[data-count]")).to_be_visible(timeout=SOON)
        assert await visit.page.locator(f"#v-{visit_id}").count() == 0
        await visit.page.click("[data-pause]")
        await visit.page.wait_for_selector(f"#v-{visit_id}", state="attached")


async def test_two_cafes_in_two_browsers_see_their_own(
    system: System, scene: Scene, cafe: demo.DemoCafe, pools: dict[str, Pool], browser: Browser
) -> None:
    async with at(browser, scene, "today") as here, pages.visiting(browser, scene.base) as there:
        heard: list[str] = []
        there.page.on("request", lambda asked: heard.append(asked.url))
        await pages.sign_in(there, cafe.owner, cafe.password)
        async with there.page.expect_response(re.compile("/live$")):
            await there.go(f"/c/{cafe.cafe_id}/today")
        await there.page.wait_for_selector(LIVE)
        await there.settled()
        ours = await post(system, scene.cafe, f"ours-{time.time_ns()}")
        await here.page.wait_for_selector(f"#v-{ours}", state="attached")
        theirs = await post(system, cafe, f"theirs-{time.time_ns()}")
        await there.page.wait_for_selector(f"#v-{theirs}", state="attached")
        assert await there.page.locator(ROWS).count() == 1
        assert await here.page.locator(f"#v-{theirs}").count() == 0
        assert not any(scene.home in each for each in heard)


async def test_page_of_a_guest_says_that_something_came_and_moves_nothing(
    system: System, scene: Scene, browser: Browser
) -> None:
    async with at(browser, scene, f"guests/{scene.guest_id}") as visit:
        await visit.settled()
        before = await visit.page.locator(".tl").inner_text()
        await post(system, scene.cafe, f"news-{time.time_ns()}", scene.number)
        await expect(visit.page.locator("[data-news]")).to_be_visible(timeout=SOON)
        await expect(visit.page.locator(".stat.hero b")).to_have_text("۲۴۰", timeout=SOON)
        assert await visit.page.locator(".tl").inner_text() == before
        await visit.page.click("[data-news] a")
        await expect(visit.page.locator("[data-news]")).to_be_hidden()
        assert visit.complaints == []


async def test_list_of_visits_says_how_many_are_new(system: System, scene: Scene, browser: Browser) -> None:
    async with at(browser, scene, "visits") as visit:
        rows = await visit.page.locator(".list li").count()
        for number in range(2):
            await post(system, scene.cafe, f"list-{number}-{time.time_ns()}")
        await expect(visit.page.locator("[data-count]")).to_have_text(re.compile("۲"), timeout=SOON)
        assert await visit.page.locator(".list li").count() == rows


async def test_who_loses_the_role_loses_the_page_at_once(
    system: System, scene: Scene, houses: dict[str, Pool], browser: Browser
) -> None:
    async with httpx2.AsyncClient(timeout=30) as client:
        body = {"login": scene.cafe.owner, "password": scene.cafe.password}
        token = (await client.post(f"{system.api('identity')}/sessions", json=body)).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        members = f"{system.api('identity')}/cafes/{scene.cafe.cafe_id}/members"
        [manager] = [each for each in (await client.get(members)).json() if each["role"] == "manager"]
        role = f"{members}/{manager['user_id']}/role"
        try:
            async with at(browser, scene, "today", "manager") as visit:
                assert "تومان" in await visit.page.inner_text("main")
                async with visit.page.expect_navigation():
                    (await client.put(role, json={"role": "staff"})).raise_for_status()
                await expect(visit.page.locator("h1")).to_be_visible()
                await expect(visit.page.locator(".stats")).not_to_contain_text("تومان")
        finally:
            (await client.put(role, json={"role": "manager"})).raise_for_status()


async def test_whose_access_is_revoked_sees_nothing_more_of_the_cafe(
    system: System, scene: Scene, houses: dict[str, Pool], browser: Browser
) -> None:
    with mock.patch.dict(os.environ, system.environment):
        gone = await asyncio.to_thread(crew.hire, scene.cafe.cafe_id, "manager", f"gone-{time.time_ns()}@example.com")
    scene.people["gone"] = (gone.login, gone.password)
    async with httpx2.AsyncClient(timeout=30) as client, at(browser, scene, "today", "gone") as visit:
        await visit.page.wait_for_selector(LIVE)
        sessions = f"{system.api('identity')}/sessions"
        mine = (await client.post(sessions, json={"login": gone.login, "password": gone.password})).json()
        owner = {"login": scene.cafe.owner, "password": scene.cafe.password}
        token = (await client.post(sessions, json=owner)).json()["access_token"]
        member = f"{system.api('identity')}/cafes/{scene.cafe.cafe_id}/members/{mine['user_id']}"
        async with visit.page.expect_navigation():
            (await client.delete(member, headers={"Authorization": f"Bearer {token}"})).raise_for_status()
        await expect(visit.page.locator(".stats")).to_have_count(0)
        # Nothing of the cafe is there, or they stand at the door.
        assert await visit.go(f"{scene.home}/today") == 404 or "/in" in visit.page.url
        await expect(visit.page.locator(".stats")).to_have_count(0)


async def test_who_is_signed_out_elsewhere_stands_at_the_door(scene: Scene, browser: Browser) -> None:
    async with at(browser, scene, "today", "staff") as visit:
        cookies = await visit.page.context.cookies()
        async with pages.visiting(browser, scene.base) as elsewhere:
            await elsewhere.page.context.add_cookies(cookies)  # type: ignore[arg-type]
            await elsewhere.go("/me")
            await elsewhere.click("form[action='/out'] button")
        await visit.page.wait_for_url(re.compile("/in"))


@asynccontextmanager
async def own_console(system: System, folder: Path, **changes: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """A console of the test's own, with a worker, beside the system; its address and its two processes' starters."""
    api, outside, worker = (free_port() for _ in range(3))
    environment = system.environment | {
        "CRM_CONSOLE_PORT": str(outside), "CRM_LIVE_URL": f"http://127.0.0.1:{worker}", **changes,
    }  # fmt: skip
    (folder / "logs").mkdir(parents=True)
    parts = {
        "api": processes.Part("console-api", "services.console.api", api),
        "worker": processes.Part("console-worker", "services.console.worker", worker),
    }
    started = {name: processes.start_part(folder, part, environment) for name, part in parts.items()}
    try:
        await asyncio.to_thread(processes.wait_ready, folder, tuple(started.values()))
        yield f"http://127.0.0.1:{outside}", started
    finally:
        for each in started.values():
            await asyncio.to_thread(pids.stop, each.process, deadline=20)


async def test_page_says_that_it_is_not_live_while_the_broker_is_away_and_comes_back(
    system: System, scene: Scene, browser: Browser, tmp_path: Path
) -> None:
    tmp_path.parent.chmod(0o711)
    broker = await asyncio.to_thread(engines.start_kafka, tmp_path / "kafka")
    port = int(broker.url.rpartition(":")[2])
    try:
        await topics.create(system.config.model_copy(update={"kafka_servers": broker.url}))
        async with (
            own_console(system, tmp_path / "console", CRM_KAFKA_SERVERS=broker.url) as (base, _),
            pages.visiting(browser, base) as visit,
        ):
            await pages.sign_in(visit, *scene.people["owner"])
            await visit.go(f"{scene.home}/today")
            await visit.page.wait_for_selector(LIVE)
            await asyncio.to_thread(engines.stop, broker)
            await expect(visit.page.locator(".alive")).to_have_text("زنده نیست", timeout=SOON)
            # The page itself is as good as ever.
            assert await visit.go(f"{scene.home}/today") == 200
            await expect(visit.page.locator(".alive")).to_have_text("زنده نیست", timeout=SOON)
            broker = await asyncio.to_thread(engines.start_kafka, tmp_path / "kafka", port=port)
            await expect(visit.page.locator(".alive")).to_have_text("زنده", timeout=60_000)
            assert [each for each in visit.complaints if "503" not in each] == []
    finally:
        await asyncio.to_thread(engines.stop, broker)


async def test_service_that_goes_away_while_a_page_is_open_is_missed_in_its_part_only(
    system: System, scene: Scene, browser: Browser, tmp_path: Path
) -> None:
    async with (
        own_console(system, tmp_path / "console") as (base, started),
        pages.visiting(browser, base) as visit,
    ):
        await pages.sign_in(visit, *scene.people["owner"])
        await visit.go(f"{scene.home}/today")
        await visit.page.wait_for_selector(LIVE)
        worker = started["worker"]
        await asyncio.to_thread(pids.stop, worker.process, deadline=20)
        await expect(visit.page.locator(".alive")).to_have_text("زنده نیست", timeout=SOON)
        assert await visit.page.locator(".stats b").count() == 4
        environment = system.environment | {"CRM_LIVE_URL": worker.part.url}
        started["worker"] = processes.start_part(tmp_path / "console", worker.part, environment)
        await expect(visit.page.locator(".alive")).to_have_text("زنده", timeout=60_000)
        late = await post(system, scene.cafe, f"back-{time.time_ns()}")
        await visit.page.wait_for_selector(f"#v-{late}", state="attached")


@asynccontextmanager
async def passing(to: str) -> AsyncIterator[tuple[str, Callable[[], None]]]:
    """The address of a line to the service at `to`, and what cuts it."""
    target, opened = urlsplit(to), list[asyncio.StreamWriter]()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection(target.hostname, target.port)
        opened.append(writer)
        await asyncio.gather(carry(reader, ours), carry(theirs, writer), return_exceptions=True)

    def cut() -> None:
        server.close()
        for each in opened:
            each.close()

    server = await asyncio.start_server(accept, "127.0.0.1")
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", cut
    finally:
        cut()


async def test_page_is_shown_without_the_part_of_a_service_that_went_away(
    system: System, scene: Scene, browser: Browser, tmp_path: Path
) -> None:
    async with passing(system.api("visit")) as (line, cut):
        urls = ",".join(f"{name}={url}" for name, url in {**system.config.api_urls, "visit": line}.items())
        async with (
            own_console(system, tmp_path / "console", CRM_API_URLS=urls) as (base, _),
            pages.visiting(browser, base) as visit,
        ):
            await pages.sign_in(visit, *scene.people["owner"])
            assert await visit.go(f"{scene.home}/guests/{scene.guest_id}") == 200
            cut()
            assert await visit.go(f"{scene.home}/today") == 200
            await expect(visit.page.locator("main")).to_contain_text("این بخش اکنون پاسخ نمی‌دهد")
            await expect(visit.page.locator("main")).to_contain_text("مهمان ناراضی")
            assert await visit.unfit() == []
            assert await visit.go(f"{scene.home}/visits") == 503
            await expect(visit.page.locator("main")).to_contain_text("دوباره")

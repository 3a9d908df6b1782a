"""What a person at the counter waits for: how long the server takes for a page, and how long a cheap tablet on a bad
line takes to show most of it.

A browser is slowed down as the budget says: a sixth of this machine's processor, 1.6 Mbit/s, 150 ms to the server and
back. It and the whole system share the machine.
"""

import re
import time
from collections.abc import Mapping

import httpx2
from playwright.async_api import Browser

from deploy.demo import run as demo
from tests.bench.figure import Bench, Figure, Part
from tests.bench.whole import System, whole
from tests.e2e import pages

# As the budget of the console has them.
SLOWER, BITS_PER_SECOND, LATENCY_MS = 6, 1_600_000, 150
PAINT_MS, SERVER_MS = 2_000, 150
# The moment of the largest paint, in ms since the page was asked for.
PAINTED = """new Promise(done => new PerformanceObserver(list => done(list.getEntries().at(-1).startTime))
  .observe({type: "largest-contentful-paint", buffered: true}))"""


async def measure(bench: Bench) -> list[Figure]:
    """A cafe after many visits; each page by itself, the newest first."""
    visits, rounds, times = (300, 20, 3) if bench.quick else (4_000, 100, 5)
    async with whole(bench, "console") as system, pages.opened() as browser:
        await demo.play(system.config, system.cafe, visits, None, lambda _: None)
        base = f"http://127.0.0.1:{system.config.outside_port('console')}"
        cookies, addresses = await _signed_in(browser, base, system)
        figures = []
        for name, path in addresses.items():
            paints = [await _painted(browser, base, cookies, path) for _ in range(times)]
            served = [await _served(base, cookies, path, rounds)]
            figures += [
                Figure("console", f"{name}, largest paint", paints, "ms", ("at most", PAINT_MS)),
                Figure("console", f"{name}, on the server, p95", served, "ms", ("at most", SERVER_MS)),
            ]
        return figures


async def _signed_in(browser: Browser, base: str, system: System) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The owner's cookies, and the pages that people open most."""
    home = f"/c/{system.cafe.cafe_id}"
    async with pages.visiting(browser, base) as visit:
        await pages.sign_in(visit, system.cafe.owner, system.cafe.password)
        await visit.go(f"{home}/guests")
        guest = (
            await visit.page.locator("a[href*='/guests/']")
            .filter(has=visit.page.locator("b"))
            .first.get_attribute("href")
        )
        assert guest is not None
        assert re.search("/guests/[0-9a-f-]{36}$", guest)
        cookies = {each["name"]: each["value"] for each in await visit.page.context.cookies()}  # type: ignore[typeddict-item]
    return cookies, {"today": f"{home}/today", "guest": guest, "counter": f"{home}/desk", "guests": f"{home}/guests"}


async def _painted(browser: Browser, base: str, cookies: Mapping[str, str], path: str) -> float:
    context = await browser.new_context(viewport={"width": 390, "height": 844})
    await context.add_cookies([{"name": name, "value": value, "url": base} for name, value in cookies.items()])
    page = await context.new_page()
    steering = await context.new_cdp_session(page)
    await steering.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    line = {"offline": False, "latency": LATENCY_MS, "downloadThroughput": BITS_PER_SECOND / 8,
            "uploadThroughput": BITS_PER_SECOND / 8}  # fmt: skip
    await steering.send("Network.enable")
    await steering.send("Network.emulateNetworkConditions", line)
    await page.goto(f"{base}{path}", wait_until="load")
    painted = float(await page.evaluate(PAINTED))
    await context.close()
    return painted


async def _served(base: str, cookies: Mapping[str, str], path: str, rounds: int) -> float:
    taken = []
    async with httpx2.AsyncClient(base_url=base, cookies=dict(cookies), timeout=30) as client:
        for number in range(rounds + 5):
            started = time.perf_counter()
            (await client.get(path)).raise_for_status()
            # The first ones make connections and plans.
            if number >= 5:
                taken.append((time.perf_counter() - started) * 1000)
    return sorted(taken)[int(len(taken) * 0.95)]


PART = Part("console", measure)

"""`python -m tests.e2e.pictures`: the README's pictures of the console, taken of the demo's cafe in a real browser."""

import asyncio
import os
import tempfile
from pathlib import Path

from deploy.crm import processes
from deploy.demo import crew
from deploy.demo import run as demo
from shared.settings import Settings
from tests.e2e import pages

ROOT = Path(__file__).parents[2]
VISITS = 4_000
MOST_BYTES = 200_000
# Name, width, theme, language, and the page: of the guest who was here last where it is one of a guest.
WANTED = (
    ("today", 1440, "light", "fa", "today"),
    ("guest", 1440, "dark", "fa", "guest"),
    ("counter", 390, "light", "fa", "desk"),
    ("today-in-english", 390, "light", "en", "today"),
)


def main() -> None:
    """Makes the demo's cafe, takes the pictures, and removes everything but them."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        try:
            environment = processes.up(folder, simulator=True, say=print)
            os.environ.update(environment)
            config = processes.settings_of(environment)
            cafe = demo.make_cafe(print)
            asyncio.run(demo.play(config, cafe, VISITS, None, print))
            asyncio.run(demo.work(config, cafe, crew.hire(cafe.cafe_id, "manager"), print))
            asyncio.run(_take(config, cafe))
        finally:
            processes.down(folder, wipe=True, say=print)


async def _take(config: Settings, cafe: demo.DemoCafe) -> None:
    base = f"http://127.0.0.1:{config.outside_port('console')}"
    async with pages.opened() as browser:
        for name, width, theme, language, wanted in WANTED:
            async with pages.visiting(browser, base, width=width, theme=theme, language=language) as visit:
                await pages.sign_in(visit, cafe.owner, cafe.password)
                await _open(visit, f"/c/{cafe.cafe_id}", wanted)
                await visit.settled()
                path = ROOT / "docs" / "pictures" / f"{name}.png"
                path.parent.mkdir(exist_ok=True)
                await visit.page.screenshot(path=path)
                assert path.stat().st_size < MOST_BYTES, path
                print(path.relative_to(ROOT), path.stat().st_size)


async def _open(visit: pages.Visit, home: str, wanted: str) -> None:
    await visit.go(f"{home}/{'visits' if wanted == 'guest' else wanted}")
    if wanted == "guest":
        await visit.click(".row-line >> nth=3")
        await visit.click("a[href*='/guests/']:has(svg) >> nth=-1")
    elif wanted == "desk":
        await visit.page.fill("#typed", "مریم")
        await visit.page.wait_for_selector(".guest-card")


if __name__ == "__main__":
    main()

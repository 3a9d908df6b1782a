"""The club in a browser: figures are those of the books, new rules need another person, and staff see no money."""

import asyncio
import os
from unittest import mock
from uuid import UUID

import httpx2
from playwright.async_api import Browser, expect

from deploy.demo import club as demo_club
from deploy.demo import crew
from deploy.demo import run as demo
from services.loyalty.models.earn_rules import words_of
from services.loyalty.models.programs import ProgramRules
from services.loyalty.store import programs
from shared.clock import new_id, now
from shared.database.db import Pool, transaction
from shared.persian.text import latin_digits
from shared.security.crypto import Keys
from shared.security.ids import menu_code
from shared.settings import settings
from tests.e2e import pages
from tests.e2e.conftest import System, eventually
from tests.e2e.screens import Scene
from tests.support import SECRET

pytestmark = pages.in_a_browser
KEYS = Keys.from_secret(SECRET)
OWN = {
    "tier_period": "jalali_year",
    "base": {"minimum_toman": 50_000, "exclude": {"categories": ["دخانیات"]}},
    "earn": [
        {"key": "visit", "kind": "visit", "points": 5, "per_day": 1, "by_tier": True},
        {"key": "beans", "kind": "item", "points": 20, "match": {"categories": ["دانه قهوه"]}},
        {"key": "tenth", "kind": "every_nth_visit", "n": 10, "points": 100},
    ],
    "multiply": [
        {
            "key": "quiet",
            "factor": "2",
            "on": ["base"],
            "weekdays": ["tue"],
            "from_time": "15:00",
            "until_time": "18:00",
        }
    ],
    "caps": {"day": 3000},
}
OUTSTANDING = "SELECT sum(greatest(current_points, 0))::bigint FROM customer_loyalty WHERE cafe_id = $1"
COUNTED = """
SELECT amount = (SELECT sum(greatest(current_points, 0)) FROM customer_loyalty WHERE cafe_id = $1)
FROM club_figures WHERE cafe_id = $1 AND what = 'outstanding'
"""
EARNED = """
SELECT sum(points_change)::bigint FROM loyalty_transactions
WHERE cafe_id = $1 AND visit_id IS NOT NULL AND redemption_id IS NULL
"""


async def lapse_after(visit: pages.Visit, days: str) -> None:
    """In the editor: points lapse so many days after their bill."""
    if not await visit.page.locator("#f-expiry-days").count():
        await visit.page.locator("details:has([value='add.expiry_days']) summary").click()
        await visit.page.click("[value='add.expiry_days']")
    await visit.page.fill("#f-expiry-days", days)


def number_in(text: str) -> int:
    return int("".join(letter for letter in latin_digits(text) if letter.isdigit()))


async def test_figures_are_those_of_the_books(scene: Scene, browser: Browser, houses: dict[str, Pool]) -> None:
    loyalty, cafe_id = houses["loyalty"], scene.cafe.cafe_id
    await eventually(loyalty, COUNTED, cafe_id, wanted=True, within=60)
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["manager"])
        await visit.go(f"{scene.home}/club")
        shown = [number_in(await each.inner_text()) for each in await visit.page.locator(".stats.six b").all()]
        assert shown[0] == await loyalty.fetchval(OUTSTANDING, cafe_id)
        assert shown[1] == await loyalty.fetchval("SELECT count(*) FROM customer_loyalty WHERE cafe_id = $1", cafe_id)
        assert shown[2] == await loyalty.fetchval(EARNED, cafe_id)
        assert visit.complaints == []


async def test_new_rules_show_what_they_change_and_are_approved_by_another(
    scene: Scene, browser: Browser, houses: dict[str, Pool]
) -> None:
    last = "SELECT max(version) FROM programs WHERE cafe_id = $1"
    before = await houses["loyalty"].fetchval(last, scene.cafe.cafe_id)
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["manager"])
        await visit.go(f"{scene.home}/club/rules/new")
        await lapse_after(visit, "۴۰۰")
        await expect(visit.page.locator(".sheet-part")).to_contain_text("۴۰۰ روز")
        assert await houses["loyalty"].fetchval(last, scene.cafe.cafe_id) == before
        await visit.click("button[name=step][value=send]")
        await expect(visit.page.locator(".note")).to_contain_text("در انتظار تأیید")
    async with pages.visiting(browser, scene.base, width=390) as visit:
        await pages.sign_in(visit, *scene.people["owner"])
        await visit.go(f"{scene.home}/approvals")
        await visit.page.locator(".matter", has_text="قاعده‌های باشگاه").locator("button[value=approve]").click()
        await visit.page.wait_for_load_state()
        await visit.go(f"{scene.home}/club")
        await expect(visit.page.locator("main")).to_contain_text("۴۰۰ روز پس از خرید می‌سوزد")
    assert await houses["loyalty"].fetchval(last, scene.cafe.cafe_id) == before + 1


async def test_wrong_rules_are_not_sent_and_say_where(scene: Scene, browser: Browser) -> None:
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["manager"])
        await visit.go(f"{scene.home}/club/rules/new")
        await visit.page.fill("#f-earn_per", "هزار")
        await expect(visit.page.locator("#changes a[href='#f-earn_per']")).to_be_visible()
        assert await visit.page.locator("button[value=send]").count() == 0
        await visit.click("#changes button[value=look]")
        await expect(visit.page.locator("#f-earn_per")).to_have_attribute("aria-invalid", "true")
        assert await visit.page.input_value("#f-earn_per") == "هزار"


async def test_who_spends_points_sees_what_they_are_worth(
    system: System, scene: Scene, browser: Browser, houses: dict[str, Pool]
) -> None:
    urls = {"loyalty": system.api("loyalty")}
    async with httpx2.AsyncClient(timeout=30) as owner, httpx2.AsyncClient(timeout=30) as manager:
        for client, role in ((owner, "owner"), (manager, "manager")):
            login, password = scene.people[role]
            body = {"login": login, "password": password}
            answer = (await client.post(f"{system.api('identity')}/sessions", json=body)).raise_for_status()
            client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        await demo_club.price_points(owner, manager, urls, scene.cafe.cafe_id)
    async with pages.visiting(browser, scene.base, width=390) as visit:
        await pages.sign_in(visit, *scene.people["staff"])
        await visit.go(f"{scene.home}/guests/{scene.guest_id}/redeem")
        await expect(visit.page.locator("main")).to_contain_text("۱۲٬۰۰۰ تومان")
        await visit.page.fill("#f-points", "۵۰")
        await expect(visit.page.locator("#quote")).to_contain_text("۵٬۰۰۰ تومان")
        await expect(visit.page.locator("#quote")).to_contain_text("۷۰")
        await visit.page.fill("#f-points", "500")
        await expect(visit.page.locator("#quote")).to_contain_text("۱۲۰")
        assert visit.complaints == []


async def test_what_lapses_is_told_to_the_club_and_beside_its_guest(
    scene: Scene, browser: Browser, houses: dict[str, Pool]
) -> None:
    await houses["loyalty"].execute(
        "UPDATE point_lots SET expires_at = now() + interval '5 days' WHERE customer_id = $1", UUID(scene.guest_id)
    )
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["manager"])
        await visit.go(f"{scene.home}/club/lapsing")
        await expect(visit.page.locator(f"main a[href$='{scene.guest_id}']")).to_be_visible()
        await visit.go(f"{scene.home}/guests/{scene.guest_id}")
        await expect(visit.page.locator("#ex")).to_be_visible()


async def test_staff_read_the_rules_and_no_money_of_the_cafe(scene: Scene, browser: Browser) -> None:
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, *scene.people["staff"])
        assert await visit.go(f"{scene.home}/club") == 200
        await expect(visit.page.locator("main")).to_contain_text("به ازای هر")
        assert await visit.page.locator(".stats").count() == 0
        assert await visit.go(f"{scene.home}/club/given") == 403
        assert await visit.go(f"{scene.home}/club/rules") == 200
        assert await visit.page.locator("a[href$='/club/rules/new']").count() == 0
        assert await visit.go(f"{scene.home}/club/rules/new") == 403


async def test_earning_rules_are_said_and_stay_when_another_rule_changes(
    system: System, scene: Scene, browser: Browser, houses: dict[str, Pool]
) -> None:
    # In a cafe of its own: by these rules the guests of all other tests would earn more.
    with mock.patch.dict(os.environ, system.environment):
        settings.cache_clear()
        cafe = await asyncio.to_thread(demo.make_cafe, print)
        manager = await asyncio.to_thread(crew.hire, cafe.cafe_id, "manager")
    settings.cache_clear()
    loyalty, cafe_id, home = houses["loyalty"], cafe.cafe_id, f"/c/{cafe.cafe_id}"
    hired = "SELECT count(*) FROM user_cafe_access WHERE cafe_id = $1 AND role IS NOT NULL"
    for pool in houses.values():
        await eventually(pool, hired, cafe_id, wanted=2)
    await eventually(loyalty, "SELECT count(*) FROM programs WHERE cafe_id = $1", cafe_id, wanted=1)
    last = "SELECT max(version) FROM programs WHERE cafe_id = $1"
    earning = "SELECT earning FROM programs WHERE cafe_id = $1 ORDER BY version DESC LIMIT 1"
    rules = ProgramRules.model_validate(OWN)
    async with transaction(loyalty) as conn:
        number = await conn.fetchval(last, cafe_id) + 1
        dumped = rules.model_dump(mode="json")
        codes = {word: menu_code(KEYS, cafe_id, word) for word in words_of(rules.base, rules.earn)}
        assert await programs.publish(conn, cafe_id, number, now(), dumped, new_id(), codes)
    written = await loyalty.fetchval(earning, cafe_id)
    async with pages.visiting(browser, scene.base) as visit:
        await pages.sign_in(visit, manager.login, manager.password)
        await visit.go(f"{home}/club/rules")
        said = visit.page.locator("details.version[open]")
        await expect(said).to_contain_text("هر خرید ۵ امتیاز دارد.")
        await expect(said).to_contain_text("سه‌شنبه")
        await expect(said).to_contain_text("مهمان در یک روز حداکثر ۳٬۰۰۰ امتیاز می‌گیرد.")
        await visit.go(f"{home}/club/rules/new")
        await lapse_after(visit, "۳۰۰")
        await expect(visit.page.locator(".sheet-part li")).to_have_count(1)
        await visit.click("button[name=step][value=send]")
        await expect(visit.page.locator(".note")).to_contain_text("در انتظار تأیید")
    async with pages.visiting(browser, scene.base, width=390) as visit:
        await pages.sign_in(visit, cafe.owner, cafe.password)
        await visit.go(f"{home}/approvals")
        await expect(visit.page.locator(".matter", has_text="قاعده‌های باشگاه")).to_contain_text(
            "هر خرید ۵ امتیاز دارد."
        )
        await visit.page.locator(".matter", has_text="قاعده‌های باشگاه").locator("button[value=approve]").click()
        await visit.page.wait_for_load_state()
    assert await loyalty.fetchval(last, cafe_id) == number + 1
    after = await loyalty.fetchval(earning, cafe_id)
    assert after == written | {"expiry": {"kind": "days", "days": 300, "after": 0}}

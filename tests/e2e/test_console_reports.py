"""Reports in a browser on the whole running system: the numbers on the screen are those of the bills, and files and
print hold them too."""

import asyncio
import csv
import io
import os
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import openpyxl
import pytest
from playwright.async_api import Browser, expect

from deploy.demo import crew
from deploy.demo import run as demo
from services.console.rules.report_range import SECTIONS
from services.console.rules.speech import Speech
from shared.database.db import Pool
from shared.persian.calendar import local_date, month_of
from tests.e2e import pages
from tests.e2e.bills import bill
from tests.e2e.conftest import System, eventually

pytestmark = pages.in_a_browser
PICTURES = os.environ.get("CRM_PICTURES")
DISHES = (("اسپرسو", 60), ("لاته", 95), ("کیک شکلاتی", 120), ("چای", 45), ("املت", 180), ("=2+3", 70))
PERSIAN = Speech()
NOW = datetime.now(UTC)
MADE = """
SELECT coalesce(sum(final_amount), 0) FROM customer_visits
WHERE cafe_id = $1 AND voided_at IS NULL AND visit_date >= $2 AND visit_date < $3
"""


def bills() -> list[dict[str, Any]]:
    """Two hundred bills of the last eight months: mornings and evenings, of twenty guests and of nobody."""
    made = []
    for n in range(240):
        moment = (NOW - timedelta(days=n)).replace(minute=10, second=0) if n else NOW - timedelta(minutes=5)
        if n:
            moment = moment.replace(hour=(5, 6, 9, 13, 14, 14, 15, 16)[n * 5 % 8])
        lines = [DISHES[(n * k + k) % len(DISHES)] for k in range(1, 2 + n % 3)]
        total = sum(amount * 1000 for _, amount in lines)
        items = [{"name": name, "quantity": 1, "amount": str(amount * 1000)} for name, amount in lines]
        more: dict[str, Any] = {"phone": f"0912555{n * 7 % 20:04}"} if n % 4 else {"phone": None, "guest_name": None}
        made.append(
            bill(
                f"r-{n}", occurred_at=moment.isoformat(), items=items, total=str(total),
                branch=("TAJRISH", "VANAK", None)[n % 3], **more,
            )
        )  # fmt: skip
    return [{name: value for name, value in each.items() if value is not None} for each in made]


@pytest.fixture
async def busy(
    system: System, cafe: demo.DemoCafe, pools: dict[str, Pool], till: httpx2.AsyncClient, owner: httpx2.AsyncClient
) -> demo.DemoCafe:
    """A cafe with eight months behind it, all counted."""
    home = f"/cafes/{cafe.cafe_id}"
    for code, name in (("VANAK", "ونک"), ("TAJRISH", "تجریش Tajrish")):
        body = {"code": code, "name": name}
        (await owner.post(f"{system.api('identity')}{home}/branches", json=body)).raise_for_status()
    sql = "SELECT count(*) FROM branches WHERE cafe_id = $1"
    await eventually(pools["visit"], sql, cafe.cafe_id, wanted=2)
    answer = (await till.post(f"{system.api('visit')}/visits/batch", json={"visits": bills()})).raise_for_status()
    assert {each["status"] for each in answer.json()["results"]} == {201}, answer.text[:600]
    for stars in (5, 5, 4, 2):
        said = {"overall_rating": stars, "source": "manual"}
        (await owner.post(f"{system.api('feedback')}{home}/feedback", json=said)).raise_for_status()
    waiting = "SELECT count(*) FROM days_to_count WHERE cafe_id = $1 AND (due_at <= now() OR stat_date IS NULL)"
    await eventually(pools["visit"], waiting, cafe.cafe_id, wanted=0, within=120)
    counted = "SELECT count(*) > 8 AND bool_and(counted_at IS NOT NULL) FROM counted_months WHERE cafe_id = $1"
    await eventually(pools["visit"], counted, cafe.cafe_id, wanted=True, within=120)
    # Months wait ten minutes before they are counted again, and the days of such a backlog come in several rounds.
    await pools["visit"].execute("UPDATE counted_months SET due_at = now() WHERE cafe_id = $1", cafe.cafe_id)
    done = "SELECT count(*) FROM counted_months WHERE cafe_id = $1 AND due_at IS NOT NULL"
    await eventually(pools["visit"], done, cafe.cafe_id, wanted=0, within=60)
    return cafe


async def made(pool: Pool, cafe: demo.DemoCafe, first: datetime, until: datetime) -> Decimal:
    found: Decimal = await pool.fetchval(MADE, cafe.cafe_id, first, until)
    return found


async def test_reports_show_keep_and_print_what_the_bills_say(
    system: System, busy: demo.DemoCafe, browser: Browser, pools: dict[str, Pool], owner: httpx2.AsyncClient
) -> None:
    home, base = f"/c/{busy.cafe_id}/reports", demo.api_url(system.config, "console")
    async with pages.visiting(browser, base) as visit:
        await pages.sign_in(visit, busy.owner, busy.password)
        await visit.go(home)
        # The last whole month, by SQL, by the API and on the screen.
        today = local_date(NOW, "Asia/Tehran")
        last = month_of(month_of(today, "jalali")[0] - timedelta(days=1), "jalali")
        begins = datetime.combine(last[0], datetime.min.time(), UTC) - timedelta(hours=3, minutes=30)
        ends = datetime.combine(last[1] + timedelta(days=1), datetime.min.time(), UTC) - timedelta(hours=3, minutes=30)
        by_sql = await made(pools["visit"], busy, begins, ends)
        asked = await owner.get(f"{system.api('visit')}/cafes/{busy.cafe_id}/statistics/months?count=2")
        assert Decimal(asked.json()[0]["revenue"]) == by_sql > 0
        await expect(visit.page.locator(".stat.hero b")).to_contain_text(PERSIAN.number(by_sql))
        row = visit.page.locator("table.figures tr", has_text=PERSIAN.month(last[0]))
        await expect(row).to_contain_text(PERSIAN.number(by_sql))
        # What is kept as a file is what is shown.
        async with visit.page.expect_download() as started:
            await visit.page.click("a[href*='.csv']")
        download = await started.value
        assert download.suggested_filename.endswith(".csv")
        assert "ماه به ماه" in download.suggested_filename
        text = await asyncio.to_thread(Path(await download.path()).read_text, "utf-8-sig")
        kept = {line[0]: line for line in csv.reader(io.StringIO(text))}
        assert Decimal(kept[PERSIAN.month(last[0])][2]) == by_sql
        await visit.go(f"{home}/dishes?months=24")
        async with visit.page.expect_download() as started:
            await visit.page.click("a[href*='.xlsx']")
        file = await asyncio.to_thread(Path(await (await started.value).path()).read_bytes)
        [sheet] = openpyxl.load_workbook(io.BytesIO(file)).worksheets
        assert sheet.sheet_view.rightToLeft
        rows = {row[0].value: row for row in sheet.iter_rows(min_row=2)}
        assert rows["=2+3"][0].data_type == "s"
        # One branch alone, and back, by the address.
        await visit.go(home)
        await visit.page.click(".span-pick >> text=ونک")
        await expect(visit.page).to_have_url(re.compile("branch="))
        await expect(visit.page.locator(".sub")).to_contain_text("ونک")
        await visit.page.go_back()
        await expect(visit.page.locator(".stat.hero b")).to_contain_text(PERSIAN.number(by_sql))
        # On paper there is no menu, and it says of whom and when.
        await visit.page.emulate_media(media="print")
        for hidden in (".side", ".top", ".tabs", ".acts", ".span-pick"):
            await expect(visit.page.locator(hidden).first).to_be_hidden()
        await expect(visit.page.locator(".print-only")).to_be_visible()
        if PICTURES:
            await visit.page.pdf(path=Path(PICTURES) / "print.pdf", prefer_css_page_size=True)
            await visit.page.set_viewport_size({"width": 794, "height": 1123})
            await visit.page.screenshot(path=Path(PICTURES) / "print.png", full_page=True)
        assert visit.complaints == []


async def test_every_report_is_fit_for_everybody(system: System, busy: demo.DemoCafe, browser: Browser) -> None:
    base = demo.api_url(system.config, "console")
    looks = [(390, "light", "fa"), (390, "dark", "en"), (1440, "dark", "fa"), (1440, "light", "en")]
    for width, theme, language in looks:
        async with pages.visiting(browser, base, width=width, theme=theme, language=language) as visit:
            await pages.sign_in(visit, busy.owner, busy.password)
            for section in SECTIONS:
                assert await visit.go(f"/c/{busy.cafe_id}/reports/{section.key}") == 200, section.key
                await visit.page.wait_for_load_state("networkidle")
                if PICTURES:
                    name = f"reports-{section.key}-{width}-{theme}-{language}.png"
                    await visit.page.screenshot(path=Path(PICTURES) / name, full_page=True)
                assert await visit.unfit() == [], section.key
                assert await visit.overflow() == 0, section.key
            assert visit.complaints == []


async def test_counter_staff_find_no_reports(system: System, busy: demo.DemoCafe, browser: Browser) -> None:
    hired = crew.hire(busy.cafe_id, "staff")
    async with pages.visiting(browser, demo.api_url(system.config, "console")) as visit:
        await pages.sign_in(visit, hired.login, hired.password)
        await expect(visit.page.locator("a[href$='/reports']")).to_have_count(0)
        assert await visit.go(f"/c/{busy.cafe_id}/reports") == 403
        assert await visit.go(f"/c/{busy.cafe_id}/reports/months.csv") == 403

"""The figures of the day so far and of hours, and what of visits only managers see."""

from collections.abc import AsyncIterator
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import httpx2
import pytest
from fastapi import FastAPI

from services.visit.api.app import make_app
from services.visit.handlers import statistics, upkeep
from services.visit.handlers.reactions import on_branch_changed
from services.visit.store import statistics as store
from services.visit.store import visits
from shared.clock import new_id, now
from shared.database.db import Pool, transaction
from shared.security.auth import Staff
from shared.web.dependencies import current_staff
from tests.support import Databases
from tests.visit.given import CAFE, OTHER_CAFE, STAFF, bill, branch, known_cafe, react, record, take, void

TEHRAN = ZoneInfo("Asia/Tehran")
# A Tuesday, 13:30 in Tehran.
MOMENT = datetime(2026, 3, 24, 13, 30, tzinfo=TEHRAN)
CLERK = new_id()
VISITS = f"/cafes/{CAFE}/visits"


@pytest.fixture
async def pool(database: Databases) -> Pool:
    pool = await database("visit")
    await known_cafe(pool)
    return pool


@pytest.fixture
async def app(pool: Pool) -> AsyncIterator[FastAPI]:
    app = make_app()
    app.dependency_overrides[current_staff] = lambda: Staff(STAFF)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://crm.test") as client:
        yield client


def at(days: int, hour: int, minute: int = 0) -> str:
    """That time of the day so many days before."""
    return datetime.combine(MOMENT.date() - timedelta(days=days), time(hour, minute), TEHRAN).isoformat()


async def so_far(pool: Pool, branch_id: Any = None, unit: Any = "IRT") -> dict[str, Any]:
    async with transaction(pool) as conn:
        shown = await statistics.today(conn, CAFE, branch_id, MOMENT, unit, with_amounts=True)
    return shown.model_dump(mode="json")


async def a_day(pool: Pool) -> Any:
    place = branch()
    await react(pool, on_branch_changed, place)
    old, new = "09120000001", "09120000002"
    await take(
        pool,
        record(receipt_number="week ago", phone=old, occurred_at=at(7, 13, 30), total="1000"),
        record(receipt_number="week ago, later", phone=old, occurred_at=at(7, 13, 31), total="1"),
        record(receipt_number="week ago, a day sooner", phone=old, occurred_at=at(8, 13), total="1"),
        record(receipt_number="yesterday", phone=old, occurred_at=at(1, 23, 59), total="1"),
        record(receipt_number="first", phone=old, occurred_at=at(0, 0, 0), total="200"),
        record(receipt_number="second", phone=new, occurred_at=at(0, 9, 5), total="300", branch="VANAK"),
        record(receipt_number="again", phone=new, occurred_at=at(0, 9, 50), total="400"),
        record(receipt_number="nobody's", phone=..., occurred_at=at(0, 13, 30), total="100"),
        record(receipt_number="void", phone="09120000003", occurred_at=at(0, 10), total="7000"),
        record(receipt_number="of others", cafe_id=OTHER_CAFE, occurred_at=at(0, 10), total="7000"),
    )
    await take(pool, record(receipt_number="to come", occurred_at=at(0, 13, 31), total="1"))
    await take(pool, void(receipt_number="void"))
    return place


async def test_day_so_far_is_counted_live_against_the_same_part_of_the_weekday_before(pool: Pool) -> None:
    place = await a_day(pool)
    shown = await so_far(pool)
    assert (shown["visits"], shown["guests"], shown["new_guests"]) == (4, 2, 1)
    assert (shown["revenue"], shown["avg_order"], shown["currency_unit"]) == ("1000.00", "250.00", "IRT")
    assert {hour: each["visits"] for hour, each in enumerate(shown["hours"]) if each["visits"]} == {0: 1, 9: 2, 13: 1}
    assert (len(shown["hours"]), shown["hours"][9]["revenue"]) == (24, "700.00")
    assert shown["week_ago"] == {"visits": 1, "guests": 1, "revenue": "1000.00", "currency_unit": "IRT"}
    branches = {each["branch_id"]: (each["visits"], each["revenue"]) for each in shown["branches"]}
    assert branches == {None: (3, "700.00"), str(place.branch_id): (1, "300.00")}
    only = await so_far(pool, place.branch_id)
    assert (only["visits"], only["guests"], only["revenue"], len(only["branches"])) == (1, 1, "300.00", 1)
    assert (await so_far(pool, unit="IRR"))["revenue"] == "10000.00"


async def test_day_without_visits_is_zero_and_no_average(pool: Pool) -> None:
    shown = await so_far(pool)
    assert (shown["visits"], shown["revenue"], shown["avg_order"], shown["branches"]) == (0, "0", None, [])


async def test_today_reads_the_rows_of_two_days_only(pool: Pool, database: Databases) -> None:
    await pool.execute(
        "INSERT INTO customer_visits (id, cafe_id, visit_date, device_id, receipt_number, total_amount, currency_unit)"
        " SELECT gen_random_uuid(), $1, $2::timestamptz - n * interval '1 hour', 'raw', n::text, 1, 'IRT'"
        " FROM generate_series(0, 9999) AS n",
        CAFE, MOMENT,
    )  # fmt: skip
    owner = await asyncpg.connect(await database.owner_dsn("visit"))
    await owner.execute("ANALYZE customer_visits")
    await owner.close()
    for statement in (store.TODAYS_HOURS, store.TODAYS_GUESTS):
        plan = [row[0] for row in await pool.fetch(f"EXPLAIN {statement}", CAFE, None, MOMENT)]
        assert any("Index Scan using customer_visits_default_pkey" in line for line in plan)
        assert not any("Seq Scan on customer_visits_default" in line for line in plan)


async def test_hours_of_weeks_begin_on_saturday_and_end_yesterday(pool: Pool) -> None:
    await take(
        pool,
        record(receipt_number="today", occurred_at=at(0, 10)),
        record(receipt_number="saturday", occurred_at=at(3, 10), total="100"),
        record(receipt_number="saturday before", occurred_at=at(10, 10, 59), total="200"),
        record(receipt_number="friday", occurred_at=at(4, 0), total="300"),
        record(receipt_number="too long ago", occurred_at=at(15, 10)),
    )
    await upkeep.count_days(pool)
    async with transaction(pool) as conn:
        shown = await statistics.hours(conn, CAFE, None, 2, MOMENT, "IRT")
    found = {
        (day, hour): (each.visits, str(each.revenue))
        for day, hours in enumerate(shown.weekdays)
        for hour, each in enumerate(hours)
        if each.visits
    }
    assert found == {(0, 10): (2, "300.00"), (6, 0): (1, "300.00")}
    assert [len(hours) for hours in shown.weekdays] == [24] * 7
    assert (str(shown.first), str(shown.last)) == ("2026-03-10", "2026-03-23")


async def test_staff_see_visits_without_amounts(
    app: FastAPI,
    client: httpx2.AsyncClient,
    pool: Pool,
) -> None:
    [outcome] = await take(pool, record(occurred_at=now().isoformat()))
    paths = [f"{VISITS}/{outcome.visit_id}", VISITS, f"{VISITS}?view=row"]
    managers = [(await client.get(path)).json() for path in paths]
    assert managers[0]["items_ordered"][0]["amount"] == "120000.00"
    assert managers[2]["items"][0]["final_amount"] == "185000.00"
    await known_cafe(pool, staff=CLERK, role="staff")
    app.dependency_overrides[current_staff] = lambda: Staff(CLERK)
    whole, full, rows = [(await client.get(path)).json() for path in paths]
    for shown in (whole, *full["items"]):
        assert {shown[name] for name in ("total_amount", "discount_amount", "final_amount")} == {None}
        assert [(line["name"], line["amount"]) for line in shown["items_ordered"]] == [
            ("قهوه ترک", None),
            ("کیک", None),
        ]
    assert rows["items"][0]["final_amount"] is None
    assert "185000" not in str((whole, full, rows))
    today = (await client.get(f"/cafes/{CAFE}/statistics/today")).json()
    assert (today["visits"], today["revenue"], today["avg_order"]) == (1, None, None)
    inner = [*today["hours"], *today["branches"], today["week_ago"]]
    assert {each["revenue"] for each in inner} == {None}
    for path in ("statistics/days", "statistics/month?day=2026-03-21", "statistics/hours", "visits?least_amount=1"):
        assert (await client.get(f"/cafes/{CAFE}/{path}")).status_code == 403, path


async def test_short_rows_and_filters_by_receipt_device_and_nobody(
    client: httpx2.AsyncClient,
    pool: Pool,
) -> None:
    await take(
        pool,
        record(receipt_number="A-1"),
        record(receipt_number="A-1", device_id="till-2", phone="09120000000"),
        record(receipt_number="A-2", phone=...),
    )

    async def found(**asked: Any) -> list[tuple[str, str]]:
        answer = await client.get(VISITS, params={"view": "row", **asked})
        assert answer.status_code == 200, answer.text
        return sorted((item["device_id"], item["receipt_number"]) for item in answer.json()["items"])

    assert await found(receipt_number="A-1") == [("till-1", "A-1"), ("till-2", "A-1")]
    assert await found(receipt_number="A-\u06f1", device_id="till-2") == [("till-2", "A-1")]
    assert await found(device_id="till-1") == [("till-1", "A-1"), ("till-1", "A-2")]
    assert await found(unknown_guest=True) == [("till-1", "A-2")]
    assert await found(receipt_number="A-1", unknown_guest=True) == []
    (row,) = (await client.get(VISITS, params={"view": "row", "receipt_number": "A-2"})).json()["items"]
    assert set(row) == {
        "id", "visit_date", "customer_id", "visit_number", "final_amount", "currency_unit", "points_earned",
        "points_redeemed", "feedback_rating", "item_count", "device_id", "receipt_number", "voided_at", "corrected_at",
    }  # fmt: skip
    entered = await client.post(VISITS, json=bill(device_id=..., receipt_number="by hand"))
    assert entered.status_code == 201
    assert await found(receipt_number="by hand") == [(f"staff:{STAFF}", "by hand")]


async def test_receipt_is_found_by_the_key_of_its_devices(pool: Pool, database: Databases) -> None:
    await take(pool, record())
    await pool.execute(
        "INSERT INTO visit_receipts (cafe_id, device_id, receipt_number, fingerprint, visit_id, visit_date)"
        " SELECT $1, 'till-1', n::text, substr(sha256(n::text::bytea), 1, 16), gen_random_uuid(), $2"
        " FROM generate_series(1, 5000) AS n",
        CAFE, MOMENT,
    )  # fmt: skip
    owner = await asyncpg.connect(await database.owner_dsn("visit"))
    await owner.execute("ANALYZE")
    await owner.close()
    asked = (CAFE, MOMENT - timedelta(days=900), MOMENT, CAFE, None, None, None, None, False, 50, None, False, "7")
    plan = "\n".join(row[0] for row in await pool.fetch(f"EXPLAIN {visits.LIST_OF_RECEIPT}", *asked))
    assert "visit_receipts_pkey" in plan
    assert "Seq Scan on visit_receipts" not in plan

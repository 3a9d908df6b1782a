"""Reports against a slow second reading of all visits: after bills, late ones, corrections, claims, voids, other zones
and calendars, and at the edges of days and months."""

import random
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.visit.handlers import erasure, reactions, reports, upkeep
from services.visit.handlers.reports import WantedFigures
from services.visit.models.values import BillCommand
from services.visit.store import reports as store
from services.visit.store import statistics
from shared.clock import new_id, now
from shared.database.db import Pool, keyed_transaction, staff_transaction, transaction
from shared.events.identity import CafeChanged
from shared.security.access import on_cafe_changed
from tests.support import Databases
from tests.visit.books import NOW, TEHRAN, TODAY, Books, at, count, month_of
from tests.visit.given import (
    CAFE,
    KEYS,
    NOON,
    OTHER_CAFE,
    STAFF,
    branch,
    correction,
    known_cafe,
    react,
    record,
    take,
    visit_row,
    void,
)  # fmt: skip

GUESTS = [f"0912000{n:04}" for n in range(8)]
READ = """
SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::int FROM pg_stat_xact_user_tables
WHERE relname LIKE 'customer_visits%'
"""
DISHES = ("قهوه ترک", "کیک", "چای", "لاته")


@pytest.fixture
async def pool(database: Databases) -> Pool:
    pool = await database("visit")
    await known_cafe(pool)
    await known_cafe(pool, OTHER_CAFE, staff=new_id())
    return pool


async def told(pool: Pool, what: Any, *args: Any, branch_id: UUID | None = None, unit: str = "IRT") -> Any:
    async with staff_transaction(pool, STAFF) as conn:
        found = await what(conn, WantedFigures(CAFE, branch_id, NOW, unit), *args)  # type: ignore[arg-type]
    return [each.model_dump() for each in found] if isinstance(found, list) else found.model_dump()


async def check(pool: Pool, places: tuple[UUID | None, ...] = (None,), **how: str) -> None:
    """Everything that reports tell is what the visits say."""
    books = await Books.read(pool, **how)
    for place in places:
        for month in await told(pool, reports.months, 24, branch_id=place):
            shown = tuple(
                month[name] for name in ("visits", "revenue", "guests", "new_guests", "known_visits", "known_revenue")
            )
            assert shown == books.month(month["month_starts"], place), (month["month_starts"], place)
            assert month["guests"] == month["new_guests"] + month["returning_guests"]
            assert month_of(month["month_ends"], books.calendar) == month["month_starts"]
    for month in await told(pool, reports.returns, 24):
        for place_of, days in enumerate((30, 60, 90)):
            again = month["again"][place_of]
            new, known = (books.again(month["month_starts"], days, new=each) for each in (True, False))
            assert (month["new_guests"], month["returning_guests"]) == (new[0], known[0])
            if month["month_ends"] + timedelta(days=days) < books.today:
                assert again["guests"] == new[1] + known[1], (month["month_starts"], days)
                assert again["share"] == (
                    round(Decimal(100) * (new[1] + known[1]) / (new[0] + known[0]), 2) if new[0] + known[0] else None
                )
            else:
                assert again["guests"] is again["share"] is again["share_of_new"] is None
    shown_cohorts = {
        (each["first_month_starts"], month["month_starts"]): month["guests"]
        for each in await told(pool, reports.cohorts, 24)
        for month in each["months"]
        if month["guests"]
    }
    assert shown_cohorts == books.cohorts()
    for place in places:
        for month in {visit.month for visit in books.visits}:
            shown_dishes = await told(pool, reports.dishes, (month, month), branch_id=place)
            found = {
                each["name"]: (each["quantity"], each["revenue"], each["bills"], each["guests"])
                for each in shown_dishes["items"]
            }
            expected = books.dishes(month, place)
            assert (shown_dishes["others"]["quantity"], shown_dishes["others"]["revenue"]) == expected.pop("")
            assert found == {name: facts[:4] for name, facts in expected.items()}
            for each in shown_dishes["items"]:
                repeat = expected[each["name"]][4]
                guests = each["guests"]
                assert each["repeat_share"] == (round(Decimal(100) * repeat / guests, 2) if guests else None)


def some_bill(dice: random.Random, number: int, codes: list[str], **more: Any) -> Any:
    """A bill of the last 400 days or of today, often at the edge of a day, of somebody or of nobody."""
    back = dice.choice([0, 0, *(dice.randint(1, 400) for _ in range(6))])
    hour, minute, second = dice.choice([(0, 0, 0), (23, 59, 59), (12, 0, 0), (3, 30, 0), (9, 15, 0)])
    happened = NOW.isoformat() if back == 0 else at(TODAY - timedelta(days=back), hour, minute, second)
    unit = dice.choice(["IRT", "IRT", "IRR"])
    lines = [
        {"name": dice.choice([*DISHES, f"تولد {number}"]), "quantity": dice.choice([1, 2]), "amount": str(1000 * n)}
        for n in range(1, dice.randint(2, 4))
    ]
    total = sum(int(line["amount"]) for line in lines)
    facts: dict[str, Any] = {
        "receipt_number": str(number), "phone": dice.choice([*GUESTS, ...]), "items": lines, "total": str(total),
        "currency_unit": unit, "occurred_at": happened,
    }  # fmt: skip
    if place := dice.choice([*codes, None]):
        facts["branch"] = place
    return facts | more


async def some_branches(pool: Pool) -> dict[str, UUID]:
    made = [branch("V1"), branch("V2", name="تجریش")]
    await react(pool, reactions.on_branch_changed, *made)
    return {each.code: each.branch_id for each in made}


@pytest.mark.parametrize("seed", range(4))
async def test_reports_are_what_the_visits_say_after_all_that_can_happen_to_them(pool: Pool, seed: int) -> None:
    dice = random.Random(seed)
    places = await some_branches(pool)
    codes = list(places)
    bills = [some_bill(dice, number, codes) for number in range(60)]
    await take(pool, *(record(**facts) for facts in bills[:40]))
    await take(pool, record(cafe_id=OTHER_CAFE, occurred_at=at(TODAY - timedelta(days=3))))
    await count(pool)
    await check(pool, (None, *places.values()))
    changes: list[BillCommand] = [
        *(record(**facts) for facts in bills[40:]),
        *(void(receipt_number=str(number)) for number in dice.sample(range(40), 8)),
    ]
    for number in dice.sample(range(40), 10):
        moved = some_bill(dice, number, codes)
        phone = bills[number]["phone"]
        # A correction may move a bill to any day, and give a bill of nobody to somebody.
        moved["phone"] = dice.choice(GUESTS) if phone is ... else phone
        changes.append(correction(**moved))
    dice.shuffle(changes)
    for start in range(0, len(changes), 9):
        await take(pool, *changes[start : start + 9])
        if dice.random() < 0.6:
            await count(pool)
    await count(pool)
    await check(pool, (None, *places.values()))
    # DaySums over branches are the whole.
    days = (date(2025, 10, 1), TODAY)
    side = (await told(pool, reports.branches, days))["branches"]
    whole = await told(pool, reports.club, days)
    assert sum(each["visits"] for each in side) == whole["known"]["visits"] + whole["unknown"]["visits"]
    assert sum(each["revenue"] for each in side) == whole["known"]["revenue"] + whole["unknown"]["revenue"]
    assert sum(each["known_visits"] for each in side) == whole["known"]["visits"]
    assert abs(sum(each["share"] for each in side) - 100) < Decimal("0.05")
    assert {each["name"] for each in side} <= {"ونک", "تجریش", None}


async def test_edges_of_days_and_months_are_those_on_the_cafes_wall(pool: Pool) -> None:
    # Begins at 20:30 UTC of the day before.
    first = month_of(month_of(TODAY) - timedelta(days=1))
    await take(
        pool,
        record(receipt_number="1", occurred_at=at(first), phone=GUESTS[0]),
        record(receipt_number="2", occurred_at=at(first, 0, 0, 0), phone=GUESTS[1]),
        record(receipt_number="3", occurred_at=at(first - timedelta(days=1), 23, 59, 59), phone=GUESTS[2]),
        record(receipt_number="4", occurred_at=at(month_of(TODAY) - timedelta(days=1), 23, 59, 59), phone=GUESTS[2]),
    )
    await count(pool)
    before, month, running = await told(pool, reports.months, 3)
    assert (before["visits"], before["month_ends"]) == (1, first - timedelta(days=1))
    assert (month["month_starts"], month["visits"], month["is_running"]) == (first, 3, False)
    assert (running["month_starts"], running["visits"], running["is_running"]) == (month_of(TODAY), 0, True)
    await check(pool)


async def test_today_is_in_the_running_month_before_anybody_has_counted_it(pool: Pool) -> None:
    places = await some_branches(pool)
    await take(
        pool,
        record(receipt_number="1", occurred_at=at(TODAY - timedelta(days=1)), phone=GUESTS[0], branch="V1"),
        record(receipt_number="2", occurred_at=at(TODAY - timedelta(days=60)), phone=GUESTS[1]),
    )
    await count(pool)
    await take(
        pool,
        record(receipt_number="3", occurred_at=NOW.isoformat(), phone=GUESTS[0], branch="V1"),
        record(receipt_number="4", occurred_at=NOW.isoformat(), phone=GUESTS[0], branch="V2"),
        record(receipt_number="5", occurred_at=NOW.isoformat(), phone=GUESTS[1], branch="V1"),
        record(receipt_number="6", occurred_at=NOW.isoformat(), phone=GUESTS[2], branch="V1"),
        record(receipt_number="7", occurred_at=NOW.isoformat(), phone=..., branch="V1"),
    )
    *_, month = await told(pool, reports.months, 3)
    assert (month["visits"] >= 5, month["guests"]) == (True, 3)
    *_, month = await told(pool, reports.months, 3, branch_id=places["V1"])
    assert month["guests"] == 3
    *_, month = await told(pool, reports.months, 3, branch_id=places["V2"])
    assert (month["visits"], month["guests"]) == (1, 1)
    await check(pool, (None, *places.values()))


async def test_late_first_visit_moves_where_a_guest_is_new(pool: Pool) -> None:
    places = await some_branches(pool)
    await take(pool, record(receipt_number="1", occurred_at=at(TODAY - timedelta(days=40)), branch="V1"))
    await count(pool)
    await take(pool, record(receipt_number="2", occurred_at=at(TODAY - timedelta(days=200))))
    await count(pool)
    await check(pool, (None, *places.values()))
    cohorts = await told(pool, reports.cohorts, 12)
    assert [(each["first_month_starts"], each["guests"]) for each in cohorts] == [
        (month_of(TODAY - timedelta(days=200)), 1)
    ]
    await take(pool, void(receipt_number="2"))
    await count(pool)
    await check(pool, (None, *places.values()))


@pytest.mark.parametrize("changed", [{"calendar": "gregorian"}, {"time_zone": "America/New_York"}])
async def test_other_calendar_or_zone_makes_other_months(pool: Pool, changed: dict[str, str]) -> None:
    dice = random.Random(7)
    await take(pool, *(record(**some_bill(dice, number, [])) for number in range(30)))
    await count(pool)
    facts = {"name": "کافه", "time_zone": TEHRAN, "calendar": "jalali", "currency_unit": "IRT"} | changed
    await react(pool, on_cafe_changed, CafeChanged(cafe_id=CAFE, occurred_at=NOON, version=2, **facts))
    await count(pool)
    await check(pool, calendar=facts["calendar"], zone=facts["time_zone"])


async def test_erasure_leaves_the_sums_and_no_name_of_a_dish_that_only_one_guest_had(pool: Pool) -> None:
    day = TODAY - timedelta(days=50)
    own = [{"name": "کیک تولد مینا", "quantity": 1, "amount": "1000"}, {"name": "چای", "quantity": 1, "amount": "500"}]
    tea = [{"name": "چای", "quantity": 1, "amount": "500"}]
    await take(
        pool,
        record(receipt_number="1", occurred_at=at(day), items=own, total="1500", phone=GUESTS[0]),
        record(receipt_number="2", occurred_at=at(day, 13), items=own, total="1500", phone=GUESTS[0]),
        record(receipt_number="3", occurred_at=at(day, 13), items=tea, total="500", phone=...),
    )
    await count(pool)
    assert {row["name"] for row in await pool.fetch("SELECT name FROM dish_months")} == {"چای", ""}
    before = await told(pool, reports.months, 6), await told(pool, reports.cohorts, 6)
    visit = await visit_row(pool, "1")
    async with transaction(pool) as conn:
        await erasure.forget(conn, [(CAFE, visit["customer_id"], NOW)], keys=KEYS)
    await count(pool)
    assert (await told(pool, reports.months, 6), await told(pool, reports.cohorts, 6)) == before
    # Counted again, for whatever reason, the erased guest's lines have no names, and the sum is the same.
    await take(pool, record(receipt_number="4", occurred_at=at(day, 14), items=tea, total="500", phone=...))
    await count(pool)
    shown = await told(pool, reports.dishes, (day, day))
    assert {each["name"]: each["revenue"] for each in shown["items"]} == {"چای": Decimal(1000)}
    assert shown["others"]["revenue"] == Decimal(3000)
    await check(pool)


async def test_amounts_are_told_in_the_cafes_unit(pool: Pool) -> None:
    day = TODAY - timedelta(days=3)
    await take(pool, record(occurred_at=at(day), receipt_number="1"), record(occurred_at=at(day), receipt_number="2"))
    await count(pool)
    *_, month = await told(pool, reports.months, 2, unit="IRR")
    assert (month["revenue"], month["avg_order"], month["currency_unit"]) == (3_700_000, 1_850_000, "IRR")
    known = (await told(pool, reports.club, (day, day), unit="IRR"))["known"]
    assert (known["revenue"], known["share"], known["currency_unit"]) == (3_700_000, 100, "IRR")
    dishes = await told(pool, reports.dishes, (day, day), unit="IRR")
    assert dishes["others"]["revenue"] == 3_700_000


async def test_months_wait_before_they_are_counted_again(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    day = TODAY - timedelta(days=3)

    async def bills() -> int | None:
        return await pool.fetchval("SELECT sum(bills) FROM dish_months WHERE branch_id IS NULL AND name = ''")

    await take(pool, record(occurred_at=at(day), items=[{"name": "چای", "quantity": 1, "amount": "1"}], total="1"))
    while await upkeep.count_days(pool):
        pass
    assert await bills() == 1
    again = record(
        occurred_at=at(day), receipt_number="2", items=[{"name": "قهوه", "quantity": 1, "amount": "1"}], total="1"
    )
    await take(pool, again)
    while await upkeep.count_days(pool):
        pass
    assert await bills() == 1
    monkeypatch.setattr(upkeep, "now", lambda: now() + timedelta(minutes=10))
    while await upkeep.count_days(pool):
        pass
    assert await bills() == 2


async def test_running_month_and_its_days_are_found_by_their_time(pool: Pool, database: Databases) -> None:
    await pool.execute(
        "INSERT INTO customer_visits (id, cafe_id, customer_id, visit_date, device_id, receipt_number, total_amount,"
        " currency_unit) SELECT gen_random_uuid(), $1, gen_random_uuid(), $2::timestamptz - n * interval '1 hour',"
        " 'raw', n::text, 1, 'IRT' FROM generate_series(0, 9999) AS n",
        CAFE, NOW,
    )  # fmt: skip
    owner = await asyncpg.connect(await database.owner_dsn("visit"))
    await owner.execute("ANALYZE")
    await owner.close()
    async with staff_transaction(pool, STAFF) as conn:
        plan = [row[0] for row in await conn.fetch(f"EXPLAIN {store.COMERS_TODAY}", CAFE, NOW, TODAY, None)]
        assert not [line for line in plan if "Seq Scan on customer_visits_default" in line]
    async with keyed_transaction(pool) as conn:
        days = [TODAY - timedelta(days=back) for back in range(1, 4)]
        await statistics.count_days(conn, [(CAFE, day) for day in days], NOW)
        before = await conn.fetchval(READ)
        await statistics.count_days(conn, [(CAFE, day) for day in days], NOW)
        # Three days of 24 bills, read for their figures and for their guests.
        assert await conn.fetchval(READ) - before <= 600

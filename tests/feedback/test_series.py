"""Ratings over time, against the rows themselves."""

from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, get_args

import asyncpg
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feedback import rules
from services.feedback.api.app import make_app
from services.feedback.models.values import RatedDay, SeriesStep
from services.feedback.store import series as store
from shared.clock import new_id, now
from shared.database.db import Pool
from shared.persian.calendar import CALENDARS, local_date, month_of
from shared.security.auth import Staff
from shared.web.dependencies import current_staff
from tests.feedback.given import CAFE, OTHER_CAFE, STAFF, cafe_with_staff, recorded, visits, voided
from tests.feedback.test_handlers import react
from tests.support import Databases

TODAY = local_date(now(), "Asia/Tehran")
# At the edges of the day on the cafe's wall.
EDGES = [
    (3, time(0, 0)),
    (3, time(23, 59, 59)),
    (2, time(0, 0)),
    (40, time(12, 0)),
    (89, time(0, 0)),
    (90, time(23, 59)),
]
RATE = """
INSERT INTO customer_feedback (id, cafe_id, visit_id, feedback_source, overall_rating, created_at, updated_at)
VALUES (gen_random_uuid(), $1, $2, 'manual', $3, $4, $4)
"""
days = st.dates(date(2025, 1, 1), date(2027, 12, 31))


@pytest.fixture
async def pool(database: Databases) -> Pool:
    pool = await database("feedback")
    await cafe_with_staff(pool)
    return pool


@pytest.fixture
async def client(pool: Pool) -> AsyncIterator[httpx2.AsyncClient]:
    app = make_app()
    app.dependency_overrides[current_staff] = lambda: Staff(STAFF)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://crm.test") as client,
    ):
        yield client


async def rate(pool: Pool, stars: int, back: int, at: time = time(12), visit: Any = None, cafe_id: Any = CAFE) -> None:
    moment = datetime.combine(TODAY - timedelta(days=back), at, tzinfo=UTC) - timedelta(hours=3, minutes=30)
    await pool.execute(RATE, cafe_id, visit, stars, moment)


async def test_days_are_those_on_the_cafes_wall_and_voided_visits_do_not_count(
    client: httpx2.AsyncClient, pool: Pool
) -> None:
    expected: dict[str, list[int]] = defaultdict(list)
    for stars, (back, at) in enumerate(EDGES * 2):
        await rate(pool, 1 + stars % 5, back, at)
        expected[str(TODAY - timedelta(days=back))].append(1 + stars % 5)
    await rate(pool, 1, 3, cafe_id=OTHER_CAFE)
    kept, gone = recorded(), recorded()
    await visits(pool, kept, gone)
    await rate(pool, 4, 5, visit=kept.visit_id)
    await rate(pool, 1, 5, visit=gone.visit_id)
    await rate(pool, 2, 5, visit=new_id())
    await react(pool, voided(gone))
    expected[str(TODAY - timedelta(days=5))] = [4, 2]
    shown = (await client.get(f"/cafes/{CAFE}/feedback/series")).json()
    assert [each["date"] for each in shown] == [str(TODAY - timedelta(days=back)) for back in range(89, -1, -1)]
    for each in shown:
        stars = expected.get(each["date"], [])
        average = f"{Decimal(sum(stars)) / len(stars):.2f}" if stars else None
        found = (each["responses"], each["average"], each["low"])
        assert found == (len(stars), average, sum(star < 3 for star in stars)), each
    asked = {"since": str(TODAY - timedelta(days=90)), "until": str(TODAY), "step": "month"}
    by_month = (await client.get(f"/cafes/{CAFE}/feedback/series", params=asked)).json()
    assert sum(each["responses"] for each in by_month) == sum(map(len, expected.values()))
    assert [each["date"] for each in by_month[1:]] == sorted(
        {str(month_of(TODAY - timedelta(days=back), "jalali")[0]) for back in range(90)}
    )[-len(by_month) + 1 :]


async def test_what_cannot_be_shown_is_refused(client: httpx2.AsyncClient) -> None:
    path = f"/cafes/{CAFE}/feedback/series"
    for asked, field in (
        ({"since": str(TODAY), "until": str(TODAY - timedelta(days=1))}, "until"),
        ({"since": str(TODAY - timedelta(days=900))}, "since"),
    ):
        answer = await client.get(path, params=asked)
        assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, [field])
    assert (await client.get(path, params={"step": "year"})).status_code == 422
    assert (await client.get(f"/cafes/{OTHER_CAFE}/feedback/series")).status_code == 404


async def test_ratings_are_found_by_their_time(pool: Pool, database: Databases) -> None:
    await pool.execute(
        """
        INSERT INTO customer_feedback (id, cafe_id, visit_id, feedback_source, overall_rating, created_at, updated_at)
        SELECT gen_random_uuid(), $1, gen_random_uuid(), 'manual', 3, now() - n * interval '1 minute', now()
        FROM generate_series(1, 20000) AS n
        """,
        CAFE,
    )
    owner = await asyncpg.connect(await database.owner_dsn("feedback"))
    await owner.execute("VACUUM ANALYZE customer_feedback")
    await owner.close()
    asked = CAFE, now() - timedelta(days=3), now(), "Asia/Tehran"
    plan = "\n".join(row[0] for row in await pool.fetch(f"EXPLAIN {store.RATED_DAYS}", *asked))
    assert "Seq Scan on customer_feedback" not in plan


@given(days, st.integers(0, 400), st.sampled_from(get_args(SeriesStep)), st.sampled_from(CALENDARS), st.data())
def test_steps_hold_every_day_once(first: date, length: int, step: Any, calendar: Any, data: Any) -> None:
    last = first + timedelta(days=length)
    rated = data.draw(st.dictionaries(st.dates(first, last), st.integers(1, 9), max_size=20))
    found = rules.by_steps([RatedDay(day, n, 4 * n, 0) for day, n in rated.items()], first, last, step, calendar)
    assert found[0].day == first
    assert sum(each.responses for each in found) == sum(rated.values())
    ends = [*(each.day for each in found[1:]), last + timedelta(days=1)]
    for each, end in zip(found, ends, strict=True):
        assert each.responses == sum(n for day, n in rated.items() if each.day <= day < end)
        assert rules.average_stars(each) == (4 if each.responses else None)
    for each in found[1:]:
        if step == "week":
            assert each.day.isoweekday() == 6
        if step == "month":
            assert month_of(each.day, calendar)[0] == each.day

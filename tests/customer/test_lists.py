"""Lists of guests: what a card says, and in which order cards come."""

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from services.customer.handlers.activity import on_points_changed, on_tier_changed
from services.customer.handlers.lists import list_changed
from services.customer.models.values import Bookmark, Direction, GuestSort
from services.customer.rules import bookmarks
from services.customer.rules.birthdays import birth_dates
from services.customer.store import lists
from shared.clock import new_id, now
from shared.database.db import Pool, transaction
from shared.events.base import Tier
from shared.events.loyalty import PointsChanged, TierChanged
from shared.persian.calendar import local_date
from shared.security.auth import Staff
from shared.web.dependencies import current_staff
from tests.customer.given import (
    CAFE,
    DAY,
    NOON,
    OTHER_CAFE,
    PHONE,
    add_segment,
    guest_of,
    guests,
    learned,
    recalculated,
    recorded,
    staff,
    visits,
)
from tests.customer.test_api import CUSTOMERS, HELPER, SEGMENTS, register
from tests.customer.test_handlers import earned


def climbed(tier: Tier, phone: str = PHONE) -> TierChanged:
    guest = guest_of(phone)
    return TierChanged(
        cafe_id=guest.cafe_id, customer_id=guest.customer_id, occurred_at=NOON, tier=tier, previous_tier="bronze",
        starts_on=NOON.date(), expires_on=None, account_version=1,
    )  # fmt: skip


async def test_every_card_says_points_tier_and_whether_advertising_may_be_sent(
    client: httpx2.AsyncClient, pool: Pool
) -> None:
    body = await register(client, birthday="1990-05-05")
    async with transaction(pool) as conn:
        await on_points_changed(conn, [earned(150, 1)])
        await on_tier_changed(conn, [climbed("gold")])
    segment = await pool.fetchval(
        "SELECT segment_id FROM segment_members WHERE cafe_id = $1 AND customer_id = $2", *guest_of()
    )

    async def shown() -> list[tuple[str, int, bool]]:
        cards = [
            (await client.post(f"{CUSTOMERS}/search", json={})).json()["customers"],
            (await client.get(f"{CUSTOMERS}/birthdays?on=2026-05-05")).json(),
            (await client.post(f"{CUSTOMERS}/cards", json={"ids": [body["id"]]})).json(),
            (await client.get(f"{SEGMENTS}/{segment}/members")).json()["members"],
        ]
        return [(card["tier_level"], card["current_points"], card["marketing_reachable"]) for (card,) in cards]

    consents, status = f"{CUSTOMERS}/{body['id']}/consents", f"{CUSTOMERS}/{body['id']}/status"
    assert await shown() == [("gold", 150, False)] * 4
    await client.put(consents, json={"channel": "sms", "purpose": "marketing", "granted": True})
    assert await shown() == [("gold", 150, True)] * 4
    await client.put(status, json={"status": "blocked"})
    assert await shown() == [("gold", 150, False)] * 4
    await client.put(status, json={"status": "active"})
    await client.put(consents, json={"channel": "sms", "purpose": "marketing", "granted": False})
    await client.put(consents, json={"channel": "email", "purpose": "marketing", "granted": True})
    assert await shown() == [("gold", 150, False)] * 4


async def test_cards_come_in_the_order_asked_and_without_strangers(client: httpx2.AsyncClient, pool: Pool) -> None:
    ids = [(await register(client, phone=f"0912000000{number}"))["id"] for number in range(3)]
    await guests(pool, learned(cafe_id=OTHER_CAFE))
    await client.delete(f"{CUSTOMERS}/{ids[1]}")
    asked = [ids[2], str(guest_of(cafe_id=OTHER_CAFE).customer_id), ids[1], str(new_id()), ids[0]]
    answer = await client.post(f"{CUSTOMERS}/cards", json={"ids": asked})
    assert [card["id"] for card in answer.json()] == [ids[2], ids[0]]


@pytest.mark.parametrize("ids", [[str(CAFE)] * 201, ["x"], None])
async def test_cards_of_too_many_or_of_no_ids_are_refused(client: httpx2.AsyncClient, ids: object) -> None:
    assert (await client.post(f"{CUSTOMERS}/cards", json={"ids": ids})).status_code == 422


# Of five guests: how often each came, how long ago (in days), and their points. The last never came.
VISITS = ((3, 1), (1, 40), (2, 40), (5, 2), (0, 0))
POINTS = (50, 0, 0, 70, 10)
ORDERS = {
    "created": [4, 3, 2, 1, 0],
    "visits": [3, 0, 2, 1, 4],
    "spent": [3, 0, 2, 1, 4],
    "last_visit": [0, 3, 2, 1, 4],
    "points": [3, 0, 4, 2, 1],
}


@pytest.fixture
async def five(client: httpx2.AsyncClient, pool: Pool) -> list[str]:
    """Five guests, of whom those with even numbers may be sent advertising."""
    moment, ids = now(), []
    for number, (times, days) in enumerate(VISITS):
        phone = f"+98912000000{number}"
        answered = await register(client, phone=phone, name=f"مهمان {number}", marketing_consent=number % 2 == 0)
        ids.append(answered["id"])
        await visits(pool, [recorded(guest_of(phone), at=moment - days * DAY) for _ in range(times)], now=moment)
        points = PointsChanged(
            cafe_id=CAFE, customer_id=guest_of(phone).customer_id, occurred_at=moment, transaction_id=new_id(),
            transaction_type="earned_bonus", points_change=1, balance_after=POINTS[number], account_version=1,
        )  # fmt: skip
        async with transaction(pool) as conn:
            await on_points_changed(conn, [points])
    return ids


async def listed(client: httpx2.AsyncClient, pool: Pool, ids: list[str], **asked: object) -> list[int]:
    """Which of the guests, over all pages."""
    while await list_changed(pool):
        pass
    found, after = list[int](), None
    for _ in range(20):
        answer = await client.post(f"{CUSTOMERS}/list", json={**asked, "after": after})
        assert answer.status_code == 200, answer.text
        found += [ids.index(card["id"]) for card in answer.json()["customers"]]
        after = answer.json()["after"]
        if after is None:
            return found
    pytest.fail("the list never ended")


@pytest.mark.parametrize("sort", ORDERS)
@pytest.mark.parametrize("walked", [2, 10_000])
async def test_a_list_shows_each_guest_once_in_its_order(
    client: httpx2.AsyncClient, pool: Pool, five: list[str], monkeypatch: pytest.MonkeyPatch, sort: str, walked: int
) -> None:
    monkeypatch.setattr(lists, "WALKED_AT_ONCE", walked)
    monkeypatch.setattr(lists, "LOOKED_UP_AT_ONCE", walked)
    expected = ORDERS[sort]
    for limit in (1, 2, 5, 100):
        # Of equal guests the ids decide, so that pages fit together.
        down = await listed(client, pool, five, sort=sort, limit=limit)
        up = await listed(client, pool, five, sort=sort, order="asc", limit=limit)
        assert up == down[::-1]
        assert sorted(down) == sorted(expected)
        keys = [rank(sort, number) for number in down]
        assert keys == sorted(keys, reverse=True)


def rank(sort: str, number: int) -> float:
    times, days = VISITS[number]
    last_visit = -days if times else -10_000
    return {"visits": times, "spent": times, "points": POINTS[number], "created": number, "last_visit": last_visit}[
        sort
    ]


@pytest.mark.parametrize("walked", [2, 10_000])
async def test_filters_must_all_hold(
    client: httpx2.AsyncClient, pool: Pool, five: list[str], monkeypatch: pytest.MonkeyPatch, walked: int
) -> None:
    monkeypatch.setattr(lists, "WALKED_AT_ONCE", walked)
    monkeypatch.setattr(lists, "LOOKED_UP_AT_ONCE", walked)
    assert sorted(await listed(client, pool, five, reachable=True)) == [0, 2, 4]
    assert sorted(await listed(client, pool, five, reachable=False, sort="points")) == [1, 3]
    assert sorted(await listed(client, pool, five, not_seen_for_days=30)) == [1, 2]
    assert await listed(client, pool, five, not_seen_for_days=30, reachable=True, sort="created") == [2]
    async with transaction(pool) as conn:
        await on_tier_changed(conn, [climbed("gold", "+989120000003")])
    assert await listed(client, pool, five, tier="gold", sort="visits", order="asc") == [3]
    assert await listed(client, pool, five, tier="gold", reachable=True) == []


@pytest.mark.parametrize("sort", ORDERS)
@pytest.mark.parametrize("small", [0, 5000])
async def test_a_segments_guests_are_listed_alike_however_many_they_are(
    client: httpx2.AsyncClient, pool: Pool, five: list[str], monkeypatch: pytest.MonkeyPatch, sort: str, small: int
) -> None:
    monkeypatch.setattr(lists, "SMALL_SEGMENT", small)
    made = await add_segment(pool, {"visit_count": {"min": 2}}, now=now())
    await recalculated(pool)
    expected = [number for number in ORDERS[sort] if VISITS[number][0] >= 2]
    assert await listed(client, pool, five, sort=sort, segment_id=str(made.id), limit=2) == expected
    assert await listed(client, pool, five, sort=sort, segment_id=str(made.id), reachable=False) == [3]
    answer = await client.post(f"{CUSTOMERS}/list", json={"segment_id": str(new_id())})
    assert answer.status_code == 404


async def test_birthdays_are_counted_from_today_on_in_the_cafes_calendar(
    client: httpx2.AsyncClient, pool: Pool
) -> None:
    today = local_date(now(), "Asia/Tehran")
    ids = []
    for days in (-1, 0, 3, 4):
        near = today + days * DAY
        born = next(day for day in birth_dates(near, "jalali") if near.year - 40 < day.year < near.year - 20)
        ids.append((await register(client, phone=f"0912000000{days + 2}", birthday=born.isoformat()))["id"])
    assert sorted(await listed(client, pool, ids, birthday_within_days=0)) == [1]
    assert sorted(await listed(client, pool, ids, birthday_within_days=3)) == [1, 2]


@pytest.mark.parametrize("after", ["x", "bm90IG91cnM", "W10", "\u06f1", "=" * 9, "a" * 300])
async def test_a_word_that_is_no_bookmark_is_refused(client: httpx2.AsyncClient, after: str) -> None:
    answer = await client.post(f"{CUSTOMERS}/list", json={"after": after})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["after"]


async def test_an_erased_guest_is_in_no_list(client: httpx2.AsyncClient, pool: Pool, five: list[str]) -> None:
    assert len(await listed(client, pool, five)) == 5
    await client.delete(f"{CUSTOMERS}/{five[0]}")
    assert sorted(await listed(client, pool, five)) == [1, 2, 3, 4]
    assert await pool.fetchval("SELECT count(*) FROM listed_guests") == 4
    assert await pool.fetchval("SELECT count(*) FROM guests_to_list") == 0


async def test_a_bookmark_belongs_to_one_order(client: httpx2.AsyncClient, pool: Pool, five: list[str]) -> None:
    await listed(client, pool, five)
    after = (await client.post(f"{CUSTOMERS}/list", json={"limit": 1, "sort": "points"})).json()["after"]
    for asked in ({"sort": "points"}, {"sort": "visits"}, {"sort": "points", "order": "asc"}):
        answer = await client.post(f"{CUSTOMERS}/list", json={**asked, "after": after})
        assert answer.status_code == (200 if asked == {"sort": "points"} else 422)


@given(st.sampled_from(["last_visit", "created"]), st.datetimes(), st.uuids())
def test_a_written_bookmark_is_read_again(sort: GuestSort, moment: datetime, guest: UUID) -> None:
    bookmark = Bookmark(f"{moment.isoformat(sep=' ')}+00", guest)
    assert bookmarks.read(bookmarks.written(sort, "asc", bookmark), sort, "asc") == bookmark


async def test_only_managers_see_who_spends_most(app: FastAPI, client: httpx2.AsyncClient, pool: Pool) -> None:
    await staff(pool, user_id=HELPER, role="staff")
    app.dependency_overrides[current_staff] = lambda: Staff(HELPER)
    assert (await client.post(f"{CUSTOMERS}/list", json={"sort": "spent"})).status_code == 403
    assert (await client.post(f"{CUSTOMERS}/list", json={})).status_code == 200


@pytest.mark.parametrize(
    ("sort", "index"),
    [
        ("last_visit", "listed_guests_by_last_visit"),
        ("points", "listed_guests_by_points"),
        ("spent", "listed_guests_by_spent"),
        ("visits", "listed_guests_by_visits"),
        ("created", "idx_customers_created_at"),
    ],
)
@pytest.mark.parametrize("direction", ["asc", "desc"])
async def test_a_page_walks_along_the_index_of_its_order(
    pool: Pool, database: Any, sort: GuestSort, direction: Direction, index: str
) -> None:
    await pool.execute(
        "INSERT INTO customers (cafe_id, id, phone_sealed, phone_hash, phone_last4, created_at, updated_at)"
        " SELECT $1, gen_random_uuid(), 'sealed', sha256(n::text::bytea), '0000', now() - n * interval '1 s', now()"
        " FROM generate_series(1, 20000) AS n",
        CAFE,
    )
    await pool.execute(
        "INSERT INTO customer_activity (cafe_id, customer_id, registered_at, last_visit_at, current_points,"
        " total_visits, lifetime_spent) SELECT cafe_id, id, now(), created_at, random() * 5000, random() * 50,"
        " random() * 1e6 FROM customers"
    )
    while await list_changed(pool):
        pass
    owner = await asyncpg.connect(await database.owner_dsn("customer"))
    await owner.execute("ANALYZE customers, listed_guests")
    await owner.close()
    wanted = lists.GuestListQuery(sort, direction, *lists.ends(sort, direction), 50, reachable=True, tier="gold")
    statement, values = lists.finding(CAFE, wanted)
    plan = "\n".join(row[0] for row in await pool.fetch(f"EXPLAIN {statement}", *values))
    assert index in plan
    assert "GuestSort" not in plan

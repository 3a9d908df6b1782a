"""What staff do over HTTP, and what they can't."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
import pytest
from fastapi import FastAPI

from services.customer.handlers.activity import on_points_changed, on_visit_voided
from services.customer.handlers.periodic import recalculate
from services.customer.store import customers as store
from shared.clock import new_id, now
from shared.database.db import Pool, transaction
from shared.events.customer import (
    ConsentChanged,
    CustomerErased,
    CustomerProfiled,
    CustomerRegistered,
    CustomerStatusChanged,
    SegmentLeft,
)
from shared.security.access import ask_alone
from shared.security.auth import Staff
from shared.security.crypto import unseal
from shared.web.dependencies import current_staff
from tests.customer.given import (
    CAFE,
    DAY,
    KEYS,
    OTHER_CAFE,
    PHONE,
    STAFF,
    add_segment,
    check_counts,
    emitted,
    guest_of,
    guests,
    learned,
    recalculated,
    recorded,
    staff,
    visits,
    voided,
)
from tests.customer.test_handlers import earned

CUSTOMERS = f"/cafes/{CAFE}/customers"
SEGMENTS = f"/cafes/{CAFE}/segments"
HELPER = UUID("00000000-0000-7000-8000-0000000000ab")
FULL = {
    "phone": "۰۹۱۲ ۳۴۵ ۶۷۸۹",
    "name": "احمد محمدي",
    "name_english": "Ahmad Mohammadi",
    "email": "ahmad@email.com",
    "birthday": "1985-03-15",
    "anniversary": "2010-05-06",
    "notes": "ترجیح قهوه ترک",
    "preferences": {"favorite_drink": "turkish_coffee", "allergies": []},
    "address": "تهران، خیابان ولیعصر",
    "city": "تهران",
    "postal_code": "۱۲۳۴۵۶۷۸۹۰",
}


async def register(client: httpx2.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await client.post(CUSTOMERS, json={"phone": PHONE, "name": "مهمان", **changes})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def found(client: httpx2.AsyncClient, **search: Any) -> list[str]:
    answer = await client.post(f"{CUSTOMERS}/search", json=search)
    assert answer.status_code == 200, answer.text
    return [customer["name"] for customer in answer.json()["customers"]]


async def test_a_registered_guest_comes_back_whole_and_is_sealed_at_rest(
    client: httpx2.AsyncClient, pool: Pool
) -> None:
    body = await register(client, **FULL)
    assert body["id"] == str(guest_of().customer_id)
    read = (await client.get(f"{CUSTOMERS}/{body['id']}")).json()
    assert read == body
    assert (read["phone"], read["name"], read["postal_code"]) == ("•••• 6789", "احمد محمدی", "1234567890")
    assert {name: read[name] for name in FULL if name not in ("phone", "name", "postal_code")} == {
        name: value for name, value in FULL.items() if name not in ("phone", "name", "postal_code")
    }
    assert (read["status"], read["segment"], read["version"]) == ("active", "new", 1)
    assert read["created_by"] == read["updated_by"] == str(STAFF)
    stored = str(dict(await pool.fetchrow("SELECT * FROM customers")))
    assert not any(clear in stored for clear in ("912345", "ahmad@", "ولیعصر", "قهوه"))


async def test_registering_tells_the_others_under_the_trace_of_the_request(
    client: httpx2.AsyncClient, pool: Pool
) -> None:
    answer = await client.post(CUSTOMERS, json={**FULL, "marketing_consent": True})
    events = await emitted(pool)
    assert {event.correlation_id for event in events} == {UUID(answer.headers["x-correlation-id"])}
    registered, profiled, consented, _ = events
    assert isinstance(registered, CustomerRegistered)
    assert registered.source == "staff"
    assert isinstance(profiled, CustomerProfiled)
    opened = unseal(
        KEYS, profiled.birthday_sealed or "", table="customer.profiles", column="birthday", row=registered.customer_id
    )
    assert opened == "1985-03-15"
    assert isinstance(consented, ConsentChanged)
    assert (consented.granted, consented.source) == (True, "staff")


@pytest.mark.parametrize("spelling", ["09123456789", "00989123456789", "98 912 345 6789", "٠٩١٢٣٤٥٦٧٨٩"])
async def test_a_number_is_registered_once_in_any_spelling(client: httpx2.AsyncClient, spelling: str) -> None:
    await register(client)
    answer = await client.post(CUSTOMERS, json={"phone": spelling, "name": "دیگری"})
    assert answer.status_code == 409
    assert answer.json()["code"] == "already_registered"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"phone": "12"}, "phone"),
        ({"phone": None}, "phone"),
        ({"name": "  "}, "name"),
        ({"email": "nobody"}, "email"),
        ({"birthday": "2999-01-01"}, "birthday"),
        ({"birthday": (now() + 2 * DAY).date().isoformat()}, "birthday"),
        ({"preferences": {"a": "\0"}}, "preferences"),
        ({"preferences": {"a": "x" * 9000}}, "preferences"),
        ({"postal_code": "12"}, "postal_code"),
        ({"status": "blocked"}, "status"),
    ],
)
async def test_a_wrong_field_is_named_in_both_languages(
    client: httpx2.AsyncClient, changes: dict[str, Any], field: str
) -> None:
    answer = await client.post(CUSTOMERS, json={"phone": PHONE, "name": "مهمان", **changes})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == field
    assert error["en"]
    assert not error["fa"].isascii()


async def test_search_finds_names_in_any_spelling(client: httpx2.AsyncClient) -> None:
    await register(client, phone="09120000001", name="علی‌رضا کریمی", name_english="Alireza Karimi")
    await register(client, phone="09120000002", name="مریم ۱۰۰%_")
    for spelling in ("علي رضا كريمي", "علیرضا", "رضاك", "ALIREZA k", "عَلی"):
        assert await found(client, name=spelling) == ["علی‌رضا کریمی"], spelling
    assert await found(client, name="100%_") == ["مریم ۱۰۰%_"]
    assert await found(client, name="%") == ["مریم ۱۰۰%_"]
    assert await found(client, name="حسین") == []


async def test_search_finds_numbers_whole_or_by_their_end(client: httpx2.AsyncClient, pool: Pool) -> None:
    await guests(pool, learned(cafe_id=OTHER_CAFE, name="مهمان دیگران"))
    await register(client, name="سارا")
    assert await found(client, phone="۰۹۱۲۳۴۵۶۷۸۹") == ["سارا"]
    assert await found(client, phone="09123456780") == []
    assert await found(client, last_four="۶۷۸۹") == ["سارا"]
    assert await found(client, last_four="6780") == []
    assert await found(client, last_four="6789", status="blocked") == []
    assert await found(client, segment="new") == ["سارا"]
    assert await found(client, segment="vip") == []


async def test_a_list_continues_where_it_ended(client: httpx2.AsyncClient) -> None:
    for number in range(5):
        await register(client, phone=f"0912000000{number}", name=f"مهمان {number}")
    names, after = [], None
    for _ in range(3):
        page = (await client.post(f"{CUSTOMERS}/search", json={"limit": 2, "after": after})).json()
        names += [customer["name"] for customer in page["customers"]]
        after = page["after"]
    assert names == [f"مهمان {number}" for number in (4, 3, 2, 1, 0)]
    assert after is None


async def test_the_search_for_names_uses_the_trigram_index(pool: Pool, database: Any) -> None:
    await pool.execute(
        "INSERT INTO customers (cafe_id, id, phone_sealed, phone_hash, phone_last4, name, created_at, updated_at)"
        " SELECT $1, gen_random_uuid(), 'sealed', sha256(n::text::bytea), '0000', md5(n::text), now(), now()"
        " FROM generate_series(1, 5000) AS n",
        CAFE,
    )
    owner = await asyncpg.connect(await database.owner_dsn("customer"))
    await owner.execute("VACUUM ANALYZE customers")
    await owner.close()
    plan = await pool.fetch("EXPLAIN " + store.FIND_BY_NAME, CAFE, "%کریمی%", None, None, None, None, None, 10)
    assert any("idx_customers_name" in row[0] for row in plan)


async def test_a_change_touches_only_what_it_names(client: httpx2.AsyncClient, pool: Pool) -> None:
    before = await register(client, **FULL)
    await emitted(pool)
    change = {"name": "نام نو", "email": None, "preferences": {"language": "en"}, "version": 1}
    answer = await client.patch(f"{CUSTOMERS}/{before['id']}", json=change)
    after = answer.json()
    different = {name for name in before if before[name] != after[name]}
    assert different == {"name", "email", "preferences", "updated_at", "version"}
    assert (after["name"], after["email"], after["version"]) == ("نام نو", None, 2)
    (profiled,) = await emitted(pool)
    assert isinstance(profiled, CustomerProfiled)
    assert (profiled.version, profiled.language) == (2, "en")
    stale = await client.patch(f"{CUSTOMERS}/{before['id']}", json={"name": "دیر", "version": 1})
    assert (stale.status_code, stale.json()["code"]) == (409, "changed_meanwhile")
    assert (await client.patch(f"{CUSTOMERS}/{before['id']}", json={"phone": "09120000000"})).status_code == 422


async def test_status_is_told_once(client: httpx2.AsyncClient, pool: Pool) -> None:
    body = await register(client)
    await emitted(pool)
    for _ in range(2):
        answer = await client.put(f"{CUSTOMERS}/{body['id']}/status", json={"status": "blocked"})
        assert answer.json()["status"] == "blocked"
    changed, profiled = await emitted(pool)
    assert isinstance(changed, CustomerStatusChanged)
    assert isinstance(profiled, CustomerProfiled)
    assert changed.status == profiled.status == "blocked"


async def test_consents_are_kept_with_their_history(client: httpx2.AsyncClient, pool: Pool) -> None:
    body = await register(client)
    await emitted(pool)
    path = f"{CUSTOMERS}/{body['id']}/consents"
    for granted in (True, False):
        await client.put(path, json={"channel": "email", "purpose": "marketing", "granted": granted})
    read = (await client.get(path)).json()
    assert [(one["channel"], one["granted"], one["changed_by"]) for one in read["current"]] == [
        ("email", False, str(STAFF))
    ]
    assert [one["granted"] for one in read["history"]] == [False, True]
    told = [event for event in await emitted(pool) if isinstance(event, ConsentChanged)]
    assert [event.granted for event in told] == [True, False]


async def test_an_erased_guest_leaves_only_sums(client: httpx2.AsyncClient, pool: Pool) -> None:
    body = await register(client, **FULL, marketing_consent=True)
    guest = guest_of()
    await visits(pool, [recorded(guest, at=now())], now=now())
    await emitted(pool)
    assert (await client.delete(f"{CUSTOMERS}/{body['id']}")).status_code == 204
    row = dict(await pool.fetchrow("SELECT * FROM customers"))
    filled = {name for name, value in row.items() if value not in (None, {}, False)}
    assert filled == {
        "cafe_id", "id", "status", "segment", "created_at", "updated_at", "created_by", "updated_by", "version",
        "deleted_at", "erased_at",
    }  # fmt: skip
    kept = await pool.fetchrow("SELECT total_visits, next_check_at FROM customer_activity")
    assert tuple(kept) == (1, None)
    assert await pool.fetchval("SELECT count(*) FROM consents") == 0
    assert await pool.fetchval("SELECT count(*) FROM segment_members") == 0
    await check_counts(pool)
    tombstones = await pool.fetch("SELECT topic, key FROM crm.outbox WHERE payload IS NULL")
    assert [tuple(row) for row in tombstones] == [("customer.profiles", body["id"])]
    left, erased = await emitted(pool)
    assert isinstance(left, SegmentLeft)
    assert isinstance(erased, CustomerErased)
    assert (await client.get(f"{CUSTOMERS}/{body['id']}")).status_code == 404
    assert (await client.delete(f"{CUSTOMERS}/{body['id']}")).status_code == 404
    assert (await client.get(f"{CUSTOMERS}/{body['id']}/summary")).status_code == 404


async def test_an_erased_guest_who_comes_again_is_new_but_an_old_visit_brings_nobody_back(
    client: httpx2.AsyncClient, pool: Pool
) -> None:
    body = await register(client, **FULL)
    await client.delete(f"{CUSTOMERS}/{body['id']}")
    await guests(pool, learned(occurred_at=now() - timedelta(hours=1)), now=now())
    assert (await client.get(f"{CUSTOMERS}/{body['id']}")).status_code == 404
    await guests(pool, learned(occurred_at=now()), now=now())
    again = (await client.get(f"{CUSTOMERS}/{body['id']}")).json()
    assert (again["phone"], again["name"], again["email"], again["version"]) == ("•••• 6789", None, None, 3)
    await check_counts(pool)


async def test_the_summary_tells_a_stranger_from_todays_guest(client: httpx2.AsyncClient, pool: Pool) -> None:
    body = await register(client)
    path = f"{CUSTOMERS}/{body['id']}/summary"
    stranger = (await client.get(path)).json()
    assert (stranger["total_visits"], stranger["days_since_last_visit"], stranger["avg_rating"]) == (0, None, None)
    moment = now() - 3 * DAY - timedelta(hours=1)
    await visits(pool, [recorded(at=moment), recorded(at=moment - DAY, amount="50000")], now=now())
    async with transaction(pool) as conn:
        await on_points_changed(conn, [earned(150, 1)])
    known = (await client.get(path)).json()
    assert (known["days_since_last_visit"], known["total_visits"], known["current_points"]) == (3, 2, 150)
    assert (known["lifetime_spent"], known["avg_spend_per_visit"]) == ("150000.00", "75000.00")
    assert (known["tier_level"], known["currency_unit"]) == ("bronze", "IRT")


async def test_birthdays_follow_the_cafes_calendar(client: httpx2.AsyncClient) -> None:
    # 30 Esfand 1375 and 29 Esfand 1374; 20 March 2026 is 29 Esfand 1404, the end of a common year.
    await register(client, phone="09120000001", name="سیِ اسفند", birthday="1997-03-20")
    await register(client, phone="09120000002", name="بیست و نهم", birthday="1996-03-19")
    await register(client, phone="09120000003", name="فروردین", birthday="1996-03-20")
    names = [card["name"] for card in (await client.get(f"{CUSTOMERS}/birthdays?on=2026-03-20")).json()]
    assert names == ["بیست و نهم", "سیِ اسفند"]


async def test_segments_can_be_made_listed_changed_and_deleted(client: httpx2.AsyncClient, pool: Pool) -> None:
    body = await register(client)
    criteria = {"any": [{"visit_count": {"min": 9}}, {"created_within_days": 5}]}
    preview = await client.post(f"{SEGMENTS}/preview", json={"criteria": criteria})
    assert (preview.json()["matching"], preview.json()["customers"]) == (1, 1)
    async with transaction(pool) as asking:
        await ask_alone(asking, CAFE)
        assert (await client.post(f"{SEGMENTS}/preview", json={"criteria": criteria})).status_code == 429
    made = await client.post(SEGMENTS, json={"name": "بخش ما", "segment_key": "ours", "criteria": criteria})
    assert made.status_code == 201, made.text
    segment = made.json()
    assert (segment["criteria"], segment["created_by"]) == (criteria, str(STAFF))
    while await recalculate(pool):
        pass
    listed = (await client.get(SEGMENTS)).json()
    assert {one["segment_key"]: one["customer_count"] for one in listed} == {
        "new_customers": 1, "regular_customers": 0, "vip_customers": 0, "ours": 1,
    }  # fmt: skip
    assert [one["color_hex"] for one in listed][:3] == ["#3B82F6", "#10B981", "#F59E0B"]
    members = (await client.get(f"{SEGMENTS}/{segment['id']}/members?limit=1")).json()
    assert [member["id"] for member in members["members"]] == [body["id"]]
    rest = (await client.get(f"{SEGMENTS}/{segment['id']}/members?limit=1&after={members['after']}")).json()
    assert rest == {"members": [], "after": None}
    stays = (await client.get(f"{CUSTOMERS}/{body['id']}/segments")).json()
    assert {stay["segment_key"]: stay["reason"] for stay in stays} == {
        "new_customers": "registered", "ours": "definition",
    }  # fmt: skip
    changed = await client.patch(f"{SEGMENTS}/{segment['id']}", json={"name": "نام دیگر"})
    assert changed.json()["name"] == "نام دیگر"
    assert (await client.delete(f"{SEGMENTS}/{segment['id']}")).status_code == 204
    assert (await client.get(f"{SEGMENTS}/{segment['id']}")).status_code == 404


async def test_a_stay_says_which_event_moved_the_guest_in_and_out(client: httpx2.AsyncClient, pool: Pool) -> None:
    await guests(pool)
    visit = recorded(at=now())
    await add_segment(pool, {"visit_count": {"min": 1}}, now=now())
    await recalculated(pool)
    await visits(pool, [visit], now=now())
    async with transaction(pool) as conn:
        void = voided(visit)
        await on_visit_voided(conn, [void], now=now())
    stays = (await client.get(f"/cafes/{CAFE}/customers/{guest_of().customer_id}/segments")).json()
    (own,) = [stay for stay in stays if stay["segment_key"] == "own"]
    about = {"visit_id": str(visit.visit_id)}
    assert own["cause"] == {
        **about, "event_id": str(visit.event_id), "correlation_id": str(visit.correlation_id)
    }  # fmt: skip
    assert own["left_cause"] == {**about, "event_id": str(void.event_id), "correlation_id": str(void.correlation_id)}


async def test_a_stay_that_began_by_time_or_a_definition_names_no_event(client: httpx2.AsyncClient, pool: Pool) -> None:
    await guests(pool, now=now())
    await add_segment(pool, {"created_within_days": 900}, now=now())
    await recalculated(pool)
    stays = (await client.get(f"/cafes/{CAFE}/customers/{guest_of().customer_id}/segments")).json()
    (own,) = [stay for stay in stays if stay["segment_key"] == "own"]
    assert (own["reason"], own["cause"], own["left_cause"]) == ("definition", None, None)


async def test_criteria_are_refused_with_the_place_of_the_fault(client: httpx2.AsyncClient) -> None:
    criteria = {"any": [{"visits": {"min": 1}}, {"visit_count": {"min": "many"}}]}
    for path, body in (
        (f"{SEGMENTS}/preview", {"criteria": criteria}),
        (SEGMENTS, {"criteria": criteria, "name": "بخش", "segment_key": "ours"}),
    ):
        answer = await client.post(path, json=body)
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == [
            "criteria.any.0.visits", "criteria.any.1.visit_count.min",
        ]  # fmt: skip


async def test_attributes_are_documented_in_both_languages(client: httpx2.AsyncClient) -> None:
    listed = (await client.get(f"{SEGMENTS}/attributes")).json()
    by_name = {one["name"]: one for one in listed}
    assert by_name["monthly_visits"]["form"] == '{"monthly_visits": {"min": 4}}'
    assert by_name["tier_level"]["choices"] == ["bronze", "silver", "gold", "platinum"]
    assert all(one["description"] and one["description_fa"] for one in listed)


async def test_members_may_not_define_or_erase(app: FastAPI, client: httpx2.AsyncClient, pool: Pool) -> None:
    body = await register(client)
    await staff(pool, user_id=HELPER, role="staff")
    app.dependency_overrides[current_staff] = lambda: Staff(HELPER)
    assert (await client.get(f"{CUSTOMERS}/{body['id']}")).status_code == 200
    segment = {"name": "بخش", "segment_key": "ours", "criteria": {"visit_count": {"min": 1}}}
    assert (await client.post(SEGMENTS, json=segment)).status_code == 403
    assert (await client.delete(f"{CUSTOMERS}/{body['id']}")).status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "customers", {"phone": PHONE, "name": "نام"}),
        ("POST", "customers/search", {}),
        ("POST", "customers/cards", {"ids": []}),
        ("GET", "customers/birthdays?on=2026-03-20", None),
        ("GET", "customers/{guest}", None),
        ("POST", "customers/{guest}/phone", None),
        ("POST", "customers/list", {}),
        ("GET", "guest-views", None),
        ("PATCH", "customers/{guest}", {"name": "نام"}),
        ("PUT", "customers/{guest}/status", {"status": "blocked"}),
        ("DELETE", "customers/{guest}", None),
        ("GET", "customers/{guest}/summary", None),
        ("GET", "customers/{guest}/consents", None),
        ("PUT", "customers/{guest}/consents", {"channel": "sms", "purpose": "marketing", "granted": True}),
        ("GET", "customers/{guest}/segments", None),
        ("GET", "segments", None),
        ("POST", "segments", {"name": "نام", "segment_key": "k", "criteria": {"visit_count": {"min": 1}}}),
        ("GET", "segments/attributes", None),
        ("POST", "segments/preview", {"criteria": {"visit_count": {"min": 1}}}),
        ("GET", "segments/{segment}", None),
        ("PATCH", "segments/{segment}", {"name": "نام"}),
        ("DELETE", "segments/{segment}", None),
        ("GET", "segments/{segment}/members", None),
    ],
)
async def test_another_cafe_is_not_there(
    client: httpx2.AsyncClient, pool: Pool, method: str, path: str, body: Any
) -> None:
    await guests(pool, learned(cafe_id=OTHER_CAFE))
    segment = await pool.fetchval("SELECT id FROM customer_segments WHERE cafe_id = $1 LIMIT 1", OTHER_CAFE)
    filled = path.format(guest=guest_of(cafe_id=OTHER_CAFE).customer_id, segment=segment)
    before = await pool.fetch("SELECT c.xmin, c.* FROM customers c")
    answer = await client.request(method, f"/cafes/{OTHER_CAFE}/{filled}", json=body)
    assert answer.status_code == 404
    # The ids of another cafe's rows under the own cafe's address lead nowhere either.
    if "{" in path and not path.endswith("segments"):
        answer = await client.request(method, f"/cafes/{CAFE}/{filled}", json=body)
        assert answer.status_code == 404 or answer.json() == {"current": [], "history": []}
    assert await pool.fetch("SELECT c.xmin, c.* FROM customers c") == before


async def test_without_a_token_nothing_is_shown(app: FastAPI, client: httpx2.AsyncClient) -> None:
    app.dependency_overrides.clear()
    for path in (f"{CUSTOMERS}/{new_id()}", SEGMENTS):
        assert (await client.get(path)).status_code == 401

"""Each fault of the seed schema that concerns this service, and what is done instead."""

import asyncio
from contextlib import nullcontext
from datetime import date
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from services.customer.handlers import customers
from services.customer.handlers.activity import on_feedback_received, on_points_changed, on_visit_recorded
from services.customer.handlers.periodic import recalculate
from services.customer.models.http import RegisterCustomer
from services.customer.models.values import Act
from services.customer.rules.segments import SYSTEM
from shared.clock import new_id, now
from shared.database.db import Pool, staff_transaction, transaction
from shared.errors import Rejected
from shared.persian.text import normalize
from tests.customer.given import (
    CAFE,
    DAY,
    KEYS,
    NOON,
    OTHER_CAFE,
    PHONE,
    STAFF,
    cafe,
    guest_of,
    guests,
    keys_of,
    learned,
    recorded,
    segment_of,
    staff,
    visits,
)
from tests.customer.test_handlers import earned, rated

SAMPLES = [
    {
        "phone": "+989123456789",
        "name": "احمد محمدی",
        "email": "ahmad@email.com",
        "birthday": "1985-03-15",
        "notes": "مشتری منظم - ترجیح قهوه ترک",
        "preferences": {"favorite_drink": "turkish_coffee", "allergies": [], "preferred_time": "morning"},
    },
    {
        "phone": "+989987654321",
        "name": "فاطمه احمدی",
        "email": "fateme@email.com",
        "birthday": "1990-07-22",
        "notes": "ترجیح نوشیدنی سرد",
        "preferences": {"favorite_drink": "iced_coffee", "allergies": ["nuts"], "preferred_time": "afternoon"},
    },
]


@pytest.fixture
async def pool(database: Any) -> Pool:
    opened: Pool = await database("customer")
    await cafe(opened, CAFE, OTHER_CAFE)
    return opened


async def columns(pool: Pool, table: str) -> dict[str, str]:
    rows = await pool.fetch(
        "SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute"
        " WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped",
        table,
    )
    return {row["attname"]: row["type"] for row in rows}


async def test_seed_customers_has_every_column_or_its_sealed_counterpart(pool: Pool) -> None:
    assert set(await columns(pool, "customers")) == {
        "cafe_id", "id", "phone_sealed", "phone_hash", "phone_last4", "name", "name_english", "name_key",
        "email_sealed", "city_key", "known_since",
        "birthday", "anniversary", "status", "segment", "notes_sealed", "preferences", "address_sealed", "city",
        "postal_code", "created_at", "updated_at", "created_by", "updated_by", "version", "deleted_at", "is_active",
        "erased_at",
    }  # fmt: skip
    assert {
        "id", "name", "description", "segment_key", "criteria", "customer_count", "last_calculated_at",
        "is_system_segment", "is_active", "color_hex", "icon_name", "display_order", "created_at", "updated_at",
        "created_by",
    } <= set(await columns(pool, "customer_segments"))  # fmt: skip


async def test_seed_enums_exist_with_the_seeds_values(pool: Pool) -> None:
    for name, values in {
        "customer_status_enum": ["active", "inactive", "blocked"],
        "customer_segment_enum": ["new", "occasional", "regular", "vip"],
        "loyalty_tier_enum": ["bronze", "silver", "gold", "platinum"],
    }.items():
        found = await pool.fetch(
            "SELECT enumlabel FROM pg_enum WHERE enumtypid = $1::regtype ORDER BY enumsortorder", name
        )
        assert [row["enumlabel"] for row in found] == values


async def test_seed_indexes_exist_and_begin_with_the_cafe(pool: Pool) -> None:
    rows = await pool.fetch("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'customers'")
    found = {row["indexname"]: row["indexdef"] for row in rows}
    for name in ("phone", "name", "status", "segment", "birthday", "created_at", "search"):
        definition = found[f"idx_customers_{name}"]
        assert "(cafe_id" in definition or "gin_trgm_ops" in definition


async def test_seed_foreign_keys_across_services_are_plain_ids(pool: Pool) -> None:
    author = new_id()
    async with transaction(pool) as conn:
        command = RegisterCustomer(phone=PHONE, name="نام")
        await customers.register_customer(conn, CAFE, command, act=Act(author, NOON, new_id()), keys=KEYS)
    assert await pool.fetchval("SELECT created_by FROM customers") == author


async def test_seed_customers_have_a_cafe_and_staff_see_only_their_own(pool: Pool) -> None:
    await staff(pool)
    await guests(pool, learned(), learned(cafe_id=OTHER_CAFE))
    tables = (
        "customers", "customer_activity", "customer_segments", "segment_members", "segment_history", "segment_due",
        "customer_summary",
    )  # fmt: skip
    for user, expected in ((STAFF, {CAFE}), (new_id(), set())):
        async with staff_transaction(pool, user) as conn:
            for table in tables:
                rows = await conn.fetch(f"SELECT cafe_id FROM {table}")
                assert {row["cafe_id"] for row in rows} == expected, table


async def test_seed_staff_can_write_into_no_other_cafe(pool: Pool) -> None:
    await staff(pool)
    await guests(pool, learned(cafe_id=OTHER_CAFE))
    async with staff_transaction(pool, STAFF) as conn:
        assert await conn.execute("UPDATE customers SET name = 'x'") == "UPDATE 0"
    for insert in (
        "INSERT INTO customer_activity (cafe_id, customer_id) VALUES ($1, $2)",
        "INSERT INTO segment_due (cafe_id, customer_id, due_at) VALUES ($1, $2, now())",
    ):
        async with staff_transaction(pool, STAFF) as conn:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(insert, OTHER_CAFE, new_id())


async def test_seed_six_spellings_make_one_customer_per_cafe_and_tell_nothing_to_another(pool: Pool) -> None:
    spellings = ["09123456789", "9123456789", "989123456789", "00989123456789", "+98 912 345 6789", "۰۹۱۲۳۴۵۶۷۸۹"]
    for number, spelling in enumerate(spellings):
        command = RegisterCustomer(phone=spelling, name="نام")
        async with transaction(pool) as conn:
            with pytest.raises(Rejected, match="already_registered") if number else nullcontext():
                await customers.register_customer(conn, CAFE, command, act=Act(STAFF, NOON, new_id()), keys=KEYS)
    async with transaction(pool) as conn:
        command = RegisterCustomer(phone=spellings[0], name="نام")
        await customers.register_customer(conn, OTHER_CAFE, command, act=Act(STAFF, NOON, new_id()), keys=KEYS)
    assert await pool.fetchval("SELECT count(*) FROM customers") == 2


async def test_seed_two_living_guests_of_a_cafe_never_share_a_number(pool: Pool) -> None:
    await guests(pool)
    with pytest.raises(asyncpg.UniqueViolationError):
        await pool.execute(
            "INSERT INTO customers (cafe_id, id, phone_sealed, phone_hash, phone_last4, created_at, updated_at)"
            " SELECT cafe_id, $1, phone_sealed, phone_hash, phone_last4, now(), now() FROM customers",
            new_id(),
        )


async def test_seed_no_phone_in_clear_in_any_table(pool: Pool) -> None:
    await guests(pool, learned(name="نام", marketing_consent=True))
    await visits(pool, [recorded()])
    tables = await pool.fetch(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname IN ('public', 'crm')"
    )
    for table in tables:
        if table["name"] == "public.schema_migrations":
            continue
        if table["name"] == "crm.outbox":
            rows = await pool.fetch("SELECT convert_from(payload, 'UTF8') FROM crm.outbox")
        else:
            rows = await pool.fetch(f"SELECT t::text FROM {table['name']} AS t")
        assert not any("912345" in row[0] for row in rows), table["name"]


async def test_seed_money_holds_rial_and_names_its_unit(pool: Pool) -> None:
    assert (await columns(pool, "customer_activity"))["lifetime_spent"] == "numeric(30,2)"
    await guests(pool)
    await visits(pool, [recorded(amount="9999999999999", currency_unit="IRR") for _ in range(3)])
    row = await pool.fetchrow("SELECT lifetime_spent, currency_unit FROM customer_activity")
    assert tuple(row) == (Decimal("2999999999999.70"), "IRT")


async def test_seed_summary_reads_ratings_that_exist_and_rounds_once(pool: Pool) -> None:
    await guests(pool)
    guest = guest_of()
    async with transaction(pool) as conn:
        await on_feedback_received(conn, [rated(rating, guest.customer_id) for rating in (5, 4, 4)], now=NOON)
        await on_points_changed(conn, [earned(77, 1)], now=NOON)
        await on_visit_recorded(conn, [recorded(amount="100"), recorded(amount="101")], now=NOON)
    row = await pool.fetchrow("SELECT * FROM customer_summary")
    assert row["avg_rating"] == Decimal("4.33")
    assert (row["current_points"], row["total_visits"], row["avg_spend_per_visit"]) == (77, 2, Decimal("100.50"))
    assert row["phone_last4"] == "6789"
    options = await pool.fetchval("SELECT reloptions FROM pg_class WHERE relname = 'customer_summary'")
    assert options == ["security_invoker=true"]


async def test_seed_days_since_last_visit_is_null_for_a_stranger_and_0_for_todays_guest(pool: Pool) -> None:
    await guests(pool)
    row = await pool.fetchrow("SELECT * FROM customer_summary")
    assert (row["days_since_last_visit"], row["last_visit"], row["last_visit_date"]) == (None, None, None)
    for days in (40, 3, 0):
        await visits(pool, [recorded(at=now() - days * DAY)], now=now())
        assert await pool.fetchval("SELECT days_since_last_visit FROM customer_summary") == days


async def test_seed_last_visit_date_is_the_day_on_the_cafes_wall(pool: Pool) -> None:
    await guests(pool)
    # 22:00 UTC is half past one of the next morning in Tehran.
    await visits(pool, [recorded(at=NOON.replace(hour=22))], now=NOON + DAY)
    assert await pool.fetchval("SELECT last_visit_date FROM customer_summary") == date(2026, 11, 25)


async def test_seed_summary_leaves_out_the_erased(pool: Pool) -> None:
    await guests(pool)
    async with transaction(pool) as conn:
        await customers.erase_customer(conn, guest_of(), act=Act(STAFF, NOON, new_id()))
    assert await pool.fetchval("SELECT count(*) FROM customer_summary") == 0
    assert await pool.fetchval("SELECT count(*) FROM customers WHERE is_active") == 0


async def test_seed_names_sort_by_the_persian_alphabet_in_either_spelling(pool: Pool) -> None:
    alphabet = "آبپتثجچحخدذرزژسشصضطظعغفقکگلمنوهی"
    names = [f"{letter}ا" for letter in alphabet[::-1]]
    mixed = {"كاوه": "کاوه", "گلی": "گلی", "يلدا": "یلدا", "هستی": "هستی"}
    people = [learned(f"+98912{number:07}", name=name) for number, name in enumerate([*names, *mixed])]
    await guests(pool, *people)
    found = [row["name"] for row in await pool.fetch("SELECT name FROM customers ORDER BY name")]
    assert [name for name in found if name in names] == names[::-1]
    assert [name for name in found if name in mixed.values()] == ["کاوه", "گلی", "هستی", "یلدا"]
    assert all(normalize(name) == name for name in found)


async def test_seed_criteria_of_the_system_segments_are_stored_as_written(pool: Pool) -> None:
    rows = await pool.fetch(
        "SELECT name, segment_key, criteria FROM customer_segments WHERE cafe_id = $1 ORDER BY slot", CAFE
    )
    assert [tuple(row) for row in rows] == [
        ("مشتریان جدید", "new_customers", {"created_within_days": 30, "visit_count": {"max": 3}}),
        ("مشتریان منظم", "regular_customers", {"monthly_visits": {"min": 4}, "last_visit_days": {"max": 14}}),
        (
            "مشتریان VIP",
            "vip_customers",
            {"lifetime_spent": {"min": 500000}, "tier_level": ["gold", "platinum"]},
        ),
    ]
    assert [system.key for system in SYSTEM] == [row["segment_key"] for row in rows]


async def test_seed_segment_count_and_moment_of_calculation_are_filled(pool: Pool) -> None:
    await guests(pool, learned(), learned("+989350000000"))
    await pool.execute("INSERT INTO segment_recalculations VALUES ($1, now())", CAFE)
    while await recalculate(pool):
        pass
    rows = await pool.fetch("SELECT customer_count, last_calculated_at FROM customer_segments WHERE cafe_id = $1", CAFE)
    assert sorted(row["customer_count"] for row in rows) == [0, 0, 2]
    assert all(row["last_calculated_at"] for row in rows)


async def test_seed_registering_at_once_makes_one_customer(pool: Pool) -> None:
    outcomes = await asyncio.gather(*(guests(pool, learned()) for _ in range(8)), return_exceptions=True)
    assert outcomes == [None] * 8
    assert await pool.fetchval("SELECT count(*) FROM customers") == 1
    assert await pool.fetchval("SELECT count(*) FROM crm.outbox WHERE type = 'customer.registered'") == 1


async def test_seed_samples_hold_after_loading(pool: Pool) -> None:
    moment = now()
    for sample in SAMPLES:
        async with transaction(pool) as conn:
            command = RegisterCustomer.model_validate(sample)
            await customers.register_customer(conn, CAFE, command, act=Act(STAFF, moment, new_id()), keys=KEYS)
    amounts = ["83333"] * 14 + ["83338"]
    days = range(15)
    await visits(
        pool,
        [recorded(at=moment - day * DAY, amount=amount) for day, amount in zip(days, amounts, strict=True)],
        now=moment,
    )
    async with transaction(pool) as conn:
        await on_points_changed(conn, [earned(250, 15)], now=moment)
        ahmad = await customers.get_customer(conn, guest_of(), keys=KEYS)
        number = await customers.reveal_phone(conn, guest_of(), act=Act(STAFF, moment, new_id()), keys=KEYS)
        numbers = await customers.summarize(conn, guest_of(), "manager")
    assert ahmad.model_dump(mode="json", include=set(SAMPLES[0])) | number.model_dump() == SAMPLES[0]
    assert (numbers.current_points, numbers.lifetime_spent, numbers.total_visits) == (250, Decimal(1250000), 15)
    assert await segment_of(pool) == "regular"
    assert await keys_of(pool, guest_of(SAMPLES[1]["phone"])) == {"new_customers"}

"""The compiler's SQL against a second, slow reading of the same criteria in Python."""

import json
import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from services.customer.models.values import Evaluation, SegmentRule
from services.customer.rules.compile import compile_condition, compile_rules
from services.customer.rules.criteria import parse
from services.customer.store.activity import CUSTOMER_JOIN, FIND_STALE_MEMBERSHIPS, find_stale_memberships
from shared.clock import new_id
from shared.database.db import Connection, Pool, transaction
from shared.persian.text import search_key
from tests.customer.given import CAFE, DAY, NOON

Row = Mapping[str, Any]
GUESTS, CRITERIA = 60, 120


def holds(raw: Mapping[str, Any], row: Row, now: datetime) -> bool:
    """Whether the criteria hold for the guest at `now`, read straight from the documentation."""
    return all(_entry(name, value, row, now) for name, value in raw.items())


def _entry(name: str, value: Any, row: Row, now: datetime) -> bool:
    if name == "all":
        return all(holds(part, row, now) for part in value)
    if name == "any":
        return any(holds(part, row, now) for part in value)
    if name == "not":
        return not holds(value, row, now)
    found = _attribute(name, row, now)
    if name == "created_within_days":
        return found is not None and found < timedelta(days=value)
    if isinstance(value, dict):
        return (
            found is not None
            and found >= Decimal(str(value.get("min", 0)))
            and found <= Decimal(str(value.get("max", 10**18)))
        )
    return found in (value if isinstance(value, list) else [value])


def _attribute(name: str, row: Row, now: datetime) -> Any:
    visits, ratings = row["total_visits"], row["rating_count"]
    since = [moment for moment in (row["registered_at"], row["first_visit_at"]) if moment]
    return {
        "created_within_days": lambda: now - min(since),
        "visit_count": lambda: visits,
        "monthly_visits": lambda: sum(now - moment < 30 * DAY for moment in row["recent_visits"]),
        "last_visit_days": lambda: _days(row["last_visit_at"], now),
        "first_visit_days": lambda: _days(row["first_visit_at"], now),
        "lifetime_spent": lambda: row["lifetime_spent"],
        "avg_spend": lambda: row["lifetime_spent"] / visits if visits else None,
        "points": lambda: row["current_points"],
        "tier_level": lambda: row["tier_level"],
        "avg_rating": lambda: Decimal(row["rating_sum"]) / ratings if ratings else None,
        "rating_count": lambda: ratings,
        "status": lambda: row["status"],
        "city": lambda: row["city"],
        "has_birthday": lambda: row["birthday"] is not None,
        "has_email": lambda: row["email_sealed"] is not None,
    }[name]()


def _days(moment: datetime | None, now: datetime) -> int | None:
    return None if moment is None else (now - moment) // DAY


def some_guest(chance: random.Random) -> dict[str, Any]:
    recent = sorted(
        (NOON - timedelta(minutes=chance.randrange(31 * 24 * 60)) for _ in range(chance.choice([0, 0, 1, 2, 4, 6]))),
        reverse=True,
    )
    first = min([*recent, NOON - chance.randrange(200) * DAY]) if recent or chance.random() < 0.5 else None
    visits = len(recent) + chance.randrange(4) if first else 0
    return {
        "id": new_id(),
        "registered_at": NOON - timedelta(hours=chance.randrange(90 * 24)),
        "recent_visits": recent,
        "first_visit_at": first,
        "last_visit_at": recent[0] if recent else first,
        "total_visits": visits,
        "lifetime_spent": Decimal(chance.randrange(0, 10_000_000)) / 100 if visits else Decimal(0),
        "current_points": chance.randrange(2000),
        "tier_level": chance.choice(["bronze", "silver", "gold", "platinum"]),
        "rating_sum": (ratings := chance.randrange(3)) * chance.randrange(1, 6),
        "rating_count": ratings,
        "status": chance.choice(["active", "inactive", "blocked"]),
        "city": chance.choice(["تهران", "شیراز", None]),
        "birthday": chance.choice([None, NOON.date()]),
        "email_sealed": chance.choice([None, "sealed"]),
    }


def some_criteria(chance: random.Random, depth: int = 0) -> dict[str, Any]:
    if depth < 3 and chance.random() < 0.45:
        parts = [some_criteria(chance, depth + 1) for _ in range(chance.randrange(1, 4))]
        return chance.choice([{"all": parts}, {"any": parts}, {"not": parts[0]}])
    tests = {
        "created_within_days": lambda: chance.randrange(90),
        "visit_count": lambda: bounds(6),
        "monthly_visits": lambda: bounds(6),
        "last_visit_days": lambda: bounds(40),
        "first_visit_days": lambda: bounds(120),
        "lifetime_spent": lambda: bounds(100_000),
        "avg_spend": lambda: bounds(30_000),
        "points": lambda: bounds(2000),
        "tier_level": lambda: chance.sample(["bronze", "silver", "gold", "platinum"], 2),
        "avg_rating": lambda: {"min": chance.choice([1, 2.5, 4])},
        "rating_count": lambda: bounds(3),
        "status": lambda: chance.choice(["active", "blocked"]),
        "city": lambda: ["تهران"],
        "has_birthday": lambda: chance.random() < 0.5,
        "has_email": lambda: chance.random() < 0.5,
    }

    def bounds(most: int) -> dict[str, int]:
        low, high = sorted((chance.randrange(most + 1), chance.randrange(most + 1)))
        return chance.choice([{"min": low}, {"max": high}, {"min": low, "max": high}])

    names = chance.sample(list(tests), chance.randrange(1, 3))
    return {name: tests[name]() for name in names}


async def add(conn: Connection, rows: list[dict[str, Any]]) -> None:
    await conn.executemany(
        "INSERT INTO customers (cafe_id, id, phone_sealed, phone_hash, phone_last4, status, city, birthday,"
        " email_sealed, created_at, updated_at)"
        " VALUES ($1, $2, 'sealed', $3, '6789', $4::text::customer_status_enum, $5, $6, $7, $8, $8)",
        [
            (
                CAFE,
                row["id"],
                row["id"].bytes * 2,
                row["status"],
                row["city"],
                row["birthday"],
                row["email_sealed"],
                NOON,
            )
            for row in rows
        ],
    )
    columns = (
        "registered_at", "recent_visits", "first_visit_at", "last_visit_at", "total_visits", "lifetime_spent",
        "current_points", "rating_sum", "rating_count",
    )  # fmt: skip
    places = ", ".join(f"${number}" for number in range(4, 4 + len(columns)))
    await conn.executemany(
        f"INSERT INTO customer_activity (cafe_id, customer_id, tier_level, {', '.join(columns)})"
        f" VALUES ($1, $2, $3::text::loyalty_tier_enum, {places})",
        [(CAFE, row["id"], row["tier_level"], *(row[column] for column in columns)) for row in rows],
    )


async def ask(conn: Connection, evaluation: Evaluation, now: datetime) -> dict[Any, tuple[bool, datetime | None]]:
    found = await conn.fetch(
        f"SELECT a.customer_id, {evaluation.mask}, {evaluation.check_at} FROM customer_activity a {CUSTOMER_JOIN}"
        " WHERE $1::timestamptz IS NOT NULL",
        now,
        *evaluation.values_at(now),
    )
    return {row[0]: (bool(row[1]), row[2]) for row in found}


async def test_sql_and_documentation_agree_now_and_at_every_flip(database: Any) -> None:
    chance = random.Random(20261124)
    rows = [some_guest(chance) for _ in range(GUESTS)]
    pool: Pool = await database("customer")
    matching = flips = 0
    async with transaction(pool) as conn:
        await add(conn, rows)
        for _ in range(CRITERIA):
            raw = some_criteria(chance)
            evaluation = compile_condition(parse(raw), 2)
            answers = await ask(conn, evaluation, NOON)
            by_key = compile_rules(((SegmentRule(0, json.dumps(raw)),),), 2, by_key=True)
            assert not by_key.needs_customer
            assert await ask(conn, by_key, NOON) == answers, raw
            for row in rows:
                answer, check_at = answers[row["id"]]
                assert answer == holds(raw, row, NOON), raw
                matching += answer
                # Until the moment the answer stands: look just before it, and at some moments on the way.
                until = check_at or NOON + 400 * DAY
                for share in (0.25, 0.5, 0.75):
                    assert holds(raw, row, NOON + (until - NOON) * share) == answer, raw
                assert holds(raw, row, until - timedelta(microseconds=1)) == answer, raw
                flips += check_at is not None and holds(raw, row, until) != answer
    assert matching > GUESTS * CRITERIA / 10
    assert flips > GUESTS * CRITERIA / 100


async def test_a_city_is_folded_once_when_it_is_written_and_when_read_only_for_rows_from_before(database: Any) -> None:
    chance = random.Random(1)
    rows = [some_guest(chance) | {"city": city} for city in ("تهران", "تهـران ", "شیراز", None)]
    evaluation = compile_condition(parse({"city": ["تهران"]}), 2)
    pool: Pool = await database("customer")
    async with transaction(pool) as conn:
        await add(conn, rows)
        kept = {row["id"]: row["city_key"] for row in await conn.fetch("SELECT id, city_key FROM customers")}
        assert [kept[row["id"]] for row in rows] == [search_key("تهران")] * 2 + [search_key("شیراز"), None]
        answers = await ask(conn, evaluation, NOON)
        await conn.execute("UPDATE customers SET city_key = NULL")
        assert await ask(conn, evaluation, NOON) == answers
        assert [answers[row["id"]][0] for row in rows] == [True, True, False, False]
        await conn.execute("UPDATE customers SET city = 'تبریز' WHERE id = $1", rows[0]["id"])
        moved = await conn.fetchval("SELECT city_key FROM customers WHERE id = $1", rows[0]["id"])
        assert moved == search_key("تبریز")
        await conn.execute("UPDATE customers SET city = NULL WHERE id = $1", rows[0]["id"])
        assert await conn.fetchval("SELECT city_key FROM customers WHERE id = $1", rows[0]["id"]) is None


async def test_looking_for_the_stale_is_shared_between_processors(database: Any) -> None:
    evaluation = compile_condition(parse({"visit_count": {"min": 3}}), 4)
    statement = FIND_STALE_MEMBERSHIPS.format(mask=evaluation.mask, check_at=evaluation.check_at, join="")
    pool: Pool = await database("customer")
    async with transaction(pool) as conn:
        await conn.execute(
            "INSERT INTO customer_activity (cafe_id, customer_id, registered_at)"
            " SELECT $1, gen_random_uuid(), now() FROM generate_series(1, 20000)",
            CAFE,
        )
        await conn.execute("SET LOCAL min_parallel_table_scan_size = 0")
        # Leaves the transaction planning as the search itself does.
        assert await find_stale_memberships(conn, CAFE, evaluation, NOON, 100)
        plan = await conn.fetch(f"EXPLAIN {statement}", NOON, CAFE, 100, *evaluation.values_at(NOON))
    assert any("Gather" in line[0] for line in plan), plan

"""Copies of cafes, access and till keys come out the same in any order, and row level security follows them."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.database import db
from shared.errors import Rejected
from shared.events.base import Event
from shared.events.identity import AccessGranted, AccessRevoked, ApiKeyCreated, ApiKeyRevoked, CafeChanged
from shared.messaging.consumer import in_order
from shared.security import access
from tests.support import Databases

CAFE = UUID("00000000-0000-7000-8000-0000000000ca")
OTHER = UUID("00000000-0000-7000-8000-0000000000cb")
SARA = UUID("00000000-0000-7000-8000-0000000000aa")
REZA = UUID("00000000-0000-7000-8000-0000000000bb")
START = datetime(2026, 3, 20, 12, tzinfo=UTC)


def cafe_changed(version: int, name: str, cafe: UUID = CAFE) -> CafeChanged:
    return CafeChanged(
        cafe_id=cafe,
        occurred_at=START,
        version=version,
        name=name,
        time_zone="Asia/Tehran",
        calendar="jalali",
        currency_unit="IRT",
    )


def granted(version: int, role: Any = "staff", cafe: UUID = CAFE, user: UUID = SARA) -> AccessGranted:
    moment = START + timedelta(days=version)
    return AccessGranted(cafe_id=cafe, occurred_at=moment, version=version, user_id=user, role=role)


def revoked(version: int, cafe: UUID = CAFE, user: UUID = SARA) -> AccessRevoked:
    return AccessRevoked(cafe_id=cafe, occurred_at=START + timedelta(days=version), version=version, user_id=user)


def key_created(key_id: str = "k" * 12) -> ApiKeyCreated:
    return ApiKeyCreated(
        cafe_id=CAFE,
        occurred_at=START,
        key_id=key_id,
        key_hash="ab" * 32,
        signing_key_sealed="sealed",
        scopes=["ingest", "loyalty_lookup"],
        device_name="till 1",
    )


def key_revoked(days: int, key_id: str = "k" * 12) -> ApiKeyRevoked:
    return ApiKeyRevoked(cafe_id=CAFE, occurred_at=START + timedelta(days=days), key_id=key_id)


async def react(conn: db.Connection, events: Sequence[Event]) -> None:
    for kind, group in in_order(events):
        await access.REACTIONS[kind](conn, group)


async def tables(conn: db.Connection) -> list[list[tuple[Any, ...]]]:
    return [
        [tuple(row) for row in await conn.fetch(f"SELECT * FROM {name} ORDER BY 1, 2")]
        for name in ("cafes", "user_cafe_access", "till_keys")
    ]


@pytest.mark.parametrize(
    "history",
    [
        [cafe_changed(1, "first"), cafe_changed(2, "second"), cafe_changed(3, "third")],
        [granted(1), granted(2, "manager"), revoked(3), granted(4, "owner")],
        [granted(1), revoked(2), granted(3), revoked(4)],
        [key_created(), key_revoked(1), key_revoked(2), key_created("m" * 12)],
        [cafe_changed(1, "first"), granted(1), key_created(), revoked(2)],
    ],
)
async def test_copies_come_out_the_same_in_any_order_and_any_batches(history: list[Event], database: Databases) -> None:
    pool = await database("visit")
    wanted = None
    for order in itertools.permutations(history):
        for batch in (1, len(order)):
            async with pool.acquire() as conn:
                change = conn.transaction()
                await change.start()
                for start in range(0, len(order), batch):
                    await react(conn, order[start : start + batch])
                found = await tables(conn)
                await change.rollback()
            wanted = wanted or found
            assert found == wanted
    assert wanted is not None
    assert any(wanted)


async def test_newest_version_is_kept_whole(database: Databases) -> None:
    pool = await database("visit")
    async with db.transaction(pool) as conn:
        await react(conn, [cafe_changed(2, "second"), cafe_changed(1, "first"), granted(2, "manager"), granted(1)])
        await react(conn, [key_revoked(1), key_created()])
    assert await pool.fetchval("SELECT name FROM cafes") == "second"
    assert await pool.fetchval("SELECT role FROM user_cafe_access") == "manager"
    key = await pool.fetchrow("SELECT * FROM till_keys")
    assert key is not None
    assert key["revoked_at"] == START + timedelta(days=1)
    assert (key["key_hash"], key["signing_key_sealed"], key["device_name"]) == (b"\xab" * 32, "sealed", "till 1")
    assert key["scopes"] == ["ingest", "loyalty_lookup"]


async def test_staff_see_their_own_cafes_until_revoked(database: Databases) -> None:
    pool = await database("visit")
    both = [cafe_changed(1, "A"), cafe_changed(1, "B", OTHER)]
    async with db.transaction(pool) as conn:
        await react(conn, [*both, granted(1), granted(1, cafe=OTHER, user=REZA)])

    async def seen(user: UUID) -> tuple[set[str], set[UUID]]:
        async with db.staff_transaction(pool, user) as conn:
            names = {row["name"] for row in await conn.fetch("SELECT name FROM cafes")}
            people = {row["user_id"] for row in await conn.fetch("SELECT user_id FROM user_cafe_access")}
        return names, people

    assert await seen(SARA) == ({"A"}, {SARA})
    assert await seen(REZA) == ({"B"}, {REZA})
    async with db.transaction(pool) as conn:
        await react(conn, [revoked(2)])
    assert await seen(SARA) == (set(), set())


async def test_require_role_compares_ranks_and_hides_foreign_cafes(database: Databases) -> None:
    pool = await database("visit")
    async with db.transaction(pool) as conn:
        await react(conn, [granted(1, "manager"), granted(1, "owner", cafe=OTHER, user=REZA)])
    async with db.staff_transaction(pool, SARA) as conn:
        assert await access.require_role(conn, CAFE, SARA) == "manager"
        assert await access.require_role(conn, CAFE, SARA, "manager") == "manager"
        with pytest.raises(Rejected) as low:
            await access.require_role(conn, CAFE, SARA, "owner")
        with pytest.raises(Rejected) as foreign:
            await access.require_role(conn, OTHER, SARA)
        with pytest.raises(Rejected) as stolen:
            await access.require_role(conn, OTHER, REZA)
    assert (low.value.status, foreign.value.status, stolen.value.status) == (403, 404, 404)


async def test_one_of_a_cafe_asks_alone_until_its_transaction_ends(database: Databases) -> None:
    pool = await database("visit")
    async with db.staff_transaction(pool, SARA) as first, db.staff_transaction(pool, REZA) as second:
        await access.ask_alone(first, CAFE)
        await access.ask_alone(first, CAFE)
        await access.ask_alone(second, OTHER)
        with pytest.raises(Rejected) as busy:
            await access.ask_alone(second, CAFE)
    assert (busy.value.status, busy.value.code) == (429, "one_at_a_time")
    async with db.staff_transaction(pool, REZA) as after:
        await access.ask_alone(after, CAFE)

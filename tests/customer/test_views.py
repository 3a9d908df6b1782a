"""Numbers are shown masked, and who looks at a guest is kept for the owners."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
import pytest
from fastapi import FastAPI

from services.customer.models.values import GuestKey
from services.customer.store import views
from shared.database.db import Pool, transaction
from shared.events.identity import Role
from shared.security.auth import Staff
from shared.web.dependencies import current_staff
from tests.customer.given import CAFE, NOON, PHONE, STAFF, guest_of, staff
from tests.customer.test_api import CUSTOMERS, FULL, HELPER, register

VIEWS = f"/cafes/{CAFE}/guest-views"
BOSS = UUID("00000000-0000-7000-8000-0000000000ac")


async def act_as(app: FastAPI, pool: Pool, user_id: UUID, role: Role) -> None:
    await staff(pool, user_id=user_id, role=role)
    app.dependency_overrides[current_staff] = lambda: Staff(user_id)


@pytest.mark.parametrize("role", ["staff", "manager", "owner"])
async def test_nobody_sees_a_whole_number_but_by_asking_for_it(
    app: FastAPI, client: httpx2.AsyncClient, pool: Pool, role: Role
) -> None:
    await act_as(app, pool, HELPER, role)
    body = await register(client, **FULL)
    path = f"{CUSTOMERS}/{body['id']}"
    answers = [
        await client.get(path),
        await client.patch(path, json={"name": "دیگر"}),
        await client.put(f"{path}/status", json={"status": "inactive"}),
        await client.get(f"{path}/summary"),
        await client.post(f"{CUSTOMERS}/search", json={"phone": PHONE}),
    ]
    assert all(answer.status_code == 200 and PHONE[-10:] not in answer.text for answer in answers)
    assert {(answer.json()["phone"], answer.json()["phone_last4"]) for answer in answers[:3]} == {("•••• 6789", "6789")}
    assert (await client.post(f"{path}/phone")).json() == {"phone": PHONE}


async def test_who_looks_is_kept_once_an_hour_and_each_reveal_apart(
    app: FastAPI, client: httpx2.AsyncClient, pool: Pool
) -> None:
    body = await register(client)
    path = f"{CUSTOMERS}/{body['id']}"
    assert await pool.fetchval("SELECT count(*) FROM guest_views") == 0
    for user_id in (STAFF, HELPER):
        await act_as(app, pool, user_id, "staff" if user_id == HELPER else "manager")
        await client.post(f"{path}/phone")
        await client.get(path)
        await client.get(path)
        await client.post(f"{path}/phone")
        assert (await client.get(VIEWS)).status_code == 403
    await act_as(app, pool, BOSS, "owner")
    seen = (await client.get(VIEWS)).json()
    hours = len(set(await pool.fetch("SELECT hour FROM guest_views")))
    assert [view["kind"] for view in seen["views"]].count("revealed") == 4
    assert 2 <= [view["kind"] for view in seen["views"]].count("opened") <= 2 * hours
    assert {view["customer_id"] for view in seen["views"]} == {body["id"]}
    assert seen["before"] is None
    of_helper = (await client.get(f"{VIEWS}?user_id={HELPER}&customer_id={body['id']}")).json()["views"]
    assert {view["user_id"] for view in of_helper} == {str(HELPER)}
    first = (await client.get(f"{VIEWS}?limit=2")).json()
    rest = (await client.get(f"{VIEWS}?limit=200&before={first['before']}")).json()
    assert first["views"] + rest["views"] == seen["views"]


async def test_opening_is_kept_anew_in_the_next_hour(pool: Pool) -> None:
    guest = guest_of()
    async with transaction(pool) as conn:
        for minutes in (0, 29, 30, 90):
            await views.keep(conn, guest, STAFF, "opened", NOON + timedelta(minutes=minutes))
        await views.keep(conn, GuestKey(CAFE, BOSS), STAFF, "opened", NOON)
    assert await pool.fetchval("SELECT count(*) FROM guest_views WHERE customer_id = $1", guest.customer_id) == 3


async def test_what_was_looked_at_stays_when_a_guest_is_gone_and_nobody_can_change_it(
    client: httpx2.AsyncClient, pool: Pool
) -> None:
    body = await register(client, **FULL)
    await client.get(f"{CUSTOMERS}/{body['id']}")
    await client.delete(f"{CUSTOMERS}/{body['id']}")
    row = dict(await pool.fetchrow("SELECT * FROM guest_views"))
    assert {type(value).__name__ for value in row.values()} <= {"UUID", "datetime", "str"}
    assert row["kind"] == "opened"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute("UPDATE guest_views SET user_id = $1", BOSS)


async def test_sums_of_a_guest_are_for_managers(app: FastAPI, client: httpx2.AsyncClient, pool: Pool) -> None:
    body = await register(client)
    path, sums = f"{CUSTOMERS}/{body['id']}/summary", ("lifetime_spent", "avg_spend_per_visit")

    async def shown() -> dict[str, Any]:
        answer: dict[str, Any] = (await client.get(path)).json()
        return {name: answer[name] for name in sums}

    assert None not in (await shown()).values()
    await act_as(app, pool, HELPER, "staff")
    assert await shown() == dict.fromkeys(sums)

"""Managing cafes over HTTP: roles are respected, and one cafe never sees another."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared import clock
from shared.database import db
from shared.events.identity import (
    AccessGranted,
    AccessRevoked,
    ApiKeyCreated,
    ApiKeyRevoked,
    BranchChanged,
    CafeChanged,
)
from shared.security import auth
from shared.security.crypto import sha256
from shared.settings import Settings
from tests.identity.given import KEYS, a_cafe, a_person, client, emitted, joins, running
from tests.support import Databases


async def test_cafe_settings_change_and_are_published(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    manager = await a_person(pool, "manager@example.com", cafe, "manager")
    async with running(config) as app, client(app, manager) as http:
        answer = await http.patch(f"/cafes/{cafe}", json={"quiet_from": "21:30", "calendar": "gregorian"})
        assert answer.status_code == 200, answer.text
        listed = (await http.get("/cafes")).json()
    assert [(own["quiet_from"], own["quiet_until"], own["role"]) for own in listed] == [("21:30", "09:00", "manager")]
    last = (await emitted(pool))[-1]
    assert isinstance(last, CafeChanged)
    assert (last.cafe_id, last.version, last.quiet_from, last.calendar) == (cafe, 2, "21:30", "gregorian")
    assert (last.name, last.time_zone, last.currency_unit, last.is_active) == ("کافه نادری", "Asia/Tehran", "IRT", True)


async def test_owner_opens_another_cafe_and_others_do_not(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    manager = await a_person(pool, "manager@example.com", cafe, "manager")
    async with running(config) as app, client(app, owner) as http, client(app, manager) as other:
        opened = await http.post("/cafes", json={"name": "شعبهٔ دوم", "currency_unit": "IRR"})
        assert opened.status_code == 201, opened.text
        assert (await other.post("/cafes", json={"name": "mine"})).status_code == 403
        assert {own["cafe_id"]: own["role"] for own in (await http.get("/cafes")).json()} == {
            str(cafe): "owner",
            opened.json()["cafe_id"]: "owner",
        }
        assert len((await other.get("/cafes")).json()) == 1
    published = (await emitted(pool))[-2:]
    assert [type(event) for event in published] == [CafeChanged, AccessGranted]


async def test_branches_are_made_changed_and_published(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    manager = await a_person(pool, "manager@example.com", cafe, "manager")
    async with running(config) as app, client(app, manager) as http:
        branches = f"/cafes/{cafe}/branches"
        made = await http.post(branches, json={"code": "valiasr", "name": "ولي عصر"})
        assert made.status_code == 201, made.text
        assert (await http.post(branches, json={"code": "valiasr", "name": "دیگر"})).status_code == 409
        branch = made.json()["branch_id"]
        assert (await http.patch(f"{branches}/{branch}", json={"is_active": False})).json()["version"] == 2
        assert (await http.patch(f"{branches}/{uuid4()}", json={"name": "n"})).status_code == 404
        listed = (await http.get(branches)).json()
    expected = {"branch_id": branch, "version": 2, "code": "valiasr", "name": "ولی عصر", "is_active": False}
    assert listed == [expected]
    last = (await emitted(pool))[-1]
    assert isinstance(last, BranchChanged)
    assert (str(last.branch_id), last.version, last.is_active) == (branch, 2, False)


async def test_member_joins_changes_role_and_leaves(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    members = f"/cafes/{cafe}/members"
    async with running(config) as app, client(app, owner) as http:
        ali = str(await joins(http, cafe, "۰۹۱۲۳۴۵۶۷۸۹", "staff"))
        assert (await http.put(f"{members}/{ali}/role", json={"role": "manager"})).json()["role"] == "manager"
        assert {m["user_id"]: m["role"] for m in (await http.get(members)).json()} == {
            str(owner.user_id): "owner",
            ali: "manager",
        }
        assert (await http.delete(f"{members}/{ali}")).status_code == 204
        assert (await http.delete(f"{members}/{ali}")).status_code == 404
        assert str(await joins(http, cafe, "09123456789", "staff", new="violet teapot marches")) == ali
    events = [event for event in await emitted(pool) if getattr(event, "user_id", None) == UUID(ali)]
    assert [(type(event), event.version) for event in events] == [
        (AccessGranted, 1),
        (AccessGranted, 2),
        (AccessRevoked, 3),
        (AccessGranted, 4),
    ]
    # Who had no access left was signed out, and the new password did it once more: older tokens stay refused.
    assert [event.sessions_from for event in events if isinstance(event, AccessGranted)] == [0, 0, 2]


async def test_a_manager_cannot_rise_or_reach_above(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    manager = await a_person(pool, "manager@example.com", cafe, "manager")
    members = f"/cafes/{cafe}/members"
    invitations = f"/cafes/{cafe}/invitations"
    new = {"login": "x@example.com", "display_name": "x"}
    async with running(config) as app, client(app, manager) as http:
        refused = [
            await http.put(f"{members}/{manager.user_id}/role", json={"role": "owner"}),
            await http.put(f"{members}/{owner.user_id}/role", json={"role": "staff"}),
            await http.delete(f"{members}/{owner.user_id}"),
            await http.post(invitations, json={**new, "role": "manager"}),
            await http.post(invitations, json={**new, "role": "owner"}),
        ]
        assert [answer.status_code for answer in refused] == [403] * 5
        assert (await http.post(invitations, json={**new, "role": "staff"})).status_code == 201


async def test_staff_manage_nothing_but_may_leave(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    staff = await a_person(pool, "staff@example.com", cafe, "staff")
    root = f"/cafes/{cafe}"
    async with running(config) as app, client(app, staff) as http:
        refused = [
            await http.patch(root, json={"name": "mine"}),
            await http.post(f"{root}/branches", json={"code": "b", "name": "b"}),
            await http.get(f"{root}/members"),
            await http.get(f"{root}/invitations"),
            await http.post(f"{root}/members/{staff.user_id}/password-reset"),
            await http.get(f"{root}/api-keys"),
            await http.post(f"{root}/api-keys", json={"device_name": "till"}),
            await http.delete(f"{root}/api-keys/{'k' * 12}"),
        ]
        assert [answer.status_code for answer in refused] == [403] * 8
        assert (await http.get(f"{root}/branches")).status_code == 200
        assert (await http.delete(f"{root}/members/{staff.user_id}")).status_code == 204
        assert (await http.get("/cafes")).status_code == 401
    async with running(config) as app, client(app, staff) as http:
        assert (await http.get(f"{root}/branches")).status_code == 404
        assert (await http.get("/cafes")).json() == []


async def test_the_last_owner_stays(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    first = await a_person(pool, "first@example.com", cafe, "owner")
    second = await a_person(pool, "second@example.com", cafe, "owner")
    members = f"/cafes/{cafe}/members"
    async with running(config) as app, client(app, first) as one, client(app, second) as two:
        # Both remove the other at once: the second to come finds itself gone or alone.
        answers = await asyncio.gather(
            one.delete(f"{members}/{second.user_id}"), two.delete(f"{members}/{first.user_id}")
        )
        assert sorted(answer.status_code for answer in answers)[0] == 204
        owners = await pool.fetchval("SELECT count(*) FROM user_cafe_access WHERE role = 'owner'")
        assert owners == 1
        left = one if answers[0].status_code == 204 else two
        me = first if answers[0].status_code == 204 else second
        assert (await left.delete(f"{members}/{me.user_id}")).status_code == 409
        assert (await left.put(f"{members}/{me.user_id}/role", json={"role": "staff"})).status_code == 409


async def test_till_keys_rotate_two_at_a_time(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    manager = await a_person(pool, "manager@example.com", cafe, "manager")
    path = f"/cafes/{cafe}/api-keys"
    body: dict[str, Any] = {"device_name": "till 1"}
    async with running(config) as app, client(app, owner) as http, client(app, manager) as other:
        # A key's bills are believed as they are, so a key would be a way round every limit on what a manager enters.
        assert (await other.post(path, json=body)).status_code == 403
        first, second = [(await http.post(path, json=body)).json() for _ in range(2)]
        assert (await http.post(path, json=body)).status_code == 409
        assert (await http.post(path, json={"device_name": "till 2", "scopes": ["ingest"]})).status_code == 201
        past = (clock.now() - timedelta(minutes=1)).isoformat()
        assert (await http.post(path, json={"device_name": "till 3", "expires_at": past})).status_code == 422
        assert (await http.delete(f"{path}/{first['key_id']}")).json()["revoked_at"]
        assert (await http.delete(f"{path}/{first['key_id']}")).status_code == 404
        assert (await http.post(path, json=body)).status_code == 201
        listed = (await http.get(path)).text
    assert "api_key" not in listed
    assert second["api_key"] not in listed
    async with db.transaction(pool) as conn:
        [till] = await auth.verify_tills(conn, [second["api_key"]])
        loaded = await auth.load_till_keys(conn, KEYS, [second["key_id"]])
    assert till
    assert (till.cafe_id, till.scopes) == (cafe, {"ingest", "loyalty_lookup"})
    assert loaded[second["key_id"]].is_live(clock.now())
    events = [event for event in await emitted(pool) if isinstance(event, (ApiKeyCreated, ApiKeyRevoked))]
    assert [type(event) for event in events] == [ApiKeyCreated] * 3 + [ApiKeyRevoked, ApiKeyCreated]
    assert events[1].key_hash == sha256(second["api_key"]).hex()
    stored = [str(tuple(row)) for row in await pool.fetch("SELECT * FROM till_keys")]
    assert not any(second["api_key"][17:] in row for row in stored)


async def test_staff_of_one_cafe_never_see_or_touch_another(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe_a, cafe_b = await a_cafe(pool, "A"), await a_cafe(pool, "B")
    owner_a = await a_person(pool, "a@example.com", cafe_a, "owner")
    owner_b = await a_person(pool, "b@example.com", cafe_b, "owner")
    async with running(config) as app, client(app, owner_a) as a, client(app, owner_b) as b:
        branch = (await b.post(f"/cafes/{cafe_b}/branches", json={"code": "b", "name": "b"})).json()
        key = (await b.post(f"/cafes/{cafe_b}/api-keys", json={"device_name": "till"})).json()
        root = f"/cafes/{cafe_b}"
        member = {"login": "a@example.com", "role": "owner", "display_name": "a"}
        invited = (await b.post(f"/cafes/{cafe_b}/invitations", json={**member, "login": "c@example.com"})).json()
        tried = [
            await a.patch(root, json={"name": "mine"}),
            await a.get(f"{root}/branches"),
            await a.post(f"{root}/branches", json={"code": "a", "name": "a"}),
            await a.patch(f"{root}/branches/{branch['branch_id']}", json={"name": "mine"}),
            await a.get(f"{root}/members"),
            await a.get(f"{root}/invitations"),
            await a.post(f"{root}/invitations", json=member),
            await a.post(f"{root}/invitations/{invited['invitation_id']}/renewal"),
            await a.delete(f"{root}/invitations/{invited['invitation_id']}"),
            await a.post(f"{root}/members/{owner_b.user_id}/password-reset"),
            await a.put(f"{root}/members/{owner_b.user_id}/role", json={"role": "staff"}),
            await a.delete(f"{root}/members/{owner_b.user_id}"),
            await a.get(f"{root}/api-keys"),
            await a.post(f"{root}/api-keys", json={"device_name": "till"}),
            await a.delete(f"{root}/api-keys/{key['key_id']}"),
            # Their own cafe's path with the other's ids.
            await a.patch(f"/cafes/{cafe_a}/branches/{branch['branch_id']}", json={"name": "mine"}),
            await a.delete(f"/cafes/{cafe_a}/api-keys/{key['key_id']}"),
            await a.delete(f"/cafes/{cafe_a}/members/{owner_b.user_id}"),
            await a.post(f"/cafes/{cafe_a}/members/{owner_b.user_id}/password-reset"),
            await a.post(f"/cafes/{cafe_a}/invitations/{invited['invitation_id']}/renewal"),
            await a.delete(f"/cafes/{cafe_a}/invitations/{invited['invitation_id']}"),
        ]
        assert [answer.status_code for answer in tried] == [404] * len(tried)
        for answer in tried:
            assert str(owner_b.user_id) not in answer.text
            assert branch["branch_id"] not in answer.text
    assert await pool.fetchval("SELECT count(*) FROM till_keys WHERE revoked_at IS NOT NULL") == 0


async def test_row_level_security_holds_without_the_handlers(database: Databases) -> None:
    pool = await database("identity")
    cafe_a, cafe_b = await a_cafe(pool, "A"), await a_cafe(pool, "B")
    owner_a = await a_person(pool, "a@example.com", cafe_a, "owner")
    await a_person(pool, "b@example.com", cafe_b, "owner")
    async with db.staff_transaction(pool, owner_a.user_id) as conn:
        assert await conn.fetchval("SELECT array_agg(cafe_id) FROM cafes") == [cafe_a]
        assert await conn.fetchval("SELECT array_agg(user_id) FROM user_cafe_access") == [owner_a.user_id]
        assert await conn.execute("UPDATE cafes SET name = 'mine' WHERE cafe_id = $1", cafe_b) == "UPDATE 0"
    forbidden = [
        "SELECT * FROM users",
        "SELECT * FROM user_logins",
        "SELECT * FROM signing_keys",
        "SELECT * FROM login_attempts",
        "SELECT * FROM sessions",
        "SELECT * FROM password_resets",
        f"INSERT INTO user_cafe_access VALUES ('{cafe_b}', '{owner_a.user_id}', 9, 'owner', now())",
        f"INSERT INTO branches VALUES ('{cafe_b}', '{uuid4()}', 1, 'x', 'x', true)",
        f"INSERT INTO cafes VALUES ('{uuid4()}', 1, 'x', 'Asia/Tehran', 'jalali', 'IRT', '22:00', '09:00', true)",
        "DELETE FROM cafes",
    ]
    for statement in forbidden:
        with pytest.raises(Exception, match=r"permission denied|row-level security"):
            async with db.staff_transaction(pool, owner_a.user_id) as conn:
                await conn.execute(statement)


JSON = {"content-type": "application/json"}


async def test_malformed_input_gets_a_clear_answer(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    async with running(config) as app, client(app, owner) as http:
        answers = [
            await http.delete(f"/cafes/{cafe}/api-keys/%00"),
            await http.get("/cafes/not-a-uuid/members"),
            await http.patch(f"/cafes/{cafe}", content=b"\xff\xfe", headers=JSON),
            await http.patch(f"/cafes/{cafe}", json={"cafe_id": str(uuid4())}),
            await http.patch(f"/cafes/{cafe}", content=b'{"name": "\\ud800"}', headers=JSON),
            await http.post(f"/cafes/{cafe}/branches", json={"code": "a\x00b", "name": "n"}),
            await http.post("/sessions", json={"login": "a\x00@example.com", "password": "p" * 1000}),
            await http.patch(f"/cafes/{cafe}", json={"name": "a\x00b"}),
            await http.post("/sessions", content=b'{"login": "a@b.ir", "password": "\\ud800 is half"}', headers=JSON),
            await http.post("/sessions", content=b'{"login": "\\ud800@b.ir", "password": "p"}', headers=JSON),
            await http.post("/sessions/renew", content=b'{"refresh_token": "r1.\\ud800 is half one"}', headers=JSON),
            await http.post("/invitations/read", content=b'{"code": "\\ud800 is half a character"}', headers=JSON),
        ]
    assert [answer.status_code for answer in answers] == [422] * len(answers)
    assert all(answer.json()["errors"][0]["fa"] for answer in answers)


async def test_nobody_gets_in_without_a_token(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    async with running(config) as app, client(app) as http:
        for headers in ({}, {"Authorization": "Bearer x.y.z"}, {"Authorization": "Basic eDp5"}):
            for path in ("/cafes", f"/cafes/{cafe}/members"):
                assert (await http.get(path, headers=headers)).status_code == 401

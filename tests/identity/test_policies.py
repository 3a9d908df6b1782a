"""The approval policy is its owner's, every change of it leaves a trace, and two owners weaken it together."""

import asyncio
from typing import Any

import asyncpg
import pytest

from shared.database import db
from shared.events.identity import CafeChanged
from shared.settings import Settings
from tests.identity.given import a_cafe, a_person, client, emitted, running
from tests.support import Databases

POLICY = {"when": "when_two", "points": 1_000, "amount": 10_000_000, "staff_amount": 2_000_000}
WEAKER = POLICY | {"points": 5_000}
STRICTER = POLICY | {"when": "always"}


async def test_new_cafe_works_alone_and_is_safe_with_two(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    async with running(config) as app, client(app, owner) as http:
        shown = (await http.get(f"/cafes/{cafe}/approval-policy")).json()
    assert shown == POLICY | {"currency_unit": "IRT", "waiting": None}


async def test_policy_is_changed_by_the_owner_only_and_spreads(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    manager = await a_person(pool, "manager@example.com", cafe, "manager")
    clerk = await a_person(pool, "clerk@example.com", cafe, "staff")
    root = f"/cafes/{cafe}/approval-policy"
    async with running(config) as app, client(app, owner) as http, client(app, manager) as m, client(app, clerk) as c:
        for other in (m, c):
            assert (await other.put(root, json=WEAKER)).status_code == 403
            assert (await other.get(f"{root}/changes")).status_code == 403
        by_settings = await m.patch(f"/cafes/{cafe}", json={"approval_points": 5_000})
        assert by_settings.status_code == 422
        zone = await m.patch(f"/cafes/{cafe}", json={"time_zone": "Pacific/Auckland"})
        assert (zone.status_code, zone.json()["errors"][0]["field"]) == (403, "time_zone")
        assert (await m.patch(f"/cafes/{cafe}", json={"time_zone": "Asia/Tehran"})).status_code == 200
        assert (await c.get(root)).status_code == 403
        assert (await m.get(root)).json()["points"] == 1_000
        changed = await http.put(root, json=WEAKER)
        assert (changed.status_code, changed.json()["points"]) == (200, 5_000)
        steps = (await http.get(f"{root}/changes")).json()
        listed = (await http.get("/cafes")).json()
    last = (await emitted(pool))[-1]
    assert isinstance(last, CafeChanged)
    assert (last.approval_when, last.approval_points, last.version) == ("when_two", 5_000, 3)
    assert listed[0]["approval_points"] == 5_000
    assert {(step["step"], step["by_user"]) for step in steps} == {
        ("asked", str(owner.user_id)), ("applied", str(owner.user_id)),
    }  # fmt: skip
    assert (steps[0]["before"], steps[0]["after"]) == (POLICY, WEAKER)


async def test_other_settings_keep_the_policy(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    async with running(config) as app, client(app, owner) as http:
        await http.put(f"/cafes/{cafe}/approval-policy", json=STRICTER)
        await http.patch(f"/cafes/{cafe}", json={"name": "کافه دیگر"})
    last = (await emitted(pool))[-1]
    assert (last.name, last.approval_when) == ("کافه دیگر", "always")


@pytest.mark.parametrize(
    "change", [{"points": -1}, {"when": "never"}, {"amount": 10**12 + 1}, {"points": 1.5}, {"more": 1}]
)
async def test_faulty_policy_is_refused(change: dict[str, Any], config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    async with running(config) as app, client(app, owner) as http:
        answer = await http.put(f"/cafes/{cafe}/approval-policy", json=POLICY | change)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, next(iter(change)))


async def test_weaker_policy_waits_for_the_other_owner_and_a_stricter_one_does_not(
    config: Settings, database: Databases
) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    one, two, manager = [
        await a_person(pool, f"{name}@example.com", cafe, role)  # type: ignore[arg-type]
        for name, role in (("one", "owner"), ("two", "owner"), ("manager", "manager"))
    ]
    root, waiting = f"/cafes/{cafe}/approval-policy", f"/cafes/{cafe}/approvals"
    async with running(config) as app, client(app, one) as a, client(app, two) as b, client(app, manager) as m:
        asked = await a.put(root, json=WEAKER)
        assert (asked.status_code, asked.json()["points"]) == (202, 1_000)
        change = asked.json()["waiting"]
        decision = f"{root}/changes/{change}/decision"
        assert [(await each.get(waiting)).json()[0]["may_decide"] for each in (a, b, m)] == [False, True, False]
        for nobody in (a, m):
            assert (await nobody.post(decision, json={"approve": True})).status_code == 403
        done = await asyncio.gather(*(b.post(decision, json={"approve": True}) for _ in range(3)))
        assert sorted(answer.status_code for answer in done) == [200, 409, 409]
        assert (await b.get(root)).json()["points"] == 5_000
        assert (await b.get(waiting)).json() == []
        # Back to more safety: at once.
        assert (await b.put(root, json=POLICY)).status_code == 200
        # A second wish takes the place of the first, and can't be decided any more.
        first = (await a.put(root, json=WEAKER)).json()["waiting"]
        second = (await a.put(root, json=WEAKER | {"when": "above"})).json()["waiting"]
        gone = await b.post(f"{root}/changes/{first}/decision", json={"approve": True})
        assert gone.status_code == 409
        declined = await b.post(f"{root}/changes/{second}/decision", json={"approve": False})
        assert (declined.status_code, declined.json()["when"]) == (200, "when_two")
        steps = [step["step"] for step in (await a.get(f"{root}/changes")).json()]
    assert sorted(steps) == sorted(["asked", "applied", "asked", "applied", "asked", "replaced", "asked", "declined"])


async def test_owner_who_is_left_alone_may_decide_what_was_asked(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    one = await a_person(pool, "one@example.com", cafe, "owner")
    two = await a_person(pool, "two@example.com", cafe, "owner")
    root = f"/cafes/{cafe}/approval-policy"
    async with running(config) as app, client(app, one) as a, client(app, two) as b:
        change = (await a.put(root, json=WEAKER)).json()["waiting"]
        assert (await b.delete(f"/cafes/{cafe}/members/{two.user_id}")).status_code == 204
        decision = f"{root}/changes/{change}/decision"
        assert (await b.post(decision, json={"approve": True})).status_code == 401
        assert (await a.post(decision, json={"approve": True})).json()["points"] == 5_000


async def test_nobody_rewrites_the_trace(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    async with running(config) as app, client(app, owner) as http:
        await http.put(f"/cafes/{cafe}/approval-policy", json=STRICTER)
    for statement in ("UPDATE policy_steps SET by_user = cafe_id", "DELETE FROM policy_steps"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with db.staff_transaction(pool, owner.user_id) as conn:
                await conn.execute(statement)

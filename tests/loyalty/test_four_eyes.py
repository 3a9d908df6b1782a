"""Nobody gives more points than the cafe's policy lets them give alone, by whatever way and in however many pieces."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI

from services.loyalty.api.app import make_app
from services.loyalty.handlers.cafes import on_cafe_changed
from shared.database.db import Pool, transaction
from shared.events.identity import AccessGranted, AccessRevoked, CafeChanged
from shared.security import access, ids
from shared.security.auth import Staff
from shared.settings import Settings
from shared.web.dependencies import current_staff
from tests.loyalty import books
from tests.loyalty.conftest import Clock
from tests.loyalty.examples import CAFE, NOON, cafe_changed, guest_number, recorded

OWNER, ONE, TWO, HELPER = (uuid4() for _ in range(4))
PEOPLE = {OWNER: "owner", ONE: "manager", TWO: "manager", HELPER: "staff"}
RULES = {"earn_per_toman": 1, "tier_period": "jalali_year"}


async def work_here(pool: Pool, people: Mapping[UUID, str | None], version: int = 1) -> None:
    """Gives people their role; None takes it."""
    about: dict[str, Any] = {"cafe_id": CAFE, "version": version, "occurred_at": NOON}
    granted = [AccessGranted(user_id=who, role=role, **about) for who, role in people.items() if role]  # type: ignore[arg-type]
    revoked = [AccessRevoked(user_id=who, **about) for who, role in people.items() if not role]
    async with transaction(pool) as conn:
        if granted:
            await access.on_access_granted(conn, granted)
        if revoked:
            await access.on_access_revoked(conn, revoked)


async def set_policy(pool: Pool, version: int = 2, **policy: Any) -> None:
    event = cafe_changed()
    fields = {name: getattr(event, name) for name in ("cafe_id", "name", "time_zone", "calendar", "currency_unit")}
    changed = CafeChanged(
        **fields, occurred_at=NOON, version=version, **{f"approval_{name}": value for name, value in policy.items()}
    )
    async with transaction(pool) as conn:
        await on_cafe_changed(conn, [changed])


@pytest.fixture
def guest(config: Settings) -> UUID:
    return ids.customer_id(config.keys, CAFE, "+989121112233")


@pytest.fixture
async def app(pool: Pool, guest: UUID, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FastAPI]:
    # The same time for the edge as for the handlers.
    monkeypatch.setattr("shared.clock.now", clock)
    await work_here(pool, PEOPLE)
    await books.take_in(pool, recorded(1, 100_000, guest=guest))
    app = make_app()
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """Acts as whoever the header says."""
    from fastapi import Request

    def caller(request: Request) -> Staff:
        return Staff(UUID(request.headers["x-who"]))

    app.dependency_overrides[current_staff] = caller
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://crm.test") as client:
        yield client


def by(who: UUID) -> dict[str, str]:
    return {"x-who": str(who)}


async def give(
    client: httpx2.AsyncClient, who: UUID, guest: UUID, points: int, kind: str = "adjustment_add"
) -> httpx2.Response:
    body = {"adjustment_id": str(uuid4()), "type": kind, "points": points, "reason": "شکایت از سفارش"}
    return await client.post(f"/cafes/{CAFE}/customers/{guest}/adjustments", json=body, headers=by(who))


async def balance(client: httpx2.AsyncClient, guest: UUID) -> int:
    shown = await client.get(f"/cafes/{CAFE}/customers/{guest}/loyalty", headers=by(HELPER))
    points: int = shown.json()["current_points"]
    return points


async def waiting(client: httpx2.AsyncClient, who: UUID) -> list[dict[str, Any]]:
    answer = await client.get(f"/cafes/{CAFE}/approvals", headers=by(who))
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def decide(client: httpx2.AsyncClient, who: UUID, what: dict[str, Any], *, approve: bool = True) -> int:
    answer = await client.post(what["decide_at"], json={"approve": approve}, headers=by(who))
    return answer.status_code


async def test_twenty_gifts_of_a_thousand_are_twenty_thousand(client: httpx2.AsyncClient, guest: UUID) -> None:
    statuses = [(await give(client, ONE, guest, 1_000)).status_code for _ in range(20)]
    assert statuses == [201] + [202] * 19
    assert await balance(client, guest) == 1_100
    assert len(await waiting(client, TWO)) == 19


async def test_twenty_gifts_at_once_are_summed_too(client: httpx2.AsyncClient, guest: UUID, pool: Pool) -> None:
    others = [guest_number(number) for number in range(1, 6)]
    await books.take_in(pool, *(recorded(10 + n, 1_000, guest=who) for n, who in enumerate(others)))
    answers = await asyncio.gather(*(give(client, ONE, others[n % 5], 300) for n in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [202] * 17


@pytest.mark.parametrize("kind", ["earned_bonus", "earned_referral", "earned_birthday", "adjustment_subtract"])
async def test_every_kind_of_gift_and_taking_counts_up(client: httpx2.AsyncClient, guest: UUID, kind: str) -> None:
    await give(client, ONE, guest, 950)
    assert (await give(client, ONE, guest, 50, kind)).status_code == 201
    assert (await give(client, ONE, guest, 1, kind)).status_code == 202


async def test_each_person_has_their_own_day(client: httpx2.AsyncClient, guest: UUID) -> None:
    assert (await give(client, ONE, guest, 1_000)).status_code == 201
    assert (await give(client, TWO, guest, 1_000)).status_code == 201
    assert (await give(client, OWNER, guest, 1_001)).status_code == 202


async def test_next_day_of_the_cafe_begins_anew(client: httpx2.AsyncClient, guest: UUID, clock: Clock) -> None:
    # 20:00 UTC is 23:30 in Tehran.
    start = NOON.replace(hour=20, minute=0)
    for moment, status in ((start, 201), (start + timedelta(minutes=29), 202), (start + timedelta(minutes=31), 201)):
        clock.moment = moment
        assert (await give(client, ONE, guest, 1_000)).status_code == status


async def test_what_another_approved_does_not_count(client: httpx2.AsyncClient, guest: UUID) -> None:
    assert (await give(client, ONE, guest, 5_000)).status_code == 202
    [large] = await waiting(client, TWO)
    assert (large["kind"], large["points"], large["asked_by"]) == ("adjustment", 5_000, str(ONE))
    assert await decide(client, TWO, large) == 200
    assert (await give(client, ONE, guest, 1_000)).status_code == 201
    assert await balance(client, guest) == 6_100


async def test_own_gift_is_greyed_and_refused(client: httpx2.AsyncClient, guest: UUID) -> None:
    await give(client, ONE, guest, 5_000)
    [own] = await waiting(client, ONE)
    assert (own["may_decide"], "neither wrote" in own["reason_en"], bool(own["reason_fa"])) == (False, True, True)
    assert await decide(client, ONE, own) == 403
    assert [each["may_decide"] for each in await waiting(client, OWNER)] == [True]
    assert (await client.get(f"/cafes/{CAFE}/approvals", headers=by(HELPER))).status_code == 403
    assert await decide(client, HELPER, own) == 403


async def test_two_approvals_at_once_post_once(client: httpx2.AsyncClient, guest: UUID) -> None:
    await give(client, ONE, guest, 5_000)
    [large] = await waiting(client, TWO)
    answers = await asyncio.gather(decide(client, TWO, large), decide(client, OWNER, large))
    assert answers == [200, 200]
    assert await balance(client, guest) == 5_100


async def test_approval_and_refusal_at_once_leave_one_of_both(client: httpx2.AsyncClient, guest: UUID) -> None:
    await give(client, ONE, guest, 5_000)
    [large] = await waiting(client, TWO)
    answers = await asyncio.gather(decide(client, TWO, large), decide(client, OWNER, large, approve=False))
    assert sorted(answers) == [200, 409]
    assert await balance(client, guest) == (5_100 if answers[0] == 200 else 100)


async def test_one_person_cafe_works(client: httpx2.AsyncClient, guest: UUID, pool: Pool) -> None:
    await work_here(pool, {ONE: None, TWO: None}, version=2)
    assert (await give(client, OWNER, guest, 50_000)).status_code == 201
    rules = await client.post(f"/cafes/{CAFE}/programs", json={"rules": RULES}, headers=by(OWNER))
    assert (rules.status_code, rules.json()["version"]) == (201, 2)


@pytest.mark.parametrize("alone", [True, False])
async def test_always_means_everything(client: httpx2.AsyncClient, guest: UUID, pool: Pool, alone: bool) -> None:
    await set_policy(pool, when="always")
    if alone:
        await work_here(pool, {ONE: None, TWO: None}, version=2)
    assert (await give(client, OWNER, guest, 1)).status_code == 202
    [small] = await waiting(client, OWNER)
    assert await decide(client, OWNER, small) == 403


async def test_above_means_the_limit_also_for_one(client: httpx2.AsyncClient, guest: UUID, pool: Pool) -> None:
    await set_policy(pool, when="above", points=300)
    await work_here(pool, {ONE: None, TWO: None}, version=2)
    assert (await give(client, OWNER, guest, 300)).status_code == 201
    assert (await give(client, OWNER, guest, 1)).status_code == 202


async def test_who_is_removed_decides_nothing_and_who_stays_decides_theirs(
    client: httpx2.AsyncClient, guest: UUID, pool: Pool
) -> None:
    await give(client, ONE, guest, 5_000)
    await give(client, TWO, guest, 6_000)
    first, second = await waiting(client, OWNER)
    await work_here(pool, {TWO: None, OWNER: "staff"}, version=2)
    assert await decide(client, TWO, first) == 404
    # Of those who could approve only the author of the first is left: that of somebody who is gone, and their own.
    assert await decide(client, ONE, second) == 200
    assert await decide(client, ONE, first) == 200
    assert await balance(client, guest) == 11_100
    alone = await pool.fetchrow("SELECT state::text, decided_by FROM adjustments WHERE points = 5000")
    assert tuple(alone or ()) == ("posted", None)


# --- points given back


async def spend(client: httpx2.AsyncClient, guest: UUID, points: int) -> str:
    body = {"redemption_id": str(uuid4()), "points": points, "customer_id": str(guest)}
    assert (await client.post(f"/cafes/{CAFE}/redemptions", json=body, headers=by(HELPER))).status_code == 201
    return body["redemption_id"]  # type: ignore[return-value]


async def test_points_given_back_are_points_given(client: httpx2.AsyncClient, guest: UUID, pool: Pool) -> None:
    """A friend spends, the manager gives it back, the friend spends again."""
    await books.take_in(pool, recorded(2, 2_000_000, guest=guest))
    spent = [await spend(client, guest, 600) for _ in range(3)]
    reversals = [
        await client.post(f"/cafes/{CAFE}/redemptions/{each}/reversal", headers=by(ONE)) for each in (*spent, *spent)
    ]
    assert [answer.status_code for answer in reversals] == [200, 202, 202, 200, 202, 202]
    assert [answer.json()["state"] for answer in reversals[:3]] == ["reversed", "completed", "completed"]
    assert (await give(client, ONE, guest, 401)).status_code == 202
    kept = await waiting(client, TWO)
    assert [each["kind"] for each in kept] == ["reversal", "reversal", "adjustment"]
    before = await balance(client, guest)
    assert await decide(client, TWO, kept[0]) == 200
    assert await decide(client, TWO, kept[1], approve=False) == 200
    assert await balance(client, guest) == before + 600
    asked = f"/cafes/{CAFE}/redemptions/{spent[2]}/reversal"
    assert (await client.post(asked, headers=by(ONE))).status_code == 409
    await books.ending(pool, guest)


# --- rules


async def publish(client: httpx2.AsyncClient, who: UUID, **rules: Any) -> httpx2.Response:
    return await client.post(f"/cafes/{CAFE}/programs", json={"rules": RULES | rules}, headers=by(who))


async def test_a_point_per_toman_needs_a_second_person(
    client: httpx2.AsyncClient, guest: UUID, pool: Pool, clock: Clock
) -> None:
    proposed = await publish(client, ONE)
    assert (proposed.status_code, proposed.json()["state"]) == (202, "pending")
    clock.moment += timedelta(minutes=1)
    await books.take_in(pool, recorded(2, 50_000, clock.moment, guest=guest))
    assert await balance(client, guest) == 150
    [rules] = await waiting(client, ONE)
    assert (rules["kind"], rules["what"]["rules"]["earn_per_toman"], rules["may_decide"]) == ("program", 1, False)
    assert await decide(client, ONE, rules) == 403
    answers = await asyncio.gather(decide(client, TWO, rules), decide(client, OWNER, rules))
    assert answers == [200, 200]
    versions = (await client.get(f"/cafes/{CAFE}/programs", headers=by(ONE))).json()
    assert [(each["version"], each["created_by"]) for each in versions][1:] == [(2, str(ONE))]


async def test_declined_rules_are_never_in_force(client: httpx2.AsyncClient) -> None:
    await publish(client, ONE)
    [rules] = await waiting(client, TWO)
    assert await decide(client, TWO, rules, approve=False) == 200
    assert await decide(client, OWNER, rules) == 409
    assert len((await client.get(f"/cafes/{CAFE}/programs", headers=by(ONE))).json()) == 1


async def test_rules_written_before_others_were_published_are_written_anew(
    client: httpx2.AsyncClient, clock: Clock
) -> None:
    for _ in range(2):
        await publish(client, ONE)
        clock.moment += timedelta(minutes=1)
    first, second = await waiting(client, TWO)
    assert await decide(client, TWO, second) == 200
    clock.moment += timedelta(minutes=1)
    assert await decide(client, TWO, first) == 409


@pytest.mark.parametrize("limit", [999, 1_001, 1_000_000_000])
async def test_limit_of_the_rules_is_the_owners(client: httpx2.AsyncClient, limit: int) -> None:
    refused = await publish(client, ONE, approval_above=limit)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (403, "rules.approval_above")
    assert (await publish(client, ONE, approval_above=1_000)).status_code == 202
    assert (await publish(client, OWNER, approval_above=limit)).status_code == 202


async def test_limit_of_the_rules_only_narrows_that_of_the_policy(
    client: httpx2.AsyncClient, guest: UUID, pool: Pool, clock: Clock
) -> None:
    await set_policy(pool, points=500)
    for limit, most in ((10**9, 500), (200, 200)):
        clock.moment += timedelta(minutes=1)
        await publish(client, OWNER, approval_above=limit)
        [rules] = await waiting(client, TWO)
        assert await decide(client, TWO, rules) == 200
        someone = uuid4()
        await work_here(pool, {someone: "manager"})
        assert (await give(client, someone, guest, most + 1)).status_code == 202
        assert (await give(client, someone, guest, most)).status_code == 201
        await pool.execute("UPDATE adjustments SET state = 'declined' WHERE state = 'pending'")


async def test_rules_without_a_limit_keep_the_one_before(client: httpx2.AsyncClient, pool: Pool, clock: Clock) -> None:
    await work_here(pool, {ONE: None, TWO: None}, version=2)
    clock.moment += timedelta(minutes=1)
    assert (await publish(client, OWNER, approval_above=70)).status_code == 201
    clock.moment += timedelta(minutes=1)
    kept = await publish(client, OWNER)
    assert kept.json()["rules"]["approval_above"] == 70

"""A forgotten password: who may make a code for a new one, and what it does."""

from datetime import timedelta
from uuid import UUID

import httpx2
import pytest

from services.identity.handlers import resets
from services.identity.rules import access as rules
from shared import clock
from shared.settings import Settings
from tests.identity.given import PASSWORD, Person, a_cafe, a_person, client, joins, running
from tests.support import Databases

NEW = "violet teapot marches"
CAFE, OTHER = UUID(int=1), UUID(int=2)


@pytest.mark.parametrize(
    ("actor", "person", "may"),
    [
        ({CAFE: "owner"}, {CAFE: "manager"}, True),
        ({CAFE: "owner"}, {CAFE: "owner"}, False),
        ({CAFE: "manager"}, {CAFE: "staff"}, True),
        ({CAFE: "manager"}, {CAFE: "manager"}, False),
        ({CAFE: "staff"}, {CAFE: "staff"}, False),
        ({CAFE: "owner"}, {CAFE: "staff", OTHER: "staff"}, False),
        ({CAFE: "owner", OTHER: "staff"}, {CAFE: "staff", OTHER: "staff"}, False),
        ({CAFE: "owner", OTHER: "manager"}, {CAFE: "manager", OTHER: "staff"}, True),
        ({CAFE: "owner"}, {}, False),
    ],
)
def test_only_who_ranks_above_in_all_cafes_of_a_person_may_reset(actor, person, may: bool) -> None:
    assert rules.may_reset(actor, person) is may


async def make_reset(http: httpx2.AsyncClient, cafe: UUID, user_id: UUID) -> httpx2.Response:
    return await http.post(f"/cafes/{cafe}/members/{user_id}/password-reset")


async def use_reset(http: httpx2.AsyncClient, made: httpx2.Response, password: str = NEW) -> httpx2.Response:
    return await http.post("/password-resets/use", json={"code": made.json()["code"], "new_password": password})


async def test_member_chooses_a_new_password_once_and_is_signed_out(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    sara = await a_person(pool, "sara@example.com", cafe, "staff")
    async with running(config) as app, client(app, owner) as http, client(app, sara) as hers:
        made = await make_reset(http, cafe, sara.user_id)
        assert made.status_code == 201, made.text
        assert (await hers.get("/cafes")).status_code == 200
        guessable = await use_reset(http, made, "sara@example.com")
        assert (guessable.status_code, guessable.json()["errors"][0]["field"]) == (422, "new_password")
        assert (await use_reset(http, made)).status_code == 204
        assert (await use_reset(http, made)).status_code == 404
        assert (await hers.get("/cafes")).status_code == 401
        old = await http.post("/sessions", json={"login": sara.login, "password": PASSWORD})
        new = await http.post("/sessions", json={"login": sara.login, "password": NEW})
    assert (old.status_code, new.status_code) == (401, 201)


async def test_account_that_opens_another_cafe_is_not_reset(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe, other_cafe = await a_cafe(pool), await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    other = await a_person(pool, "other@example.com", other_cafe, "owner")
    second = await a_person(pool, "second@example.com", cafe, "owner")
    sara = await a_person(pool, "sara@example.com", cafe, "staff")
    async with running(config) as app, client(app, owner) as http, client(app, other) as elsewhere:
        before = await make_reset(http, cafe, sara.user_id)
        await joins(elsewhere, other_cafe, sara.login, "staff", new=NEW)
        # Also the code that was made while it opened one cafe only.
        assert (await use_reset(http, before)).status_code == 404
        refused = [
            await make_reset(http, cafe, sara.user_id),
            await make_reset(elsewhere, other_cafe, sara.user_id),
            await make_reset(http, cafe, second.user_id),
        ]
        assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(403, "reset_not_yours")] * 3


async def test_code_of_who_lost_their_say_is_over(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    manager = await a_person(pool, "manager@example.com", cafe, "manager")
    sara = await a_person(pool, "sara@example.com", cafe, "staff")
    async with running(config) as app, client(app, owner) as http, client(app, manager) as other:
        made = await make_reset(other, cafe, sara.user_id)
        assert made.status_code == 201
        await http.delete(f"/cafes/{cafe}/members/{manager.user_id}")
        assert (await use_reset(other, made)).status_code == 404


async def test_code_ends_with_its_time_and_with_a_newer_one(
    config: Settings, database: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    sara: Person = await a_person(pool, "sara@example.com", cafe, "staff")
    async with running(config) as app, client(app, owner) as http:
        first, second = await make_reset(http, cafe, sara.user_id), await make_reset(http, cafe, sara.user_id)
        assert (await use_reset(http, first)).status_code == 404
        later = clock.now() + rules.RESET_LIFETIME + timedelta(minutes=1)
        monkeypatch.setattr(resets, "now", lambda: later)
        assert (await use_reset(http, second)).status_code == 404

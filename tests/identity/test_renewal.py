"""Staying signed in, signing out, and sessions that end by themselves. Two processes of the service always agree."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest
from pydantic import SecretStr

from services.identity.handlers import sessions
from services.identity.rules import sessions as rules
from shared import clock
from shared.database import db
from shared.events.identity import SessionsEnded
from shared.settings import Settings
from tests.identity.given import PASSWORD, Person, a_cafe, a_person, client, emitted, running
from tests.support import Databases


@dataclass
class House:
    """A person with an account, and clients of two processes of the service that nobody is signed in on."""

    pool: db.Pool
    cafe: UUID
    sara: Person
    http: httpx2.AsyncClient
    other: httpx2.AsyncClient

    async def signs_in(self, **more: Any) -> dict[str, Any]:
        answer = await self.http.post("/sessions", json={"login": self.sara.login, "password": PASSWORD} | more)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def renews(self, session: dict[str, Any]) -> httpx2.Response:
        return await self.other.post("/sessions/renew", json={"refresh_token": session["refresh_token"]})

    async def asks(self, session: dict[str, Any], method: str = "GET", path: str = "/cafes") -> httpx2.Response:
        headers = {"Authorization": f"Bearer {session['access_token']}"}
        return await self.other.request(method, path, headers=headers)

    async def ended(self) -> list[SessionsEnded]:
        return [event for event in await emitted(self.pool) if isinstance(event, SessionsEnded)]


@pytest.fixture
async def house(config: Settings, database: Databases) -> AsyncIterator[House]:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    sara = await a_person(pool, "sara@example.com", cafe, "staff")
    async with running(config) as one, running(config) as two, client(one) as http, client(two) as other:
        yield House(pool, cafe, sara, http, other)


def later(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    moment = clock.now() + by
    monkeypatch.setattr(sessions, "now", lambda: moment)


async def test_session_is_renewed_and_each_refresh_token_holds_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await house.signs_in()
    second = (await house.renews(first)).json()
    third = (await house.renews(second)).json()
    assert {each["session_id"] for each in (first, second, third)} == {first["session_id"]}
    assert len({each["refresh_token"] for each in (first, second, third)}) == 3
    assert (await house.asks(third)).status_code == 200
    # The first one comes again: whoever has it is not who renewed since.
    copied = await house.renews(first)
    assert (copied.status_code, copied.json()["code"]) == (401, "session_ended")
    assert (await house.renews(third)).status_code == 401
    assert (await house.asks(third)).status_code == 401
    [event] = await house.ended()
    assert (event.cafe_id, event.user_id, str(event.session_id)) == (
        house.cafe,
        house.sara.user_id,
        first["session_id"],
    )


async def test_lost_answer_is_given_again_for_a_moment(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await house.signs_in()
    lost, again = await asyncio.gather(house.renews(first), house.renews(first))
    assert lost.json()["refresh_token"] == again.json()["refresh_token"]
    assert (await house.renews(again.json())).status_code == 201
    session = await house.signs_in()
    await house.renews(session)
    later(monkeypatch, rules.LOST_ANSWER_GRACE + timedelta(seconds=1))
    assert (await house.renews(session)).status_code == 401


@pytest.mark.parametrize(
    "token", ["r1.x.0.mark-of-something", "r1.00000000000000000000000000000000.0.mark", "nothing of the kind at all"]
)
async def test_what_was_never_a_refresh_token_is_refused_and_ends_nothing(house: House, token: str) -> None:
    session = await house.signs_in()
    forged = ".".join([*session["refresh_token"].split(".")[:3], "a-mark-that-somebody-made-up"])
    for each in (token, forged, session["refresh_token"].replace(".0.", ".7.")):
        answer = await house.renews({"refresh_token": each})
        assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")
    assert (await house.renews(session)).status_code == 201


async def test_signing_out_ends_this_session_and_no_other(house: House) -> None:
    tablet, phone = await house.signs_in(), await house.signs_in()
    assert (await house.asks(tablet, "DELETE", "/sessions/current")).status_code == 204
    assert [(await house.asks(tablet)).status_code, (await house.renews(tablet)).status_code] == [401, 401]
    assert [(await house.asks(phone)).status_code, (await house.renews(phone)).status_code] == [200, 201]


async def test_person_sees_their_devices_and_ends_one_from_another(house: House) -> None:
    agent = "Mozilla/5.0 (Linux; Android 14; SM-X200) AppleWebKit/537.36 Chrome/131.0 Safari/537.36"
    house.http.headers["User-Agent"] = agent
    tablet = await house.signs_in()
    phone = await house.signs_in(device_name="گوشی سارا")
    listed = (await house.asks(phone, path="/sessions")).json()
    assert [(each["device_name"], each["address"], each["is_current"]) for each in listed] == [
        ("گوشی سارا", "127.0.0.0", True),
        ("Chrome, Android", "127.0.0.0", False),
    ]
    assert (await house.asks(phone, "DELETE", f"/sessions/{tablet['session_id']}")).status_code == 204
    assert (await house.asks(phone, "DELETE", f"/sessions/{tablet['session_id']}")).status_code == 404
    assert (await house.asks(tablet)).status_code == 401
    assert len((await house.asks(phone, path="/sessions")).json()) == 1


async def test_person_is_told_who_they_are_and_where_they_work(house: House) -> None:
    session = await house.signs_in()
    me = (await house.asks(session, path="/me")).json()
    assert (me["user_id"], me["login"], me["session_id"]) == (
        str(house.sara.user_id),
        "s•••@example.com",
        session["session_id"],
    )
    assert [(cafe["cafe_id"], cafe["role"]) for cafe in me["cafes"]] == [(str(house.cafe), "staff")]


async def test_nobody_ends_the_session_of_somebody_else(house: House) -> None:
    reza = await a_person(house.pool, "reza@example.com", house.cafe, "owner")
    hers = await house.signs_in()
    his = (await house.http.post("/sessions", json={"login": reza.login, "password": PASSWORD})).json()
    assert (await house.asks(his, "DELETE", f"/sessions/{hers['session_id']}")).status_code == 404
    assert (await house.asks(hers)).status_code == 200


async def test_signing_out_everywhere_ends_all(house: House) -> None:
    tablet, phone = await house.signs_in(), await house.signs_in()
    assert (await house.asks(phone, "DELETE", "/sessions")).status_code == 204
    for session in (tablet, phone):
        assert [(await house.asks(session)).status_code, (await house.renews(session)).status_code] == [401, 401]
    assert (await house.asks(await house.signs_in())).status_code == 200
    [event] = await house.ended()
    assert (event.sessions_from, event.session_id) == (1, None)


async def test_new_password_ends_all_other_sessions(house: House) -> None:
    tablet, phone = await house.signs_in(), await house.signs_in()
    headers = {"Authorization": f"Bearer {phone['access_token']}"}
    body = {"old_password": PASSWORD, "new_password": "violet teapot marches"}
    assert (await house.http.put("/me/password", json=body, headers=headers)).status_code == 204
    assert [(await house.asks(tablet)).status_code, (await house.renews(tablet)).status_code] == [401, 401]
    assert (await house.asks(phone)).status_code == 401
    assert (await house.asks((await house.renews(phone)).json())).status_code == 200


async def test_many_sessions_ended_one_by_one_end_older_tokens_of_all(house: House) -> None:
    kept = await house.signs_in()
    for _ in range(rules.ENDED_ONE_BY_ONE + 1):
        await house.asks(await house.signs_in(), "DELETE", "/sessions/current")
    assert (await house.asks(kept)).status_code == 401
    assert (await house.asks((await house.renews(kept)).json())).status_code == 200
    assert (await house.ended())[-1].session_id is None


async def test_oldest_session_ends_when_there_are_too_many(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "SESSIONS_PER_PERSON", 2)
    first, second = await house.signs_in(), await house.signs_in()
    await house.renews(first)
    third = await house.signs_in()
    assert (await house.renews(second)).status_code == 401
    assert {each["session_id"] for each in (await house.asks(third, path="/sessions")).json()} == {
        first["session_id"],
        third["session_id"],
    }


async def test_session_ends_by_itself_when_nobody_renews_it_and_when_it_is_old(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = await house.signs_in()
    used = await house.signs_in()
    for days in range(6, 30, 6):
        later(monkeypatch, timedelta(days=days))
        answer = await house.renews(used)
        assert answer.status_code == 201
        used = answer.json()
    assert used["refresh_expires_in"] <= timedelta(days=6).total_seconds()
    assert (await house.renews(idle)).status_code == 401
    later(monkeypatch, rules.SESSION_LIFETIME + timedelta(minutes=1))
    assert (await house.renews(used)).status_code == 401


async def test_password_replaced_while_somebody_signs_in_wins(house: House) -> None:
    from services.identity.handlers import attempts, passwords
    from services.identity.models.accounts import SignInDevice
    from shared.errors import Rejected
    from tests.identity.given import KEYS

    device = SignInDevice("", "198.51.100.7")
    async with db.transaction(house.pool) as conn:
        attempt = await attempts.begin(conn, KEYS, [house.sara.login], device)
    await house.pool.execute("UPDATE users SET password_hash = $1", passwords._passwords.hash("violet teapot marches"))
    with pytest.raises(Rejected):
        async with db.transaction(house.pool) as conn:
            await sessions.begin_session(conn, KEYS, "https://issuer", attempt, device)


async def test_token_from_before_there_were_sessions_holds_until_all_are_ended(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    present = rules.token_claims
    with monkeypatch.context() as patch:
        patch.setattr(
            rules,
            "token_claims",
            lambda *given: {name: claim for name, claim in present(*given).items() if name not in ("sid", "gen")},
        )
        old = await house.signs_in()
    other = await house.signs_in()
    assert (await house.asks(old)).status_code == 200
    assert (await house.asks(old, "DELETE", "/sessions/current")).status_code == 204
    assert [(await house.asks(old)).status_code, (await house.asks(other)).status_code] == [401, 401]


def test_no_model_shows_a_secret_in_its_representation() -> None:
    from services.identity.models import accounts, http

    secret = "a-secret-that-nobody-must-read"
    seen = set()
    for module in (accounts, http):
        for name, model in vars(module).items():
            fields = getattr(model, "model_fields", {})
            for field, info in fields.items():
                if any(word in field for word in ("token", "code", "password", "link", "api_key")) and info.annotation:
                    if name in ("Branch", "CreateBranch") or field == "token_type":
                        continue
                    value = SecretStr(secret) if "SecretStr" in str(info.annotation) else secret
                    assert secret not in repr(model.model_construct(**{field: value})), f"{name}.{field}"
                    seen.add(f"{name}.{field}")
    assert {"Session.refresh_token", "NewInvitation.code", "SignIn.password", "NewApiKey.api_key"} <= seen

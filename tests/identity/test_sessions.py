"""Signing in: the token works everywhere, wrong passwords slow down, keys rotate without signing anybody out."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.identity import worker
from services.identity.handlers import attempts, sessions, signing
from services.identity.models.accounts import SignInDevice
from services.identity.rules import sessions as rules
from shared import clock
from shared.database import db
from shared.security import auth
from shared.settings import Settings
from tests.identity.given import KEYS, PASSWORD, a_cafe, a_person, client, running
from tests.support import Databases


def sign_in(login: str, password: str = PASSWORD) -> dict[str, Any]:
    return {"url": "/sessions", "json": {"login": login, "password": password}}


async def test_token_holds_against_the_published_keys(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    person = await a_person(pool, "sara@example.com", await a_cafe(pool), "staff")
    async with running(config) as app, client(app) as http:
        answer = await http.post(**sign_in("SARA@example.com "))
        assert answer.status_code == 201
        session = answer.json()
        assert session["expires_in"] == 15 * 60

        async def fetch() -> Any:
            return (await http.get(auth.JWKS_PATH)).json()

        published = await fetch()
        found = await auth.verify_staff(session["access_token"], auth.PublicKeys(fetch), config.identity_url)
    assert found == auth.Staff(person.user_id, 0, UUID(session["session_id"]))
    assert [set(key) & {"d", "key_ops"} for key in published["keys"]] == [set()]
    assert await pool.fetchval("SELECT last_login_at > now() - interval '1 minute' FROM users")


async def test_phone_signs_in_in_any_spelling(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    await a_person(pool, "+989123456789", await a_cafe(pool), "staff")
    async with running(config) as app, client(app) as http:
        for spelling in ("09123456789", "۰۹۱۲ ۳۴۵ ۶۷۸۹", "+98 912 345 6789"):
            assert (await http.post(**sign_in(spelling))).status_code == 201


async def test_wrong_password_and_unknown_login_are_answered_alike(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    await a_person(pool, "sara@example.com", await a_cafe(pool), "staff")
    async with running(config) as app, client(app) as http:
        answers = {}
        for login in ("sara@example.com", "nobody@example.com"):
            tries = [await http.post(**sign_in(login, f"wrong password {number}")) for number in range(7)]
            answers[login] = [(answer.status_code, answer.json()["code"]) for answer in tries]
        assert answers["sara@example.com"] == answers["nobody@example.com"]
        assert answers["sara@example.com"] == [(401, "wrong_login")] * 5 + [(429, "too_many_attempts")] * 2
        # Also the right password has to wait.
        assert (await http.post(**sign_in("sara@example.com"))).status_code == 429
    # Each login from one address, and each from all.
    assert await pool.fetchval("SELECT count(*) FROM login_attempts") == 4


async def test_right_password_after_the_pause_clears_the_counter(
    config: Settings, database: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = await database("identity")
    await a_person(pool, "sara@example.com", await a_cafe(pool), "staff")
    async with running(config) as app, client(app) as http:
        for number in range(5):
            await http.post(**sign_in("sara@example.com", f"wrong password {number}"))
        later = clock.now() + timedelta(seconds=16)
        monkeypatch.setattr(attempts, "now", lambda: later)
        assert (await http.post(**sign_in("sara@example.com"))).status_code == 201
    assert await pool.fetchval("SELECT count(*) FROM login_attempts") == 0


async def test_password_changes_only_with_the_old_one(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    person = await a_person(pool, "sara@example.com", await a_cafe(pool), "staff")
    fresh = "another long passphrase"
    async with running(config) as app, client(app, person) as http:
        wrong = {"old_password": "not the old one", "new_password": fresh}
        assert (await http.put("/me/password", json=wrong)).status_code == 401
        weak = {"old_password": PASSWORD, "new_password": "short"}
        refused = await http.put("/me/password", json=weak)
        assert refused.status_code == 422
        assert PASSWORD not in refused.text
        right = {"old_password": PASSWORD, "new_password": fresh}
        assert (await http.put("/me/password", json=right)).status_code == 204
        assert (await http.post(**sign_in("sara@example.com"))).status_code == 401
        assert (await http.post(**sign_in("sara@example.com", fresh))).status_code == 201


async def test_stolen_token_is_no_way_to_guess_the_password(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    person = await a_person(pool, "sara@example.com", await a_cafe(pool), "staff")
    async with running(config) as app, client(app, person) as http:
        body = {"old_password": "a wrong guess", "new_password": "another long passphrase"}
        statuses = [(await http.put("/me/password", json=body)).status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]


async def test_signing_key_rotates_and_old_tokens_stay_good(
    config: Settings, database: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = await database("identity")
    person = await a_person(pool, "sara@example.com", await a_cafe(pool), "staff")
    async with running(config) as app, client(app, person) as http:
        old = await published(pool)
        later = clock.now() + rules.SIGNING_KEY_LIFETIME
        monkeypatch.setattr(signing, "now", lambda: later)
        assert await worker.tidy_sessions(pool) == 0
        both = await published(pool)
        assert len(both) == 2
        assert both[1] == old[0]
        assert (await http.get("/cafes")).status_code == 200
        gone = later + rules.KEYS_PUBLISHED_FOR + timedelta(seconds=1)
        monkeypatch.setattr(signing, "now", lambda: gone)
        monkeypatch.setattr(sessions, "now", lambda: gone)
        # The key, and the session that nobody used for so long.
        assert await worker.tidy_sessions(pool) == 1
        assert await published(pool) == both[:1]


async def published(pool: db.Pool) -> list[str]:
    async with db.transaction(pool) as conn:
        return [key["kid"] for key in (await signing.published_keys(conn, KEYS))["keys"]]


async def test_attempts_are_forgotten_after_a_day(database: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = await database("identity")
    async with db.transaction(pool) as conn:
        await attempts.begin(conn, KEYS, ["nobody@example.com"], SignInDevice("", "198.51.100.7"))
    assert await worker.tidy_sessions(pool) == 0
    later = clock.now() + timedelta(hours=25)
    monkeypatch.setattr(sessions, "now", lambda: later)
    assert await worker.tidy_sessions(pool) == 2
    assert await pool.fetchval("SELECT count(*) FROM login_attempts") == 0


async def test_no_login_or_password_is_readable_in_the_database(database: Databases) -> None:
    pool = await database("identity")
    await a_person(pool, "+989123456789", await a_cafe(pool), "staff")
    rows = [
        str(tuple(row))
        for name in ("users", "user_logins", "login_attempts", "sessions")
        for row in await pool.fetch(f"SELECT * FROM {name}")
    ]
    assert not any("9123456789" in row or PASSWORD in row for row in rows)
    assert await pool.fetchval("SELECT password_hash LIKE '$argon2id$%' FROM users")

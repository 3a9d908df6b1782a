"""What the tests of identity begin with: cafes with their people, and a client that speaks as one of them."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

import httpx2
from fastapi import FastAPI
from pydantic import SecretStr

from services.identity.api.app import make_app
from services.identity.handlers import cafes, invitations, passwords, people
from services.identity.models.http import CreateCafe
from shared.database import db
from shared.events.identity import Role
from shared.security.crypto import Keys
from shared.settings import Settings
from tests.support import SECRET

KEYS = Keys.from_secret(SECRET)
PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Person:
    """Somebody with an account."""

    user_id: UUID
    login: str


async def a_cafe(pool: db.Pool, name: str = "کافه نادری") -> UUID:
    """A new cafe with the defaults."""
    async with db.transaction(pool) as conn:
        return (await cafes.create_cafe(conn, CreateCafe(name=name))).cafe_id


async def a_person(pool: db.Pool, login: str, cafe_id: UUID, role: Role) -> Person:
    """Somebody who works in the cafe, with PASSWORD."""
    async with db.transaction(pool) as conn:
        user_id = await invitations.make_account(conn, KEYS, login, await hashed_password())
        assert user_id
        await people.admit(conn, cafe_id, user_id, role, display_name=login)
    return Person(user_id, login)


@lru_cache(maxsize=1)
def _hashes() -> dict[str, str]:
    return {}


async def hashed_password() -> str:
    """The hash of PASSWORD; made once, for it takes its time."""
    if PASSWORD not in _hashes():
        _hashes()[PASSWORD] = await passwords.hash_password(SecretStr(PASSWORD))
    return _hashes()[PASSWORD]


async def joins(
    http: httpx2.AsyncClient, cafe_id: UUID, login: str, role: Role, password: str = PASSWORD, new: str | None = None
) -> UUID:
    """Somebody whom the client's person invites, and who accepts; with a new password when there is an account."""
    body = {"login": login, "role": role, "display_name": "Somebody"}
    invited = await http.post(f"/cafes/{cafe_id}/invitations", json=body)
    assert invited.status_code == 201, invited.text
    answer = {"code": invited.json()["code"], "password": password, "new_password": new}
    accepted = await http.post("/invitations/accept", json=answer)
    assert accepted.status_code == 201, accepted.text
    return UUID(accepted.json()["user_id"])


@contextlib.asynccontextmanager
async def running(config: Settings) -> AsyncIterator[FastAPI]:
    """The service's application, started."""
    app = make_app(config)
    async with app.router.lifespan_context(app):
        yield app


@contextlib.asynccontextmanager
async def client(app: FastAPI, person: Person | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application, signed in as that person when one is given."""
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://identity") as http:
        if person:
            answer = await http.post("/sessions", json={"login": person.login, "password": PASSWORD})
            assert answer.status_code == 201, answer.text
            http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield http


async def emitted(pool: db.Pool) -> list[Any]:
    """The events in the outbox, oldest first."""
    from shared.events.registry import decode

    rows = await pool.fetch("SELECT type, payload FROM crm.outbox ORDER BY id")
    return [decode(row["type"], row["payload"]) for row in rows]

"""What the tests of identity begin with: cafes with their people, and a client that speaks as one of them."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx2
from fastapi import FastAPI

from services.identity import api
from services.identity.handlers import cafes, people, sessions
from services.identity.models import CreateCafe
from shared import db
from shared.crypto import Keys
from shared.events.identity import Role
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
    hashed = await sessions.hash_password(PASSWORD)
    async with db.transaction(pool) as conn:
        user_id = await people.add_user(conn, KEYS, login, hashed)
        await people.grant_access(conn, cafe_id, user_id, role, display_name=login)
    return Person(user_id, login)


@contextlib.asynccontextmanager
async def running(config: Settings) -> AsyncIterator[FastAPI]:
    """The service's application, started."""
    app = api.make_app(config)
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

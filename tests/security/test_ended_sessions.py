"""A token that was ended is refused by every service, on every route for people, as soon as the word has arrived."""

import importlib
import json
import re
import warnings
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI

from shared.clock import new_id, now
from shared.database import db
from shared.events.identity import AccessGranted, AccessRevoked, SessionsEnded
from shared.security import access
from shared.security.auth import Staff
from shared.services import WITH_DATABASE
from shared.settings import Settings
from shared.web.dependencies import current_staff
from tests.support import Databases

CAFE, SARA, TABLET, PHONE = (UUID(int=number) for number in range(1, 5))
OTHERS = [service for service in WITH_DATABASE if service != "identity"]


def granted(version: int = 1, **more: Any) -> AccessGranted:
    return AccessGranted(cafe_id=CAFE, occurred_at=now(), version=version, user_id=SARA, role="owner", **more)


def ended(sessions_from: int = 0, session_id: UUID | None = None) -> SessionsEnded:
    return SessionsEnded(
        cafe_id=CAFE, occurred_at=now(), user_id=SARA, sessions_from=sessions_from, session_id=session_id
    )


async def hears(pool: db.Pool, *events: Any) -> None:
    for event in events:
        async with db.transaction(pool) as conn:
            await access.REACTIONS[type(event)](conn, [event])


async def status_of(pool: db.Pool, generation: int, session_id: UUID | None) -> int:
    """What `require_role` answers to a token of that generation and session."""
    from shared.errors import Rejected

    try:
        async with db.staff_transaction(pool, SARA, generation, session_id) as conn:
            await access.require_role(conn, CAFE, SARA)
    except Rejected as error:
        return error.status
    return 200


async def test_tokens_of_an_earlier_generation_and_of_one_session_are_refused(database: Databases) -> None:
    pool = await database("visit")
    await hears(pool, granted())
    assert [await status_of(pool, 0, None), await status_of(pool, 0, TABLET)] == [200, 200]
    await hears(pool, ended(session_id=TABLET))
    assert [await status_of(pool, 0, TABLET), await status_of(pool, 0, PHONE), await status_of(pool, 0, None)] == [
        401,
        200,
        200,
    ]
    await hears(pool, ended(1), ended(1))
    assert [await status_of(pool, generation, PHONE) for generation in (0, 1, 2)] == [401, 200, 200]
    assert await status_of(pool, 1, TABLET) == 401


async def test_word_of_an_end_counts_in_whatever_order_it_arrives(database: Databases) -> None:
    pool = await database("loyalty")
    await hears(pool, ended(2), ended(session_id=TABLET), ended(1), granted(version=1))
    assert [await status_of(pool, 1, PHONE), await status_of(pool, 2, PHONE), await status_of(pool, 2, TABLET)] == [
        401,
        200,
        401,
    ]
    revoked = AccessRevoked(cafe_id=CAFE, occurred_at=now(), version=2, user_id=SARA)
    await hears(pool, revoked)
    assert await status_of(pool, 2, PHONE) == 404
    await hears(pool, granted(version=3, sessions_from=3, ended_sessions=[PHONE]))
    assert [await status_of(pool, 2, None), await status_of(pool, 3, None), await status_of(pool, 3, PHONE)] == [
        401,
        200,
        401,
    ]


async def test_only_the_last_ended_sessions_are_remembered(database: Databases) -> None:
    pool = await database("visit")
    many = [new_id() for _ in range(40)]
    await hears(pool, granted(), *(ended(session_id=session_id) for session_id in many))
    kept = await pool.fetchval("SELECT ended_sessions FROM user_cafe_access")
    assert set(kept) == set(many[-32:])


@pytest.mark.parametrize("service", OTHERS)
async def test_every_route_for_people_refuses_an_ended_token(
    service: str, config: Settings, database: Databases
) -> None:
    pool = await database(service)
    await hears(pool, granted(), ended(1))
    app: FastAPI = importlib.import_module(f"services.{service}.api.app").make_app()
    app.dependency_overrides[current_staff] = lambda: Staff(SARA, 0, TABLET)
    asked = 0
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://service") as http:
            for method, path, body in routes_for_people(document_of(app)):
                answer = await http.request(method, path, json=body)
                # A body that is not right is told first; it says nothing about the token.
                allowed = (401,) if body is None else (401, 422)
                assert answer.status_code in allowed, f"{method} {path}: {answer.status_code} {answer.text}"
                asked += answer.status_code == 401
    assert asked >= 4, f"{service}: only {asked} routes could be asked"


def document_of(app: FastAPI) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return app.openapi()


def routes_for_people(document: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Method, address and a plausible body of each route that takes the token of a person."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if any("HTTPBearer" in scheme for scheme in operation.get("security", ())):
                address = path.replace("{cafe_id}", str(CAFE))
                for parameter in operation.get("parameters", ()):
                    if parameter["in"] == "path" and parameter["name"] != "cafe_id":
                        value = str(new_id()) if "uuid" in json.dumps(parameter["schema"]) else "1"
                        if not re.search(parameter["schema"].get("pattern", ""), value):
                            value = "1" * parameter["schema"]["maxLength"]
                        address = address.replace(f"{{{parameter['name']}}}", value)
                # Routes that can't do without a question ask about a day.
                asked = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
                needed = {each["name"] for each in operation.get("parameters", ()) if each.get("required")}
                address += "?" + "&".join(f"{name}=2026-03-21" for name in asked if name in needed)
                yield method.upper(), address, {} if "requestBody" in operation else None

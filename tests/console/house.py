"""The console as an application, without the six APIs behind it: they are all away, or answer as a test says."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx2
from fastapi import FastAPI
from fastapi.routing import APIRoute

from services.console.api import wall
from services.console.api.app import make_app
from services.console.models.people import CafeOfPerson, SignedIn
from services.console.models.session import SealedSession
from services.console.store.upstream import Away, Upstream
from shared.settings import Settings

CAFE = UUID("00000000-0000-4000-8000-000000000001")
SECRET = "a-secret-that-only-tests-of-the-console-know"
BASE = "http://console.example"
FROM_HERE = {"sec-fetch-site": "same-origin"}


def settings(**more: Any) -> Settings:
    """A console with TLS before it, as in an installation."""
    return Settings(secret=SECRET, **more)


def session(**more: Any) -> SealedSession:
    """Somebody who signed in just now."""
    now = time.time()
    kept = {"access_token": "t", "access_until": now + 900, "refresh_token": "r", "refresh_until": now + 9000}
    return SealedSession(**({**kept, "user_id": uuid4(), "csrf": "a-token-of-this-session"} | more))


def membership(role: str = "owner", cafe_id: UUID = CAFE, language: str = "fa") -> CafeOfPerson:
    """Somebody's cafe."""
    return CafeOfPerson(cafe_id, "کافه", "Asia/Tehran", "jalali", "IRT", language, "22:00", "09:00", True, 1, role)  # type: ignore[arg-type]


class Told(Upstream):
    """APIs that answer what a test put in `answers`, by path; for any other they are away. An event
    there holds the answer up, which is the caller then. `asked` is what they got."""

    def __init__(self, config: Settings, caller: SignedIn) -> None:
        super().__init__(config)
        self.asked: list[tuple[str, str, str, Any]] = []
        self.caller = caller
        self.answers: dict[str, Any] = {"/me": caller}

    async def _call(self, _: Any, service: str, method: str, path: str, __: Any, **more: Any) -> Any:
        self.asked.append((service, method, path, more))
        found = self.answers.get(path, Away(service))
        if isinstance(found, asyncio.Event):
            await found.wait()
            found = self.caller
        if isinstance(found, Exception):
            raise found
        return found


@asynccontextmanager
async def console(
    role: str = "owner", language: str = "fa", **more: Any
) -> AsyncIterator[tuple[httpx2.AsyncClient, Told, FastAPI]]:
    """A running console, a browser that is signed in, and the APIs."""
    app = make_app(settings(**more))
    async with app.router.lifespan_context(app):
        mine = session()
        told = Told(
            app.state.settings, SignedIn(mine.user_id, "o•••r@example.com", (membership(role, language=language),))
        )
        await app.state.upstream.close()
        app.state.upstream = told
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=BASE, headers=FROM_HERE) as client:
            name = wall.cookie_name(app.state.settings)
            client.headers["cookie"] = f"{name}={wall.sealed(app.state.settings.keys, mine)}"
            yield client, told, app


def routes(app: FastAPI) -> list[APIRoute]:
    """Every route of the pages."""
    routers = [app.router, *(each.original_router for each in app.routes if hasattr(each, "original_router"))]
    found: list[APIRoute] = []
    while routers:
        router = routers.pop()
        found += [each for each in router.routes if isinstance(each, APIRoute)]
        routers += [each.original_router for each in router.routes if hasattr(each, "original_router")]
    return found

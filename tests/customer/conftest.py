"""An API over a cafe whose manager asks."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from shared.clock import now
from shared.database.db import Pool
from shared.security.auth import Staff
from shared.web.dependencies import current_staff


@pytest.fixture
async def pool(database: Any) -> Pool:
    # What reads the settings when it is imported can't be imported before they are set.
    from tests.customer.given import CAFE, OTHER_CAFE, cafe, staff

    opened: Pool = await database("customer")
    await cafe(opened, CAFE, OTHER_CAFE, now=now())
    await staff(opened)
    return opened


@pytest.fixture
async def app(pool: Pool) -> AsyncIterator[FastAPI]:
    from services.customer.api.app import make_app
    from tests.customer.given import STAFF

    app = make_app()
    app.dependency_overrides[current_staff] = lambda: Staff(STAFF)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://crm.test") as client:
        yield client

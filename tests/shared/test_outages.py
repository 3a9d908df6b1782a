"""What a caller is told when something breaks: an outage asks for patience, our own fault has a number."""

from typing import Any

import asyncpg
import httpx2
import pytest
from fastapi import APIRouter

from shared.http import make_api
from shared.settings import Settings


async def answer_to(error: Exception, config: Settings) -> httpx2.Response:
    router = APIRouter()

    @router.get("/broken")
    async def broken() -> None:
        raise error

    transport = httpx2.ASGITransport(app=make_api("visit", router, config=config), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://api") as client:
        return await client.get("/broken")


OUTAGES: list[Any] = [
    OSError("no route"),
    TimeoutError(),
    asyncpg.DiskFullError("could not extend file: no space left on device"),
    asyncpg.PostgresIOError("could not read block"),
    asyncpg.CannotConnectNowError("the database system is starting up"),
    asyncpg.CrashShutdownError("terminating connection"),
    asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
    asyncpg.TooManyConnectionsError("sorry, too many clients already"),
    asyncpg.DeadlockDetectedError("deadlock detected"),
    asyncpg.LockNotAvailableError("canceling statement due to lock timeout"),
    asyncpg.InternalClientError("got result for unknown protocol state"),
    asyncpg.InterfaceError("connection is closed"),
]


@pytest.mark.parametrize("error", OUTAGES, ids=lambda error: type(error).__name__)
async def test_outage_is_answered_with_try_again(error: Exception, config: Settings) -> None:
    answer = await answer_to(error, config)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "unavailable"


@pytest.mark.parametrize(
    "error",
    [ValueError("secret words"), asyncpg.UniqueViolationError("secret words"),
     asyncpg.exceptions._base.DataError("invalid input: secret words")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
async def test_fault_of_ours_is_no_outage_and_says_nothing_of_the_data(error: Exception, config: Settings) -> None:
    answer = await answer_to(error, config)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret words" not in answer.text

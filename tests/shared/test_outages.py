"""An outage asks callers for patience, our own fault has a number, and what must end ends also in the middle of one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import asyncpg
import httpx2
import pytest
from fastapi import APIRouter

from shared.jobs.periodic import Job, Jobs
from shared.messaging.consumer import Consumer, Reactions
from shared.messaging.relay import Relay
from shared.settings import Settings
from shared.web.http import make_api


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


class GoneInTheMiddle:
    """Work that waits for ever and, told to end, fails to tidy up: its connection is gone."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def __call__(self, *_: Any) -> int:
        try:
            self.begun.set()
            await asyncio.Event().wait()
        finally:
            raise asyncpg.InterfaceError("cannot call Transaction.rollback(): the underlying connection is closed")


async def assert_ends(task: "asyncio.Task[Any]", work: GoneInTheMiddle) -> None:
    async with asyncio.timeout(5):
        await work.begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_job_told_to_end_while_its_connection_goes_does_end(config: Settings) -> None:
    work = GoneInTheMiddle()
    jobs = Jobs("visit", config.dsn("visit"), ())
    await assert_ends(asyncio.create_task(jobs.repeat(Job("stuck", 0.01, work), cast(Any, object()))), work)


async def test_relay_told_to_end_while_its_connection_goes_does_end(
    config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = GoneInTheMiddle()
    monkeypatch.setattr(Relay, "_lead", work)
    relay = Relay("visit", config.dsn("visit"), config.kafka_servers, config.keys)
    await assert_ends(asyncio.create_task(relay.run()), work)


async def test_batch_told_to_end_while_its_connection_goes_does_end(
    config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.asynccontextmanager
    async def untouched(*_: Any, **__: Any) -> AsyncIterator[None]:
        yield

    monkeypatch.setattr("shared.messaging.positions.noting_transaction", untouched)
    work = GoneInTheMiddle()
    consumer = Consumer("visit", cast(Any, object()), Reactions({}), config.keys)
    await assert_ends(asyncio.create_task(consumer._when_database_is_there(work)), work)  # type: ignore[arg-type]

"""An API that is told to stop says so first, serves on, and ends without cutting anybody off."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from deploy.engines.engine import free_port
from tests.support import Databases

SLOW_API = """
import asyncio
from fastapi import APIRouter
from shared.web import http, serving

router = APIRouter()

@router.get("/slow")
async def slow() -> str:
    await asyncio.sleep(1.5)
    return "done"

serving.run(http.make_api("visit", router), "visit")
"""


@asynccontextmanager
async def api(drain_seconds: float) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx2.AsyncClient]]:
    """An API process that is ready, and a client of it."""
    port = free_port()
    environment = os.environ | {"CRM_PORT": str(port), "CRM_DRAIN_SECONDS": str(drain_seconds)}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SLOW_API, env=environment)
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as client:
            async with asyncio.timeout(60):
                while not await ready(client):
                    await asyncio.sleep(0.05)
            yield process, client
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ready(client: httpx2.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).is_success
    except httpx2.TransportError:
        return False


async def test_api_told_to_stop_is_not_ready_but_serves_until_it_is_drained(database: Databases) -> None:
    await database.create("visit")
    async with api(drain_seconds=1.0) as (process, client):
        under_way = asyncio.create_task(client.get("/slow"))
        await asyncio.sleep(0)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            while await ready(client):
                await asyncio.sleep(0.01)
        late = await client.get("/healthz")
        assert (late.status_code, late.headers["connection"]) == (200, "close")
        last = asyncio.create_task(client.get("/slow"))
        assert [(await each).json() for each in (under_way, last)] == ["done", "done"]
        async with asyncio.timeout(10):
            assert await process.wait() in (0, -signal.SIGTERM)
    with pytest.raises(httpx2.TransportError):
        httpx2.get(f"{client.base_url}/healthz")


async def test_second_signal_ends_the_draining(database: Databases) -> None:
    await database.create("visit")
    async with api(drain_seconds=60) as (process, client):
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            while await ready(client):
                await asyncio.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() in (0, -signal.SIGTERM)

"""What a connection may cost before anybody knows whose it is, on a running API."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from deploy.engines.engine import free_port
from shared.web import serving
from tests.support import Databases

API = """
import sys
from fastapi import APIRouter
from pydantic import BaseModel
from shared.web import http, serving

class Said(BaseModel):
    words: str

router = APIRouter()

@router.post("/said")
async def said(body: Said) -> int:
    return len(body.words)

serving.HEAD_SECONDS, serving.BODY_SECONDS = float(sys.argv[1]), float(sys.argv[1])
serving.run(http.make_api("feedback", router, for_outside=("/said",)), "feedback")
"""


@asynccontextmanager
async def api(seconds: float = 10) -> AsyncIterator[tuple[int, int, int]]:
    """An API process: its port, its guests' port, and its process id. `seconds` is what heads and bodies may take."""
    port, window = free_port(), free_port()
    environment = os.environ | {"CRM_PORT": str(port), "CRM_GUESTS_PORT": str(window), "CRM_DRAIN_SECONDS": "0"}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", API, str(seconds), env=environment)
    try:
        async with httpx2.AsyncClient(trust_env=False) as client, asyncio.timeout(60):
            while not await ready(client, port):
                await asyncio.sleep(0.05)
        yield port, window, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


async def ready(client: httpx2.AsyncClient, port: int) -> bool:
    try:
        return (await client.get(f"http://127.0.0.1:{port}/readyz")).is_success
    except httpx2.TransportError:
        return False


async def said(port: int, *pieces: bytes) -> bytes:
    """All that the API answers to these bytes until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        pass
    try:
        async with asyncio.timeout(30):
            return await reader.read()
    except ConnectionError:
        return b"reset"
    finally:
        writer.close()


def resident_mib(pid: int) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) // 1024


@pytest.fixture
async def feedback(database: Databases) -> None:
    await database.create("feedback")


@pytest.mark.usefixtures("feedback")
async def test_unfinished_heads_and_endless_trailers_are_cut_and_memory_stays() -> None:
    async with api() as (port, _, pid):
        before = resident_mib(pid)
        ten_mib = [b"x" * 65536] * 160
        heads = [said(port, b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ", *ten_mib) for _ in range(200)]
        many = [said(port, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * 200 + b"\r\n")]
        path = [said(port, b"GET /", *ten_mib)]
        trailers = [
            said(port, b"POST /said HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: ", *ten_mib)
        ]
        answers = await asyncio.gather(*heads, *many, *path, *trailers)
        grown = resident_mib(pid) - before
        assert all(
            answer == b"reset" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 503")) or not answer
            for answer in answers
        )
        assert answers[200].startswith(b"HTTP/1.1 431")
        assert b"problem+json" in answers[200]
        print(f"{before} MiB, {grown} MiB more with 200 unfinished heads of 10 MiB")
        assert grown < 80


@pytest.mark.usefixtures("feedback")
async def test_slow_heads_and_bodies_are_given_up() -> None:
    async with api(seconds=1) as (port, *_):
        head, body, silent, blank = await asyncio.gather(
            said(port, b"GET / HTTP/1.1\r\nHost: a\r\n"),
            said(port, b"POST /said HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"),
            said(port),
            said(port, b"\r\n\r\n"),
        )
        assert head.startswith(b"HTTP/1.1 408")
        assert silent.startswith(b"HTTP/1.1 408")
        assert blank.startswith(b"HTTP/1.1 408")
        assert b"200 OK" not in body


@pytest.mark.usefixtures("feedback")
async def test_usual_requests_are_served_one_after_the_other_chunked_or_not() -> None:
    async with api() as (port, *_), httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:

        async def pieces() -> AsyncIterator[bytes]:
            for byte in b'{"words": "' + b"x" * 5000 + b'"}':
                yield bytes([byte])

        headers = {"content-type": "application/json"}
        for _ in range(3):
            assert (await client.post("/said", json={"words": "x" * 100_000})).json() == 100_000
            assert (await client.post("/said", content=pieces(), headers=headers)).json() == 5000
        too_large = await client.post("/said", json={"words": "x" * 300_000})
        assert (too_large.status_code, too_large.json()["code"]) == (413, "too_large")


@pytest.mark.usefixtures("feedback")
async def test_guests_port_shows_guests_pages_and_nothing_else() -> None:
    async with api() as (port, window, _), httpx2.AsyncClient(trust_env=False) as client:
        for path, on_both in (("/said", True), ("/metrics", False), ("/docs", False), ("/openapi.json", False)):
            inside = await client.get(f"http://127.0.0.1:{port}{path}")
            outside = await client.get(f"http://127.0.0.1:{window}{path}", headers={"Host": f"127.0.0.1:{port}"})
            assert inside.status_code == (405 if on_both else 200)
            assert outside.status_code == (405 if on_both else 404), path
        for path in ("/said/", "/metrics/", "//evil.example/said/"):
            answer = await client.get(f"http://127.0.0.1:{port}{path}", headers={"Host": "evil.example"})
            assert answer.status_code == 404
            assert "location" not in answer.headers
            assert "evil" not in answer.text


def test_bounds_are_what_the_container_can_hold() -> None:
    assert serving.MOST_CONNECTIONS * serving.HEAD_BYTES <= 32 * 1024 * 1024

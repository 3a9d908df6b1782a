"""The live stream as a browser gets it: through the console, unharmed, and at no page's cost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
import uvicorn

from deploy.engines.engine import free_port
from services.console.api import visiting
from services.console.rules import live as rules
from services.console.store.upstream import SignedOut
from shared.web.serving import BoundedProtocol, Server
from tests.console.house import CAFE, Told, console
from tests.console.streams import SOON, House, Reader, running
from tests.shared.records import visit


@asynccontextmanager
async def browser(house: House | None) -> AsyncIterator[tuple[httpx2.AsyncClient, Told, Server]]:
    """Somebody who is signed in, on a console that serves on a port, beside a worker."""
    live_url = house.url if house else "http://127.0.0.1:1"
    async with console("owner", live_url=live_url) as (inside, told, app):
        if house:
            house.identity.hire("t", "owner", CAFE)
        port = free_port()
        settings = uvicorn.Config(app, port=port, log_config=None, lifespan="off", http=BoundedProtocol, ws="none")
        server = Server(settings, app.state)
        task = asyncio.create_task(server.serve())
        async with asyncio.timeout(30):
            while not server.started:
                await asyncio.sleep(0.01)
        headers = {"cookie": inside.headers["cookie"], "accept-encoding": "gzip, br, zstd", "hx-request": "true"}
        try:
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=SOON) as client:
                yield client, told, server
        finally:
            server.should_exit = True
            await asyncio.wait_for(task, 20)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with running() as found:
        yield found


async def until_empty(house: House) -> None:
    async with asyncio.timeout(SOON):
        while house.app.hub.count:
            await asyncio.sleep(0.01)


async def test_stream_comes_through_as_it_is_made_and_nothing_holds_it_up(house: House) -> None:
    address = f"/c/{CAFE}/live"
    async with browser(house) as (client, _, server):
        async with client.stream("GET", address) as answer:
            assert answer.headers["content-type"] == "text/event-stream"
            assert answer.headers["cache-control"] == "private, no-store"
            assert "content-encoding" not in answer.headers
            assert "unsafe" not in answer.headers["content-security-policy"]
            reader = Reader(answer)
            await reader.until(rules.OPEN)
            for _ in range(3):
                event = visit(cafe_id=CAFE)
                house.happens(event)
                assert (await reader.sign())["visit"] == str(event.visit_id)
            # While it is open it is no page under way.
            assert not server.state.underway
            assert house.app.hub.count == 1
        await until_empty(house)
        house.happens(event := visit(cafe_id=CAFE))
        async with client.stream("GET", address, headers={"last-event-id": reader.place}) as answer:
            assert (await Reader(answer).sign())["visit"] == str(event.visit_id)


async def test_streams_leave_room_for_pages(house: House) -> None:
    async with browser(house) as (client, _, _server):
        streams = [client.stream("GET", f"/c/{CAFE}/live") for _ in range(visiting.PAGES_AT_ONCE)]
        answers = [await each.__aenter__() for each in streams]
        assert {each.status_code for each in answers} == {200}
        assert (await client.get(f"/c/{CAFE}/desk")).status_code == 200
        assert (await client.get(f"/c/{CAFE}/live")).status_code == 429
        for each in streams:
            await each.__aexit__(None, None, None)
        await until_empty(house)


async def test_console_that_stops_waits_for_no_stream(house: House) -> None:
    async with browser(house) as (client, _, server), client.stream("GET", f"/c/{CAFE}/live") as answer:
        reader = Reader(answer)
        await reader.until(rules.OPEN)
        server.should_exit = True
        await reader.until("")
    await until_empty(house)


async def test_worker_that_ends_ends_the_stream_and_the_page_asks_again(house: House) -> None:
    async with browser(house) as (client, _, _server):
        async with client.stream("GET", f"/c/{CAFE}/live") as answer:
            reader = Reader(answer)
            await reader.until(rules.OPEN)
            house.app.hub.close()
            await reader.until("")
        assert (await client.get(f"/c/{CAFE}/live")).status_code == 503


async def test_no_worker_is_said_as_any_service_that_is_away() -> None:
    async with browser(None) as (client, _, _server):
        assert (await client.get(f"/c/{CAFE}/live")).status_code == 503
        assert (await client.get(f"/c/{CAFE}/desk")).status_code == 200


async def test_worker_has_the_last_word_about_who_may(house: House) -> None:
    async with browser(house) as (client, told, _server):
        house.identity.roles["t"] = {}
        assert (await client.get(f"/c/{CAFE}/live")).status_code == 404
        del house.identity.roles["t"]
        assert (await client.get(f"/c/{CAFE}/live")).headers["hx-redirect"] == "/in"
        told.answers["/me"] = SignedOut()
        assert (await client.get(f"/c/{CAFE}/live")).headers["hx-redirect"] == "/in"
    assert house.app.hub.count == 0


async def test_stream_of_another_cafe_is_not_there(house: House) -> None:
    async with browser(house) as (client, _, _server):
        assert (await client.get("/c/00000000-0000-4000-8000-000000000002/live")).status_code == 404
        assert (await client.get("/c/x/live")).status_code == 404
        del client.headers["cookie"]
        assert (await client.get(f"/c/{CAFE}/live")).headers["hx-redirect"].startswith("/in")
    assert house.identity.asked == 0

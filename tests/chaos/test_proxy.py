"""Each toxic does to a connection what its name says, and nothing once it is taken away."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator

import pytest

from tests.chaos.proxy import Proxy
from tests.chaos.toxics import Bandwidth, Direction, Latency, LimitData, ResetPeer, Slicer, SlowClose, Timeout

SOON = 5.0


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy before a server that sends back what it gets."""
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    spoiled = Proxy(server.sockets[0].getsockname()[1], dice=random.Random(1))
    await spoiled.enable()
    yield spoiled
    await spoiled.disable()
    server.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


class Client:
    """One connection through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, data: bytes, *, within: float = SOON) -> bytes:
        """Sends, and reads as much back as was sent or until the end."""
        self.writer.write(data)
        with contextlib.suppress(asyncio.IncompleteReadError):
            return await asyncio.wait_for(self.reader.readexactly(len(data)), within)
        return b""

    async def took(self, data: bytes) -> float:
        """Seconds until everything was back."""
        started = time.monotonic()
        assert await self.ask(data) == data
        return time.monotonic() - started


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[Client]:
    """A client whose connection works."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    connected = Client(reader, writer)
    assert await connected.ask(b"hello") == b"hello"
    yield connected
    writer.close()


async def test_everything_passes_unchanged_without_toxics(client: Client) -> None:
    data = random.Random(2).randbytes(3_000_000)
    sending = asyncio.create_task(client.ask(data))
    assert await sending == data


async def test_latency_delays_without_holding_up_what_follows(proxy: Proxy, client: Client) -> None:
    proxy.add("slow", Latency(200, jitter=20), "upstream")
    assert 0.18 <= await client.took(b"one") < 2
    started = time.monotonic()
    for _ in range(10):
        client.writer.write(b"x")
        await asyncio.sleep(0.01)
    assert await asyncio.wait_for(client.reader.readexactly(10), SOON) == b"x" * 10
    assert time.monotonic() - started < 1
    proxy.remove("slow")
    assert await client.took(b"two") < 0.18


async def test_bandwidth_lets_so_much_pass_in_a_second(proxy: Proxy, client: Client) -> None:
    proxy.add("narrow", Bandwidth(100))
    assert 0.4 <= await client.took(bytes(50 * 1024)) < 2


async def test_slow_close_tells_the_end_late(proxy: Proxy, client: Client) -> None:
    proxy.add("late", SlowClose(300))
    started = time.monotonic()
    client.writer.write_eof()
    assert await asyncio.wait_for(client.reader.read(), SOON) == b""
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize("direction", ["upstream", "downstream"])
async def test_timeout_without_end_leaves_the_connection_open_and_dead(
    proxy: Proxy, client: Client, direction: Direction
) -> None:
    proxy.add("dead", Timeout(), direction)
    with pytest.raises(TimeoutError):
        await client.ask(b"anybody?", within=0.2)
    proxy.remove("dead")
    assert await asyncio.wait_for(client.reader.read(), SOON) == b""  # what was lost can't be mended


async def test_timeout_ends_the_connection_after_its_time(proxy: Proxy, client: Client) -> None:
    proxy.add("dying", Timeout(200))
    started = time.monotonic()
    assert await client.ask(b"anybody?") == b""
    assert time.monotonic() - started >= 0.2


async def test_reset_peer_resets(proxy: Proxy, client: Client) -> None:
    proxy.add("reset", ResetPeer())
    with pytest.raises(ConnectionResetError):
        await client.ask(b"hello")


async def test_slicer_cuts_data_into_pieces(proxy: Proxy, client: Client) -> None:
    proxy.add("thin", Slicer(100, size_variation=10, delay=2000))
    data = random.Random(3).randbytes(1500)
    assert await client.took(data) >= 0.02
    client.writer.write(data)
    assert len(await asyncio.wait_for(client.reader.read(65536), SOON)) <= 330


async def test_limit_data_ends_the_connection_after_so_much(proxy: Proxy, client: Client) -> None:
    proxy.add("short", LimitData(len(b"hello") + 1000))
    client.writer.write(bytes(2000))
    assert await asyncio.wait_for(client.reader.read(), SOON) == bytes(1000)


async def test_toxic_works_on_its_own_direction_only(proxy: Proxy, client: Client) -> None:
    proxy.add("slow", Latency(150), "upstream")
    proxy.add("quick", Latency(0), "downstream")
    assert 0.15 <= await client.took(b"x") < 0.3


async def test_down_cuts_and_refuses_until_it_is_up_again(proxy: Proxy, client: Client) -> None:
    await proxy.disable()
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(client.reader.read(), SOON) == b""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", proxy.port)
    await proxy.enable()
    again = Client(*await asyncio.open_connection("127.0.0.1", proxy.port))
    assert await again.ask(b"hello") == b"hello"
    again.writer.close()


async def test_server_that_is_gone_ends_the_connection(proxy: Proxy) -> None:
    nowhere = Proxy(target=1)
    await nowhere.enable()
    reader, writer = await asyncio.open_connection("127.0.0.1", nowhere.port)
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), SOON) == b""
    writer.close()
    await nowhere.disable()

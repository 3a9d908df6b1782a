"""A TCP proxy that spoils connections on demand; what it can do is in `toxics`.

`proxy.add("slow", Latency(300), "downstream")` works at once on connections that are open, `remove("slow")` ends it;
`disable()` is Toxiproxy's "down": open connections are cut and new ones refused until `enable()`.
"""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TypeVar

from tests.chaos.toxics import (
    Bandwidth,
    Direction,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
    Toxic,
)

CHUNK = 64 * 1024
# Pieces that may be under way in one direction before the sender is no longer read from.
UNDER_WAY = 64
T = TypeVar("T")


@dataclass
class Proxy:
    """Passes what comes to `port` on to 127.0.0.1:`target`. `port` 0 takes a free one when it is enabled."""

    target: int
    port: int = 0
    dice: random.Random = field(default_factory=random.Random)
    toxics: dict[str, tuple[Toxic, Direction]] = field(default_factory=dict)
    links: set["Link"] = field(default_factory=set)
    server: asyncio.Server | None = None

    async def enable(self) -> None:
        """Takes connections."""
        if self.server is None:
            self.server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self.server.sockets[0].getsockname()[1]

    async def disable(self) -> None:
        """Refuses connections and cuts those that are open."""
        if self.server is not None:
            self.server.close()
            self.server = None
        for link in list(self.links):
            link.cut()
        await asyncio.gather(*(link.ended.wait() for link in list(self.links)))

    def add(self, name: str, toxic: Toxic, direction: Direction = "downstream") -> None:
        """Puts a toxic on one direction of every connection, under a name to remove it by."""
        self.toxics[name] = (toxic, direction)

    def remove(self, name: str) -> None:
        """Takes a toxic away. Connections from which a timeout has taken data end."""
        del self.toxics[name]
        for link in list(self.links):
            if link.lost_data and not self.of("upstream", Timeout) and not self.of("downstream", Timeout):
                link.cut()

    def clear(self) -> None:
        """Takes every toxic away."""
        for name in list(self.toxics):
            self.remove(name)

    def of(self, direction: Direction, kind: type[T]) -> T | None:
        """The toxic of this kind that works on a direction now."""
        return next((toxic for toxic, on in self.toxics.values() if on == direction and isinstance(toxic, kind)), None)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        link = Link(self, (reader, writer), upstream)
        self.links.add(link)
        try:
            await link.run()
        finally:
            self.links.discard(link)


@dataclass(eq=False)
class Link:
    """One client's connection and its other half to the server."""

    proxy: Proxy
    client: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    passed: dict[Direction, int] = field(default_factory=lambda: {"upstream": 0, "downstream": 0})
    lost_data: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    halves: list["asyncio.Task[None]"] = field(default_factory=list)

    async def run(self) -> None:
        """Passes data on in both directions until both ends are done or the link is cut."""
        ways: list[tuple[Direction, asyncio.StreamReader, asyncio.StreamWriter]] = [
            ("upstream", self.client[0], self.upstream[1]),
            ("downstream", self.upstream[0], self.client[1]),
        ]
        self.halves = [asyncio.create_task(self._pass_on(*way)) for way in ways]
        try:
            await asyncio.gather(*self.halves, return_exceptions=True)
        finally:
            self.cut()
            self.ended.set()

    def cut(self, *, reset: bool = False) -> None:
        """Ends both connections at once, with a reset instead of an end if asked to."""
        for half in self.halves:
            half.cancel()
        for _, writer in (self.client, self.upstream):
            if reset:
                raw: socket.socket = writer.get_extra_info("socket")
                with contextlib.suppress(OSError):  # the other side may have closed it meanwhile
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def close(self) -> None:
        """Ends both connections after what was written has arrived."""
        for _, writer in (self.client, self.upstream):
            writer.close()

    async def _pass_on(self, way: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(UNDER_WAY)
        taking = asyncio.create_task(self._take(way, reader, under_way))
        try:
            async for data in self._arriving(under_way):
                await self._give(way, writer, data)
            if slow := self.proxy.of(way, SlowClose):
                await asyncio.sleep(slow.delay / 1000)
            writer.write_eof()
        except OSError:
            self.cut()
        finally:
            taking.cancel()

    async def _take(
        self, way: Direction, reader: asyncio.StreamReader, under_way: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            try:
                data = await reader.read(CHUNK)
            except OSError:
                data = b""
            late = self.proxy.of(way, Latency)
            await under_way.put((clock() + (late.seconds(self.proxy.dice) if late else 0.0), data))
            if not data:
                return

    async def _arriving(self, under_way: asyncio.Queue[tuple[float, bytes]]) -> AsyncIterator[bytes]:
        clock = asyncio.get_running_loop().time
        while True:
            due, data = await under_way.get()
            if (wait := due - clock()) > 0:
                await asyncio.sleep(wait)
            if not data:
                return
            yield data

    async def _give(self, way: Direction, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Writes what the toxics of this moment leave of a piece of data."""
        proxy = self.proxy
        if dead := proxy.of(way, Timeout):
            self.lost_data = True
            if dead.timeout:
                await asyncio.sleep(dead.timeout / 1000)
                self.cut()
            return
        if reset := proxy.of(way, ResetPeer):
            await asyncio.sleep(reset.timeout / 1000)
            self.cut(reset=True)
            return
        limit, knife = proxy.of(way, LimitData), proxy.of(way, Slicer)
        if limit:
            data = data[: max(0, limit.bytes - self.passed[way])]
        for piece in knife.pieces(data, proxy.dice) if knife else [data]:
            if narrow := proxy.of(way, Bandwidth):
                await asyncio.sleep(len(piece) / (narrow.rate * 1024))
            writer.write(piece)
            await writer.drain()
            if knife:
                await asyncio.sleep(knife.delay / 1_000_000)
        self.passed[way] += len(data)
        if limit and self.passed[way] >= limit.bytes:
            self.close()

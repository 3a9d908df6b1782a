"""A bare HTTP client for measuring: a full client library would be the largest part of what it measures."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass
class Connection:
    """One kept-alive connection to a server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def post(self, head: bytes, body: bytes) -> int:
        """Sends a request and reads its answer; returns the status."""
        self.writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        answer = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(answer.partition("content-length:")[2].partition("\r\n")[0])
        await self.reader.readexactly(length)
        return int(answer.split(" ", 2)[1])


async def post_at_rate(
    url: str, headers: dict[str, str], bodies: Sequence[bytes], *, per_second: float, connections: int = 64
) -> list[float]:
    """Posts the bodies at a rate that does not wait for answers; returns how long each took, in seconds.

    A request's time begins when it is due, so that a server that stalls is not flattered.

    Raises:
        AssertionError: an answer is not 2xx.
    """
    parts = urlsplit(url)
    fields = {"host": parts.netloc, "content-type": "application/json"} | headers
    head = f"POST {parts.path} HTTP/1.1\r\n".encode()
    head += b"".join(f"{name}: {value}\r\n".encode() for name, value in fields.items())
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(Connection(*await asyncio.open_connection(parts.hostname, parts.port)))
    took: list[float] = []

    async def one(due: float, body: bytes) -> None:
        connection = await free.get()
        status = await connection.post(head, body)
        assert 200 <= status < 300, status
        took.append(time.monotonic() - due)
        free.put_nowait(connection)

    started, tasks = time.monotonic(), []
    for number, body in enumerate(bodies):
        due = started + number / per_second
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        tasks.append(asyncio.create_task(one(due, body)))
    await asyncio.gather(*tasks)
    while not free.empty():
        free.get_nowait().writer.close()
    return took

"""The live stream, passed through: the console's worker makes it, and asks by itself who may have it."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from services.console.api.visiting import Here, upstream
from services.console.store import live
from services.console.store.upstream import Followed

router = APIRouter(prefix="/c/{cafe_id}", include_in_schema=False)


@router.get("/live")
async def follow(request: Request, here: Here) -> Response:
    """That something happened in the cafe, as it happens: ids, kinds and moments."""
    place = request.headers.get("last-event-id")
    stream = await live.follow(upstream(request), here.access, here.cafe.cafe_id, place)
    return Passing(stream, request.app.state.ends)


class Passing(StreamingResponse):
    """An answer that lasts until the browser leaves, the stream ends, or this process stops."""

    def __init__(self, stream: Followed, ends: asyncio.Event) -> None:
        self.stream = stream
        super().__init__(_until(ends, stream.read()), headers={"x-accel-buffering": "no"})
        # Not by `media_type`, to which a charset would be added.
        self.headers["content-type"] = "text/event-stream"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self.stream.close()


async def _until(ends: asyncio.Event, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    ending = asyncio.create_task(ends.wait())
    try:
        while not ends.is_set():
            coming = asyncio.ensure_future(anext(parts, b""))
            try:
                await asyncio.wait((coming, ending), return_when=asyncio.FIRST_COMPLETED)
                part = coming.result() if coming.done() else b""
            finally:
                coming.cancel()
            if not part:
                return
            yield part
    finally:
        ending.cancel()

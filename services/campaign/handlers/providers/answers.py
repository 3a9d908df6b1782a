"""Reading what a provider answers: never more than so much, whatever it sends."""

import zlib
from typing import Final

import httpx2

# gzip and zlib, told apart by their first bytes.
_EITHER: Final = 47


class TooMuch(Exception):
    """More than anybody has to say."""


async def read_answer(client: httpx2.AsyncClient, request: httpx2.Request, most: int) -> tuple[int, bytes]:
    """The status and the body of at most `most` bytes, unpacked.

    Raises `TooMuch`, `zlib.error`, and what the client raises. The caller bounds the time.
    """
    answer = await client.send(request, stream=True)
    try:
        unpacker = (
            zlib.decompressobj(_EITHER) if answer.headers.get("content-encoding") in ("gzip", "deflate") else None
        )
        body = bytearray()
        async for chunk in answer.aiter_raw():
            room = most + 1 - len(body)
            body += chunk[:room] if unpacker is None else unpacker.decompress(chunk, room)
            if len(body) > most:
                raise TooMuch
        return answer.status_code, bytes(body)
    finally:
        await answer.aclose()

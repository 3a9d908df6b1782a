"""Calls to providers over HTTP: bounded in time, and never more is read than so much, whatever is sent."""

import ssl
import zlib
from functools import lru_cache
from typing import Final

import httpx2

TIMEOUT: Final = httpx2.Timeout(20.0, connect=5.0)
# All of a call: one that answers drop by drop never times out otherwise.
CALL_SECONDS: Final = 22.0


@lru_cache(maxsize=1)
def _trusted() -> ssl.SSLContext:
    # Reading the trusted roots costs more than a call; they are read once.
    return httpx2.create_ssl_context()


def open_client() -> httpx2.AsyncClient:
    """A client for one run of a job. It never follows a redirect: the key is in the path."""
    return httpx2.AsyncClient(timeout=TIMEOUT, follow_redirects=False, verify=_trusted(), trust_env=False)


# gzip and zlib, told apart by their first bytes.
_EITHER: Final = 47


class TooMuch(Exception):
    """More than anybody has to say."""


async def read_answer(client: httpx2.AsyncClient, request: httpx2.Request, limit: int) -> tuple[int, bytes]:
    """The status and the body of at most `limit` bytes, unpacked.

    Raises `TooMuch`, `zlib.error`, and what the client raises. The caller bounds the time.
    """
    answer = await client.send(request, stream=True)
    try:
        unpacker = (
            zlib.decompressobj(_EITHER) if answer.headers.get("content-encoding") in ("gzip", "deflate") else None
        )
        body = bytearray()
        async for chunk in answer.aiter_raw():
            room = limit + 1 - len(body)
            body += chunk[:room] if unpacker is None else unpacker.decompress(chunk, room)
            if len(body) > limit:
                raise TooMuch
        return answer.status_code, bytes(body)
    finally:
        await answer.aclose()

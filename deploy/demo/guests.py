"""The demo's guests: some of those who get a message open its link and rate their visit."""

import asyncio
import contextlib
import re
import zlib

import httpx2

LINK = re.compile(r"https?://\S+/f/[A-Za-z0-9_-]{22}")
EVERY_SECONDS = 1.0
COMMENTS = {5: "عالی بود، ممنون", 4: "خوب بود", 3: "معمولی بود", 2: "سرد بود و دیر رسید", 1: "راضی نبودم"}


def rating_of(link: str) -> int | None:
    """What this guest will answer: nothing in two of five cases, mostly good otherwise, the same on every run."""
    return (None, None, 5, 5, 4, 4, 5, 3, 2, None)[zlib.crc32(link[-22:].encode()) % 10]


async def rate_what_they_get(simulator_url: str) -> None:
    """Reads the phones at the SMS simulator once a second and answers new links, until cancelled."""
    seen: set[str] = set()
    async with httpx2.AsyncClient(timeout=10, base_url=simulator_url, follow_redirects=True) as client:
        while True:
            with contextlib.suppress(httpx2.HTTPError):
                texts = (await client.get("/control/messages")).raise_for_status().text
                for link in sorted(set(LINK.findall(texts)) - seen):
                    seen.add(link)
                    await _answer(client, link)
            await asyncio.sleep(EVERY_SECONDS)


async def _answer(client: httpx2.AsyncClient, link: str) -> None:
    rating = rating_of(link)
    if rating is not None:
        form = {"overall_rating": str(rating), "comment": COMMENTS[rating]}
        (await client.post(link, data=form)).raise_for_status()

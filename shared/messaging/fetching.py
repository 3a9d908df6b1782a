"""Pauses partitions whose events can wait, so that these gather at the broker; the others are taken as they come."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

# The least time between the beginnings of batches that are not full (the first after a pause begins at once). Batches
# that begin sooner are small, and cost as much as others.
PACE_SECONDS = 0.025


@dataclass
class Deferring:
    """Takes events of the topics `at_once` as they come, and lets the others gather at the broker.

    For `seconds` after some of the others were taken, the client does not ask for more of them. While a batch is worked
    on, it asks for nothing: it would be given the first record that comes and ask for no other until that one is taken,
    so that what came next would wait for a batch that it is not in. While batches are full, nothing is put off.
    """

    at_once: frozenset[str]
    seconds: float
    put_off: bool = False
    until: float = 0.0
    earliest_next: float = 0.0

    async def before_poll(self, client: Any) -> None:
        """Resumes partitions: those of `at_once`, and all when the others have gathered long enough."""
        if (wait := self.earliest_next - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        if time.monotonic() >= self.until:
            self.put_off = False
        client.resume(*(each for each in client.assignment() if not self.put_off or each.topic in self.at_once))

    def after_poll(self, client: Any, topics: set[str], *, full: bool) -> None:
        """Asks for nothing until the next poll, unless this batch is full; begins to put off what can wait if there was
        some of it among the `topics`."""
        if full:
            return
        now = time.monotonic()
        if topics:
            self.earliest_next = now + PACE_SECONDS
        if not self.put_off and not topics <= self.at_once:
            self.put_off, self.until = True, now + self.seconds
        client.pause(*client.assignment())

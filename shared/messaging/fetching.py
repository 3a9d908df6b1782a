"""When a worker takes the records that are there: the fetch policy of its service, and how its client is held to it."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Literal

# How long, or until how many bytes, records gather at the broker where nobody waits for them. A batch costs 5 to 15 ms
# of processor time however small it is, and points wait while others spend it on small batches.
GATHER_SECONDS = 0.3
GATHER_BYTES = 256 * 1024
# Batches that are not full begin at least this far apart (the first after a pause begins at once). Sooner ones would be
# smaller, and cost as much.
PACE_SECONDS = 0.025
# A client has one request under way at a broker. For partitions without new records the broker answers after this long,
# and only then can the client ask for more of a partition that it has emptied.
ANSWER_WITHIN_MS = 100


@dataclass(frozen=True)
class FetchPolicy:
    """When the records of a service are taken; made by `immediate` or `gather`.

    Immediate: as they come. If `topics` are named, only theirs are; all others gather for `seconds`, and batches that
    are not full begin at least `pace_seconds` apart. Gather: all records gather for `seconds`, or until there are
    `least_bytes` of them.
    """

    kind: Literal["immediate", "gather"]
    topics: frozenset[str] = frozenset()
    seconds: float = GATHER_SECONDS
    least_bytes: int = 1
    pace_seconds: float = PACE_SECONDS

    @property
    def answer_within_ms(self) -> int:
        """How long the broker may wait for more records before it answers a fetch."""
        return round(self.seconds * 1000) if self.kind == "gather" else ANSWER_WITHIN_MS


def immediate(*topics: str, others_seconds: float = GATHER_SECONDS, pace_seconds: float = PACE_SECONDS) -> FetchPolicy:
    """Takes the records of these topics as they come and lets those of the others gather for `others_seconds`; without
    topics, takes all as they come. `pace_seconds`: see `FetchPolicy`."""
    return FetchPolicy("immediate", frozenset(topics), seconds=others_seconds, pace_seconds=pace_seconds)


def gather(*, seconds: float = GATHER_SECONDS, least_bytes: int = GATHER_BYTES) -> FetchPolicy:
    """Lets all records gather for `seconds`, or until there are `least_bytes` of them."""
    return FetchPolicy("gather", seconds=seconds, least_bytes=least_bytes)


IMMEDIATE = immediate()


@dataclass
class Fetching:
    """Holds one client to its policy, where the broker can't: it pauses partitions whose records are to gather while
    those of others are taken.

    For `policy.seconds` after some of these were taken, the client does not fetch more of them. While a batch is worked
    on, it fetches nothing: otherwise it would get the first record that comes, and no other until that one is taken, so
    that the next ones would miss the batch. While batches are full, everything is fetched.
    """

    policy: FetchPolicy
    topic_prefix: str = ""
    gathering: bool = False
    until: float = 0.0
    earliest_next: float = 0.0

    def __post_init__(self) -> None:
        self.at_once = {self.topic_prefix + topic for topic in self.policy.topics}

    async def before_poll(self, client: Any) -> None:
        """Resumes partitions: those taken immediately, and all when the others have gathered long enough."""
        if not self.at_once:
            return
        if (wait := self.earliest_next - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        if time.monotonic() >= self.until:
            self.gathering = False
        client.resume(*(each for each in client.assignment() if not self.gathering or each.topic in self.at_once))

    def after_poll(self, client: Any, topics: set[str], *, full: bool) -> None:
        """Asks for nothing until the next poll, unless this batch is full; lets the others gather from now on if there
        was a record of theirs among the `topics` of this batch."""
        if full or not self.at_once:
            return
        now = time.monotonic()
        if topics:
            self.earliest_next = now + self.policy.pace_seconds
        if not self.gathering and not topics <= self.at_once:
            self.gathering, self.until = True, now + self.policy.seconds
        client.pause(*client.assignment())

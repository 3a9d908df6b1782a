"""Events that can wait gather at the broker while those that somebody waits for are taken as they come."""

import time
from dataclasses import dataclass
from typing import Any

from aiokafka.structs import TopicPartition


@dataclass
class Deferring:
    """Takes events of the topics `at_once` as they come, and lets the others gather at the broker.

    For `seconds` after some of the others were taken, the client does not ask for more of them. While batches are full,
    nothing is put off.
    """

    at_once: frozenset[str]
    seconds: float
    put_off: bool = False
    until: float = 0.0

    def before_poll(self, client: Any) -> None:
        """Asks for everything again when it is time."""
        if self.put_off and time.monotonic() >= self.until:
            client.resume(*self._others(client))
            self.put_off = False

    def after_poll(self, client: Any, topics: set[str], *, full: bool) -> None:
        """Begins to put off what can wait, if there was some of it among the `topics` of a batch that is not full."""
        if not full and not self.put_off and not topics <= self.at_once:
            client.pause(*self._others(client))
            self.put_off, self.until = True, time.monotonic() + self.seconds

    def _others(self, client: Any) -> list[TopicPartition]:
        return [partition for partition in client.assignment() if partition.topic not in self.at_once]

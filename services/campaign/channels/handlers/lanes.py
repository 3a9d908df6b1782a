"""Calls to providers that are under way.

They are bounded for each cafe, for the installation's account and in all, so that a slow provider holds up only its own
messages.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from shared.process import telemetry
from shared.process.discreet import bare, where

# Stands for the installation's account, by which cafes without one of their own send.
INSTALLATION: Final = UUID(int=0)
# How many calls write their results at once: that takes connections of the pool, which events need as well.
WRITERS: Final = 3


@dataclass
class Lanes:
    """The calls of one job. `stirred` is set when one ends: there is room again, and events may have been written."""

    in_all: int
    of_cafe: int
    of_installation: int
    # How many of all calls may go to accounts whose last call failed.
    probing: int
    stirred: asyncio.Event = field(default_factory=asyncio.Event)
    writers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(WRITERS))
    under_way: dict[asyncio.Task[None], tuple[UUID, UUID, bool]] = field(default_factory=dict)
    _ended: int = 0

    def full_cafes(self) -> set[UUID]:
        """Cafes that have as many calls under way as one may have."""
        calls = Counter(cafe_id for cafe_id, _, _ in self.under_way.values())
        return {cafe_id for cafe_id, count in calls.items() if count >= self.of_cafe}

    def room(self) -> "Room":
        """What may be begun now."""
        calls = self.under_way.values()
        return Room(
            in_all=self.in_all - len(calls),
            of_installation=self.of_installation - sum(account == INSTALLATION for _, account, _ in calls),
            probing=self.probing - sum(probe for _, _, probe in calls),
        )

    def start(self, cafe_id: UUID, account: UUID, call: Coroutine[Any, Any, None], *, probe: bool = False) -> None:
        """Lets a call run by itself."""
        task = asyncio.create_task(call)
        self.under_way[task] = (cafe_id, account, probe)
        task.add_done_callback(self._end)

    def take_ended(self) -> int:
        """How many calls have ended since this was asked last."""
        ended, self._ended = self._ended, 0
        return ended

    def _end(self, task: asyncio.Task[None]) -> None:
        cafe_id, _, _ = self.under_way.pop(task)
        self._ended += 1
        self.stirred.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # What was under way is asked about later.
            telemetry.logger().error("call.failed", cafe_id=str(cafe_id), error=where(error), exc_info=bare(error))


@dataclass
class Room:
    """How many calls may still be begun: in all, by the installation's account, and to accounts that failed."""

    in_all: int
    of_installation: int
    probing: int

    def take(self, account: UUID, *, probe: bool) -> bool:
        """Takes a place; False when there is none."""
        if self.in_all <= 0 or (account == INSTALLATION and self.of_installation <= 0) or (probe and self.probing <= 0):
            return False
        self.in_all -= 1
        self.of_installation -= account == INSTALLATION
        self.probing -= probe
        return True

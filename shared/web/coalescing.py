"""Joins requests that come at the same time into one round of work."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from shared.database.db import is_outage

K = TypeVar("K", bound=Hashable)
A = TypeVar("A")
R = TypeVar("R")


class Gathering(Generic[K, A, R]):
    """Requests that come while a round runs make the next round. A request that comes alone is worked on at once.

    Rounds of one key follow each other, those of different keys run beside each other.
    """

    def __init__(
        self,
        work: Callable[[K, Sequence[A]], Awaitable[Sequence[R]]],
        *,
        most: int = 200,
        pace_seconds: float = 0.0,
    ) -> None:
        """`work(key, asked)` answers all requests of a round, in their order, all or nothing. A round has at most
        `most`.

        Rounds of one key begin at least `pace_seconds` apart. Two may begin at once: one that is full when the round
        before it ends, and the first after a pause of that length.
        """
        self._work = work
        self._most = most
        self._pace_seconds = pace_seconds
        self._waiting: dict[K, list[tuple[A, asyncio.Future[R]]]] = {}
        self._rounds: set[asyncio.Task[None]] = set()

    async def ask(self, key: K, asked: A) -> R:
        """The answer of the round that `asked` was in.

        Raises what `work` raised. When a round fails, each request of it is tried alone: so the error is this request's
        own, unless the database was away.
        """
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        if key in self._waiting:
            self._waiting[key].append((asked, answer))
        else:
            self._waiting[key] = [(asked, answer)]
            task = asyncio.create_task(self._work_off(key))
            self._rounds.add(task)
            task.add_done_callback(self._rounds.discard)
        return await answer

    async def _work_off(self, key: K) -> None:
        try:
            while waiting := self._waiting[key]:
                earliest_next = time.monotonic() + self._pace_seconds
                self._waiting[key] = waiting[self._most :]
                await self._round(key, waiting[: self._most])
                if len(self._waiting[key]) < self._most:
                    await asyncio.sleep(max(0.0, earliest_next - time.monotonic()))
        finally:
            for _, answer in self._waiting.pop(key):
                answer.cancel()

    async def _round(self, key: K, waiting: Sequence[tuple[A, asyncio.Future[R]]]) -> None:
        try:
            answers = await self._work(key, [asked for asked, _ in waiting])
        except Exception as error:
            if len(waiting) > 1 and not is_outage(error):
                for each in waiting:
                    await self._round(key, [each])
                return
            for _, answer in waiting:
                if not answer.done():
                    answer.set_exception(error)
        else:
            for (_, answer), found in zip(waiting, answers, strict=True):
                if not answer.done():
                    answer.set_result(found)

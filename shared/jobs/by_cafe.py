"""Periodic work for many cafes at once that fails in one cafe and goes on in the others.

A chunk holds what is due of any cafes, so that a thousand small cafes cost what one large one does. Only when a chunk
fails it is halved by cafes until the cafe at fault stands alone. That one is put aside for a pause that grows with each
failure, while the others go on.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from shared.database.db import Connection, Pool, heed_cancellation, is_outage, transaction
from shared.process import telemetry
from shared.process.discreet import bare, where

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 3600.0


def _first_field(item: Any) -> UUID:
    cafe_id: UUID = item[0]
    return cafe_id


@dataclass
class ByCafe:
    """One job's work. It lives as long as the process: after a restart each cafe gets a new chance at once."""

    service: str
    job: str
    _failures: dict[UUID, int] = field(default_factory=dict)
    _aside_until: dict[UUID, float] = field(default_factory=dict)

    def aside(self) -> list[UUID]:
        """The cafes that are left out for now."""
        now = time.monotonic()
        return [cafe_id for cafe_id, until in self._aside_until.items() if until > now]

    def put_aside(self, cafe_id: UUID, error: BaseException) -> None:
        """The cafe's part failed: leave it out for a while, longer each time."""
        failures = self._failures[cafe_id] = self._failures.get(cafe_id, 0) + 1
        seconds = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, 20))
        self._aside_until[cafe_id] = time.monotonic() + seconds
        telemetry.JOB_CAFE_FAILURES.labels(self.service, self.job).inc()
        telemetry.JOB_CAFES_ASIDE.labels(self.service, self.job).set(len(self.aside()))
        telemetry.logger().error(
            "job.cafe_put_aside", job=self.job, cafe_id=str(cafe_id), failures=failures, seconds=seconds,
            error=where(error), exc_info=bare(error),
        )  # fmt: skip

    def succeeded(self, cafe_ids: Iterable[UUID]) -> None:
        """These cafes' parts are done: what failed before is forgotten."""
        if self._failures:
            for cafe_id in set(cafe_ids) & self._failures.keys():
                del self._failures[cafe_id]
                self._aside_until.pop(cafe_id, None)
            telemetry.JOB_CAFES_ASIDE.labels(self.service, self.job).set(len(self.aside()))

    async def run(
        self,
        pool: Pool,
        pick: Callable[[Connection, Sequence[UUID]], Awaitable[Sequence[T]]],
        work: Callable[[Connection, Sequence[T]], Awaitable[int]],
        *,
        again: Callable[[Connection, Sequence[T]], Awaitable[int]] | None = None,
        cafe_of: Callable[[T], UUID] = _first_field,
    ) -> int:
        """Picks a chunk of what is due and works it off in one transaction; returns what `work` returns.

        Args:
            pick: what is due, without the cafes it is given. It must not fail by what a cafe holds.
            work: does that much of it.
            again: does that much in a later transaction, without the locks that `pick` took for `work`.
            cafe_of: whose an item is; by default its first field.

        If the chunk fails, does what can be done of it and returns that, or at least 1, so that the job goes on without
        the cafes that were put aside. Raises what an outage raises; any other error of `work`, also that it took too
        long, puts its cafe aside.
        """
        picked: Sequence[T] = ()
        try:
            async with transaction(pool) as conn:
                picked = await pick(conn, self.aside())
                if not picked:
                    return 0
                done = await _unless_slow(work(conn, picked))
        except Exception as error:
            if not picked or is_outage(error):
                raise
            groups: dict[UUID, list[T]] = {}
            for item in picked:
                groups.setdefault(cafe_of(item), []).append(item)
            return max(1, await self._apart(pool, again or work, groups, error))
        self.succeeded(map(cafe_of, picked))
        return done

    @asynccontextmanager
    async def alone(self, cafe_id: UUID) -> AsyncIterator[None]:
        """Wrap all that the job does for one cafe in this: a failure, or taking too long, puts the cafe aside.

        Raises what an outage raises.
        """
        try:
            yield
        except Exception as error:
            heed_cancellation()
            if is_outage(error) and not isinstance(error, TimeoutError):
                raise
            self.put_aside(cafe_id, error)
        else:
            self.succeeded([cafe_id])

    async def _apart(
        self,
        pool: Pool,
        work: Callable[[Connection, Sequence[T]], Awaitable[int]],
        groups: dict[UUID, list[T]],
        error: BaseException,
    ) -> int:
        """Does what can be done of the failed groups; cafes that fail alone are put aside."""
        if len(groups) == 1:
            self.put_aside(next(iter(groups)), error)
            return 0
        cafes, done = list(groups), 0
        for half in (cafes[: len(cafes) // 2], cafes[len(cafes) // 2 :]):
            part = {cafe_id: groups[cafe_id] for cafe_id in half}
            try:
                async with transaction(pool) as conn:
                    done += await _unless_slow(work(conn, [item for items in part.values() for item in items]))
            except Exception as fault:
                heed_cancellation()
                if is_outage(fault):
                    raise
                done += await self._apart(pool, work, part, fault)
            else:
                self.succeeded(half)
        return done


class TookTooLong(Exception):
    """The database is there, and the statement did not end in time."""


async def _unless_slow(work: Awaitable[int]) -> int:
    # A database that is away fails where the transaction begins or ends, outside of this: that error stays as it is.
    try:
        return await work
    except TimeoutError as error:
        raise TookTooLong from error

"""What a part of the benchmark is given, and what it has to say in the end."""

import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import asyncpg

from deploy.engines.engine import Engine


@dataclass(frozen=True)
class Figure:
    """One result: the median of alternating runs in `unit`, with every run's own value beside it.

    `goal` is what it should be at least or at most; None for what is only told.
    """

    part: str
    name: str
    runs: Sequence[float]
    unit: str
    goal: tuple[Literal["at least", "at most"], float] | None = None
    note: str = ""

    @property
    def value(self) -> float:
        """The median of the runs."""
        return statistics.median(self.runs)

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        how, limit = self.goal
        return self.value >= limit if how == "at least" else self.value <= limit


def pace() -> float:
    """Seconds for ten million steps of a loop: what the machine can do just now, for comparing runs of one machine."""
    started, total = time.perf_counter(), 0
    for step in range(10_000_000):
        total += step * step
    return time.perf_counter() - started


@dataclass(frozen=True)
class Bench:
    """Where a part measures: an empty `folder` of its own, and servers with durability on that nobody else uses.

    `quick` asks for less data and fewer runs.
    """

    folder: Path
    postgres: Engine
    kafka: Engine
    quick: bool
    say: Callable[[str], None]

    async def use_log_files_again(self) -> None:
        """Call before what is timed. A server that has been running for a while writes its log into files that it has;
        a young one makes each first, and all commits wait for that. What was written so far becomes such files at a
        checkpoint."""
        conn = await asyncpg.connect(self.postgres.url)
        await conn.execute("CHECKPOINT")
        await conn.close()


@dataclass(frozen=True)
class Part:
    """A group of figures that are measured together. `in_quick` parts also run in `make bench QUICK=1`."""

    name: str
    measure: Callable[[Bench], Awaitable[list[Figure]]]
    in_quick: bool = field(default=False)

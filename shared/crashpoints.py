"""Named places at which a process can be told to die, so that tests see what a crash exactly there leaves behind.

`CRM_CRASH_AT=relay.after_publish:3` kills the process the third time it comes by. Nothing is armed otherwise.
"""

import os
import signal
from dataclasses import dataclass
from typing import Final, Literal, get_args

Point = Literal[
    "api.before_answer",
    "consumer.before_commit",
    "consumer.before_offsets",
    "migration.between_databases",
    "rebuild.before_commit",
    "relay.before_publish",
    "relay.before_delete",
    "relay.after_delete",
    "worker.in_rebalance",
    "worker.in_shutdown",
]
POINTS: Final[tuple[Point, ...]] = get_args(Point)
VARIABLE: Final = "CRM_CRASH_AT"


@dataclass
class Armed:
    """The point at which to die, and how many times more it is passed unharmed."""

    point: Point
    left: int

    def passed(self, point: Point) -> None:
        """Dies when this is the point and its time has come."""
        if point != self.point:
            return
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


def armed_by(text: str | None) -> Armed | None:
    """What `<point>[:<n-th time>]` asks for; None for nothing.

    Raises ValueError for a point that does not exist or a time that is no positive number.
    """
    if not text:
        return None
    name, _, time = text.partition(":")
    point = next((known for known in POINTS if known == name), None)
    if point is None or not (time or "1").isdigit() or int(time or "1") < 1:
        raise ValueError(f"{VARIABLE}={text}: <point>[:<n-th time>], where point is one of {', '.join(POINTS)}")
    return Armed(point, int(time or "1") - 1)


_armed: Final = armed_by(os.environ.get(VARIABLE))


def crashpoint(point: Point) -> None:
    """Ends the process with SIGKILL if it was started to die here; does nothing otherwise."""
    if _armed is not None:
        _armed.passed(point)

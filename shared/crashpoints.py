"""Named places in the code at which a test can kill or freeze the process, to see what exactly that leaves behind.

`CRM_CRASH_AT=relay.before_delete:3` kills the process the third time it comes by, `CRM_PAUSE_AT=` stops it there until
it gets SIGCONT. Nothing is armed otherwise.
"""

import os
import signal
from dataclasses import dataclass
from typing import Final, Literal, get_args

CrashPoint = Literal[
    "api.before_commit",
    "api.before_answer",
    "api.in_shutdown",
    "consumer.before_commit",
    "consumer.before_offsets",
    "messages.before_settling",
    "migration.between_databases",
    "rebuild.before_commit",
    "rehearsal.before_report",
    "rehearsal.between_guests",
    "relay.before_publish",
    "relay.before_delete",
    "relay.after_delete",
    "worker.in_rebalance",
    "worker.in_shutdown",
]
POINTS: Final[tuple[CrashPoint, ...]] = get_args(CrashPoint)
CRASH_AT: Final = "CRM_CRASH_AT"
PAUSE_AT: Final = "CRM_PAUSE_AT"
SIGNALS: Final = {CRASH_AT: signal.SIGKILL, PAUSE_AT: signal.SIGSTOP}


@dataclass
class Armed:
    """An armed point: which signal it sends, and how many times more it is passed before it does."""

    point: CrashPoint
    left: int
    what: signal.Signals

    def passed(self, point: CrashPoint) -> None:
        """Sends this process the signal at the n-th pass of the armed point, and never again after that."""
        if point != self.point:
            return
        self.left -= 1
        if self.left == -1:
            os.kill(os.getpid(), self.what)


def armed_by(variable: str, text: str | None) -> Armed | None:
    """What `<point>[:<n-th time>]` asks for; None for nothing.

    Raises ValueError for a point that does not exist or a time that is no positive number.
    """
    if not text:
        return None
    name, _, time = text.partition(":")
    point = next((known for known in POINTS if known == name), None)
    if point is None or not (time or "1").isdigit() or int(time or "1") < 1:
        raise ValueError(f"{variable}={text}: <point>[:<n-th time>], where point is one of {', '.join(POINTS)}")
    return Armed(point, int(time or "1") - 1, SIGNALS[variable])


_armed: Final = [armed for name in SIGNALS if (armed := armed_by(name, os.environ.get(name)))]


def crashpoint(point: CrashPoint) -> None:
    """Ends or stops the process if it was started to end or to stop here; does nothing otherwise."""
    for armed in _armed:
        armed.passed(point)

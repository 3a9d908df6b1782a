"""Who gets the processor when it is full: who is waited for before who is not."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Final

# Each step is a quarter: an API gets nine times as much as a worker, and one that brings points three times as much as
# one that lets events gather. Three times as much also goes to the one that takes in what tills publish: the others get
# their work from it, and while it waits for the processor, part of the machine stands still in the middle of a rush.
# `cpu_shares` in docker-compose.yml say the same of containers.
NICENESS: Final = 10
NICENESS_OF_INGRESS: Final = 5
NICENESS_OF_GATHERING: Final = 15
AUTOGROUP = Path("/proc/self/autogroup")


def niceness_of(*, takes_in: bool, gathers: bool) -> int:
    """A worker's niceness: it takes in what comes from outside, or lets events gather, or neither."""
    if takes_in:
        return NICENESS_OF_INGRESS
    return NICENESS_OF_GATHERING if gathers else NICENESS


def give_way(niceness: int) -> None:
    """Waking up, this process interrupts nobody, and of a full processor it takes little: a till that posts a bill
    waits for an answer, and events wait for none.

    Needs no privilege; what a system does not know or forbids is left out. `niceness` from 0 to 19.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    # Where each session is a scheduling group of its own, niceness counts only inside of it, and this is the group's:
    # sched(7), "The autogroup feature". The session of a terminal is not ours.
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):
            AUTOGROUP.write_text(str(niceness))

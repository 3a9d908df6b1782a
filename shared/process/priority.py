"""Process priorities: when the processor is full, processes that somebody waits for come first."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Final

# One step of niceness changes the processor time by a quarter. An API gets nine times as much as a worker, and a worker
# that takes events as they come three times as much as one that lets them gather. The worker that takes in what tills
# publish gets three times as much as other workers: they get their work from it, so in a rush part of the machine would
# stand still while it waits.
# `cpu_shares` in docker-compose.yml say the same of containers.
NICENESS: Final = 10
NICENESS_OF_INGRESS: Final = 5
NICENESS_OF_GATHERING: Final = 15
AUTOGROUP = Path("/proc/self/autogroup")


def niceness_of(*, takes_in: bool, gathers: bool) -> int:
    """A worker's niceness. `takes_in`: it reads what tills publish. `gathers`: it lets events gather before it takes
    them."""
    if takes_in:
        return NICENESS_OF_INGRESS
    return NICENESS_OF_GATHERING if gathers else NICENESS


def give_way(niceness: int) -> None:
    """Run this process at low priority, so that API processes get the processor first: a till waits for the answer to
    its bill, and nobody waits for a batch of events.

    Needs no privilege; what a system does not know or forbids is left out. `niceness` from 0 to 19.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    # Where each session is a scheduling group of its own (sched(7), "The autogroup feature"), niceness counts only
    # inside the group, and this sets the niceness of the group. A terminal's session is not ours to change.
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):
            AUTOGROUP.write_text(str(niceness))

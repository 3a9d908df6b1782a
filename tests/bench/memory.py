"""Huge pages for the servers' shared memory, as whoever prepares a machine for a database reserves them."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
RESERVED = Path("/proc/sys/vm/nr_hugepages")
PAGE_MB = 2
# PostgreSQL's shared memory is more than its buffers.
SHARE_OF_BUFFERS = 1.25


def total_mb() -> int:
    """The machine's memory."""
    return _meminfo()["MemTotal:"] // 1024


@contextlib.contextmanager
def huge_pages(buffers_mb: int, say: Callable[[str], None]) -> Iterator[bool]:
    """Reserves enough of them for a server with so large `shared_buffers`, and gives them back in the end.

    Yields whether they are there. Only root may reserve; a machine that has enough already is left as it is.
    """
    needed = int(buffers_mb * SHARE_OF_BUFFERS) // PAGE_MB
    free = _free()
    added = max(0, needed - free)
    if added:
        _add(added)
    try:
        there = _free() >= needed
        say("huge pages: " + ("reserved" if there else f"none; as root: sysctl -w vm.nr_hugepages={needed}"))
        yield there
    finally:
        if added:
            _add(-added)


def _meminfo() -> dict[str, int]:
    """Counts, and sizes in kB."""
    words = [line.split() for line in MEMINFO.read_text().splitlines()]
    return {word[0]: int(word[1]) for word in words}


def _free() -> int:
    counts = _meminfo()
    if counts.get("Hugepagesize:") != PAGE_MB * 1024:
        return 0
    return counts["HugePages_Free:"] - counts["HugePages_Rsvd:"]


def _add(count: int) -> None:
    with contextlib.suppress(OSError):
        RESERVED.write_text(str(max(0, int(RESERVED.read_text()) + count)))

"""Processes remembered by pid and start time, so that a pid used again by a stranger is never signalled."""

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """One process: `started` is the kernel's start time in clock ticks since boot."""

    pid: int
    started: int


def identify(pid: int) -> Process:
    """The identity of a running process.

    Raises ProcessLookupError when there is none (a zombie counts as gone).
    """
    state, started = _stat(pid)
    # The first thread of a killed process is a zombie while others still hold its files and ports open.
    if state == "Z" and _count_threads(pid) <= 1:
        raise ProcessLookupError(pid)
    return Process(pid, started)


def is_running(process: Process) -> bool:
    """True while exactly this process runs."""
    try:
        return identify(process.pid) == process
    except ProcessLookupError:
        return False


def find(argument: str) -> list[Process]:
    """The processes that were started with exactly that word in their command line.

    For whoever was killed before it could write down what it had started: a server names its own folder.
    """
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(ProcessLookupError, FileNotFoundError, PermissionError):
            if folder.name.isdecimal() and os.fsencode(argument) in (folder / "cmdline").read_bytes().split(b"\0"):
                found.append(identify(int(folder.name)))
    return found


def environment(process: Process) -> dict[str, str]:
    """What a process was given as its environment; empty when it is gone or not ours to look into."""
    try:
        raw = Path(f"/proc/{process.pid}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return {}
    return dict(os.fsdecode(line).split("=", 1) for line in raw.split(b"\0") if b"=" in line)


def state(pid: int) -> str:
    """The kernel's letter for what a process does: R, S, T for stopped, Z for a zombie.

    Raises ProcessLookupError when there is none.
    """
    return _stat(pid)[0]


def spawn(command: list[str], log: Path, *, env: dict[str, str] | None = None, user: str | None = None) -> Process:
    """Start a process that outlives this one, in a session of its own, its output appended to `log`.

    `user` is the login to run as (only root may give one).
    """
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            start_new_session=True,
        )
    # The process is meant to outlive this object, which would complain about that when it is collected.
    child.returncode = 0
    return Process(child.pid, _stat(child.pid)[1])


def stop(process: Process, *, deadline: float, how: signal.Signals = signal.SIGTERM) -> bool:
    """Ask a process to end, and kill it when it has not within `deadline` seconds.

    Returns False when it had to be killed.
    """
    if not is_running(process):
        return True
    os.kill(process.pid, how)
    if _wait_until_gone(process, deadline):
        return True
    os.kill(process.pid, signal.SIGKILL)
    _wait_until_gone(process, deadline)
    return False


def kill(process: Process) -> None:
    """End a process at once, as a crash would, and wait until it is gone."""
    if is_running(process):
        os.kill(process.pid, signal.SIGKILL)
        _wait_until_gone(process, 10)


def _wait_until_gone(process: Process, deadline: float) -> bool:
    until = time.monotonic() + deadline
    while time.monotonic() < until:
        _reap(process.pid)
        if not is_running(process):
            return True
        time.sleep(0.02)
    return not is_running(process)


def _reap(pid: int) -> None:
    # Only a child of ours can be waited for; processes read back from a state file are not.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _count_threads(pid: int) -> int:
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
    except FileNotFoundError:
        return 0


def _stat(pid: int) -> tuple[str, int]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(pid) from None
    # The command name may itself hold spaces and brackets; the numbered fields start after its last bracket.
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])

"""Only processes that we started are ever signalled, and they end."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import pids

STUBBORN = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); signal.pause()"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for a signal and ignores SIGTERM; running code when the test begins."""
    with subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"on\n"
        yield process
        process.kill()


def test_stranger_with_a_reused_pid_is_not_signalled(child: subprocess.Popen[bytes]) -> None:
    earlier = pids.Process(child.pid, pids.identify(child.pid).started - 1)
    assert not pids.is_running(earlier)
    assert pids.stop(earlier, deadline=1)
    pids.kill(earlier)
    assert child.poll() is None


def test_process_that_ignores_the_request_is_killed_after_the_deadline(child: subprocess.Popen[bytes]) -> None:
    process = pids.identify(child.pid)
    assert not pids.stop(process, deadline=0.1)
    assert not pids.is_running(process)


def test_spawned_process_writes_to_its_log_and_stops_when_asked(tmp_path: Path) -> None:
    log = tmp_path / "log"
    os.mkfifo(log)
    # Opened for both directions, so that neither side waits for the other to open it.
    with os.fdopen(os.open(log, os.O_RDWR)) as lines:
        process = pids.spawn([sys.executable, "-c", "import signal; print('on', flush=True); signal.pause()"], log)
        assert lines.readline() == "on\n"
    assert pids.stop(process, deadline=10, how=signal.SIGTERM)
    assert not pids.is_running(process)


def test_identify_of_a_pid_nobody_has_fails() -> None:
    with pytest.raises(ProcessLookupError):
        pids.identify(2**22 + 1)

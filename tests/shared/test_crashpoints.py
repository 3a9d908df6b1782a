"""Crash points: armed from outside only, exact about the time, loud about a name that does not exist."""

import os
import signal
import subprocess
import sys

import pytest

from shared import crashpoints

PASS_FOUR_TIMES = """
from shared.crashpoints import crashpoint
for time in range(1, 5):
    crashpoint("relay.before_delete")
    print(time, flush=True)
"""


def environment_without() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in crashpoints.SIGNALS}


def run(armed: str | None) -> subprocess.CompletedProcess[str]:
    environment = environment_without()
    if armed is not None:
        environment[crashpoints.CRASH_AT] = armed
    command = [sys.executable, "-c", PASS_FOUR_TIMES]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("armed", "passed"), [("relay.before_delete", []), ("relay.before_delete:3", ["1", "2"])])
def test_armed_point_kills_the_process_at_its_time(armed: str, passed: list[str]) -> None:
    done = run(armed)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.split() == passed


@pytest.mark.parametrize("armed", [None, "", "relay.before_publish"])
def test_process_lives_when_nothing_or_another_point_is_armed(armed: str | None) -> None:
    done = run(armed)
    assert (done.returncode, done.stdout.split()) == (0, ["1", "2", "3", "4"])


@pytest.mark.parametrize("armed", ["relay.after_lunch", "relay.before_delete:0", "relay.before_delete:soon"])
def test_word_that_arms_nothing_is_refused_at_start(armed: str) -> None:
    with pytest.raises(ValueError, match=r"relay\.before_delete"):
        crashpoints.armed_by(crashpoints.CRASH_AT, armed)
    assert run(armed).returncode == 1


def test_process_told_to_pause_stops_at_its_time_and_goes_on_when_continued() -> None:
    environment = environment_without() | {crashpoints.PAUSE_AT: "relay.before_delete:2"}
    command = [sys.executable, "-c", PASS_FOUR_TIMES]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
        process.send_signal(signal.SIGCONT)
        assert process.communicate(timeout=30)[0].split() == ["1", "2", "3", "4"]
    assert process.returncode == 0

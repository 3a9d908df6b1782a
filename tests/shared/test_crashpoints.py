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


def run(armed: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != crashpoints.VARIABLE}
    if armed is not None:
        environment[crashpoints.VARIABLE] = armed
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
        crashpoints.armed_by(armed)
    assert run(armed).returncode == 1

"""A newcomer's first minute: in whatever folder and locale, again and again, and after a start that was killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import pids
from deploy.crm import engines, processes
from deploy.engines import local_postgres
from deploy.engines.engine import free_port
from tests.support import throwaway_folder

COMMAND = [sys.executable, "-m", "tests.engines.small_system"]
UP_WITHIN_SECONDS = 180
# While the engines start, while databases are made, while parts start; longer on a machine that is busy.
KILLED_AFTER = ((0.4, signal.SIGKILL), (1.5, signal.SIGTERM), (3.0, signal.SIGKILL), (5.0, signal.SIGTERM))

# Each test starts servers several times.
pytestmark = pytest.mark.timeout(500)


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that only its user may enter, with a name that is no ASCII."""
    with throwaway_folder("servaan-first-") as folder:
        below = folder / "خانهٔ من" / ".crm"
        below.mkdir(parents=True)
        below.parent.chmod(0o700)
        yield below
        engines.remove(below)


def crm(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A `crm` command to its end."""
    command, given = [*COMMAND, *words], environment(home)
    return subprocess.run(command, env=given, capture_output=True, text=True, check=False, timeout=UP_WITHIN_SECONDS)


def environment(home: Path) -> dict[str, str]:
    """That of a newcomer, under the plainest locale there is: no address is given and no port chosen."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("CRM_", "LC_", "LANG"))}
    base = home / "base"
    if not base.exists():
        base.write_text(str(free_port()))
    return plain | {"ENGINES": "local", "CRM_HOME": str(home), "CRM_BASE_PORT": base.read_text(), "LC_ALL": "C"}


def left_over(home: Path) -> list[str]:
    """The processes that belong to the system of that folder."""
    place = local_postgres.place_of(home / "postgres")
    servers = [pids.find(str(path)) for path in (place, home / "kafka" / "server.properties")]
    parts = [
        process
        for part in processes.parts(0, simulator=True)
        for process in pids.find(part.module)
        if pids.environment(process).get(processes.STARTED_BY) == str(home)
    ]
    return [str(process) for process in [*parts, *(each for found in servers for each in found)]]


def test_up_works_in_a_folder_that_only_its_user_may_enter_and_again(home: Path) -> None:
    first = crm(home, "up")
    assert first.returncode == 0, first.stderr
    if os.geteuid() == 0:
        assert str(local_postgres.ELSEWHERE) in first.stderr
    again = crm(home, "up")
    assert again.returncode == 0, again.stderr
    shown = crm(home, "status", "--json")
    assert {part["state"] for part in json.loads(shown.stdout)} == {"ready"}
    assert crm(home, "down").returncode == 0
    assert not left_over(home)
    assert crm(home, "up").returncode == 0
    assert crm(home, "down", "--wipe").returncode == 0
    assert not left_over(home)
    assert not local_postgres.place_of(home / "postgres").exists()


def test_up_that_was_killed_hinders_no_later_one_and_leaves_nothing_running(home: Path) -> None:
    for seconds, how in KILLED_AFTER:
        with subprocess.Popen(
            [*COMMAND, "up"], env=environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as starting:
            try:
                starting.wait(seconds)
            except subprocess.TimeoutExpired:
                starting.send_signal(how)
    done = crm(home, "up")
    assert done.returncode == 0, done.stderr
    assert crm(home, "status").returncode == 0
    assert crm(home, "down", "--wipe").returncode == 0
    assert not left_over(home)


def test_down_stops_what_a_killed_up_could_not_write_down(home: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "up"], env=environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as starting:
        while not left_over(home) and starting.poll() is None:
            pass
        starting.kill()
    assert left_over(home)
    assert crm(home, "down", "--wipe").returncode == 0
    assert not left_over(home)

"""`crm up` and `crm down`: what is started, what is remembered, what is left alone."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy import pids
from deploy.crm import processes, views
from deploy.crm.main import app
from deploy.crm.processes import Part, Started, State
from deploy.engines.engine import Engine, free_port
from shared.process.priority import NICENESS
from shared.services import FIRST_PORT, SERVICES, TABLE
from shared.settings import Settings
from tests import support


def silent(_: str) -> None:
    """Nobody at the terminal."""


@pytest.fixture
def home(
    config: Settings, postgres_server: Engine, kafka_server: Engine, run: support.Run, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The home of a system of which only the identity service is wanted, on the run's servers."""
    base = free_port()
    for name, value in {
        "CRM_POSTGRES_URL": postgres_server.url,
        "CRM_KAFKA_SERVERS": kafka_server.url,
        "CRM_BASE_PORT": str(base),
        "CRM_HOME": str(run.folder / f"home-{config.topic_prefix}"),
    }.items():
        monkeypatch.setenv(name, value)
    every = processes.parts
    monkeypatch.setattr(
        processes,
        "parts",
        lambda base_port, simulator: tuple(
            part for part in every(base_port, simulator=simulator) if part.name.startswith("identity")
        ),
    )
    yield processes.home()
    processes.down(processes.home(), wipe=True, say=silent)


def test_up_starts_what_is_missing_and_down_stops_all(home: Path) -> None:
    processes.up(home, simulator=False, say=silent)
    first = processes.read_state(home).started
    assert [each.part.name for each in first] == ["identity-api", "identity-worker"]
    assert all(processes.is_ready(each.part) for each in first)
    # Whoever posts to an API waits for it, nobody waits for a worker.
    policies = [os.sched_getscheduler(each.process.pid) for each in first]
    assert policies == [os.SCHED_OTHER, os.SCHED_BATCH]
    nicenesses = [os.getpriority(os.PRIO_PROCESS, each.process.pid) for each in first]
    assert nicenesses == [own := os.getpriority(os.PRIO_PROCESS, 0), max(own, NICENESS)]
    # The file says "/autogroup-73 nice 15"; a kernel without such groups has none.
    groups = [Path(f"/proc/{each.process.pid}/autogroup") for each in first]
    assert [int(group.read_text().split()[-1]) for group in groups if group.exists()] in ([0, NICENESS], [])

    pids.kill(first[1].process)
    assert views.look(first[1]).state == "gone"
    processes.up(home, simulator=False, say=silent)
    api, worker = processes.read_state(home).started
    assert api == first[0]
    assert worker.part == first[1].part
    assert worker.process != first[1].process
    assert processes.is_ready(worker.part)

    processes.down(home, wipe=False, say=silent)
    assert not pids.is_running(api.process)
    assert not pids.is_running(worker.process)
    assert processes.read_state(home).started == ()
    assert (home / "logs" / "identity-api.log").read_text()


def test_status_and_logs_show_the_parts(home: Path) -> None:
    runner = CliRunner()
    nothing = runner.invoke(app, ["status"])
    assert nothing.exit_code == 1
    processes.up(home, simulator=False, say=silent)
    shown = runner.invoke(app, ["status"])
    assert shown.exit_code == 0
    assert "identity-api" in shown.stdout
    assert "ready" in shown.stdout
    assert "identity-worker" in runner.invoke(app, ["logs", "identity", "-n", "2"]).stdout
    assert runner.invoke(app, ["logs", "nobody"]).exit_code == 1

    pids.kill(processes.read_state(home).started[0].process)
    assert runner.invoke(app, ["status"]).exit_code == 1


def test_part_does_not_learn_the_administrators_login(home: Path) -> None:
    processes.up(home, simulator=False, say=silent)
    pid = processes.read_state(home).started[0].process.pid
    environment = Path(f"/proc/{pid}/environ").read_bytes().decode()
    assert f"CRM_POSTGRES_URL={processes.without_login(os.environ['CRM_POSTGRES_URL'])}\0" in environment
    assert "//postgres" not in environment


def test_up_says_which_part_failed_and_shows_its_log(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Part("identity-api", "services.identity.no_such_module", free_port())
    monkeypatch.setattr(processes, "parts", lambda *_, **__: (broken,))
    with pytest.raises(processes.UpFailed, match=r"identity-api ended:[\s\S]*no_such_module"):
        processes.up(home, simulator=False, say=silent)


def test_up_refuses_a_port_that_a_stranger_has(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as stranger:
        taken = Part("identity-api", "services.identity.api", stranger.getsockname()[1])
        with pytest.raises(processes.UpFailed, match="CRM_BASE_PORT"):
            processes.start_part(tmp_path, taken, {})


def test_wipe_removes_what_up_left_and_nothing_else(tmp_path: Path) -> None:
    processes.write_state(tmp_path, State(FIRST_PORT))
    (tmp_path / "logs").mkdir()
    (tmp_path / "mine.txt").write_text("not ours")
    processes.down(tmp_path, wipe=True, say=silent)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_state_survives_and_only_its_user_may_read_it(tmp_path: Path) -> None:
    state = State(
        9000,
        (Engine("postgres", "postgresql://postgres:secret@127.0.0.1:1/postgres", process=pids.Process(1, 2)),),
        (Started(Part("visit-api", "services.visit.api", 9002), pids.Process(3, 4)),),
    )
    processes.write_state(tmp_path, state)
    assert processes.read_state(tmp_path) == state
    assert stat.S_IMODE((tmp_path / "state.json").stat().st_mode) == 0o600


def test_environment_of_the_caller_wins_over_what_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CRM_SECRET", raising=False)
    monkeypatch.setenv("CRM_PUBLIC_URL", "https://cafe.example")
    monkeypatch.delenv("CRM_POSTGRES_URL", raising=False)
    state = State(9000, (Engine("postgres", "postgresql://127.0.0.1:1/postgres"),))
    found = processes.environment_of(tmp_path, state, simulator=True)
    assert found["CRM_POSTGRES_URL"] == "postgresql://127.0.0.1:1/postgres"
    assert found["CRM_PUBLIC_URL"] == "https://cafe.example"
    assert found["CRM_SMS_ENDPOINT"] == "http://127.0.0.1:9199"
    assert processes.environment_of(tmp_path, state)["CRM_SECRET"] == found["CRM_SECRET"]
    assert len(found["CRM_SECRET"]) >= 32
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_every_service_has_its_processes_on_ports_of_their_own() -> None:
    parts = processes.parts(8101, simulator=True)
    assert {part.name for part in parts} == {
        processes.SIMULATOR,
        *(f"{name}-api" for name in SERVICES),
        *(f"{each.name}-worker" for each in TABLE if each.has_worker),
    }
    assert len({part.port for part in parts}) == len(parts)
    config = Settings(secret="s" * 32)
    assert {part.port for part in parts if part.name == "visit-api"} == {config.http_port("visit")}
    assert {part.port for part in parts if part.name == "visit-worker"} == {config.worker_port("visit")}


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            '{"event": "batch.done", "level": "info", "timestamp": "2026-11-24T12:30:01.5Z", "service": "x", "n": 3}',
            "12:30:01 visit-worker     info     batch.done n=3",
        ),
        ("Traceback (most recent call last):", "visit-worker     Traceback (most recent call last):"),
        ("[1, 2]", "visit-worker     [1, 2]"),
        ('{"other": 1}', 'visit-worker     {"other": 1}'),
    ],
)
def test_log_line_is_made_readable(line: str, shown: str) -> None:
    assert views.readable("visit-worker", line) == shown


def test_two_ports_of_one_server_are_never_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.engines.engine.random.sample", lambda ports, _: list(ports))
    monkeypatch.setattr("deploy.engines.engine.port_is_free", lambda port: port in (20000, 20001))
    assert free_port() == 20000
    assert free_port(but=20000) == 20001

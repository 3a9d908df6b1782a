"""Which servers a machine gets: given, Docker's, or its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.crm import engines
from deploy.engines import kafka_jars
from deploy.engines.engine import Engine, EngineError, address, free_port, port_is_free


@pytest.fixture(autouse=True)
def no_docker_daemon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A machine on which no daemon answers, and nothing remembered from another test."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    monkeypatch.delenv("ENGINES", raising=False)
    engines.way.cache_clear()
    yield
    engines.way.cache_clear()


def test_way_is_local_when_no_daemon_answers() -> None:
    assert engines.way() == "local"


def test_way_is_docker_when_a_daemon_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.engines.containers.daemon_answers", lambda: True)
    assert engines.way() == "docker"


def test_way_is_local_when_asked_although_a_daemon_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.engines.containers.daemon_answers", lambda: True)
    monkeypatch.setenv("ENGINES", "local")
    assert engines.way() == "local"


@pytest.mark.parametrize(("asked", "says"), [("docker", "no Docker daemon answers"), ("podman", "'podman'")])
def test_way_is_refused_when_it_cannot_be_had(monkeypatch: pytest.MonkeyPatch, asked: str, says: str) -> None:
    monkeypatch.setenv("ENGINES", asked)
    with pytest.raises(EngineError, match=says):
        engines.way()


def test_failing_image_falls_back_to_local_unless_docker_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def no_image(*_: object, **__: object) -> Engine:
        raise EngineError("no such image")

    local = Engine("kafka", "127.0.0.1:1")
    monkeypatch.setattr("deploy.engines.containers.daemon_answers", lambda: True)
    monkeypatch.setattr("deploy.engines.containers.start_kafka", no_image)
    monkeypatch.setattr("deploy.engines.local_kafka.start", lambda *_, **__: local)
    assert engines.start_kafka(tmp_path) is local
    assert "no such image" in capsys.readouterr().err

    monkeypatch.setenv("ENGINES", "docker")
    with pytest.raises(EngineError, match="no such image"):
        engines.start_kafka(tmp_path)


def test_given_server_is_used_and_never_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_KAFKA_SERVERS", "a:9092,b:9092")
    given = engines.given("kafka")
    assert given == Engine("kafka", "a:9092,b:9092")
    engines.stop(given)


def test_container_whose_daemon_is_gone_needs_no_stopping(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    engines.stop(Engine("kafka", "127.0.0.1:1", container="0123456789ab"), forget=True)


def test_address_of_dsn_and_of_bootstrap_servers() -> None:
    assert address("postgresql://u:p%40ss@db.local:6543/x") == ("db.local", 6543)
    assert address("postgresql://db.local/x") == ("db.local", 5432)
    assert address("a:19092,b:9092") == ("a", 19092)


def test_changed_missing_and_extra_jars_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        kafka_jars, "pinned_digests", lambda: {"good.jar": GOOD, "changed.jar": GOOD, "missing.jar": GOOD}
    )
    for name, content in {"good.jar": b"good", "changed.jar": b"bad", "extra.jar": b"good"}.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(EngineError, match=r"changed\.jar, extra\.jar, missing\.jar$"):
        kafka_jars.check(tmp_path)


GOOD = "770e607624d689265ca6c44884d0807d9b054d23c473c106c72be9de08b7376c"


def test_free_port_is_outside_the_range_of_outgoing_connections() -> None:
    port = free_port()
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert port < lowest
    assert port_is_free(port)

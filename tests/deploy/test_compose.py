"""The composed system, really started: a visit posted to it earns its points, and nothing is lost by a restart."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from tests.deploy.compose import Project, new_project, until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]

PHONE = "۰۹۱۲ ۳۴۵ ۶۷۸۹"


@dataclass(frozen=True)
class Running:
    """A running project, and a cafe and a till in it."""

    project: Project
    cafe_id: str
    api_key: str

    def post(self, service: str, path: str, body: dict[str, Any]) -> httpx2.Response:
        """What an API answers to the till."""
        url, headers = self.project.url(service) + path, {"X-API-Key": self.api_key}
        return httpx2.post(url, json=body, headers=headers, timeout=20)

    def points(self) -> int | None:
        """The guest's points as a till sees them; None while loyalty does not know the till."""
        answer = self.post("loyalty", "/loyalty/lookup", {"phone": PHONE})
        return answer.json()["current_points"] if answer.status_code == 200 else None


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    project = new_project(tmp_path_factory.mktemp("compose"))
    try:
        project.run("build", within=900)
        print(f"up after {project.up():.0f} s")
        cafe_id = project.crm("cafe", "create", "کافه سروان")
        api_key = project.crm("apikey", "create", "till-1", "--cafe", cafe_id)
        yield Running(project, cafe_id, api_key)
    finally:
        project.down("--volumes")


def bill(receipt: str, total: str) -> dict[str, Any]:
    return {
        "device_id": "till-1",
        "device_sequence": int(receipt),
        "receipt_number": receipt,
        "phone": PHONE,
        "occurred_at": datetime.now(UTC).isoformat(),
        "total": total,
        "currency_unit": "IRT",
    }


def posted(running: Running, body: dict[str, Any]) -> httpx2.Response | None:
    """The answer, or None while the visit service has not heard of the till's key."""
    answer = running.post("visit", "/visits", body)
    return None if answer.status_code == 401 else answer


def test_visit_earns_its_points_and_a_restart_loses_nothing(running: Running) -> None:
    first, second = bill("1", "350000"), bill("2", "20000")
    answer = until(lambda: posted(running, first))
    assert answer is not None
    assert answer.status_code == 201, answer.text
    until(lambda: running.points() == 350)

    running.project.down()
    print(f"up again after {running.project.up():.0f} s")
    assert running.points() == 350
    assert running.post("visit", "/visits", first).json()["visit_id"] == answer.json()["visit_id"]
    assert running.post("visit", "/visits", second).status_code == 201
    until(lambda: running.points() == 370)


def test_visit_accepted_without_a_broker_is_not_lost(running: Running) -> None:
    before = until(running.points)
    assert before
    running.project.run("kill", "kafka")
    assert running.post("visit", "/visits", bill("3", "10000")).status_code == 201
    running.project.up()
    until(lambda: running.points() == before + 10, 120)


def test_containers_run_as_nobody_with_nothing_to_take(running: Running) -> None:
    found = {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in running.project.inspect()}
    assert {f"{service}-{kind}" for service in ("visit", "loyalty") for kind in ("api", "worker")} <= found.keys()
    for name, container in found.items():
        host = container["HostConfig"]
        assert host["CapDrop"] == ["ALL"], name
        assert host["Memory"] > 0, name
        assert not host["Privileged"], name
        if name not in ("postgres", "kafka"):
            assert container["Config"]["User"] == "10001:10001", name
            assert host["ReadonlyRootfs"], name


def test_ports_are_bound_to_this_machine_only(running: Running) -> None:
    for container in running.project.inspect():
        for bindings in (container["NetworkSettings"]["Ports"] or {}).values():
            assert {binding["HostIp"] for binding in bindings or ()} <= {"127.0.0.1"}


def test_worker_that_is_stopped_ends_cleanly(running: Running) -> None:
    running.project.run("stop", "visit-worker", "visit-api")
    ended = {state["Service"]: state["ExitCode"] for state in running.project.states() if state["State"] == "exited"}
    assert (ended["visit-worker"], ended["visit-api"]) == (0, 0)
    running.project.up()

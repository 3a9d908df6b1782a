"""What the image and the compose file promise, read from the files themselves."""

import http.server
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.process.priority import niceness_of
from shared.services import SERVICES, TABLE
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
WITH_WORKER = [each.name for each in TABLE if each.has_worker]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
CONTAINERS = sorted(COMPOSE["services"])
OURS = sorted(set(CONTAINERS) - {"postgres", "kafka"})


def test_every_service_has_an_api_and_a_worker() -> None:
    wanted = {f"{service}-api" for service in SERVICES} | {f"{service}-worker" for service in WITH_WORKER}
    assert wanted <= set(CONTAINERS)
    for name in wanted:
        service, _, kind = name.partition("-")
        assert COMPOSE["services"][name]["command"] == ["python", "-m", f"services.{service}.{kind}"]


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_is_fenced_in(name: str) -> None:
    container = COMPOSE["services"][name]
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert container["mem_limit"]
    assert container["pids_limit"]
    assert container["logging"]["options"]["max-size"]
    # The broker writes its own configuration file when it starts.
    assert container.get("read_only", False) == (name != "kafka")
    assert not container.get("privileged")


def test_ports_are_open_to_this_machine_only_and_no_engine_has_one() -> None:
    for name in CONTAINERS:
        ports = COMPOSE["services"][name].get("ports", [])
        # People from outside have one of their own.
        wanted = 2 if name in ("feedback-api", "console-api") else int(name.endswith("-api") or name == "sms-simulator")
        assert len(ports) == wanted, name
        assert all(port.startswith("127.0.0.1:") for port in ports)
    numbers = [re.findall(r"-(\d+)}", COMPOSE["services"][f"{service}-api"]["ports"][0])[0] for service in SERVICES]
    config = Settings()
    assert numbers == [str(config.http_port(service)) for service in SERVICES]


def test_inner_network_has_no_way_out_and_workers_are_in_it() -> None:
    assert COMPOSE["networks"]["inside"]["internal"] is True
    alone = {name for name in CONTAINERS if COMPOSE["services"][name]["networks"] == ["inside"]}
    assert {"postgres", "kafka", "migrate"} <= alone
    workers = {f"{service}-worker" for service in WITH_WORKER}
    assert workers - alone == {"campaign-worker"}


def test_administrator_login_is_only_where_databases_are_made() -> None:
    holders = {name for name in CONTAINERS if "PASSWORD" in str(COMPOSE["services"][name]["environment"])}
    assert holders == {"postgres", "migrate"}


def test_secrets_have_no_default_and_the_message_says_what_to_do() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name in ("CRM_SECRET", "CRM_POSTGRES_PASSWORD"):
        assert f"${{{name}:?run `make secrets`" in text
        assert f"${{{name}:-" not in text


def test_every_setting_that_compose_gives_is_a_setting() -> None:
    given = {name for name in OURS for name in COMPOSE["services"][name]["environment"]}
    assert {name.removeprefix("CRM_").lower() for name in given} <= set(Settings.model_fields)


def test_addresses_that_people_and_tills_are_told_can_be_set_for_every_container() -> None:
    told = {"CRM_PUBLIC_URL", "CRM_CONSOLE_URL", "CRM_GUEST_URL", "CRM_TILL_URL"}
    assert all(told <= set(COMPOSE["services"][f"{service}-api"]["environment"]) for service in SERVICES)


def test_workers_have_the_share_that_their_niceness_gives_outside_of_containers() -> None:
    for service in WITH_WORKER:
        text = (ROOT / "services" / service / "worker.py").read_text()
        niceness = niceness_of(takes_in="ingress=" in text, gathers="fetch=gather(" in text)
        assert COMPOSE["services"][f"{service}-worker"]["cpu_shares"] == round(1024 / 1.25**niceness), service
    others = {name for name in CONTAINERS if not name.endswith("-worker")}
    assert not any("cpu_shares" in COMPOSE["services"][name] for name in others)


def test_image_runs_as_nobody_and_takes_only_pinned_packages() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    assert re.findall(r"^USER (\d+):\d+$", text, re.MULTILINE) == ["10001"]
    assert "--require-hashes" in text
    assert text.rindex("USER ") > text.rindex("RUN ")
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    lets_in = [line for line in ignored if line.startswith("!")]
    assert "*" in ignored
    assert lets_in == ["!requirements.lock", "!shared", "!services", "!sql", "!deploy"]


class Answering(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[type[Answering], int]]:
    class Handler(Answering):
        pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Handler, server.server_port
        server.shutdown()
        thread.join()


def ready(port: int) -> int:
    script = ROOT / "deploy" / "compose" / "ready.sh"
    environment = os.environ | {"CRM_PORT": str(port)}
    return subprocess.run(["bash", script], env=environment, capture_output=True, timeout=10, check=False).returncode


def test_container_is_ready_when_its_process_says_so(server: tuple[type[Answering], int]) -> None:
    handler, port = server
    assert ready(port) == 0
    handler.status = 503
    assert ready(port) != 0


def test_container_without_its_process_is_not_ready(server: tuple[type[Answering], int]) -> None:
    assert ready(1) != 0


def test_secrets_are_made_once_and_only_for_the_owner(tmp_path: Path) -> None:
    folder = tmp_path / "deploy" / "compose"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "compose" / "secrets.sh", folder)
    subprocess.run(["sh", folder / "secrets.sh"], check=True, capture_output=True)
    first = (tmp_path / ".env").read_text()
    values = dict(line.split("=", 1) for line in first.splitlines() if not line.startswith("#"))
    assert values.keys() == {"CRM_SECRET", "CRM_POSTGRES_PASSWORD"}
    assert all(re.fullmatch("[A-Za-z0-9_-]{43}", value) for value in values.values())
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    subprocess.run(["sh", folder / "secrets.sh"], check=True, capture_output=True)
    assert (tmp_path / ".env").read_text() == first

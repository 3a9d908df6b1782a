"""The compose file as a running project of its own, beside whatever else runs on the machine."""

import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
SERVICES = ("identity", "customer", "visit", "loyalty", "campaign", "feedback", "console")


@dataclass(frozen=True)
class Project:
    """`name` is the project's; `settings` a file with its secrets."""

    name: str
    settings: Path

    def run(self, *words: str, within: float = 300) -> str:
        """`docker compose …`; its standard output. Raises AssertionError with all output when it fails."""
        command = ["docker", "compose", "-p", self.name, "--env-file", str(self.settings), *words]
        answer = subprocess.run(
            command, cwd=ROOT, env=self._environment(), capture_output=True, text=True, timeout=within, check=False
        )
        assert answer.returncode == 0, f"{' '.join(command)}\n{answer.stdout[-4000:]}\n{answer.stderr[-4000:]}"
        return answer.stdout

    def _environment(self) -> dict[str, str]:
        # Any free port instead of the usual ones, which may be taken.
        ports = {f"{name.upper()}_PORT": "" for name in (*SERVICES, "guests", "console_api")}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CRM_", "COMPOSE_"))}
        return kept | ports

    def up(self) -> float:
        """Start everything that does not run and wait until it is ready. Returns the seconds it took."""
        started = time.monotonic()
        self.run("up", "-d")
        until(lambda: all(state["Health"] == "healthy" for state in self.states() if state["State"] == "running"), 120)
        return time.monotonic() - started

    def states(self) -> list[dict[str, Any]]:
        """What `docker compose ps` says of each container, those that ended included."""
        return [json.loads(line) for line in self.run("ps", "--all", "--format", "json").splitlines()]

    def crm(self, *words: str) -> str:
        """What a `crm` command prints."""
        return self.run("run", "--rm", "-T", "crm", *words).strip()

    def url(self, service: str) -> str:
        """Where the API of that service is reached from this machine."""
        return f"http://{self.run('port', f'{service}-api', '8080').strip()}"

    def inspect(self) -> list[dict[str, Any]]:
        """What Docker itself says of each container."""
        ids = self.run("ps", "--all", "--quiet").split()
        answer = subprocess.run(["docker", "inspect", *ids], capture_output=True, check=True)
        found: list[dict[str, Any]] = json.loads(answer.stdout)
        return found

    def down(self, *words: str) -> None:
        """Stop and remove the containers; the data stay unless `--volumes` is among `words`."""
        self.run("--profile", "tools", "--profile", "demo", "down", *words)


def new_project(folder: Path) -> Project:
    """A project with secrets of its own."""
    settings = folder / "compose.env"
    settings.write_text(f"CRM_SECRET={secrets.token_hex(32)}\nCRM_POSTGRES_PASSWORD={secrets.token_hex(16)}\n")
    return Project(f"servaan-test-{secrets.token_hex(4)}", settings)


def until(asked: Callable[[], T], seconds: float = 60) -> T:
    """The first true answer, asking every quarter of a second. Raises AssertionError with the last one in the end."""
    end = time.monotonic() + seconds
    while not (answer := asked()):
        assert time.monotonic() < end, f"still {answer!r} after {seconds} s"
        time.sleep(0.25)
    return answer

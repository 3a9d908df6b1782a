"""What `crm status` and `crm logs` show."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
from prometheus_client.parser import text_string_to_metric_families
from rich.table import Table

from deploy import pids
from deploy.crm import processes
from deploy.crm.processes import Part, Started, State
from deploy.engines.engine import Engine, address, answers


@dataclass(frozen=True)
class Health:
    """One part as it is now; `lag` (records not yet taken) and `parked` are of workers that answer."""

    part: Part
    pid: int
    state: str
    memory_mib: int
    lag: int | None
    parked: int | None


def status_table(state: State) -> Table:
    """Every engine and process with its state, address, memory, lag and parked records."""
    table = Table("part", "state", "pid", "address", "MiB", "lag", "parked", box=None, pad_edge=False)
    for engine in state.engines:
        host, port = address(engine.url)
        word = "ready" if answers(engine) else "gone"
        table.add_row(engine.kind, _coloured(word), _engine_id(engine), f"{host}:{port}", "", "", "")
    for started in state.started:
        health = look(started)
        numbers = ["" if number is None else str(number) for number in (health.lag, health.parked)]
        memory = str(health.memory_mib or "")
        table.add_row(health.part.name, _coloured(health.state), str(health.pid), health.part.url, memory, *numbers)
    return table


def look(started: Started) -> Health:
    """Ask one part how it is."""
    part, process = started.part, started.process
    if not pids.is_running(process):
        return Health(part, process.pid, "gone", 0, None, None)
    state = "ready" if processes.is_ready(part) else "not ready"
    numbers = metrics(part, ("crm_lag_records", "crm_parked_waiting")) if part.name.endswith("-worker") else {}
    lag, parked = numbers.get("crm_lag_records"), numbers.get("crm_parked_waiting")
    return Health(part, process.pid, state, _memory_mib(process.pid), lag, parked)


def metrics(part: Part, names: tuple[str, ...]) -> dict[str, int]:
    """Sums over all labels of some of a part's metrics; a metric that it does not have, or no answer, is left out."""
    try:
        text = httpx2.get(f"{part.url}/metrics", timeout=3, follow_redirects=True).text
    except httpx2.HTTPError:
        return {}
    families = [family for family in text_string_to_metric_families(text) if family.name in names and family.samples]
    return {family.name: int(sum(sample.value for sample in family.samples)) for family in families}


def last_log_lines(folder: Path, names: list[str], count: int) -> Iterator[str]:
    """The last lines of some parts' logs, made readable, part after part."""
    for name in names:
        lines = processes.log_of(folder, name).read_text(errors="replace").splitlines()
        yield from (readable(name, line) for line in lines[-count:])


def follow_logs(folder: Path, names: list[str]) -> Iterator[str]:
    """New lines of some parts' logs as they come, for ever."""
    files = {name: processes.log_of(folder, name).open(errors="replace") for name in names}
    for file in files.values():
        file.seek(0, 2)
    while True:
        for name, file in files.items():
            yield from (readable(name, line.rstrip("\n")) for line in file)
        time.sleep(0.3)


def readable(name: str, line: str) -> str:
    """A JSON log line as `12:30:01 visit-worker event key=value`; any other line as it is, behind the name."""
    try:
        fields = json.loads(line)
        event, level, moment = fields.pop("event"), fields.pop("level"), fields.pop("timestamp")
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{name:<16} {line}"
    fields.pop("service", None)
    rest = " ".join(f"{key}={value}" for key, value in fields.items())
    return f"{moment[11:19]} {name:<16} {level:<8} {event} {rest}".rstrip()


def _coloured(word: str) -> str:
    return f"[{'green' if word == 'ready' else 'red'}]{word}[/]"


def _engine_id(engine: Engine) -> str:
    return str(engine.process.pid) if engine.process else (engine.container or "")[:12]


def _memory_mib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS:")), 0)

"""The whole system as child processes of this machine: `crm up` and `crm down`, and what they remember in `.crm/`."""

import asyncio
import fcntl
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx2
import msgspec

from deploy import pids
from deploy.crm import engines
from deploy.crm.migrate import migrate
from deploy.engines.engine import Engine, answers, last_lines, port_is_free
from shared.messaging import topics
from shared.services import FIRST_PORT, TABLE, Service, service_of
from shared.settings import Settings

READY_WITHIN_SECONDS = 90
STOP_WITHIN_SECONDS = 25
SIMULATOR = "sms-simulator"
SIMULATOR_OFFSET = 199
# In the environment of every part: the folder of the system that it belongs to.
STARTED_BY = "CRM_STARTED_BY"
# What `up` leaves in its folder; `down(wipe=True)` removes these and nothing else that may lie there.
LEFT_BEHIND = (
    "postgres",
    "postgres.new",
    "postgres.log",
    "kafka",
    "logs",
    "secret",
    "postgres-password",
    "state.json",
    "lock",
)


@dataclass(frozen=True)
class Part:
    """One process of the system: `name` as in `visit-worker`, the Python module it runs, its port.

    `health` is the path that answers once the part can do its work.
    """

    name: str
    module: str
    port: int
    arguments: tuple[str, ...] = ()
    health: str = "/readyz"

    @property
    def url(self) -> str:
        """Where its health, its metrics and, for an API, its pages are."""
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Started:
    """A part and the process that was started for it."""

    part: Part
    process: pids.Process


@dataclass(frozen=True)
class State:
    """What is remembered from one `crm` call to the next."""

    base_port: int
    engines: tuple[Engine, ...] = ()
    started: tuple[Started, ...] = ()


class UpFailed(Exception):
    """The system did not come up; the message says which part and shows the end of its log."""


def home() -> Path:
    """The folder with state, logs, secrets and data: CRM_HOME, or `.crm` here."""
    return Path(os.environ.get("CRM_HOME", ".crm")).resolve()


def parts(base_port: int, *, simulator: bool, services: Sequence[Service] = TABLE) -> tuple[Part, ...]:
    """Every process of the system. With another base port all ports lie as far from it as they do from the first."""
    moved = base_port - FIRST_PORT
    apis = [Part(f"{each.name}-api", f"services.{each.name}.api", each.port + moved) for each in services]
    workers = [
        Part(f"{each.name}-worker", f"services.{each.name}.worker", each.worker_port + moved)
        for each in services
        if each.has_worker
    ]
    port = base_port + SIMULATOR_OFFSET
    sms = Part(SIMULATOR, "deploy.simulators.kavenegar", port, ("--port", str(port)), "/healthz")
    return (*([sms] if simulator else []), *apis, *workers)


def up(folder: Path, *, simulator: bool, say: Callable[[str], None]) -> dict[str, str]:
    """Start whatever of the system does not run yet, and wait until every part is ready. Safe to repeat.

    `say` is told each step. Returns the environment with which a program reaches the system. What an earlier call
    started and was killed before it could write down is stopped first.
    Raises UpFailed, EngineError or MigrationFailed; what was started until then keeps running, for a second try or
    for `down`.
    """
    with _alone(folder):
        state = read_state(folder)
        stop_leftovers(folder, [each.process for each in state.started])
        alive = tuple(each for each in state.started if pids.is_running(each.process))
        # Parts that run stay where they are, and the others beside them.
        base_port = state.base_port if alive else int(os.environ.get("CRM_BASE_PORT", FIRST_PORT))
        state = replace(state, started=alive, base_port=base_port)
        state = _start_engines(folder, state, say)
        environment = environment_of(folder, state, simulator=simulator)
        config = settings_of(environment)
        say("migrating")
        asyncio.run(migrate(config))
        made = asyncio.run(topics.create(config))
        say(f"{len(made)} topics created")
        state = _start_parts(folder, state, environment, parts(state.base_port, simulator=simulator))
        say(f"{len(state.started)} processes started, waiting until they are ready")
        wait_ready(folder, state.started)
    return environment


def down(folder: Path, *, wipe: bool, say: Callable[[str], None]) -> None:
    """Stop what `up` started: the parts first, each with a deadline, then the engines. `wipe` removes all data too."""
    if not any((folder / name).exists() for name in ("lock", "state.json")):
        return
    with _alone(folder):
        state = read_state(folder)
        stop_leftovers(folder, [each.process for each in state.started])
        with ThreadPoolExecutor(max_workers=len(state.started) + 1) as pool:
            clean = list(pool.map(_stop_part, state.started))
        for started, in_time in zip(state.started, clean, strict=True):
            if not in_time:
                say(f"{started.part.name} did not stop in time and was killed")
        for engine in state.engines:
            engines.stop(engine, forget=wipe)
        engines.stop_leftovers(folder)
        say(f"{len(state.started)} processes and {len(state.engines)} engines stopped")
        write_state(folder, replace(state, engines=(), started=()))
    if wipe:
        for name in LEFT_BEHIND:
            engines.remove(folder / name)


def environment_of(folder: Path, state: State, *, simulator: bool = False) -> dict[str, str]:
    """The CRM_ variables that a program needs to reach the system, its administrator's login included.

    What the caller's own environment says wins.
    """
    base = state.base_port
    found = {
        "CRM_SECRET": _secret(folder / "secret"),
        **addresses(base),
        # Nobody balances here, so nobody has to notice that an API is about to stop.
        "CRM_DRAIN_SECONDS": "0",
    }
    if simulator or any(started.part.name == SIMULATOR for started in state.started):
        found |= {
            "CRM_SMS_ENDPOINT": f"http://127.0.0.1:{base + SIMULATOR_OFFSET}",
            "CRM_SMS_API_KEY": "simulated",
            "CRM_SMS_SENDER": "10004346",
        }
    for engine in state.engines:
        found[ADDRESS_OF[engine.kind]] = engine.url
    return found | {name: value for name, value in os.environ.items() if name.startswith("CRM_")}


def addresses(base_port: int) -> dict[str, str]:
    """The CRM_ variables that say where the parts of a system with that base port find each other."""
    moved = base_port - FIRST_PORT
    guests, console = (f"{each.outside_port + moved}" for each in TABLE if each.outside_port)
    return {
        "CRM_IDENTITY_URL": f"http://127.0.0.1:{base_port}",
        "CRM_GUESTS_PORT": guests,
        "CRM_PUBLIC_URL": f"http://127.0.0.1:{guests}",
        "CRM_TILL_URL": f"http://127.0.0.1:{service_of('visit').port + moved}",
        "CRM_CONSOLE_PORT": console,
        "CRM_CONSOLE_URL": f"http://127.0.0.1:{console}",
        "CRM_LIVE_URL": f"http://127.0.0.1:{service_of('console').worker_port + moved}",
        "CRM_DEVELOPMENT": "true",
        # Nobody reads along on this machine.
        "CRM_CONSOLE_INSECURE": "true",
        "CRM_API_URLS": ",".join(f"{each.name}=http://127.0.0.1:{each.port + moved}" for each in TABLE),
    }


ADDRESS_OF = {"postgres": "CRM_POSTGRES_URL", "kafka": "CRM_KAFKA_SERVERS"}


def settings_of(environment: Mapping[str, str]) -> Settings:
    """Settings as a process with this environment reads them."""
    fields = {name.removeprefix("CRM_").lower(): value for name, value in environment.items()}
    return Settings.model_validate({name: value for name, value in fields.items() if name in Settings.model_fields})


def read_state(folder: Path) -> State:
    """What the last `up` left; an empty state when there was none."""
    file = folder / "state.json"
    return msgspec.json.decode(file.read_bytes(), type=State) if file.exists() else State(FIRST_PORT)


def write_state(folder: Path, state: State) -> None:
    """Remember the state. Only the user can read it, since addresses hold a password."""
    new = folder / "state.json.new"
    new.touch(mode=0o600)
    new.write_bytes(msgspec.json.format(msgspec.json.encode(state)))
    new.rename(folder / "state.json")


def start_part(folder: Path, part: Part, environment: Mapping[str, str]) -> Started:
    """Start one process, its output appended to `logs/<name>.log`.

    Raises UpFailed when something else has its port.
    """
    if not port_is_free(part.port):
        raise UpFailed(f"{part.name}: port {part.port} is taken; CRM_BASE_PORT moves all ports")
    command = [sys.executable, "-m", part.module, *part.arguments]
    address = without_login(environment["CRM_POSTGRES_URL"])
    own = {"CRM_PORT": str(part.port), "CRM_POSTGRES_URL": address, STARTED_BY: str(folder)}
    env = {**os.environ, **environment, **own}
    return Started(part, pids.spawn(command, log_of(folder, part.name), env=env))


def without_login(url: str) -> str:
    """The server's address alone: a service makes its own login from it and never learns the administrator's."""
    split = urlsplit(url)
    return urlunsplit(split._replace(netloc=split.netloc.rpartition("@")[2]))


def log_of(folder: Path, name: str) -> Path:
    """The log file of a part."""
    return folder / "logs" / f"{name}.log"


def is_ready(part: Part) -> bool:
    """True when the part says that it can do its work."""
    try:
        return httpx2.get(part.url + part.health, timeout=3).is_success
    except httpx2.HTTPError:
        return False


def wait_ready(folder: Path, started: tuple[Started, ...]) -> None:
    """Wait until all are ready.

    Raises UpFailed naming the first that ended, or those that are not ready in time.
    """
    waiting, until = list(started), time.monotonic() + READY_WITHIN_SECONDS
    while waiting := [each for each in waiting if not is_ready(each.part)]:
        for each in waiting:
            if not pids.is_running(each.process):
                raise UpFailed(f"{each.part.name} ended:\n{last_lines(log_of(folder, each.part.name))}")
        if time.monotonic() > until:
            names = ", ".join(each.part.name for each in waiting)
            raise UpFailed(f"not ready after {READY_WITHIN_SECONDS} s: {names}; see `crm logs`")
        time.sleep(0.1)


def _start_engines(folder: Path, state: State, say: Callable[[str], None]) -> State:
    password = _secret(folder / "postgres-password")
    # Enough connections for every part's pool, relay and jobs, and some for people.
    start: dict[str, Callable[[], Engine]] = {
        "postgres": lambda: engines.start_postgres(
            folder / "postgres", fsync=True, password=password, max_connections=300, shared_buffers="256MB"
        ),
        "kafka": lambda: engines.start_kafka(folder / "kafka", long_running=True),
    }
    running = {engine.kind: engine for engine in state.engines if answers(engine)}
    missing = [kind for kind in ADDRESS_OF if kind not in running and not os.environ.get(ADDRESS_OF[kind])]
    if missing:
        say(f"starting {' and '.join(missing)} ({engines.way()})")
    with ThreadPoolExecutor() as pool:
        attempts = [pool.submit(start[kind]) for kind in missing]
    new = [attempt.result() for attempt in attempts if attempt.exception() is None]
    state = replace(state, engines=(*running.values(), *new))
    # Remembered before a failure is raised, so that `down` finds the one that did start.
    write_state(folder, state)
    for attempt in attempts:
        attempt.result()
    return state


def _start_parts(folder: Path, state: State, environment: Mapping[str, str], wanted: tuple[Part, ...]) -> State:
    for part in wanted:
        if part.name not in {each.part.name for each in state.started}:
            state = replace(state, started=(*state.started, start_part(folder, part, environment)))
            write_state(folder, state)
    return state


def stop_leftovers(folder: Path, known: Iterable[pids.Process] = ()) -> None:
    """Stop the parts of the system in `folder` that nobody wrote down, because whoever started them was killed: all but
    the `known` ones."""
    spared = set(known)
    for part in parts(FIRST_PORT, simulator=True):
        for process in pids.find(part.module):
            if process not in spared and pids.environment(process).get(STARTED_BY) == str(folder):
                pids.stop(process, deadline=STOP_WITHIN_SECONDS)


def _stop_part(started: Started) -> bool:
    return pids.stop(started.process, deadline=STOP_WITHIN_SECONDS)


def _secret(file: Path) -> str:
    if not file.exists():
        new = file.with_name(f"{file.name}.new")
        new.touch(mode=0o600)
        new.write_text(secrets.token_urlsafe(48))
        new.rename(file)
    return file.read_text()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

"""Finding or starting PostgreSQL and Kafka: given by address, in Docker, or from this machine's own programs."""

import importlib.util
import os
import secrets
import shutil
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Literal

from deploy.engines import local_kafka, local_postgres
from deploy.engines.engine import Engine, EngineError, EngineKind

Way = Literal["docker", "local"]


@cache
def way() -> Way:
    """How servers are started here: `ENGINES=docker|local`, or Docker whenever a daemon answers.

    Raises EngineError for any other word, and when Docker is asked for but no daemon answers.
    """
    asked = os.environ.get("ENGINES", "auto")
    if asked == "local":
        return "local"
    if asked not in ("auto", "docker"):
        raise EngineError(f"ENGINES is {asked!r}; it may be auto, docker or local")
    if importlib.util.find_spec("testcontainers") and _containers().daemon_answers():
        return "docker"
    if asked == "docker":
        raise EngineError("ENGINES=docker, but no Docker daemon answers")
    return "local"


def given(kind: EngineKind) -> Engine | None:
    """The server named by CRM_POSTGRES_URL or CRM_KAFKA_SERVERS, if one is."""
    url = os.environ.get({"postgres": "CRM_POSTGRES_URL", "kafka": "CRM_KAFKA_SERVERS"}[kind])
    return Engine(kind, url) if url else None


def start_postgres(
    data_dir: Path,
    *,
    fsync: bool,
    port: int | None = None,
    password: str | None = None,
    max_connections: int = 200,
    shared_buffers: str = "128MB",
) -> Engine:
    """Start a PostgreSQL server on `data_dir` (a volume named after it, in Docker), and wait until it answers.

    `fsync=False` is for tests that show nothing about durability. A `password` is only left out for a server that
    lives as long as one test run. From async code call this through `asyncio.to_thread`.
    Raises EngineError when there is no way to have one.
    """
    if way() == "docker":
        secret = password or secrets.token_urlsafe(16)
        try:
            in_docker: Engine = _containers().start_postgres(
                data_dir,
                fsync=fsync,
                port=port,
                password=secret,
                max_connections=max_connections,
                shared_buffers=shared_buffers,
            )
            return in_docker
        except EngineError as error:
            _fall_back(error)
    return local_postgres.start(
        data_dir,
        fsync=fsync,
        port=port,
        password=password,
        max_connections=max_connections,
        shared_buffers=shared_buffers,
    )


def start_kafka(data_dir: Path, *, port: int | None = None, heap_mb: int = 512, long_running: bool = False) -> Engine:
    """Start a Kafka broker on `data_dir` (a volume named after it, in Docker), and wait until it answers.

    `long_running` compiles for throughput instead of for a quick start. From async code call this through
    `asyncio.to_thread`.
    Raises EngineError when there is no way to have one.
    """
    if way() == "docker":
        try:
            in_docker: Engine = _containers().start_kafka(data_dir, port=port, heap_mb=heap_mb)
            return in_docker
        except EngineError as error:
            _fall_back(error)
    return local_kafka.start(data_dir, port=port, heap_mb=heap_mb, long_running=long_running)


def stop(engine: Engine, *, forget: bool = False) -> None:
    """Stop a server that we started; one given by address is left alone. `forget` removes a container's data too."""
    if engine.container is not None:
        _containers().stop(engine, forget=forget)
    elif engine.kind == "kafka":
        local_kafka.stop(engine)
    else:
        local_postgres.stop(engine)


def stop_leftovers(folder: Path) -> None:
    """Stop the servers on folders below `folder`, whoever started them and was killed before it could say so."""
    for data_dir in (folder / "postgres", folder / "kafka"):
        local_postgres.stop_leftovers(local_postgres.place_of(data_dir))
        local_kafka.stop_leftovers(data_dir)


def remove(path: Path) -> None:
    """Remove a file, or a folder with the data of servers that have been stopped, if it is there."""
    for place in (local_postgres.place_of(path), local_postgres.below_elsewhere(path)):
        if local_postgres.ELSEWHERE in place.parents:
            shutil.rmtree(place, ignore_errors=True)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _containers() -> ModuleType:
    """Imported when asked for: the client is a developer's tool, missing elsewhere, and takes a second to load."""
    return importlib.import_module("deploy.engines.containers")


def _fall_back(error: EngineError) -> None:
    if os.environ.get("ENGINES") == "docker":
        raise error
    print(f"{error}\nusing this machine's own programs instead", file=sys.stderr, flush=True)

"""PostgreSQL and Kafka in containers, where a Docker daemon answers."""

import hashlib
import os
import socket
import time
from pathlib import Path
from typing import Any

from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient

from deploy.engines.engine import Engine, EngineError, EngineKind, answers, as_options, free_port, postgres_settings

POSTGRES_IMAGE = "postgres:17"
KAFKA_IMAGE = "apache/kafka:4.3.1"

# The reaper would remove the servers when `crm up` returns; we remember the ids and stop them ourselves.
testcontainers_config.ryuk_disabled = True


def daemon_answers() -> bool:
    """True when a Docker daemon can be talked to."""
    path = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if path.startswith("unix://"):
        # Asked first by hand: the client leaves its socket open when nobody answers.
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(path.removeprefix("unix://")) != 0:
                return False
    try:
        DockerClient().client.ping()
    except Exception:  # the client raises whatever its transport raised: refused, wrong version, bad certificate
        return False
    return True


def start_postgres(
    data_dir: Path, *, fsync: bool, port: int | None, password: str, max_connections: int, shared_buffers: str
) -> Engine:
    """A PostgreSQL container whose data are in a volume named after `data_dir`."""
    port = port or free_port()
    options = as_options(postgres_settings(fsync, max_connections, shared_buffers))
    container = (
        DockerContainer(POSTGRES_IMAGE, command=" ".join(["postgres", *options]))
        .with_env("POSTGRES_PASSWORD", password)
        .with_volume_mapping(_volume(data_dir), "/var/lib/postgresql/data", "rw")
        .with_kwargs(shm_size="256m")
    )
    url = f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"
    return _run("postgres", container, 5432, port, url)


def start_kafka(data_dir: Path, *, port: int | None, heap_mb: int) -> Engine:
    """A Kafka container, one combined node, whose log is in a volume named after `data_dir`."""
    port = port or free_port()
    environment = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_LOG_DIRS": "/var/lib/kafka/data",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_BROKER_SESSION_TIMEOUT_MS": "2000",
        "KAFKA_BROKER_HEARTBEAT_INTERVAL_MS": "500",
        "KAFKA_HEAP_OPTS": f"-Xmx{heap_mb}m",
    }
    container = DockerContainer(KAFKA_IMAGE, env=environment).with_volume_mapping(
        _volume(data_dir), "/var/lib/kafka/data", "rw"
    )
    return _run("kafka", container, 9092, port, f"127.0.0.1:{port}")


def stop(engine: Engine, *, forget: bool) -> None:
    """Stop a container and remove it; with `forget` its data too. A daemon that is gone took its containers along."""
    if not daemon_answers():
        return
    docker = DockerClient().client
    found = [each for each in docker.containers.list(all=True) if each.id == engine.container]
    for container in found:
        container.stop(timeout=30)
        mounts: list[dict[str, Any]] = container.attrs["Mounts"]
        container.remove(v=True)
        if forget:
            for mount in mounts:
                docker.volumes.get(mount["Name"]).remove()


def _run(kind: EngineKind, container: DockerContainer, inside: int, port: int, url: str) -> Engine:
    try:
        container.with_bind_ports(inside, port).start()
    except Exception as error:  # no such image, no network to pull it from, no room: the client has many words
        raise EngineError(f"Docker could not start {container.image}: {error}") from error
    engine = Engine(kind, url, container=container.get_container_id())
    until = time.monotonic() + 90
    while not answers(engine):
        if time.monotonic() > until:
            stop(engine, forget=False)
            raise EngineError(f"{container.image} was not ready after 90 s")
        time.sleep(0.1)
    return engine


def _volume(data_dir: Path) -> str:
    # Two checkouts on one machine must not share data.
    return f"servaan-crm-{data_dir.name}-{hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:12]}"

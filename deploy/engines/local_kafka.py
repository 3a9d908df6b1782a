"""A real Apache Kafka broker of our own: one combined node, run by the machine's Java."""

import base64
import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy import pids
from deploy.engines import kafka_jars
from deploy.engines.engine import Engine, EngineError, free_port, port_is_free, wait_ready

PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{by_way}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{by_way_of}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,BYWAY:PLAINTEXT
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
log.dirs={folder}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=2097152
auto.create.topics.enable=false
num.partitions=6
num.network.threads=2
num.io.threads=2
# After a kill -9 the controller waits this long for the dead incarnation before it lets the new one in.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
"""
# Under the locale C Java knows no file names but ASCII ones.
ANY_FILE_NAME = {**os.environ, "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True)
class ByWay:
    """A second door: who comes in at `port` is told to come back by way of the port `told`, as behind a proxy."""

    port: int
    told: int


def start(
    data_dir: Path,
    *,
    port: int | None = None,
    heap_mb: int = 512,
    long_running: bool = False,
    by_way: ByWay | None = None,
) -> Engine:
    """Start a broker on `data_dir`, formatting it when the folder is new.

    `long_running` lets the JVM compile for throughput instead of for a quick start. A folder started before keeps its
    ports when they are free, so that clients find the broker again. A broker that a killed start left on the folder is
    stopped first.
    Raises EngineError when Java or the jars are not to be had or the broker does not come up.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    classpath = kafka_jars.classpath()
    properties = data_dir / "server.properties"
    stop_leftovers(data_dir)
    new = not (data_dir / "log" / "meta.properties").exists()
    port, controller = _ports_of(properties, port)
    doors = {
        "by_way": f",BYWAY://127.0.0.1:{by_way.port}" if by_way else "",
        "by_way_of": f",BYWAY://127.0.0.1:{by_way.told}" if by_way else "",
    }
    if new:
        # Formatted beside its place and moved there whole: one that was killed leaves half of it.
        half = data_dir / "log.new"
        shutil.rmtree(half, ignore_errors=True)
        properties.write_text(PROPERTIES.format(port=port, controller=controller, folder=_escaped(half), **doors))
        _format(classpath, properties)
        half.rename(data_dir / "log")
    folder = _escaped(data_dir / "log")
    properties.write_text(PROPERTIES.format(port=port, controller=controller, folder=folder, **doors))
    quick = [] if long_running else ["-XX:TieredStopAtLevel=1"]
    command = [
        kafka_jars.java(),
        f"-Xms{min(heap_mb, 256)}m",
        f"-Xmx{heap_mb}m",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        *quick,
        *_archive_options(port),
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        classpath,
        "kafka.Kafka",
        str(properties),
    ]
    log = data_dir / "broker.log"
    process = pids.spawn(command, log, env=ANY_FILE_NAME)
    engine = Engine("kafka", f"127.0.0.1:{port}", process=process)
    wait_ready(engine, log, seconds=90)
    return engine


def stop(engine: Engine) -> None:
    """Stop the broker cleanly and keep the class archive that a first run writes at its end."""
    if engine.process is None:
        return
    clean = pids.stop(engine.process, deadline=30)
    written = _archive(engine.url.rpartition(":")[2])
    if clean and written.exists():
        written.rename(_archive())
    written.unlink(missing_ok=True)


def stop_leftovers(data_dir: Path) -> None:
    """Stop the broker that a killed start left on `data_dir`."""
    for process in pids.find(str(data_dir / "server.properties")):
        pids.stop(process, deadline=30)


def _escaped(path: Path) -> str:
    """The path as a value of a properties file, which Java reads as Latin-1 with escapes."""
    units = memoryview(str(path).replace("\\", "\\\\").encode("utf-16-be")).cast("B").hex(" ", 2).split()
    return "".join(chr(int(unit, 16)) if int(unit, 16) < 128 else f"\\u{unit}" for unit in units)


def _format(classpath: str, properties: Path) -> None:
    cluster = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
    # One word, because an id may begin with a dash.
    tool = ["kafka.tools.StorageTool", "format", "--standalone", f"-t={cluster}", "-c", str(properties), "-g"]
    command = [kafka_jars.java(), "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", classpath, *tool]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=ANY_FILE_NAME
    )
    if done.returncode != 0:
        raise EngineError(f"Kafka could not format its folder:\n{(done.stdout + done.stderr)[-2000:]}")


def _ports_of(properties: Path, wanted: int | None) -> tuple[int, int]:
    if properties.exists():
        lines = dict(line.split("=", 1) for line in properties.read_text().splitlines() if "=" in line)
        port = int(lines["advertised.listeners"].partition(",")[0].rpartition(":")[2])
        controller = int(lines["controller.quorum.bootstrap.servers"].rpartition(":")[2])
        if wanted in (None, port) and port_is_free(port) and port_is_free(controller):
            return port, controller
    port = wanted or free_port()
    return port, free_port(but=port)


def _archive(port: str = "") -> Path:
    return kafka_jars.cache_folder() / f"classes{port and '-'}{port}.jsa"


def _archive_options(port: int) -> list[str]:
    # Loading parsed classes from an archive takes a second off each start; the first broker writes it when it stops.
    if _archive().exists():
        return [f"-XX:SharedArchiveFile={_archive()}", "-Xshare:auto", "-Xlog:cds=off"]
    return [f"-XX:ArchiveClassesAtExit={_archive(str(port))}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]

"""A PostgreSQL server of our own, from the binaries on this machine."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from deploy import pids
from deploy.engines import packages
from deploy.engines.engine import (
    Engine,
    EngineError,
    as_options,
    free_port,
    port_is_free,
    postgres_settings,
    wait_ready,
)

# PostgreSQL refuses to run as root; Debian's packages make this login.
UNPRIVILEGED = "postgres"
PORT_FILE = "servaan.port"
# What the login may not reach goes here instead.
ELSEWHERE = Path("/var/lib/servaan-crm")


def start(
    data_dir: Path,
    *,
    fsync: bool,
    port: int | None = None,
    password: str | None = None,
    max_connections: int = 200,
    shared_buffers: str = "128MB",
) -> Engine:
    """Start a server on `data_dir`, making the cluster when the folder is new.

    `fsync=False` is for tests that show nothing about durability. Without a `password` every local login is trusted.
    The port of an earlier start of the same folder is used again when it is free. A server that a killed start left on
    the folder is stopped first.
    Raises EngineError when there are no binaries or the server does not come up.
    """
    binaries = find_binaries()
    login = UNPRIVILEGED if os.geteuid() == 0 else None
    log, data_dir = data_dir.parent / f"{data_dir.name}.log", place_of(data_dir)
    stop_leftovers(data_dir)
    if not (data_dir / "PG_VERSION").exists():
        _make_cluster(binaries, data_dir, login, password)
    port = port or _port_of(data_dir)
    place = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": ""}
    settings = place | postgres_settings(fsync, max_connections, shared_buffers)
    command = [str(binaries / "postgres"), "-D", str(data_dir), *as_options(settings)]
    secret = "" if password is None else f":{quote(password, safe='')}"
    url = f"postgresql://postgres{secret}@127.0.0.1:{port}/postgres"
    engine = Engine("postgres", url, process=pids.spawn(command, log, user=login))
    wait_ready(engine, log, seconds=60)
    return engine


def stop(engine: Engine) -> None:
    """Stop it cleanly: SIGINT ends the sessions of its clients, where SIGTERM would wait for them."""
    if engine.process is not None:
        pids.stop(engine.process, deadline=30, how=signal.SIGINT)


def stop_leftovers(data_dir: Path) -> None:
    """Stop the server that a killed start left on `data_dir`."""
    for process in pids.find(str(data_dir)):
        pids.stop(process, deadline=30, how=signal.SIGINT)


def place_of(data_dir: Path) -> Path:
    """Where the data of `data_dir` are: there, or below `ELSEWHERE` when root asks for a folder that the login of the
    server may not reach, as in root's own home."""
    data_dir = data_dir.resolve()
    elsewhere = below_elsewhere(data_dir.parent) / data_dir.name
    if elsewhere.exists():
        return elsewhere
    is_reachable = all(parent.stat().st_mode & 0o001 for parent in data_dir.parents if parent.exists())
    return data_dir if os.geteuid() != 0 or is_reachable or data_dir.exists() else elsewhere


def below_elsewhere(folder: Path) -> Path:
    """The folder that stands for `folder` where every login may search."""
    return ELSEWHERE / hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]


def find_binaries() -> Path:
    """The folder with the newest `postgres` and `initdb` of this machine; installs them when there are none.

    Raises EngineError when there are none and they can't be installed.
    """
    found = _newest_binaries()
    if found is None:
        packages.install(["postgresql"], because="PostgreSQL 15 or newer is not on this machine")
        found = _newest_binaries()
    if found is None:
        raise EngineError("PostgreSQL 15 or newer is not to be had here; give its address as CRM_POSTGRES_URL")
    return found


def _newest_binaries() -> Path | None:
    folders = {path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")}
    on_path = shutil.which("initdb")
    if on_path is not None:
        folders.add(Path(on_path).resolve().parent)
    usable = {folder: major for folder in folders if (major := _major_version(folder)) >= 15}
    return max(usable, key=lambda folder: usable[folder], default=None)


def _major_version(folder: Path) -> int:
    server = folder / "postgres"
    if not server.exists():
        return 0
    text = subprocess.run([str(server), "--version"], capture_output=True, text=True, check=True).stdout
    number = re.search(r"\d+", text)
    return int(number.group()) if number else 0


def _make_cluster(binaries: Path, data_dir: Path, login: str | None, password: str | None) -> None:
    # Made beside its place and moved there whole: an `initdb` that was killed leaves half a cluster.
    half = data_dir.with_name(f"{data_dir.name}.new")
    if ELSEWHERE in half.parents:
        print(f"the login {UNPRIVILEGED} may not read here: the data of PostgreSQL are in {data_dir}", file=sys.stderr)
        half.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
    for process in pids.find(str(half)):
        pids.kill(process)
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True, mode=0o700)
    if login is not None:
        shutil.chown(half, login, login)
    command = [str(binaries / "initdb"), "-D", str(half), "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8"]
    with tempfile.NamedTemporaryFile("w", dir=half.parent) as password_file:
        password_file.write(password or "")
        password_file.flush()
        if login is not None:
            shutil.chown(password_file.name, login)
        access = ["-A", "trust"] if password is None else ["-A", "scram-sha-256", f"--pwfile={password_file.name}"]
        done = subprocess.run(
            [*command, *access, "--no-sync"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            user=login,
            group=login,
            cwd="/",
            check=False,
        )
    if done.returncode != 0:
        raise EngineError(f"initdb failed:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
    half.rename(data_dir)


def _port_of(data_dir: Path) -> int:
    remembered = data_dir / PORT_FILE
    if remembered.exists() and port_is_free(port := int(remembered.read_text())):
        return port
    port = free_port()
    remembered.write_text(str(port))
    return port

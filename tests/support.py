"""What the fixtures stand on: one start of the engines per run, and databases cloned from a migrated template."""

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import msgspec
from aiokafka.admin import AIOKafkaAdminClient

from deploy import pids
from deploy.crm import engines, processes
from deploy.crm.migrate import OWNER, migrate, owner_dsn
from deploy.engines.engine import Engine, EngineKind
from shared.database import db
from shared.services import WITH_DATABASE
from shared.settings import Settings

# Workers of a run find its folder under this name; its absence tells the process that begins a run.
RUN_FOLDER = "CRM_TEST_RUN"
SECRET = "a-secret-that-only-tests-use-" + "0123456789" * 3 + "01234"


@dataclass(frozen=True)
class Run:
    """One run of the suite, shared by its processes through a folder."""

    folder: Path

    @property
    def id(self) -> str:
        """A short word that no other run on the same servers uses."""
        return hashlib.sha256(self.folder.name.encode()).hexdigest()[:8]

    def engine(self, kind: EngineKind, start: Callable[[], Engine]) -> Engine:
        """The server of this kind: the given one, or the run's own, started by whichever process asks first."""
        given = engines.given(kind)
        if given is not None:
            (self.folder / f"{kind}.used").touch()
            return given
        note = self.folder / f"{kind}.json"
        with (self.folder / f"{kind}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not note.exists():
                note.write_bytes(msgspec.json.encode(start()))
            return read_engine(note)


def run_folder(name: str) -> Path:
    """A new folder for one run's servers, which the unprivileged login may search. The caller removes it."""
    folder = Path(tempfile.mkdtemp(prefix=name))
    folder.chmod(0o711)
    return folder


def begin_run() -> Run:
    """Make the folder of a new run, after clearing up after runs that were killed."""
    run = Run(run_folder("servaan-test-"))
    (run.folder / "owner.json").write_bytes(msgspec.json.encode(pids.identify(os.getpid())))
    for folder in run.folder.parent.glob("servaan-test-*"):
        owner = folder / "owner.json"
        if owner.exists() and not pids.is_running(msgspec.json.decode(owner.read_bytes(), type=pids.Process)):
            # Another run that begins now may be clearing the same folder.
            with contextlib.suppress(FileNotFoundError):
                end_run(Run(folder))
    return run


def end_run(run: Run) -> None:
    """Stop the servers that the run started and remove its folder."""
    for note in run.folder.glob("*.json"):
        if note.stem in ("postgres", "kafka"):
            engines.stop(read_engine(note), forget=True)
    for system in run.folder.glob("system-*"):
        processes.stop_leftovers(system)
    engines.stop_leftovers(run.folder)
    engines.remove(run.folder)


def read_engine(note: Path) -> Engine:
    """An Engine written down as JSON."""
    return msgspec.json.decode(note.read_bytes(), type=Engine)


@dataclass
class Databases:
    """`await database("visit")` gives a pool, logged in as the service, on this test's own fresh database.

    Asking twice gives a second pool on the same database, as two processes of one service would have.
    """

    config: Settings
    run: Run
    pools: list[db.Pool] = field(default_factory=list)
    made: set[str] = field(default_factory=set)

    async def __call__(self, service: str, *, max_size: int = 4) -> db.Pool:
        await self.create(service)
        pool = await db.open_pool(self.config.dsn(service), max_size=max_size, name=f"test of {service}")
        self.pools.append(pool)
        return pool

    async def create(self, service: str) -> str:
        """Make the service's database without opening a pool; returns the service's own DSN."""
        if service not in self.made:
            await clone(self.config, self.run, service)
            self.made.add(service)
        return self.config.dsn(service)

    async def owner_dsn(self, service: str) -> str:
        """The login of the migrations' owner, for looking into the catalogue."""
        await self.create(service)
        return owner_dsn(self.config, self.config.database_name(service))

    async def close(self) -> None:
        """Close the pools and drop the databases."""
        for pool in self.pools:
            await pool.close()
        async with admin_connection(self.config) as admin:
            for service in self.made:
                await admin.execute(f"DROP DATABASE {self.config.database_name(service)} WITH (FORCE)")


@dataclass(frozen=True)
class Kafka:
    """`servers` are bootstrap addresses; `prefix` stands before the name of each topic of this test."""

    servers: str
    prefix: str
    config: Settings


async def clone(config: Settings, run: Run, service: str) -> None:
    """Copy the run's migrated template of a service to the database that `config` names."""
    lock = int(run.id, 16)
    template = config.model_copy(update={"database_prefix": f"t{run.id}_"})
    async with admin_connection(config) as admin:
        # A template can't be copied while anybody is connected to it, and migrating connects.
        await admin.execute("SELECT pg_advisory_lock($1)", lock)
        if not (run.folder / f"{service}.migrated").exists():
            await migrate(template, [service])
            (run.folder / f"{service}.migrated").touch()
        await admin.execute("SELECT pg_advisory_unlock($1)", lock)
        await admin.execute(
            f"CREATE DATABASE {config.database_name(service)} OWNER {OWNER}"
            f" TEMPLATE {template.database_name(service)} STRATEGY FILE_COPY"
        )


async def clear_postgres(url: str, run: Run) -> None:
    """Drop what a run left on a server that it did not start: templates, and databases of interrupted tests."""
    async with admin_connection(Settings(postgres_url=url)) as admin:
        for row in await admin.fetch("SELECT datname FROM pg_database WHERE datname LIKE $1", f"t{run.id}\\_%"):
            await admin.execute(f"DROP DATABASE {row['datname']} WITH (FORCE)")


async def drop_databases(config: Settings) -> None:
    """Drop the databases of every service under these settings."""
    async with admin_connection(config) as admin:
        for service in WITH_DATABASE:
            await admin.execute(f"DROP DATABASE IF EXISTS {config.database_name(service)} WITH (FORCE)")


async def clear_kafka(servers: str, run: Run) -> None:
    """Delete the topics that a run left on a broker that it did not start."""
    await delete_topics(servers, lambda name: name.startswith(f"t{run.id}."))


async def delete_topics(servers: str, which: Callable[[str], bool]) -> None:
    """Delete the topics whose name is chosen by `which`."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        chosen = [name for name in await admin.list_topics() if which(name)]
        if chosen:
            await admin.delete_topics(chosen)
    finally:
        await admin.close()


@contextlib.asynccontextmanager
async def admin_connection(config: Settings) -> AsyncIterator[db.Connection]:
    """A connection as the server's administrator."""
    connection = await asyncpg.connect(config.postgres_url)
    try:
        yield connection
    finally:
        await connection.close()


@contextlib.contextmanager
def throwaway_folder(name: str) -> Iterator[Path]:
    """A folder for servers that one test starts and stops itself."""
    folder = run_folder(name)
    try:
        yield folder
    finally:
        engines.remove(folder)

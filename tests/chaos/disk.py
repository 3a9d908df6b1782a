"""No room left on the device, for the broker and for the database: refused or waited for, never half written."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import asyncpg
import httpx2

from deploy.demo import till
from deploy.engines.local_postgres import UNPRIVILEGED
from tests.chaos.load import Load, load_on, supply
from tests.chaos.proof import prove
from tests.chaos.scenario import Scenario, Skipped, World
from tests.chaos.servers import Servers, flowing, moment_of, own_servers, processes_of
from tests.chaos.system import Scene, open_system, stay

MEBIBYTE: Final = 1024 * 1024
KAFKA_MIB: Final = 192
POSTGRES_MIB: Final = 320
# Filled up to this: some more records fit, or a segment of the log that is there already.
LEFT_BYTES: Final = 256 * 1024
FILLER: Final = "filler"
PER_SECOND: Final = 40
MEANWHILE: Final = 30
FELT_WITHIN_SECONDS: Final = 60.0
FLOWING_WITHIN_SECONDS: Final = 15.0
TABLESPACE: Final = "narrow"


class NotPermitted(Exception):
    """No small disk is to be had here."""


@contextlib.asynccontextmanager
async def small_disk(folder: Path, mebibytes: int) -> AsyncIterator[Path]:
    """A folder on a file system of its own with so much room.

    Raises NotPermitted where mounting is not allowed.
    """
    await asyncio.to_thread(folder.mkdir)
    try:
        await _run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0755", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError) as error:
        raise NotPermitted(str(error)) from None
    try:
        yield folder
    finally:
        # Lazily: a server that was killed a moment ago may not be quite gone.
        await _run("umount", "-l", str(folder))


async def _run(*command: str) -> None:
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)


def fill(disk: Path) -> None:
    """Takes all room but a little, or all where somebody else writes at the same time."""
    with (disk / FILLER).open("ab", buffering=0) as filler, contextlib.suppress(OSError):
        while os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize > LEFT_BYTES:
            filler.write(bytes(LEFT_BYTES // 4))


def empty(disk: Path) -> None:
    """Gives the room back."""
    (disk / FILLER).unlink()


async def _kafka_full(world: World) -> str:
    """The broker dies of it, as Apache Kafka does; HTTP ingest goes on, and all arrives once there is room."""
    async with (
        small_disk(world.folder / "disk", KAFKA_MIB) as disk,
        own_servers(world, kafka_folder=disk / "kafka") as (own, servers),
    ):
        system = await open_system(own, "system")
        try:
            async with stay(own, system) as scene:
                before = processes_of(system)
                async with load_on(scene, per_second=PER_SECOND, over_http=0.5) as load:
                    await load.more(MEANWHILE)
                    fill(disk)
                    await _until_ended(servers)
                    await load.more(MEANWHILE)
                    empty(disk)
                    await servers.start("kafka")
                    took = await _flows(scene)
                assert processes_of(system) == before, "a process was started anew"
                await prove(scene, load.acknowledged)
        finally:
            await system.close()
    return f"{len(load.acknowledged):,} visits, {load.sent_again} sent again; flowing {took:.1f} s after there was room"


async def _until_ended(servers: Servers) -> None:
    async with asyncio.timeout(FELT_WITHIN_SECONDS):
        while servers.is_running("kafka"):
            await asyncio.sleep(0.1)


async def _flows(scene: Scene) -> float:
    started, since = time.monotonic(), await moment_of(scene.pools["visit"])
    await flowing(scene.pools, since, FLOWING_WITHIN_SECONDS)
    return time.monotonic() - started


async def _database_full(world: World) -> str:
    """Every table lies on a small disk: tills are told to come again, nobody loses anything."""
    async with small_disk(world.folder / "disk", POSTGRES_MIB) as disk, own_servers(world) as (own, _):
        await _narrow(own.postgres.url, disk)
        system = await open_system(own, "system")
        try:
            async with stay(own, system) as scene:
                before = processes_of(system)
                async with load_on(scene, per_second=PER_SECOND, over_http=0.5) as load:
                    await load.more(MEANWHILE)
                    fill(disk)
                    refused = await _until_refused(scene, load)
                    empty(disk)
                    took = await _flows(scene)
                assert processes_of(system) == before, "a process was started anew"
                await prove(scene, load.acknowledged)
        finally:
            await system.close()
    return (
        f"{len(load.acknowledged):,} visits, {refused} answers 503 to one till, {load.sent_again} sent again; flowing "
        f"{took:.1f} s after there was room"
    )


async def _narrow(url: str, disk: Path) -> None:
    """Lets every database that is made from now on lie on the small disk; the log stays where it is."""
    folder = disk / TABLESPACE
    folder.mkdir()
    if os.geteuid() == 0:
        shutil.chown(folder, UNPRIVILEGED, UNPRIVILEGED)
    admin = await asyncpg.connect(url)
    try:
        await admin.execute(f"CREATE TABLESPACE {TABLESPACE} LOCATION '{folder}'")
        await admin.execute(f"ALTER DATABASE template0 SET TABLESPACE {TABLESPACE}")
    finally:
        await admin.close()


async def _until_refused(scene: Scene, load: Load) -> int:
    """Hands in bills until enough were refused for want of room; says how many. Those that were taken count.

    Raises AssertionError when one is refused in another way than with a problem that asks to come again.
    """
    bills, refused = iter(reversed(supply())), 0
    headers = {"X-Api-Key": scene.cafe.api_key}
    async with (
        asyncio.timeout(FELT_WITHIN_SECONDS),
        httpx2.AsyncClient(timeout=20, headers=headers, trust_env=False) as client,
    ):
        while refused < MEANWHILE:
            basket = next(bills)
            while True:
                answer = await client.post(f"{scene.system.url('visit-api')}/visits", json=till.visit_body(basket))
                if answer.is_success:
                    load.acknowledged.append(basket)
                    break
                assert answer.status_code == 503, f"{answer.status_code}: {answer.text}"
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.headers["retry-after"]
                refused += 1
                if refused >= MEANWHILE:
                    break
    return refused


async def _disks(world: World) -> str:
    words = []
    for name, play in (("broker", _kafka_full), ("database", _database_full)):
        await asyncio.to_thread((world.folder / name).mkdir, mode=0o711)
        try:
            words.append(f"{name}: {await play(replace(world, folder=world.folder / name))}")
        except NotPermitted as error:
            raise Skipped("no small disk can be mounted here") from error
        world.say(words[-1])
    return "; ".join(words)


SCENARIOS = [Scenario("disk full", _disks)]

"""`python -m tests.chaos`: every scenario of faults on servers of their own, and a table of what was survived."""

import argparse
import asyncio
import hashlib
import logging
import os
import platform
import secrets
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from deploy.crm import engines
from tests.chaos import (
    answers,
    arrival,
    disk,
    kills,
    life,
    network,
    poison,
    poisoned_key,
    provider,
    rebalances,
    restored,
    rolling,
    tenant,
)
from tests.chaos import engines as engine_faults
from tests.chaos.scenario import Scenario, Skipped, World
from tests.chaos.system import Systems
from tests.support import SECRET, throwaway_folder

# What plays, in this order. A module of scenarios has them in SCENARIOS.
MODULES = (
    arrival,
    answers,
    life,
    kills,
    rebalances,
    rolling,
    restored,
    poison,
    poisoned_key,
    tenant,
    provider,
    engine_faults,
    network,
    disk,
)
SCENARIOS: Sequence[Scenario] = [scenario for module in MODULES for scenario in module.SCENARIOS]
SOUND = {True: "yes", False: "**no**", None: "skipped"}
RESULTS = Path(__file__).with_name("results")
LONGEST_SECONDS = {True: 900.0, False: 3 * 3600.0}


@dataclass(frozen=True)
class Outcome:
    """How a scenario ended: `words` is what it survived, or the first line of what broke. `survived` is None for one
    that could not play here."""

    name: str
    seed: int
    seconds: float
    survived: bool | None
    words: str
    quick: bool
    at: str
    machine: str


def seed_of(seed: int, name: str) -> int:
    """A scenario's own seed, the same whichever others play."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:4])


async def play(scenario: Scenario, world: World) -> Outcome:
    """Plays one scenario; a failure is an outcome like another, and the shared system does not outlive it."""
    started = time.monotonic()
    world.folder.mkdir()
    world.folder.chmod(0o711)
    try:
        async with asyncio.timeout(LONGEST_SECONDS[world.quick]):
            words, survived = await scenario.run(world), True
    except Skipped as error:
        words, survived = f"skipped: {error}", None
    except Exception as error:
        traceback.print_exc()
        await world.systems.drop()
        words, survived = _first_line(error), False
    seconds, today = time.monotonic() - started, f"{datetime.now(UTC):%Y-%m-%d}"
    machine = f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return Outcome(scenario.name, world.seed, seconds, survived, words, world.quick, today, machine)


def _first_line(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return next(iter(str(error).splitlines()), "") or type(error).__name__


async def play_all(folder: Path, scenarios: Sequence[Scenario], seed: int, *, quick: bool) -> list[Outcome]:
    """Starts the servers, plays the scenarios one after the other, stops everything."""
    with ThreadPoolExecutor() as pool:
        starting = [
            pool.submit(engines.start_postgres, folder / "postgres", fsync=True, max_connections=400),
            pool.submit(engines.start_kafka, folder / "kafka", long_running=True),
        ]
    systems, outcomes = Systems(), []
    try:
        postgres, kafka = (each.result() for each in starting)
        for scenario in scenarios:
            own = seed_of(seed, scenario.name)
            say(f"{scenario.name} (seed {own}) ...")
            world = World(folder / scenario.name.replace(" ", "-"), postgres, kafka, own, quick, say, systems)
            outcomes.append(await play(scenario, world))
            say(line(outcomes[-1]))
    finally:
        await systems.drop()
        for each in starting:
            if each.exception() is None:
                await asyncio.to_thread(engines.stop, each.result(), forget=True)
    return outcomes


def line(outcome: Outcome) -> str:
    """One outcome on one line."""
    verdict = {True: "survived", False: "BROKE", None: "not played"}[outcome.survived]
    return f"{outcome.name}: {verdict} in {outcome.seconds:.0f} s (seed {outcome.seed}): {outcome.words}"


def table(outcomes: Sequence[Outcome]) -> str:
    """All outcomes as Markdown."""
    rows = [
        f"| {outcome.name} | {SOUND[outcome.survived]} | {outcome.words.replace('|', '/')} "
        f"| {'quick' if outcome.quick else 'long'}, {outcome.seconds:.0f} s | {outcome.at} | {outcome.seed} |"
        for outcome in outcomes
    ]
    return "\n".join([
        f"Played by `make chaos` on {', '.join(sorted({outcome.machine for outcome in outcomes}))}.",
        "",
        "| scenario | sound | what happened | version | played on | its seed |",
        "| --- | --- | --- | --- | --- | ---: |",
        *rows,
    ])  # fmt: skip


def write(outcomes: Sequence[Outcome], folder: Path = RESULTS) -> None:
    """Keeps the outcomes as `chaos.json` and their table as `chaos.md`; those of other scenarios stay."""
    folder.mkdir(exist_ok=True)
    data = folder / "chaos.json"
    before = msgspec.json.decode(data.read_bytes(), type=list[Outcome]) if data.exists() else []
    found = {outcome.name: outcome for outcome in (*before, *outcomes)}
    kept = [found[scenario.name] for scenario in SCENARIOS if scenario.name in found]
    data.write_bytes(msgspec.json.format(msgspec.json.encode(kept)) + b"\n")
    (folder / "chaos.md").write_text(table(kept) + "\n")


def say(words: str) -> None:
    """One line with the time, at once."""
    print(f"{datetime.now(UTC):%H:%M:%S} {words}", flush=True)


async def _until_terminated(folder: Path, scenarios: Sequence[Scenario], seed: int, *, quick: bool) -> list[Outcome]:
    # Ended from outside, as by a build server, it still stops what it started.
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await play_all(folder, scenarios, seed, quick=quick)


def main(arguments: Sequence[str]) -> int:
    """Plays what the command line asks for; 1 when a scenario broke something."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="a run's dice; a new one each time if not given")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes for each scenario")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[scenario.name for scenario in SCENARIOS])
    parser.add_argument("--write", action="store_true", help=f"keep the outcomes in {RESULTS.name} beside this file")
    given = parser.parse_args(arguments)
    for name in [name for name in os.environ if name.startswith("CRM_")]:
        del os.environ[name]
    os.environ["CRM_SECRET"] = SECRET
    for client in ("aiokafka", "asyncpg"):
        # Those of the tills and of the proof lose their servers all the time; it is what is played.
        logging.getLogger(client).setLevel(logging.CRITICAL)
    seed = given.seed if given.seed is not None else secrets.randbelow(1_000_000)
    chosen = [scenario for scenario in SCENARIOS if not given.only or scenario.name in given.only]
    say(f"seed {seed}, {len(chosen)} scenarios")
    with throwaway_folder("servaan-chaos-") as folder:
        try:
            outcomes = asyncio.run(_until_terminated(folder, chosen, seed, quick=given.quick))
        except (asyncio.CancelledError, KeyboardInterrupt):
            say("ended from outside; everything that was started is stopped")
            return 1
    print(f"\n{table(outcomes)}")
    if given.write:
        write(outcomes)
    return 0 if all(outcome.survived is not False for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

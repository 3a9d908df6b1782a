"""What a scenario of faults is given, and what it has to say in the end."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from deploy.crm.audit import audit
from deploy.engines.engine import Engine
from shared.settings import Settings
from tests.chaos.system import Systems


@dataclass(frozen=True)
class World:
    """Where a scenario plays: an empty `folder` of its own, and servers that keep what they acknowledged.

    `quick` asks for the version of seconds instead of minutes. Everything random comes from `dice`. `systems` lends the
    running system that scenarios share.
    """

    folder: Path
    postgres: Engine
    kafka: Engine
    seed: int
    quick: bool
    say: Callable[[str], None]
    systems: Systems = field(default_factory=Systems)

    @property
    def dice(self) -> random.Random:
        """The same dice each time it is asked for: keep it."""
        return random.Random(self.seed)


class Skipped(Exception):
    """The scenario can't play on this machine; says what is missing. It is shown as skipped, never as survived."""


@dataclass(frozen=True)
class Scenario:
    """`run` returns what was survived, in a few words with numbers, as in "214 kills, 9 crash points, 3,000 visits".

    It raises AssertionError, naming what is broken, when an invariant does not hold, and Skipped where it can't play.
    """

    name: str
    run: Callable[[World], Awaitable[str]]


async def assert_sound(config: Settings) -> None:
    """The invariants of `crm audit` over all databases of an installation that has come to rest."""
    breaches = await audit(config, second_look_seconds=2.0)
    assert not breaches, "\n".join(f"{b.invariant} ({b.services}) {b.id}: {b.found}" for b in breaches[:20])

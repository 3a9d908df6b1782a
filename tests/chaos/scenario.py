"""What a scenario of faults is given, and what it has to say in the end."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.crm.audit import audit
from deploy.engines.engine import Engine
from shared.settings import Settings


@dataclass(frozen=True)
class World:
    """Where a scenario plays: an empty `folder` of its own, and servers that keep what they acknowledged.

    `quick` asks for the version of seconds instead of minutes. Everything random comes from `dice`.
    """

    folder: Path
    postgres: Engine
    kafka: Engine
    seed: int
    quick: bool
    say: Callable[[str], None]

    @property
    def dice(self) -> random.Random:
        """The same dice each time it is asked for: keep it."""
        return random.Random(self.seed)


@dataclass(frozen=True)
class Scenario:
    """`run` returns what was survived, in a few words with numbers, as in "214 kills, 9 crash points, 3,000 visits".

    It raises AssertionError, naming what is broken, when an invariant does not hold.
    """

    name: str
    run: Callable[[World], Awaitable[str]]


async def assert_sound(config: Settings) -> None:
    """The invariants of `crm audit` over all databases of an installation that has come to rest."""
    breaches = await audit(config, second_look_seconds=2.0)
    assert not breaches, "\n".join(f"{b.invariant} ({b.services}) {b.id}: {b.found}" for b in breaches[:20])

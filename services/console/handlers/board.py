"""The big board on a wall of the cafe: how today goes, for everybody who stands there."""

import asyncio
from dataclasses import dataclass

from services.console.handlers import today
from services.console.models import work
from services.console.models.session import Insider
from services.console.store.upstream import Away, Upstream


@dataclass(frozen=True)
class Board:
    """What the board shows; what could not be asked is `Away`."""

    numbers: today.Numbers
    visits: work.VisitRows | Away


async def show(up: Upstream, here: Insider) -> Board:
    """The whole board, in three calls beside each other."""
    return Board(*await asyncio.gather(today.numbers(up, here), today.newest(up, here)))

"""The first hour of a cafe: what is there, and what is missing until its first visit."""

import asyncio
from dataclasses import dataclass

from services.console.handlers.panels import panel
from services.console.models import people, work
from services.console.models.session import Insider
from services.console.store import identity, visit
from services.console.store.upstream import Away, Upstream


@dataclass(frozen=True)
class StartPage:
    """What the cafe has so far; what could not be asked is `Away`."""

    branches: tuple[people.BranchOfCafe, ...] | Away
    keys: tuple[people.KeyOfTill, ...] | Away
    newest: work.VisitRows | Away


async def show(up: Upstream, here: Insider) -> StartPage:
    """The page, in three calls beside each other."""
    access, cafe_id = here.access, here.cafe.cafe_id
    branches, keys, newest = await asyncio.gather(
        panel(identity.list_branches(up, access, cafe_id)),
        panel(identity.list_keys(up, access, cafe_id)),
        panel(visit.list_visits(up, access, cafe_id, {"limit": 1})),
    )
    return StartPage(branches, keys, newest)

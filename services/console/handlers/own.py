"""A guest's own page. The customer service says first whether the guest is still there; nothing is shown before."""

import asyncio
from dataclasses import dataclass

from services.console.handlers.panels import panel
from services.console.models import own
from services.console.models.session import Access
from services.console.store import own as store
from services.console.store.upstream import Away, Upstream


@dataclass(frozen=True)
class OwnPage:
    """Everything that the page shows; what could not be asked is `Away`."""

    card: own.OwnCardTold
    points: own.OwnPointsTold | Away
    visits: own.OwnVisitsTold | Away


async def show(up: Upstream, access: Access) -> OwnPage:
    """The page, in three calls. Raises `RefusedCall` 401 for a guest who is not there, `Away` while nobody can tell."""
    card = await store.card(up, access)
    points, visits = await asyncio.gather(panel(store.points(up, access)), panel(store.visits(up, access)))
    return OwnPage(card, points, visits)

"""Rehearsals of rules: what was asked and found, with the names of the guests that they name."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from services.console.handlers.club import Cards, cards_of
from services.console.models.club import RulesVersion
from services.console.models.rehearsals import RehearsalOfClub
from services.console.models.session import Insider
from services.console.store import club, rehearsals
from services.console.store.upstream import Upstream


@dataclass(frozen=True)
class RehearsalPage:
    """A rehearsal, the versions of the rules beside which it stands, and the guests who gain and lose most."""

    found: RehearsalOfClub
    versions: tuple[RulesVersion, ...]
    cards: Cards


async def show(up: Upstream, here: Insider, rehearsal_id: UUID) -> RehearsalPage:
    """The rehearsal: two calls beside each other, and one for the guests' names."""
    access, cafe_id = here.access, here.cafe.cafe_id
    found, versions = await asyncio.gather(
        rehearsals.rehearsal(up, access, cafe_id, rehearsal_id), club.versions(up, access, cafe_id)
    )
    report = found.report
    named = [*report.winners, *report.losers] if report else []
    return RehearsalPage(found, versions, await cards_of(up, here, (each.customer_id for each in named)))

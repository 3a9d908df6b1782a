"""The club: how it stands, by which rules, and what came, went or lapses."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.console.handlers.panels import panel, there
from services.console.models import club as models
from services.console.models.guests import GuestCard
from services.console.models.people import Colleague
from services.console.models.session import Insider
from services.console.rules import roles
from services.console.store import club, customer, identity
from services.console.store.upstream import Away, Upstream

FEW, PAGE = 5, 50
OfGuest = models.RefusedSpending | models.LapsingOfGuest | models.ByHand
Cards = Mapping[UUID, GuestCard]
Names = Mapping[UUID, str]


@dataclass(frozen=True)
class ClubPage:
    """What the club's page shows. Who may not see the cafe's money gets no figures and nothing given by hand."""

    figures: models.ClubFigures | Away | None
    liability: models.OwedFigures | Away | None
    versions: tuple[models.RulesVersion, ...] | Away
    refused: tuple[models.RefusedSpending, ...] | Away
    lapsing: tuple[models.LapsingOfGuest, ...] | Away
    waiting: tuple[models.ByHand, ...] | Away
    cards: Cards
    names: Names


async def show(up: Upstream, here: Insider) -> ClubPage:
    """The club's page: seven calls beside each other, and one for the guests' names."""
    access, cafe_id = here.access, here.cafe.cafe_id
    manages = roles.may(here.cafe.role, "see_money")
    (figures, liability), versions, refused, lapsing, waiting, names = await asyncio.gather(
        asyncio.gather(
            panel(club.figures(up, access, cafe_id)) if manages else _nothing(),
            panel(club.liability(up, access, cafe_id)) if manages else _nothing(),
        ),
        panel(club.versions(up, access, cafe_id)),
        panel(club.refused(up, access, cafe_id)),
        panel(club.lapsing(up, access, cafe_id, FEW)),
        panel(club.by_hand(up, access, cafe_id, FEW, "pending", None)) if manages else _nothing(),
        _names(up, here) if manages else _nobody(),
    )
    few = refused if isinstance(refused, Away) else refused[:FEW]
    pending = waiting if isinstance(waiting, Away) else waiting.adjustments if waiting else ()
    parts: tuple[Sequence[OfGuest] | Away, ...] = (few, lapsing, pending)
    guests = [each.customer_id for part in parts for each in there(part, ())]
    return ClubPage(figures, liability, versions, few, lapsing, pending, await cards_of(up, here, guests), names)


@dataclass(frozen=True)
class ByHandList:
    """What was given and taken by hand, with the names behind the ids."""

    page: models.ByHandPage
    cards: Cards
    names: Names


async def list_by_hand(up: Upstream, here: Insider, state: str | None, before: UUID | None) -> ByHandList:
    """A page of what was given and taken by hand."""
    page, names = await asyncio.gather(
        club.by_hand(up, here.access, here.cafe.cafe_id, PAGE, state, before), _names(up, here)
    )
    return ByHandList(page, await cards_of(up, here, (each.customer_id for each in page.adjustments)), names)


async def list_lapsing(up: Upstream, here: Insider) -> tuple[tuple[models.LapsingOfGuest, ...], Cards]:
    """The guests whose points lapse soonest."""
    found = await club.lapsing(up, here.access, here.cafe.cafe_id, PAGE)
    return found, await cards_of(up, here, (each.customer_id for each in found))


async def list_refused(up: Upstream, here: Insider) -> tuple[tuple[models.RefusedSpending, ...], Cards]:
    """What bills wanted to spend and could not."""
    found = await club.refused(up, here.access, here.cafe.cafe_id)
    return found, await cards_of(up, here, (each.customer_id for each in found))


async def cards_of(up: Upstream, here: Insider, ids: Iterable[UUID]) -> Cards:
    """The guests of these ids, as far as they are known."""
    wanted = list(dict.fromkeys(ids))[:200]
    if not wanted:
        return {}
    none: tuple[GuestCard, ...] = ()
    cards = there(await panel(customer.cards(up, here.access, here.cafe.cafe_id, wanted)), none)
    return {each.id: each for each in cards}


async def _names(up: Upstream, here: Insider) -> Names:
    nobody: tuple[Colleague, ...] = ()
    members = there(await panel(identity.list_members(up, here.access, here.cafe.cafe_id)), nobody)
    return {each.user_id: each.display_name for each in members}


async def _nothing() -> None:
    return None


async def _nobody() -> Names:
    return {}

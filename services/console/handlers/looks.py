"""Who of the cafe looked at which guest."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from services.console.models.guests import GuestCard, LookAtGuest
from services.console.models.session import Insider
from services.console.store import customer, identity
from services.console.store.upstream import Upstream


@dataclass(frozen=True)
class LooksPage:
    """What the page shows; `cards` and `names` by id, as far as they are still known."""

    looks: tuple[LookAtGuest, ...]
    before: UUID | None
    cards: dict[UUID, GuestCard]
    names: dict[UUID, str]


async def show(up: Upstream, here: Insider, before: UUID | None) -> LooksPage:
    """The page of looks, the last first: three calls."""
    cafe_id = here.cafe.cafe_id
    page, members = await asyncio.gather(
        customer.list_looks(up, here.access, cafe_id, before), identity.list_members(up, here.access, cafe_id)
    )
    ids = list(dict.fromkeys(each.customer_id for each in page.views))
    cards = await customer.cards(up, here.access, cafe_id, ids) if ids else ()
    names = {each.user_id: each.display_name for each in members}
    return LooksPage(page.views, page.before, {card.id: card for card in cards}, names)

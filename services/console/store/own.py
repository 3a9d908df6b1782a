"""What the console asks for a guest, by the link to the guest's own page."""

from services.console.models import own
from services.console.models.session import Access
from services.console.store.upstream import Upstream


async def card(up: Upstream, access: Access) -> own.OwnCardTold:
    """The cafe and what the guest allows. Raises `RefusedCall` 401 for a link that opens nothing any more."""
    return await up.get(access, "customer", "/guest/card", own.OwnCardTold)


async def answer(up: Upstream, access: Access, *, channel: str, purpose: str, granted: bool) -> own.OwnCardTold:
    """Keeps the guest's yes or no."""
    body = {"channel": channel, "purpose": purpose, "granted": granted}
    return await up.send(access, "customer", "PUT", "/guest/consents", own.OwnCardTold, body)


async def points(up: Upstream, access: Access) -> own.OwnPointsTold:
    """Points, tier, and what lapses soon."""
    return await up.get(access, "loyalty", "/guest/points", own.OwnPointsTold)


async def visits(up: Upstream, access: Access) -> own.OwnVisitsTold:
    """The last visits."""
    return await up.get(access, "visit", "/guest/visits", own.OwnVisitsTold)

"""What the console asks of the loyalty service about the club as a whole."""

from typing import Any
from uuid import UUID

from services.console.models import club
from services.console.models.session import Access
from services.console.store.upstream import Upstream

SERVICE = "loyalty"


async def figures(up: Upstream, access: Access, cafe_id: UUID) -> club.ClubFigures:
    """How the club stands, and the last 30 days. For managers."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/loyalty/overview", club.ClubFigures)


async def liability(up: Upstream, access: Access, cafe_id: UUID) -> club.OwedFigures:
    """What the club owes, by the month in which it lapses. For managers."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/liability", club.OwedFigures)


async def versions(up: Upstream, access: Access, cafe_id: UUID) -> tuple[club.RulesVersion, ...]:
    """All versions of the rules, the oldest first."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/programs", tuple[club.RulesVersion, ...])


async def propose(up: Upstream, access: Access, cafe_id: UUID, written: dict[str, Any]) -> club.RulesAnswer:
    """New rules; by the cafe's policy they may wait for a second person."""
    return await up.send(access, SERVICE, "POST", f"/cafes/{cafe_id}/programs", club.RulesAnswer, written)


async def lapsing(up: Upstream, access: Access, cafe_id: UUID, limit: int) -> tuple[club.LapsingOfGuest, ...]:
    """The guests whose points lapse soonest."""
    path = f"/cafes/{cafe_id}/loyalty/lapsing"
    return await up.get(access, SERVICE, path, tuple[club.LapsingOfGuest, ...], {"limit": limit})


async def expiry(up: Upstream, access: Access, cafe_id: UUID, guest_id: UUID) -> tuple[club.ExpiryDay, ...]:
    """On which day how many of a guest's points lapse."""
    path = f"/cafes/{cafe_id}/customers/{guest_id}/expiry"
    return await up.get(access, SERVICE, path, tuple[club.ExpiryDay, ...])


async def refused(up: Upstream, access: Access, cafe_id: UUID) -> tuple[club.RefusedSpending, ...]:
    """What bills wanted to spend and could not, the newest first."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/redemptions/refused", tuple[club.RefusedSpending, ...])


async def by_hand(
    up: Upstream, access: Access, cafe_id: UUID, limit: int, state: str | None, before: UUID | None
) -> club.ByHandPage:
    """Points given and taken by hand, the newest first. For managers."""
    wanted = {"limit": limit, "state": state, "before": before}
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/adjustments", club.ByHandPage, wanted)


async def quote(up: Upstream, access: Access, cafe_id: UUID, guest_id: UUID, points: int | None) -> club.SpendingQuote:
    """What spending so many points would mean; without `points` what there is. Raises `RefusedCall` 404 for one who
    has never earned any."""
    body = {"customer_id": guest_id} | ({} if points is None else {"points": points})
    return await up.send(access, SERVICE, "POST", f"/cafes/{cafe_id}/redemptions/quote", club.SpendingQuote, body)

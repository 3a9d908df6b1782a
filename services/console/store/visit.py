"""What the console asks of the visit service."""

from datetime import date
from typing import Any
from uuid import UUID

from services.console.models import work
from services.console.models.session import Access
from services.console.store.upstream import Upstream

SERVICE = "visit"


async def list_visits(up: Upstream, access: Access, cafe_id: UUID, wanted: dict[str, Any]) -> work.VisitRows:
    """Visits, the newest first; `wanted` are the route's own filters."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/visits", work.VisitRows, wanted)


async def find(up: Upstream, access: Access, cafe_id: UUID, visit_id: UUID) -> work.VisitRow:
    """One visit."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/visits/{visit_id}", work.VisitRow)


async def void(up: Upstream, access: Access, cafe_id: UUID, visit_id: UUID, reason: str) -> work.VisitRow:
    """Takes a bill back, or asks for it where a second person has to agree."""
    path = f"/cafes/{cafe_id}/visits/{visit_id}/void"
    return await up.send(access, SERVICE, "POST", path, work.VisitRow, {"reason": reason})


async def enter(up: Upstream, access: Access, cafe_id: UUID, written: dict[str, Any]) -> dict[str, Any]:
    """A bill in place of a till. `receipt_number` makes it the same bill a second time."""
    return await up.send(access, SERVICE, "POST", f"/cafes/{cafe_id}/visits", dict[str, Any], written)


async def days(up: Upstream, access: Access, cafe_id: UUID, first: date, last: date) -> tuple[work.DayNumbers, ...]:
    """Figures of each day that has some, both ends included, today live."""
    path = f"/cafes/{cafe_id}/statistics/days"
    return await up.get(access, SERVICE, path, tuple[work.DayNumbers, ...], {"from": first, "to": last})


async def devices(up: Upstream, access: Access, cafe_id: UUID) -> tuple[work.SeenTill, ...]:
    """The devices that sent bills."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/devices", tuple[work.SeenTill, ...])

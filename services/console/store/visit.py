"""What the console asks of the visit service."""

from datetime import date
from typing import Any
from uuid import UUID

from services.console.models import work
from services.console.models.session import Access
from services.console.models.why import Explained
from services.console.store.upstream import Upstream

SERVICE = "visit"


async def list_visits(up: Upstream, access: Access, cafe_id: UUID, wanted: dict[str, Any]) -> work.VisitRows:
    """Visits, the newest first; `wanted` are the route's own filters."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/visits", work.VisitRows, {**wanted, "view": "row"})


async def find(up: Upstream, access: Access, cafe_id: UUID, visit_id: UUID) -> work.VisitBill:
    """One visit."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/visits/{visit_id}", work.VisitBill)


async def void(up: Upstream, access: Access, cafe_id: UUID, visit_id: UUID, reason: str) -> work.VisitBill:
    """Takes a bill back, or asks for it where a second person has to agree."""
    path = f"/cafes/{cafe_id}/visits/{visit_id}/void"
    return await up.send(access, SERVICE, "POST", path, work.VisitBill, {"reason": reason})


async def enter(up: Upstream, access: Access, cafe_id: UUID, written: dict[str, Any]) -> dict[str, Any]:
    """A bill in place of a till. `receipt_number` makes it the same bill a second time."""
    return await up.send(access, SERVICE, "POST", f"/cafes/{cafe_id}/visits", dict[str, Any], written)


async def today(up: Upstream, access: Access, cafe_id: UUID) -> work.TodayFigures:
    """The day so far beside the same day of last week."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/statistics/today", work.TodayFigures)


async def days(up: Upstream, access: Access, cafe_id: UUID, first: date, last: date) -> tuple[work.DayNumbers, ...]:
    """Figures of each day that has some, both ends included, today live."""
    path = f"/cafes/{cafe_id}/statistics/days"
    return await up.get(access, SERVICE, path, tuple[work.DayNumbers, ...], {"from": first, "to": last})


async def devices(up: Upstream, access: Access, cafe_id: UUID) -> tuple[work.SeenTill, ...]:
    """The devices that sent bills."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/devices", tuple[work.SeenTill, ...])


async def explain_visit(up: Upstream, access: Access, cafe_id: UUID, visit_id: UUID) -> Explained:
    """Why what this service did about a visit is as it is."""
    path = f"/cafes/{cafe_id}/explain/visits/{visit_id}"
    return await up.get(access, SERVICE, path, Explained)


async def explain_guest(up: Upstream, access: Access, cafe_id: UUID, guest_id: UUID, before: str | None) -> Explained:
    """Why what this service knows of a guest is as it is: what is older than `before`, a moment, the newest first."""
    path = f"/cafes/{cafe_id}/explain/guests/{guest_id}"
    return await up.get(access, SERVICE, path, Explained, {"before": before})

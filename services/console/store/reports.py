"""What the console's reports ask."""

from datetime import date
from uuid import UUID

from services.console.models import reports
from services.console.models.session import Access
from services.console.store.upstream import Upstream

VISIT = "visit"


async def days_in_full(
    up: Upstream, access: Access, cafe_id: UUID, first: date, last: date
) -> tuple[reports.DayFigures, ...]:
    """Figures of each day that has some, both ends included."""
    path = f"/cafes/{cafe_id}/statistics/days"
    return await up.get(access, VISIT, path, tuple[reports.DayFigures, ...], {"from": first, "to": last})

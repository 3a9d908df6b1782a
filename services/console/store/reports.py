"""What the console's reports ask."""

from datetime import date
from uuid import UUID

from services.console.models import reports
from services.console.models.session import Access
from services.console.store.upstream import Upstream

VISIT, FEEDBACK = "visit", "feedback"


async def days_in_full(
    up: Upstream, access: Access, cafe_id: UUID, first: date, last: date, branch_id: UUID | None
) -> tuple[reports.DayFigures, ...]:
    """Figures of each day that has some, both ends included."""
    path = f"/cafes/{cafe_id}/statistics/days"
    asked = {"from": first, "to": last, "branch_id": branch_id}
    return await up.get(access, VISIT, path, tuple[reports.DayFigures, ...], asked)


async def months(
    up: Upstream, access: Access, cafe_id: UUID, count: int, branch_id: UUID | None
) -> tuple[reports.MonthOfCafe, ...]:
    """So many months until now, the oldest first."""
    path = f"/cafes/{cafe_id}/statistics/months"
    asked = {"count": count, "branch_id": branch_id}
    return await up.get(access, VISIT, path, tuple[reports.MonthOfCafe, ...], asked)


async def hours(up: Upstream, access: Access, cafe_id: UUID, weeks: int, branch_id: UUID | None) -> reports.WeekHours:
    """So many weeks until yesterday, by weekday and hour."""
    asked = {"weeks": weeks, "branch_id": branch_id}
    return await up.get(access, VISIT, f"/cafes/{cafe_id}/statistics/hours", reports.WeekHours, asked)


async def returns(up: Upstream, access: Access, cafe_id: UUID, count: int) -> tuple[reports.ReturnFigures, ...]:
    """Who of each month's guests came again, the oldest month first."""
    path = f"/cafes/{cafe_id}/statistics/return"
    return await up.get(access, VISIT, path, tuple[reports.ReturnFigures, ...], {"months": count})


async def cohorts(up: Upstream, access: Access, cafe_id: UUID, count: int) -> tuple[reports.CohortFigures, ...]:
    """Guests by the month of their first visit, the oldest first."""
    path = f"/cafes/{cafe_id}/statistics/cohorts"
    return await up.get(access, VISIT, path, tuple[reports.CohortFigures, ...], {"months": count})


async def club_beside_others(
    up: Upstream, access: Access, cafe_id: UUID, first: date, last: date, branch_id: UUID | None
) -> reports.KnownAndUnknown:
    """Bills of known guests beside bills of nobody."""
    asked = {"from": first, "to": last, "branch_id": branch_id}
    return await up.get(access, VISIT, f"/cafes/{cafe_id}/statistics/club", reports.KnownAndUnknown, asked)


async def side_by_side(up: Upstream, access: Access, cafe_id: UUID, first: date, last: date) -> reports.SideBySide:
    """The branches of the cafe, and what belongs to none."""
    asked = {"from": first, "to": last}
    return await up.get(access, VISIT, f"/cafes/{cafe_id}/statistics/branches", reports.SideBySide, asked)


async def dishes(
    up: Upstream, access: Access, cafe_id: UUID, first: date, last: date, branch_id: UUID | None
) -> reports.DishesFigures:
    """Dishes of the months in which these days lie."""
    asked = {"from": first, "to": last, "branch_id": branch_id}
    return await up.get(access, VISIT, f"/cafes/{cafe_id}/statistics/items", reports.DishesFigures, asked)


async def ratings(
    up: Upstream, access: Access, cafe_id: UUID, first: date, last: date, step: str
) -> tuple[reports.StepOfRatings, ...]:
    """Ratings by days, weeks or months, the oldest first."""
    path = f"/cafes/{cafe_id}/feedback/series"
    asked = {"since": first, "until": last, "step": step}
    return await up.get(access, FEEDBACK, path, tuple[reports.StepOfRatings, ...], asked)

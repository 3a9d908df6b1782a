"""What the console asks of the feedback service."""

from typing import Any
from uuid import UUID

from services.console.models import work
from services.console.models.session import Access
from services.console.models.why import Explained
from services.console.store.upstream import Upstream

SERVICE = "feedback"


async def list_ratings(up: Upstream, access: Access, cafe_id: UUID, wanted: dict[str, Any]) -> work.RatingRows:
    """Ratings, the newest first; `wanted` are the route's own filters."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/feedback", work.RatingRows, wanted)


async def find(up: Upstream, access: Access, cafe_id: UUID, rating_id: UUID) -> work.RatingRow:
    """One rating with what was answered."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/feedback/{rating_id}", work.RatingRow)


async def figures(up: Upstream, access: Access, cafe_id: UUID) -> work.RatingFigures:
    """Figures of the last thirty days."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/feedback/summary", work.RatingFigures)


async def answer(up: Upstream, access: Access, cafe_id: UUID, rating_id: UUID, text: str) -> work.RatingRow:
    """Writes the cafe's answer, which the guest reads behind their link."""
    path = f"/cafes/{cafe_id}/feedback/{rating_id}/response"
    return await up.send(access, SERVICE, "PUT", path, work.RatingRow, {"text": text})


async def list_cases(
    up: Upstream, access: Access, cafe_id: UUID, status: str, limit: int, rating_id: UUID | None = None
) -> tuple[work.CaseRow, ...]:
    """Cases of low ratings, or that of one rating; `status` open, overdue, closed or all."""
    query = {"status": status, "limit": limit, "feedback_id": rating_id}
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/cases", tuple[work.CaseRow, ...], query)


async def close_case(up: Upstream, access: Access, cafe_id: UUID, case_id: UUID, resolution: str) -> None:
    """Closes a case with what was done."""
    await up.send(
        access, SERVICE, "POST", f"/cafes/{cafe_id}/cases/{case_id}/close", type(None), {"resolution": resolution}
    )


async def explain_visit(up: Upstream, access: Access, cafe_id: UUID, visit_id: UUID) -> Explained:
    """Why what this service did about a visit is as it is."""
    path = f"/cafes/{cafe_id}/explain/visits/{visit_id}"
    return await up.get(access, SERVICE, path, Explained)


async def explain_guest(up: Upstream, access: Access, cafe_id: UUID, guest_id: UUID, before: str | None) -> Explained:
    """Why what this service knows of a guest is as it is: what is older than `before`, a moment, the newest first."""
    path = f"/cafes/{cafe_id}/explain/guests/{guest_id}"
    return await up.get(access, SERVICE, path, Explained, {"before": before})

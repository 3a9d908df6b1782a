"""A cafe's club as a whole, and the points of it that lapse."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request

from services.loyalty.handlers import club, liability
from services.loyalty.models.http import LapsingDay, LapsingGuest, Overview
from services.loyalty.models.http_liability import Liability
from shared.inputs.fields import Count, Day
from shared.web.acting import acting
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}", tags=["club"])


@router.get("/loyalty/overview")
async def show_overview(
    request: Request, caller: StaffCaller, cafe_id: UUID, since: Day | None = None, until: Day | None = None
) -> Overview:
    """The club as it stands and what came and went on the days from `since` to `until`, both included, the last 30
    without them, 366 at most (managers). Its figures are kept, and a minute behind at most."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return await club.overview(conn, cafe_id, since, until)


@router.get("/liability")
async def show_liability(request: Request, caller: StaffCaller, cafe_id: UUID) -> Liability:
    """The points that guests hold and their worth, by the month of the cafe's calendar in which they lapse, and those
    that never do (managers)."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return await liability.show(conn, cafe_id)


@router.get("/loyalty/lapsing")
async def list_lapsing(
    request: Request, caller: StaffCaller, cafe_id: UUID, limit: Annotated[int, Count(1, 100)] = 50
) -> list[LapsingGuest]:
    """The guests whose points lapse within 30 days, whose first lapse soonest."""
    async with acting(request, caller, cafe_id) as conn:
        return await club.lapsing(conn, cafe_id, limit)


@router.get("/customers/{customer_id}/expiry")
async def show_expiry(request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID) -> list[LapsingDay]:
    """On which day how many of a guest's points lapse unless they are spent before, the soonest first."""
    async with acting(request, caller, cafe_id) as conn:
        return await club.expiry(conn, cafe_id, customer_id)

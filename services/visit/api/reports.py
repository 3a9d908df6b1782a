"""Reports for managers: figures of months, of branches, of dishes, and who came again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request

from services.visit.api.staff import require_branch
from services.visit.handlers import reports
from services.visit.models.http import Branches, Club, Cohort, Dishes, MonthSums, ReturnMonth
from services.visit.rules.figures import days_to_show
from shared import clock
from shared.database.db import Connection
from shared.inputs.fields import Count, Day
from shared.security.access import unit_of
from shared.web.acting import acting
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}/statistics", tags=["reports"])
Months = Annotated[int, Count(1, 36)]
First = Annotated[Day | None, Query(alias="from")]
Last = Annotated[Day | None, Query(alias="to")]


@router.get("/months")
async def monthly_sums(
    request: Request, caller: StaffCaller, cafe_id: UUID, count: Months = 12, branch_id: UUID | None = None
) -> list[MonthSums]:
    """So many months of the cafe's calendar until now, the oldest first, of the whole cafe or of one branch (managers).
    Guests of a branch are those who came to it; new is who never came to any."""
    async with _asking(request, caller, cafe_id, branch_id) as (conn, asked):
        return await reports.months(conn, asked, count)


@router.get("/return")
async def returns(request: Request, caller: StaffCaller, cafe_id: UUID, months: Months = 12) -> list[ReturnMonth]:
    """Guests of each month, new ones and others, and how many of them came again on a later day within 30, 60 and 90
    days of their first day in the month; until yesterday, of the whole cafe (managers)."""
    async with _asking(request, caller, cafe_id, None) as (conn, asked):
        return await reports.returns(conn, asked, months)


@router.get("/cohorts")
async def cohorts(request: Request, caller: StaffCaller, cafe_id: UUID, months: Months = 12) -> list[Cohort]:
    """Guests by the month of their first visit, and how many of them came in each month from then on; until yesterday,
    of the whole cafe (managers)."""
    async with _asking(request, caller, cafe_id, None) as (conn, asked):
        return await reports.cohorts(conn, asked, months)


@router.get("/branches")
async def branches(
    request: Request, caller: StaffCaller, cafe_id: UUID, first: First = None, last: Last = None
) -> Branches:
    """Branches side by side over the days `from` and `to`, both inclusive, the last 90 and today unless given
    (managers). Together they are the whole cafe: bills of no branch stand last."""
    async with _asking(request, caller, cafe_id, None) as (conn, asked):
        return await reports.branches(conn, asked, days_to_show(first, last, asked.moment.date()))


@router.get("/club")
async def club(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    first: First = None,
    last: Last = None,
    branch_id: UUID | None = None,
) -> Club:
    """Bills of known guests beside bills of nobody over the days `from` and `to`, both inclusive, the last 90 and today
    unless given (managers)."""
    async with _asking(request, caller, cafe_id, branch_id) as (conn, asked):
        return await reports.club(conn, asked, days_to_show(first, last, asked.moment.date()))


@router.get("/items")
async def dishes(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    first: First = None,
    last: Last = None,
    branch_id: UUID | None = None,
) -> Dishes:
    """Dishes of the whole months in which the days `from` and `to` lie, until yesterday, of the whole cafe or of one
    branch (managers). They are counted anew some minutes after a bill of such a month changes."""
    async with _asking(request, caller, cafe_id, branch_id) as (conn, asked):
        return await reports.dishes(conn, asked, days_to_show(first, last, asked.moment.date()))


@asynccontextmanager
async def _asking(
    request: Request, caller: StaffCaller, cafe_id: UUID, branch_id: UUID | None
) -> AsyncIterator[tuple[Connection, reports.WantedFigures]]:
    async with acting(request, caller, cafe_id, "manager") as conn:
        await require_branch(conn, cafe_id, branch_id)
        yield conn, reports.WantedFigures(cafe_id, branch_id, clock.now(), await unit_of(conn, cafe_id))

"""Segments over HTTP: what defines them, and who is in them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request

from services.customer.api.guests import _act, _cards
from services.customer.handlers import segments
from services.customer.models.http import (
    AttributeView,
    ChangeSegment,
    CreateSegment,
    DayOfSegment,
    MemberPage,
    PreviewSegment,
    SegmentHistory,
    SegmentPreview,
    SegmentView,
)
from shared import clock
from shared.database import db
from shared.inputs.fields import Count, PageSize
from shared.security.access import ask_alone, unit_of
from shared.web.acting import acting
from shared.web.dependencies import StaffCaller
from shared.web.documents import problems

HistoryDays = Annotated[int, Count(1, 366)]

router = APIRouter(prefix="/cafes/{cafe_id}/segments", tags=["segments"])


@router.get("")
async def list_segments(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[SegmentView]:
    """The cafe's segments."""
    async with acting(request, caller, cafe_id) as conn:
        return await segments.list_segments(conn, cafe_id)


@router.post("", status_code=201)
async def create_segment(request: Request, caller: StaffCaller, cafe_id: UUID, body: CreateSegment) -> SegmentView:
    """Adds a segment (managers). Its guests are found within seconds, and from then on live."""
    act = _act(request, caller)
    async with acting(request, caller, cafe_id, "manager") as conn:
        return await segments.create_segment(conn, cafe_id, body, author=act.author, now=act.at)


@router.get("/attributes")
async def list_attributes(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[AttributeView]:
    """What criteria may ask about, and how to write it."""
    async with acting(request, caller, cafe_id) as conn:
        return segments.list_attributes(await unit_of(conn, cafe_id))


@router.get("/history")
async def list_history(
    request: Request, caller: StaffCaller, cafe_id: UUID, days: HistoryDays = 30
) -> list[SegmentHistory]:
    """All the cafe's segments day by day: who was in them, who came and who went."""
    async with acting(request, caller, cafe_id) as conn:
        return await segments.history(conn, cafe_id, days, now=clock.now())


@router.post("/preview", responses=problems(429))
async def preview_segment(request: Request, caller: StaffCaller, cafe_id: UUID, body: PreviewSegment) -> SegmentPreview:
    """How many guests the criteria would hold now, and who would come and go (managers: they may ask about spending).
    One at a time in a cafe, and for some seconds at most."""
    async with acting(request, caller, cafe_id, "manager"):
        pass  # as in a search among all guests
    async with db.transaction(request.app.state.pool) as conn:
        await ask_alone(conn, cafe_id)
        found = await segments.preview(conn, cafe_id, body, now=clock.now())
    shown = await _cards(request, caller, cafe_id, [*found.sample, *found.entering, *found.leaving])
    cards = {card.id: card for card in shown}
    sample, entering, leaving = (
        [cards[id_] for id_ in ids if id_ in cards] for ids in (found.sample, found.entering, found.leaving)
    )
    compared = body.segment_id is not None
    return SegmentPreview(
        matching=found.matching,
        customers=found.customers,
        reachable=found.reachable,
        sample=sample,
        would_enter=found.would_enter if compared else None,
        would_leave=found.would_leave if compared else None,
        entering=entering if compared else [],
        leaving=leaving if compared else [],
    )


@router.get("/{segment_id}/history")
async def get_history(
    request: Request, caller: StaffCaller, cafe_id: UUID, segment_id: UUID, days: HistoryDays = 30
) -> list[DayOfSegment]:
    """One segment day by day."""
    async with acting(request, caller, cafe_id) as conn:
        return (await segments.history_of(conn, cafe_id, segment_id, days, now=clock.now())).days


@router.get("/{segment_id}")
async def get_segment(request: Request, caller: StaffCaller, cafe_id: UUID, segment_id: UUID) -> SegmentView:
    """One segment."""
    async with acting(request, caller, cafe_id) as conn:
        return await segments.get_segment(conn, cafe_id, segment_id)


@router.patch("/{segment_id}")
async def change_segment(
    request: Request, caller: StaffCaller, cafe_id: UUID, segment_id: UUID, body: ChangeSegment
) -> SegmentView:
    """Changes what the body names (managers)."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return await segments.change_segment(conn, cafe_id, segment_id, body, now=clock.now())


@router.delete("/{segment_id}", status_code=204)
async def delete_segment(request: Request, caller: StaffCaller, cafe_id: UUID, segment_id: UUID) -> None:
    """Deletes a segment of the cafe's own (managers)."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        await segments.delete_segment(conn, cafe_id, segment_id, now=clock.now())


@router.get("/{segment_id}/members")
async def list_members(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    segment_id: UUID,
    after: UUID | None = None,
    limit: PageSize = 100,
) -> MemberPage:
    """The guests in a segment, a page at a time."""
    async with acting(request, caller, cafe_id) as conn:
        return await segments.list_members(conn, cafe_id, segment_id, after, limit)

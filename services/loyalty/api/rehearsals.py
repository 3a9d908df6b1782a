"""Rules tried on everything that happened, before anybody publishes them."""

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from services.loyalty.handlers import rehearsing
from services.loyalty.models.http_rehearsals import AskRehearsal, ShownRehearsal
from services.loyalty.store import rehearsals
from shared.web.acting import acting, acting_in_role
from shared.web.dependencies import StaffCaller
from shared.web.documents import problems

router = APIRouter(prefix="/cafes/{cafe_id}/programs/rehearsals", tags=["rehearsals"])
CSV = "text/csv"


@router.post("", status_code=202)
async def ask_rehearsal(request: Request, caller: StaffCaller, cafe_id: UUID, body: AskRehearsal) -> ShownRehearsal:
    """Has rules tried on all bills of the cafe (managers): what they would have earned, who would stand where, what it
    would cost. Nothing changes by it. One of a cafe at a time; the newest 20 are kept."""
    async with acting_in_role(request, caller, cafe_id, "manager") as (conn, role):
        return await rehearsing.ask(conn, cafe_id, caller.user_id, role, body, request.app.state.settings.keys)


@router.get("")
async def list_rehearsals(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[ShownRehearsal]:
    """The cafe's rehearsals, the newest first, without their reports (managers)."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return await rehearsing.list_all(conn, cafe_id)


@router.get("/{rehearsal_id}")
async def show_rehearsal(request: Request, caller: StaffCaller, cafe_id: UUID, rehearsal_id: UUID) -> ShownRehearsal:
    """How far a rehearsal is, and what it found (managers). Its first word is the check: counting by the rules in force
    finds what the books say."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return await rehearsing.show(conn, cafe_id, rehearsal_id)


@router.get(
    "/{rehearsal_id}/guests.csv",
    response_class=StreamingResponse,
    responses={200: {"content": {CSV: {}}}, **problems(409)},
)
async def list_guests(request: Request, caller: StaffCaller, cafe_id: UUID, rehearsal_id: UUID) -> StreamingResponse:
    """What would become of each guest, as CSV: ids, points and tiers, no name and no number (managers)."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        await rehearsing.require_done(conn, cafe_id, rehearsal_id)

    async def read(part: int) -> bytes | None:
        # A transaction a part: who reads slowly keeps no connection.
        async with acting(request, caller, cafe_id, "manager") as conn:
            return await rehearsals.guests_of_part(conn, cafe_id, rehearsal_id, part)

    headers = {"Content-Disposition": f'attachment; filename="rehearsal-{rehearsal_id}.csv"'}
    return StreamingResponse(rehearsing.lines(read), media_type=f"{CSV}; charset=utf-8", headers=headers)

"""What a guest asks about their visits, by the link to their own page."""

from fastapi import APIRouter, Request

from services.visit.models.http import OwnVisit, OwnVisits
from services.visit.store import own_page as store
from shared.database import db
from shared.web.guests import GuestCaller, link_gone

router = APIRouter(prefix="/guest", tags=["guests"])
SHOWN = 8


@router.get("/visits")
async def show_own_visits(request: Request, caller: GuestCaller) -> OwnVisits:
    """The guest's last visits: when, at which branch, and the points. No amounts and nothing of what was ordered."""
    async with db.till_transaction(request.app.state.pool, caller.cafe_id) as conn:
        if await store.was_erased(conn, caller):
            raise link_gone()
        rows = await store.last_visits(conn, caller.cafe_id, caller.customer_id, SHOWN)
    return OwnVisits(visits=[OwnVisit(**row) for row in rows])

"""What a guest asks about their points, by the link to their own page."""

from fastapi import APIRouter, Request

from services.loyalty.handlers import own_page
from services.loyalty.models.http import OwnPoints
from shared.database import db
from shared.web.guests import GuestCaller

router = APIRouter(prefix="/guest", tags=["guests"])


@router.get("/points")
async def show_own_points(request: Request, caller: GuestCaller) -> OwnPoints:
    """The guest's points, tier, what is missing to the next one, and what lapses within two months."""
    async with db.till_transaction(request.app.state.pool, caller.cafe_id) as conn:
        return await own_page.show(conn, caller.cafe_id, caller.customer_id)

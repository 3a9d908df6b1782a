"""Who looked at which guest, for owners."""

from uuid import UUID

from fastapi import APIRouter, Request

from services.customer.models.http import ViewedGuest, ViewPage
from services.customer.store import views
from shared.inputs.fields import PageSize
from shared.web.acting import acting
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}/guest-views", tags=["customers"])


@router.get("")
async def list_guest_views(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    customer_id: UUID | None = None,
    user_id: UUID | None = None,
    before: UUID | None = None,
    limit: PageSize = 100,
) -> ViewPage:
    """Who opened which guest or had the whole number shown, in the last 400 days (owners)."""
    async with acting(request, caller, cafe_id, "owner") as conn:
        rows = await views.list_views(conn, cafe_id, customer_id, user_id, before, limit)
    shown = [ViewedGuest.model_validate(row) for row in rows]
    return ViewPage(views=shown, before=shown[-1].id if len(shown) == limit else None)

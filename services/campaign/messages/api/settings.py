"""The cafe's rules for all its messages."""

from uuid import UUID

from fastapi import APIRouter, Request

from services.campaign.messages.models.http import SettingsView, WriteSettings
from services.campaign.messages.store import cafes
from shared.errors import NotFound
from shared.web.acting import acting
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}", tags=["providers"])


@router.get("/messaging")
async def show_settings(request: Request, caller: StaffCaller, cafe_id: UUID) -> SettingsView:
    """The cafe's rules for all its messages. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        found = await cafes.get_settings(conn, cafe_id)
    if found is None:
        raise NotFound("messaging settings", "تنظیمات پیام")
    return SettingsView(**found)


@router.put("/messaging", status_code=204)
async def replace_settings(request: Request, caller: StaffCaller, cafe_id: UUID, body: WriteSettings) -> None:
    """Replaces the cafe's rules for all its messages. For owners."""
    async with acting(request, caller, cafe_id, "owner") as conn:
        await cafes.set_settings(conn, cafe_id, body.guest_daily_cap, body.monthly_budget)

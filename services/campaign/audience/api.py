"""Whom a cafe wants told that a guest was unhappy."""

from uuid import UUID

from fastapi import APIRouter, Request

from services.campaign.audience.handlers import duty
from services.campaign.audience.models.http import DutyView, PersonView, WriteDuty
from services.campaign.audience.store import duty as duty_store
from shared.database.db import Connection
from shared.errors import NotFound
from shared.persian.phone import last_four
from shared.web.acting import acting
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}", tags=["duty"])


@router.get("/duty")
async def show_duty(request: Request, caller: StaffCaller, cafe_id: UUID) -> DutyView:
    """Who is told by SMS that a guest was unhappy."""
    async with acting(request, caller, cafe_id) as conn:
        return await _view(request, conn, cafe_id)


@router.put("/duty")
async def replace_duty(request: Request, caller: StaffCaller, cafe_id: UUID, body: WriteDuty) -> DutyView:
    """Replaces who is told by SMS that a guest was unhappy: each, once a case, the stars and the table, within quiet
    hours and budgets. Nobody is told before somebody is named here. For owners."""
    async with acting(request, caller, cafe_id, "owner") as conn:
        await duty.replace_people(conn, cafe_id, body, keys=request.app.state.settings.keys)
        return await _view(request, conn, cafe_id)


async def _view(request: Request, conn: Connection, cafe_id: UUID) -> DutyView:
    cap = await duty_store.daily_cap(conn, cafe_id)
    if cap is None:
        raise NotFound("messaging settings", "تنظیمات پیام")
    keys = request.app.state.settings.keys
    people = [
        PersonView(
            id=each.id,
            label=each.label,
            phone_ending=last_four(duty.number_of(keys, each.id, each.phone_sealed)),
            is_on_duty=each.is_on_duty,
        )
        for each in await duty_store.list_people(conn, cafe_id)
    ]
    return DutyView(people=people, most_a_day=cap)

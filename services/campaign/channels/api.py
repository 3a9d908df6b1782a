"""The cafe's accounts at providers."""

from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Request

from services.campaign.channels import store as channels_store
from services.campaign.channels.handlers import accounts
from services.campaign.channels.handlers.accounts import callback_token
from services.campaign.channels.models.http import Created, ProviderView, WriteProvider
from shared.clock import now
from shared.persian.calendar import local_date
from shared.web.acting import acting
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}", tags=["providers"])


@router.get("/providers")
async def list_providers(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[ProviderView]:
    """The accounts in the order in which they are asked. For owners."""
    config = request.app.state.settings
    keys = config.keys
    async with acting(request, caller, cafe_id, "owner") as conn:
        cafes = await channels_store.time_zones(conn, [cafe_id])
        today = local_date(now(), cafes.get(cafe_id, "UTC"))
        rows = await channels_store.list_providers(conn, cafe_id, today)
    views = []
    for row in rows:
        token = callback_token(keys, cafe_id, row["id"])
        query = urlencode({"cafe": cafe_id, "provider": row["id"], "token": token})
        base = f"/providers/{row['provider_name']}"
        addresses = {"receipts_address": f"{base}/receipts?{query}", "replies_address": f"{base}/replies?{query}"}
        terms = {} if row["own_key"] else {"sender_line": config.sms_sender, "cost_per_sms": config.sms_price}
        views.append(ProviderView(**(row | terms | addresses)))
    return views


@router.post("/providers", status_code=201)
async def add_provider(request: Request, caller: StaffCaller, cafe_id: UUID, body: WriteProvider) -> Created:
    """Adds an account. For owners."""
    async with acting(request, caller, cafe_id, "owner") as conn:
        return Created(id=await accounts.add_provider(conn, request.app.state.settings, cafe_id, body))


@router.put("/providers/{provider_id}", status_code=204)
async def replace_provider(
    request: Request, caller: StaffCaller, cafe_id: UUID, provider_id: UUID, body: WriteProvider
) -> None:
    """Replaces an account; its key stays when none is given. For owners."""
    async with acting(request, caller, cafe_id, "owner") as conn:
        await accounts.replace_provider(conn, request.app.state.settings, cafe_id, provider_id, body)

"""The cafe's accounts at SMS providers, and its messaging rules."""

from datetime import datetime
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Request

from services.campaign.api.acting import acting
from services.campaign.api.journeys import Created
from services.campaign.handlers import staff
from services.campaign.handlers.providers.accounts import callback_token
from services.campaign.models.bodies import WriteProvider, WriteSettings
from services.campaign.store import providers
from shared.clock import now
from shared.errors import NotFound
from shared.inputs.amounts import Money, Priced
from shared.persian.calendar import local_date
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}", tags=["providers"])


class ProviderView(Priced):
    """An account without its key; one without a key of its own sends on the installation's terms, which are shown. Its
    price is in `currency_unit`.

    `charged_per_part` is what the provider last asked; budgets are judged by the dearer of this and `cost_per_sms`. The
    two addresses belong into the provider's panel, behind this API's own.

    `last_error` is the provider's code or what became of the last call that failed. Until `paused_until` the account is
    not tried again: its messages go by the next account, or wait.
    """

    id: UUID
    provider_name: str
    api_endpoint: str | None
    sender_line: str | None
    cost_per_sms: Money
    charged_per_part: Money | None
    is_active: bool
    priority_order: int
    daily_limit: int | None
    monthly_limit: int | None
    created_at: datetime
    own_key: bool
    sent_today: int
    last_error: str | None
    last_error_at: datetime | None
    paused_until: datetime | None
    receipts_address: str
    replies_address: str


class SettingsView(Priced):
    """The cafe's rules for all its messages; the budget of a month in `currency_unit`."""

    guest_daily_cap: int
    monthly_budget: Money | None


@router.get("/providers")
async def list_providers(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[ProviderView]:
    """The accounts in the order in which they are asked. For owners."""
    config = request.app.state.settings
    keys = config.keys
    async with acting(request, caller, cafe_id, "owner") as conn:
        cafes = await providers.time_zones(conn, [cafe_id])
        today = local_date(now(), cafes.get(cafe_id, "UTC"))
        rows = await providers.list_providers(conn, cafe_id, today)
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
        return Created(id=await staff.add_provider(conn, request.app.state.settings, cafe_id, body))


@router.put("/providers/{provider_id}", status_code=204)
async def replace_provider(
    request: Request, caller: StaffCaller, cafe_id: UUID, provider_id: UUID, body: WriteProvider
) -> None:
    """Replaces an account; its key stays when none is given. For owners."""
    async with acting(request, caller, cafe_id, "owner") as conn:
        await staff.replace_provider(conn, request.app.state.settings, cafe_id, provider_id, body)


@router.get("/messaging")
async def show_settings(request: Request, caller: StaffCaller, cafe_id: UUID) -> SettingsView:
    """The cafe's rules for all its messages."""
    async with acting(request, caller, cafe_id) as conn:
        found = await providers.get_settings(conn, cafe_id)
    if found is None:
        raise NotFound("messaging settings", "تنظیمات پیام")
    return SettingsView(**found)


@router.put("/messaging", status_code=204)
async def replace_settings(request: Request, caller: StaffCaller, cafe_id: UUID, body: WriteSettings) -> None:
    """Replaces the cafe's rules for all its messages. For owners."""
    async with acting(request, caller, cafe_id, "owner") as conn:
        await providers.set_settings(conn, cafe_id, body.guest_daily_cap, body.monthly_budget)

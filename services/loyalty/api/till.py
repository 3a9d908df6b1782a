"""What a till asks and does at the counter."""

from datetime import timedelta
from uuid import UUID

from fastapi import APIRouter, Request
from msgspec.structs import replace

from services.loyalty.api.shown import occasion_of, redemption_of, shown
from services.loyalty.handlers import accounts, quotes, redemptions
from services.loyalty.models.http import (
    AskEarning,
    EarningQuote,
    LookUp,
    RedeemAtTill,
    ShownRedemption,
    TillAccount,
)
from shared import clock
from shared.database import db
from shared.security import ids
from shared.security.auth import Till, require_scope
from shared.security.guest_links import guest_page_address
from shared.settings import Settings
from shared.web.acting import acting_as_till
from shared.web.dependencies import TillCaller

LOOKUP_SCOPE = "loyalty_lookup"
REDEEM_SCOPE = "ingest"
router = APIRouter(tags=["till"])


@router.post("/loyalty/lookup")
async def look_up(request: Request, caller: TillCaller, body: LookUp) -> TillAccount:
    """What the guest with that number has; nothing personal comes back (scope `loyalty_lookup`)."""
    require_scope(caller, LOOKUP_SCOPE)
    config: Settings = request.app.state.settings
    guest = _customer_id(request, caller, body.phone)
    async with db.till_transaction(request.app.state.pool, caller.cafe_id) as conn:
        found = await accounts.look_up(conn, caller.cafe_id, guest)
    link = guest_page_address(config.keys, config.guest_page_url, caller.cafe_id, guest, clock.now())
    return found.model_copy(update={"guest_link": link})


@router.post("/loyalty/quotes")
async def quote(request: Request, caller: TillCaller, body: AskEarning) -> EarningQuote:
    """What a bill would earn if it came now, and how little more lifts the guest to the next tier (scope
    `loyalty_lookup`). It keeps nothing; the bill itself earns the same unless another comes between."""
    require_scope(caller, LOOKUP_SCOPE)
    keys = request.app.state.settings.keys
    guest = None if body.phone is None else _customer_id(request, caller, body.phone)
    async with db.till_transaction(request.app.state.pool, caller.cafe_id) as conn:
        return await quotes.quote(conn, caller.cafe_id, guest, body, keys)


@router.post("/redemptions", status_code=201)
async def redeem_at_till(request: Request, caller: TillCaller, body: RedeemAtTill) -> ShownRedemption:
    """Reserves a guest's points, or a reward, for a bill (scope `ingest`). Send it again whenever in doubt: once is all
    it does."""
    require_scope(caller, REDEEM_SCOPE)
    wanted = redemption_of(caller.cafe_id, _customer_id(request, caller, body.phone), body, till_key_id=caller.key_id)
    occasion = occasion_of(request.app.state.settings.keys, wanted, body)
    wanted = replace(wanted, reserved_until=wanted.created_at + timedelta(minutes=body.reserve_minutes))
    async with acting_as_till(request.app.state, caller.cafe_id) as conn:
        redemption, balance = await redemptions.redeem(conn, wanted, request.state.correlation_id, occasion)
    return shown(redemption, balance)


@router.get("/redemptions/{redemption_id}")
async def show_redemption(request: Request, caller: TillCaller, redemption_id: UUID) -> ShownRedemption:
    """What became of a redemption, or of the points that a bill asks for: by the `redemption_id` that the bill names,
    else by the `visit_id` that it was answered with (scope `ingest`)."""
    require_scope(caller, REDEEM_SCOPE)
    async with db.till_transaction(request.app.state.pool, caller.cafe_id) as conn:
        return shown(await redemptions.show(conn, caller.cafe_id, redemption_id), None)


@router.post("/redemptions/{redemption_id}/cancel")
async def cancel_at_till(request: Request, caller: TillCaller, redemption_id: UUID) -> ShownRedemption:
    """Gives back what this till has reserved and no bill has named, once (scope `ingest`)."""
    require_scope(caller, REDEEM_SCOPE)
    async with acting_as_till(request.app.state, caller.cafe_id) as conn:
        redemption, balance = await redemptions.cancel(
            conn, caller.cafe_id, redemption_id, request.state.correlation_id, till_key_id=caller.key_id
        )
    return shown(redemption, balance)


def _customer_id(request: Request, caller: Till, e164: str) -> UUID:
    config: Settings = request.app.state.settings
    return ids.customer_id(config.keys, caller.cafe_id, e164)

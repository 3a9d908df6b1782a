"""What the console asks of the loyalty service while a guest stands at the counter."""

from typing import Any
from uuid import UUID

from services.console.models import counter
from services.console.models.session import Access
from services.console.store.upstream import Upstream

SERVICE = "loyalty"


async def offers(
    up: Upstream, access: Access, cafe_id: UUID, guest_id: UUID, branch_id: UUID | None
) -> counter.OffersAtCounter:
    """What the guest may have now."""
    path = f"/cafes/{cafe_id}/customers/{guest_id}/offers"
    return await up.get(access, SERVICE, path, counter.OffersAtCounter, {"branch_id": branch_id})


async def quote_bill(
    up: Upstream, access: Access, cafe_id: UUID, guest_id: UUID, bill: dict[str, Any]
) -> counter.BillQuote:
    """What a bill would earn. It keeps nothing."""
    path = f"/cafes/{cafe_id}/customers/{guest_id}/quotes"
    return await up.send(access, SERVICE, "POST", path, counter.BillQuote, bill)


async def take_reward(up: Upstream, access: Access, cafe_id: UUID, wanted: dict[str, Any]) -> counter.TakenAtCounter:
    """Spends points for a reward. The same `redemption_id` a second time is the same redemption."""
    return await up.send(access, SERVICE, "POST", f"/cafes/{cafe_id}/redemptions", counter.TakenAtCounter, wanted)


async def use_voucher(
    up: Upstream, access: Access, cafe_id: UUID, voucher_id: UUID, request_id: UUID
) -> counter.UsedVoucher:
    """Uses a voucher. The same `request_id` a second time is the same use."""
    path = f"/cafes/{cafe_id}/vouchers/{voucher_id}/use"
    return await up.send(access, SERVICE, "POST", path, counter.UsedVoucher, {"request_id": request_id})


async def take_voucher_back(up: Upstream, access: Access, cafe_id: UUID, voucher_id: UUID) -> counter.UsedVoucher:
    """Takes the use of a voucher back."""
    path = f"/cafes/{cafe_id}/vouchers/{voucher_id}/take-back"
    return await up.send(access, SERVICE, "POST", path, counter.UsedVoucher)


async def referrals(up: Upstream, access: Access, cafe_id: UUID, guest_id: UUID) -> counter.GuestReferrals:
    """The guest's code, who brought the guest, and whom the guest brought."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/customers/{guest_id}/referrals", counter.GuestReferrals)


async def claim_referral(
    up: Upstream, access: Access, cafe_id: UUID, guest_id: UUID, code: str
) -> counter.ReferralOfGuest:
    """Notes by whose code a new guest came. A repeat has no effect."""
    body = {"customer_id": guest_id, "code": code}
    return await up.send(access, SERVICE, "POST", f"/cafes/{cafe_id}/referrals", counter.ReferralOfGuest, body)

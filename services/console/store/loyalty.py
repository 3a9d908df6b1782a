"""What the console asks of the loyalty service."""

from uuid import UUID

from services.console.models import guests
from services.console.models.session import Access
from services.console.models.why import Explained
from services.console.store.upstream import Upstream

SERVICE = "loyalty"


async def balance(up: Upstream, access: Access, cafe_id: UUID, guest_id: UUID) -> guests.Balance:
    """The guest's points and tier. Raises `RefusedCall` 404 for one who has never earned any."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/customers/{guest_id}/loyalty", guests.Balance)


async def ledger(up: Upstream, access: Access, cafe_id: UUID, guest_id: UUID, limit: int) -> guests.LedgerLines:
    """The newest rows of the guest's ledger."""
    path = f"/cafes/{cafe_id}/customers/{guest_id}/ledger"
    return await up.get(access, SERVICE, path, guests.LedgerLines, {"limit": limit})


async def redeem(
    up: Upstream, access: Access, cafe_id: UUID, guest_id: UUID, redemption_id: UUID, *, points: int, kind: str
) -> guests.Redeemed:
    """Spends points. The same `redemption_id` a second time is the same redemption."""
    body = {"redemption_id": redemption_id, "customer_id": guest_id, "points": points, "kind": kind}
    return await up.send(access, SERVICE, "POST", f"/cafes/{cafe_id}/redemptions", guests.Redeemed, body)


async def adjust(
    up: Upstream,
    access: Access,
    cafe_id: UUID,
    guest_id: UUID,
    adjustment_id: UUID,
    *,
    kind: str,
    points: int,
    reason: str,
) -> guests.Adjusted:
    """Gives or takes points by hand, or asks for it where a second person has to agree."""
    body = {"adjustment_id": adjustment_id, "type": kind, "points": points, "reason": reason}
    path = f"/cafes/{cafe_id}/customers/{guest_id}/adjustments"
    return await up.send(access, SERVICE, "POST", path, guests.Adjusted, body)


async def explain_visit(
    up: Upstream, access: Access, cafe_id: UUID, visit_id: UUID, guest_id: UUID | None
) -> Explained:
    """Why what this service did about a visit is as it is."""
    path = f"/cafes/{cafe_id}/explain/visits/{visit_id}"
    return await up.get(access, SERVICE, path, Explained, {"customer_id": guest_id})


async def explain_guest(up: Upstream, access: Access, cafe_id: UUID, guest_id: UUID, before: str | None) -> Explained:
    """Why what this service knows of a guest is as it is: what is older than `before`, a moment, the newest first."""
    path = f"/cafes/{cafe_id}/explain/guests/{guest_id}"
    return await up.get(access, SERVICE, path, Explained, {"before": before})

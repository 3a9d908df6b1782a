"""What the console asks of the campaign service."""

from uuid import UUID

from services.console.models import guests
from services.console.models.session import Access
from services.console.models.why import Explained
from services.console.store.upstream import Upstream

SERVICE = "campaign"


async def messages(up: Upstream, access: Access, cafe_id: UUID, guest_id: UUID, limit: int) -> guests.MessagesOfGuest:
    """Journeys and messages of one guest with every decision."""
    path = f"/cafes/{cafe_id}/guests/{guest_id}/messages"
    return await up.get(access, SERVICE, path, guests.MessagesOfGuest, {"limit": limit})


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

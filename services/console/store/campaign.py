"""What the console asks of the campaign service."""

from uuid import UUID

from services.console.models import guests
from services.console.models.session import Access
from services.console.store.upstream import Upstream

SERVICE = "campaign"


async def messages(up: Upstream, access: Access, cafe_id: UUID, guest_id: UUID, limit: int) -> guests.MessagesOfGuest:
    """Journeys and messages of one guest with every decision."""
    path = f"/cafes/{cafe_id}/guests/{guest_id}/messages"
    return await up.get(access, SERVICE, path, guests.MessagesOfGuest, {"limit": limit})

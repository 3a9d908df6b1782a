"""What the console asks of its own worker, which alone reads the topics."""

from uuid import UUID

from services.console.models.session import Access
from services.console.store.upstream import Followed, Upstream

SERVICE = "console"


async def follow(up: Upstream, access: Access, cafe_id: UUID, place: str | None) -> Followed:
    """The live stream of a cafe, from `place` on."""
    return await up.follow(access, SERVICE, f"{up.live_url}/live/{cafe_id}", place)

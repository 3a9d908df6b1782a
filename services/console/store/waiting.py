"""What waits for a second person, in every service that has such."""

from uuid import UUID

from services.console.models.people import WaitingMatter
from services.console.models.session import Access
from services.console.store.upstream import Upstream

HOLDERS = ("identity", "visit", "loyalty", "campaign")


async def list_waiting(up: Upstream, access: Access, service: str, cafe_id: UUID) -> tuple[WaitingMatter, ...]:
    """What waits in one service."""
    return await up.get(access, service, f"/cafes/{cafe_id}/approvals", tuple[WaitingMatter, ...])


async def decide(up: Upstream, access: Access, service: str, path: str, *, approve: bool, version: int | None) -> None:
    """Lets it pass, or not. `path` is the matter's own `decide_at`. A campaign that may not go is cancelled."""
    campaign = path.removesuffix("/approve")
    if campaign == path:
        await up.send(access, service, "POST", path, dict[str, object], {"approve": approve})
    elif approve:
        await up.send(access, service, "POST", path, dict[str, object], {"version": version})
    else:
        await up.send(access, service, "POST", f"{campaign}/cancel", dict[str, object])

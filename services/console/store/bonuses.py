"""What the console asks of the loyalty service about points for many guests."""

from typing import Any
from uuid import UUID

from services.console.models import bonuses
from services.console.models.session import Access
from services.console.store.upstream import Upstream

SERVICE = "loyalty"


async def preview_bonus(up: Upstream, access: Access, cafe_id: UUID, wanted: dict[str, Any]) -> bonuses.BonusSeen:
    """How many guests would get how much. It gives nothing."""
    return await up.send(access, SERVICE, "POST", f"/cafes/{cafe_id}/bonuses/preview", bonuses.BonusSeen, wanted)


async def give_bonus(up: Upstream, access: Access, cafe_id: UUID, wanted: dict[str, Any]) -> bonuses.BonusRun:
    """Gives it, or asks a second person. The same `run_id` a second time is the same bonus."""
    return await up.send(access, SERVICE, "POST", f"/cafes/{cafe_id}/bonuses", bonuses.BonusRun, wanted)


async def list_runs(up: Upstream, access: Access, cafe_id: UUID) -> tuple[bonuses.BonusRun, ...]:
    """The newest of them, and how far each is."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/grant-runs", tuple[bonuses.BonusRun, ...])

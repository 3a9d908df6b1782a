"""What the console asks of the loyalty service about rehearsals of rules."""

from typing import Any
from uuid import UUID

from services.console.models.club import RulesAnswer
from services.console.models.rehearsals import RehearsalOfClub
from services.console.models.session import Access
from services.console.store.upstream import Followed, Upstream

SERVICE = "loyalty"


async def ask_rehearsal(up: Upstream, access: Access, cafe_id: UUID, drafted: dict[str, Any]) -> RehearsalOfClub:
    """Has rules tried."""
    path = f"/cafes/{cafe_id}/programs/rehearsals"
    return await up.send(access, SERVICE, "POST", path, RehearsalOfClub, drafted)


async def rehearsals(up: Upstream, access: Access, cafe_id: UUID) -> tuple[RehearsalOfClub, ...]:
    """The cafe's, the newest first, without what they found."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/programs/rehearsals", tuple[RehearsalOfClub, ...])


async def rehearsal(up: Upstream, access: Access, cafe_id: UUID, rehearsal_id: UUID) -> RehearsalOfClub:
    """One of them, with what it found."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/programs/rehearsals/{rehearsal_id}", RehearsalOfClub)


async def publish_rehearsed(up: Upstream, access: Access, cafe_id: UUID, written: dict[str, Any]) -> RulesAnswer:
    """Publishes the rules of a rehearsal; by the cafe's policy they may wait for a second person."""
    return await up.send(access, SERVICE, "POST", f"/cafes/{cafe_id}/programs", RulesAnswer, written)


async def guests_file(up: Upstream, access: Access, cafe_id: UUID, rehearsal_id: UUID) -> Followed:
    """What would become of each guest, as CSV; the caller closes it."""
    return await up.download(access, SERVICE, f"/cafes/{cafe_id}/programs/rehearsals/{rehearsal_id}/guests.csv")

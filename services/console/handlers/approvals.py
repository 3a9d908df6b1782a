"""What waits for a second person, of all services in one list."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from services.console.handlers.panels import panel, there
from services.console.models.people import Colleague, WaitingMatter
from services.console.models.session import Insider
from services.console.store import identity, waiting
from services.console.store.upstream import Away, RefusedCall, Upstream


@dataclass(frozen=True)
class Matter:
    """One thing that waits, and with which service."""

    service: str
    matter: WaitingMatter


@dataclass(frozen=True)
class ApprovalsPage:
    """All that waits, the oldest first; `away` are services that could not be asked. `names` of those who asked."""

    matters: tuple[Matter, ...]
    away: tuple[str, ...]
    names: dict[UUID, str]


async def show(up: Upstream, here: Insider) -> ApprovalsPage:
    """The page of approvals: five calls beside each other."""
    cafe_id = here.cafe.cafe_id
    asked = [panel(waiting.list_waiting(up, here.access, each, cafe_id)) for each in waiting.HOLDERS]
    lists, members = await asyncio.gather(
        asyncio.gather(*asked), panel(identity.list_members(up, here.access, cafe_id))
    )
    found = dict(zip(waiting.HOLDERS, lists, strict=True))
    away = tuple(service for service, matters in found.items() if isinstance(matters, Away))
    none: tuple[WaitingMatter, ...] = ()
    matters = [Matter(service, each) for service, waits in found.items() for each in there(waits, none)]
    nobody: tuple[Colleague, ...] = ()
    names = {each.user_id: each.display_name for each in there(members, nobody)}
    return ApprovalsPage(tuple(sorted(matters, key=lambda each: each.matter.asked_at)), away, names)


async def decide(up: Upstream, here: Insider, service: str, matter_id: UUID, *, approve: bool) -> None:
    """Lets what waits pass, or not. It is looked up once more, so that what is decided is what stands there now.

    Raises `RefusedCall`: 404 when somebody else was faster.
    """
    if service not in waiting.HOLDERS:
        raise _gone()
    matters = await waiting.list_waiting(up, here.access, service, here.cafe.cafe_id)
    matter = next((each for each in matters if each.id == matter_id), None)
    if matter is None:
        raise _gone()
    await waiting.decide(up, here.access, service, matter.decide_at, approve=approve, version=matter.version)


def _gone() -> RefusedCall:
    return RefusedCall(404, "decided", "This does not wait any more.", "این دیگر در انتظار نیست.", (), 0)

"""What happened and why, put together from the services that decided."""

import asyncio
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from services.console.handlers.panels import panel
from services.console.models.session import Insider
from services.console.models.why import Explained, ToldStep
from services.console.rules.why import SAID
from services.console.store import campaign, customer, feedback, loyalty, visit
from services.console.store.upstream import Away, Upstream

PARTS: Final = ("visit", "loyalty", "customer", "campaign", "feedback")
_ORDER: Final = tuple(SAID)
_OF_A_GUEST: Final = {"loyalty": loyalty, "customer": customer, "campaign": campaign}


@dataclass(frozen=True)
class WhyPage:
    """Steps in the order in which they happened, the services that are away, and where older ones begin."""

    steps: tuple[ToldStep, ...]
    away: tuple[str, ...]
    before: datetime | None = None


async def of_visit(up: Upstream, here: Insider, visit_id: UUID, part: str | None, guest_id: UUID | None) -> WhyPage:
    """One visit, by all services or by one. Raises `RefusedCall` 404 for a visit of nobody here."""
    access, cafe_id = here.access, here.cafe.cafe_id

    def ask(name: str, guest: UUID | None) -> Awaitable[Explained]:
        if name == "visit":
            return visit.explain_visit(up, access, cafe_id, visit_id)
        if name == "feedback":
            return feedback.explain_visit(up, access, cafe_id, visit_id)
        told: Awaitable[Explained] = _OF_A_GUEST[name].explain_visit(up, access, cafe_id, visit_id, guest)
        return told

    if part is not None:
        return _together({part: await panel(ask(part, guest_id))})
    # The bill says whose it is, and everybody else is asked about that guest.
    bill = await panel(ask("visit", None))
    guest = _guest_of(bill) if isinstance(bill, Explained) else guest_id
    rest = [name for name in PARTS if name != "visit"]
    told = await asyncio.gather(*(panel(ask(name, guest)) for name in rest))
    return _together({"visit": bill, **dict(zip(rest, told, strict=True))})


async def of_guest(up: Upstream, here: Insider, guest_id: UUID, before: datetime | None) -> WhyPage:
    """One guest, by all services, from the newest on or before a moment."""
    asked = (up, here.access, here.cafe.cafe_id, guest_id, before and before.isoformat())
    stores = {"visit": visit, **_OF_A_GUEST, "feedback": feedback}
    told = await asyncio.gather(*(panel(store.explain_guest(*asked)) for store in stores.values()))
    return _together(dict(zip(stores, told, strict=True)), newest_first=True)


def _guest_of(bill: Explained) -> UUID | None:
    return next((step.because[1] for step in bill.steps if step.what == "guest" and len(step.because) > 1), None)


def _together(told: dict[str, Explained | Away], *, newest_first: bool = False) -> WhyPage:
    there = [each for each in told.values() if isinstance(each, Explained)]
    # Where one service goes on is where the page ends: before that, some steps are missing.
    before = max((each.next_before for each in there if each.next_before), default=None)
    steps = [step for each in there for step in each.steps if before is None or step.at >= before]
    away = tuple(name for name, each in told.items() if isinstance(each, Away))
    return WhyPage(tuple(_in_order(steps, newest_first=newest_first)), away, before)


def _in_order(steps: Iterable[ToldStep], *, newest_first: bool) -> list[ToldStep]:
    """What holds now comes last of a visit; of one moment, in the order in which services hear of it."""
    if newest_first:
        return sorted(steps, key=lambda step: (step.at, -_ORDER.index(step.what)), reverse=True)
    return sorted(steps, key=lambda step: (step.as_of == "now", step.at, _ORDER.index(step.what)))

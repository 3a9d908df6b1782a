"""A guest at the counter: what they may have, and what a bill would earn."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from services.console.handlers.panels import panel
from services.console.handlers.rewards import branches_of
from services.console.models.counter import BillQuote, GuestReferrals, OffersAtCounter
from services.console.models.people import BranchOfCafe
from services.console.models.session import Insider
from services.console.rules.counter import branch_of
from services.console.store import counter
from services.console.store.upstream import Away, Upstream


@dataclass(frozen=True)
class CounterPart:
    """What the guest may have in that branch; None when nobody can tell which it is."""

    offers: OffersAtCounter
    referrals: GuestReferrals | Away
    branches: tuple[BranchOfCafe, ...]
    branch_id: UUID | None

    @property
    def names(self) -> Mapping[UUID, str]:
        """What the branches are called."""
        return {each.branch_id: each.name for each in self.branches}


async def show(up: Upstream, here: Insider, guest_id: UUID, branch: str) -> CounterPart:
    """What the guest may have: the branches are asked for first, which say where the guest is."""
    branches = await branches_of(up, here)
    branch_id = branch_of(branches, branch)
    offers, referrals = await asyncio.gather(
        counter.offers(up, here.access, here.cafe.cafe_id, guest_id, branch_id),
        panel(counter.referrals(up, here.access, here.cafe.cafe_id, guest_id)),
    )
    return CounterPart(offers, referrals, tuple(each for each in branches if each.is_active), branch_id)


async def quote(up: Upstream, here: Insider, guest_id: UUID, amount: str | None, branch: str) -> BillQuote:
    """What a bill of so much would earn. Raises `RefusedCall` for what is no amount."""
    branch_id = branch_of(await branches_of(up, here), branch)
    bill = {"final_amount": amount or "", "currency_unit": here.cafe.currency_unit, "branch_id": branch_id}
    return await counter.quote_bill(up, here.access, here.cafe.cafe_id, guest_id, bill)

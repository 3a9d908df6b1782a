"""What a bill would earn: the fold itself, on a bill that has not come."""

import msgspec

from services.loyalty.models.accounts import Earning, Plan, Rank, Standing, Visit
from services.loyalty.rules import tiers
from shared.inputs.bounds import MOST_TOMAN
from shared.persian.money import in_unit


class QuotedBill(msgspec.Struct, frozen=True):
    """A bill that may come: what it earns, and where it leaves the guest. `more`: so many Toman more on it reach the
    next tier, None when no bill does."""

    earning: Earning
    before: Rank
    after: Rank
    more: int | None


def quote(plan: Plan, standing: Standing, visit: Visit) -> QuotedBill:
    """The bill after all that `standing` counts."""
    earning, after = _after(plan, standing, visit)
    return QuotedBill(
        earning, tiers.rank(plan, standing, visit.occurred_at), after, _more(plan, standing, visit, after)
    )


def _after(plan: Plan, standing: Standing, visit: Visit) -> tuple[Earning, Rank]:
    after, earnings = tiers.fold(plan, standing, (visit,))
    return earnings[visit.visit_id], tiers.rank(plan, after, visit.occurred_at)


def _more(plan: Plan, standing: Standing, visit: Visit, reached: Rank) -> int | None:
    """A larger bill never leads to fewer points, so the least one that does it is found by halving."""
    if reached.next_at is None:
        return None
    bill = in_unit(visit.final_amount, visit.currency_unit, "IRT")

    def climbs(more: int) -> bool:
        larger = msgspec.structs.replace(visit, final_amount=bill + more, currency_unit="IRT")
        return _after(plan, standing, larger)[1].tier != reached.tier

    low, high = 0, max(0, MOST_TOMAN - int(bill) - 1)
    if not climbs(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if climbs(middle) else (middle, high)
    return high

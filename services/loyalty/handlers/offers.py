"""What a guest may have now: rewards, stamp cards and vouchers, in one answer."""

from typing import Final
from uuid import UUID

from services.loyalty.handlers import cards, rewards
from services.loyalty.handlers.guests import plans_of
from services.loyalty.models.http_rewards import GuestOffers, OwnReward
from services.loyalty.models.rewards import Occasion, RewardRefusal
from services.loyalty.store import accounts, vouchers
from shared.clock import now
from shared.database.db import Connection

MOST_LOOKED_AT: Final = 30
LAST_USED: Final = 3
MOST_TOLD: Final = 6
# What another hour, another table or more visits change: who reads of a reward at home may still look forward to it.
_PASSING: Final[frozenset[RewardRefusal]] = frozenset(
    ("wrong_branch", "wrong_day", "wrong_hour", "bill_too_small", "INSUFFICIENT_POINTS")
)


async def show(conn: Connection, cafe_id: UUID, customer_id: UUID, branch_id: UUID | None) -> GuestOffers:
    """What the guest may have now in that branch, without a bill. An unknown guest looks like one who never came."""
    account = await accounts.read(conn, cafe_id, customer_id)
    plan = (await plans_of(conn, [cafe_id]))[cafe_id]
    occasion = Occasion(at=now(), branch=branch_id)
    found, available = await rewards.for_guest(conn, cafe_id, customer_id, account, occasion, plan)
    own = await cards.show(conn, cafe_id, customer_id)
    # Who never got a stamp has no voucher.
    newest = await vouchers.list_newest(conn, account.guest, MOST_LOOKED_AT) if account and own.cards else []
    return GuestOffers(
        current_points=account.balance if account else 0,
        available_points=available,
        total_visits=account.standing.total_visits if account else 0,
        rewards=found,
        used_vouchers=[cards.told(each, occasion.at) for each in newest if each.state == "used"][:LAST_USED],
        **dict(own),
    )


async def near(conn: Connection, cafe_id: UUID, customer_id: UUID) -> list[OwnReward]:
    """The rewards that the guest has points for or saves for, the nearest first, for their own page."""
    account = await accounts.read(conn, cafe_id, customer_id)
    plan = (await plans_of(conn, [cafe_id]))[cafe_id]
    found, _ = await rewards.for_guest(conn, cafe_id, customer_id, account, Occasion(at=now()), plan)
    fit = [each for each in found if {why.code for why in each.refusals} <= _PASSING]
    told = [
        OwnReward(name=each.name, kind=each.kind, cost_points=each.cost_points, points_missing=each.points_missing)
        for each in fit
        if each.cost_points is not None
    ]
    return sorted(told, key=lambda each: each.points_missing)[:MOST_TOLD]

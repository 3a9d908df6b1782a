"""Redemptions as they are asked for and shown, by staff and by tills."""

from functools import partial
from uuid import UUID

from services.loyalty.handlers import rewards
from services.loyalty.models.accounts import Redemption
from services.loyalty.models.http import (
    Redeem,
    ShownRedemption,
)
from services.loyalty.models.rewards import Occasion
from shared import clock
from shared.security.crypto import Keys
from shared.security.ids import menu_code


def redemption_of(
    cafe_id: UUID,
    customer_id: UUID,
    body: Redeem,
    *,
    created_by: UUID | None = None,
    till_key_id: str | None = None,
) -> Redemption:
    """What a body asks for, as staff (`created_by`) or as a till. What a reward costs and is, is found out later."""
    return Redemption(
        redemption_id=body.redemption_id,
        cafe_id=cafe_id,
        customer_id=customer_id,
        kind=body.kind or "discount",
        points=body.points or 0,
        state="completed",
        reward_id=body.reward_id,
        order_reference=body.order_reference,
        created_by=created_by,
        till_key_id=till_key_id,
        created_at=clock.now(),
    )


def occasion_of(keys: Keys, wanted: Redemption, body: Redeem) -> Occasion:
    """When, where and for which bill a body asks."""
    return rewards.occasion_of(wanted.created_at, body.branch_id, body.bill, partial(menu_code, keys, wanted.cafe_id))


def shown(redemption: Redemption, balance: int | None) -> ShownRedemption:
    """The redemption, and the balance after it where that is known."""
    return ShownRedemption(
        redemption_id=redemption.redemption_id,
        reward_id=redemption.reward_id,
        points=redemption.points,
        kind=redemption.kind,
        state=redemption.state,
        refusal=redemption.refusal,
        visit_id=redemption.visit_id,
        order_reference=redemption.order_reference,
        created_at=redemption.created_at,
        reserved_until=redemption.reserved_until,
        reversed_at=redemption.reversed_at,
        current_points=balance,
    )

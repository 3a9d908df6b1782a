"""What guests are told before it happens: in which words events say it, and when a cafe's turn comes next."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from services.loyalty.models.accounts import Plan
from services.loyalty.models.reached import Reached
from services.loyalty.rules import tiers
from shared.events.base import Event
from shared.events.loyalty import PointsExpiring, RewardReached, TierExpiring
from shared.persian.calendar import day_bounds, local_date

# Guests are looked through once a day, at this hour of the cafe's wall: in time for a message of the same day.
_AT: timedelta = timedelta(hours=9)
_DAY = timedelta(days=1)


def next_turn(plan: Plan, moment: datetime) -> datetime:
    """The morning on which a cafe's guests are looked through after `moment`."""
    return day_bounds(local_date(moment, plan.time_zone) + _DAY, plan.time_zone)[0] + _AT


def points_expiring(row: Mapping[str, Any], moment: datetime) -> Event:
    """`points.expiring` for a guest and a day."""
    return PointsExpiring(
        event_id=_id("points.expiring", row),
        cafe_id=row["cafe_id"],
        customer_id=row["customer_id"],
        occurred_at=moment,
        points=row["points"],
        expires_on=row["day"],
        days=row["step"],
    )


def tier_expiring(plan: Plan, row: Mapping[str, Any], moment: datetime) -> Event:
    """`tier.expiring` for a guest and a tier."""
    steps = tiers.in_force(plan, moment).steps
    threshold = next((step.threshold for step in steps if step.tier == row["tier"]), 0)
    return TierExpiring(
        event_id=_id("tier.expiring", row),
        cafe_id=row["cafe_id"],
        customer_id=row["customer_id"],
        occurred_at=moment,
        tier=row["tier"],
        expires_on=row["day"],
        days=row["step"],
        points_to_keep=max(0, threshold - row["period_points"]),
    )


def reward_reached(reached: Reached, occasion: str, moment: datetime) -> Event:
    """`reward.reached` for a guest and a reward."""
    return RewardReached(
        event_id=_id(
            "reward.reached", {"cafe_id": reached.cafe_id, "customer_id": reached.customer_id, "occasion": occasion}
        ),
        cafe_id=reached.cafe_id,
        customer_id=reached.customer_id,
        occurred_at=moment,
        reward_id=reached.reward_id,
        reward_version=reached.reward_version,
        cost_points=reached.cost_points,
        balance=reached.balance,
    )


def _id(kind: str, row: Mapping[str, Any]) -> UUID:
    """One id for one occasion: whoever hears of it twice takes it in once."""
    return uuid5(row["cafe_id"], f"{kind}/{row['customer_id']}/{row['occasion']}")

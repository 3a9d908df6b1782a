"""Rewards as the club keeps them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from services.console.handlers.panels import panel, there
from services.console.models.club import RulesVersion
from services.console.models.people import BranchOfCafe
from services.console.models.rewards import RewardOfCafe
from services.console.models.session import Insider
from services.console.rules.versions import in_force
from services.console.store import club, identity, rewards
from services.console.store.upstream import RefusedCall, Upstream

NO_BRANCHES: tuple[BranchOfCafe, ...] = ()
NO_RULES: tuple[RulesVersion, ...] = ()


@dataclass(frozen=True)
class RewardsPage:
    """The rewards of a cafe; `point_worth` is what a point is worth to who spends it without one."""

    rewards: tuple[RewardOfCafe, ...]
    point_worth: Decimal | None
    branches: Mapping[UUID, str]


async def show(up: Upstream, here: Insider) -> RewardsPage:
    """All rewards, in three calls beside each other."""
    access, cafe_id = here.access, here.cafe.cafe_id
    found, versions, branches = await asyncio.gather(
        rewards.list_rewards(up, access, cafe_id),
        panel(club.versions(up, access, cafe_id)),
        branches_of(up, here),
    )
    now = in_force(there(versions, NO_RULES), datetime.now(UTC))
    order = sorted(found, key=lambda each: (not each.is_active, each.cost_points is None, each.cost_points or 0))
    return RewardsPage(tuple(order), now.point_worth if now else None, {each.branch_id: each.name for each in branches})


async def find(up: Upstream, here: Insider, reward_id: UUID) -> RewardOfCafe:
    """One of them. Raises `RefusedCall` 404."""
    found = await rewards.list_rewards(up, here.access, here.cafe.cafe_id)
    for each in found:
        if each.reward_id == reward_id:
            return each
    raise RefusedCall(404, "not_found", "There is no such reward in this cafe.", "چنین پاداشی در این کافه نیست.", (), 0)


async def branches_of(up: Upstream, here: Insider) -> tuple[BranchOfCafe, ...]:
    """The branches of the cafe, as far as identity can tell."""
    return there(await panel(identity.list_branches(up, here.access, here.cafe.cafe_id)), NO_BRANCHES)

"""What the console asks of the loyalty service about rewards."""

from typing import Any
from uuid import UUID

from services.console.models import rewards
from services.console.models.session import Access
from services.console.store.upstream import Upstream

SERVICE = "loyalty"


async def list_rewards(up: Upstream, access: Access, cafe_id: UUID) -> tuple[rewards.RewardOfCafe, ...]:
    """All rewards of the cafe, also those that are offered no more."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/rewards", tuple[rewards.RewardOfCafe, ...])


async def offer_reward(up: Upstream, access: Access, cafe_id: UUID, written: dict[str, Any]) -> rewards.RewardOfCafe:
    """A new reward. The same `reward_id` a second time is the same reward."""
    return await up.send(access, SERVICE, "POST", f"/cafes/{cafe_id}/rewards", rewards.RewardOfCafe, written)


async def change_reward(
    up: Upstream, access: Access, cafe_id: UUID, reward_id: UUID, written: dict[str, Any]
) -> rewards.RewardOfCafe:
    """Changes what is given of a reward."""
    path = f"/cafes/{cafe_id}/rewards/{reward_id}"
    return await up.send(access, SERVICE, "PATCH", path, rewards.RewardOfCafe, written)

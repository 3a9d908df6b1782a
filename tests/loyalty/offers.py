"""Rewards for tests: offered, asked for, and what is left of them."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from services.loyalty.handlers import redemptions, rewards
from services.loyalty.models.accounts import Redemption
from services.loyalty.models.http_rewards import ChangeReward, OfferReward, ShownReward
from services.loyalty.models.rewards import Occasion
from shared.clock import new_id
from shared.database import db
from tests.loyalty.examples import CAFE, GUEST, NOON
from tests.loyalty.schemes import code

MANAGER, TILL, OTHER_TILL = UUID(int=7), "till-key", "till-two"
MINUTE = timedelta(minutes=1)


async def offer(pool: db.Pool, **fields: Any) -> ShownReward:
    """A free coffee for 100 points, or what the fields say."""
    body = {"reward_id": uuid4(), "key": f"r{uuid4().hex[:12]}", "name": "قهوهٔ رایگان", "kind": "item"}
    wanted = OfferReward.model_validate(body | {"cost_points": 100} | fields)
    async with db.transaction(pool) as conn:
        return await rewards.offer(conn, CAFE, MANAGER, wanted, code)


async def change(pool: db.Pool, reward: ShownReward, **fields: Any) -> ShownReward:
    async with db.transaction(pool) as conn:
        wanted = ChangeReward.model_validate(fields)
        return await rewards.change(conn, CAFE, reward.reward_id, MANAGER, wanted, code)


def wish(reward: ShownReward | UUID, guest: UUID = GUEST, till: str | None = TILL, **changes: Any) -> Redemption:
    """What a till asks for (without one a person of the cafe), reserved for half an hour."""
    at = changes.pop("at", NOON)
    fields: dict[str, Any] = {
        "redemption_id": uuid4(), "cafe_id": CAFE, "customer_id": guest, "kind": "discount", "points": 0,
        "state": "completed", "created_at": at, "till_key_id": till, "created_by": None if till else MANAGER,
        "reserved_until": at + 30 * MINUTE if till else None,
        "reward_id": reward if isinstance(reward, UUID) else reward.reward_id,
    }  # fmt: skip
    return Redemption(**fields | changes)


async def ask(pool: db.Pool, wanted: Redemption, occasion: Occasion | None = None) -> tuple[Redemption, int]:
    """As a till asks over HTTP."""
    async with db.till_transaction(pool, CAFE) as conn:
        return await redemptions.redeem(conn, wanted, new_id(), occasion)


async def cancel(pool: db.Pool, reserved: Redemption, till: str | None = TILL) -> None:
    async with db.till_transaction(pool, CAFE) as conn:
        await redemptions.cancel(conn, CAFE, reserved.redemption_id, new_id(), till_key_id=till)


async def stock(pool: db.Pool, reward: ShownReward) -> tuple[int | None, int]:
    """How many are left, and how many taken."""
    async with db.till_transaction(pool, CAFE) as conn:
        row = await conn.fetchrow("SELECT stock - taken, taken FROM rewards WHERE reward_id = $1", reward.reward_id)
    assert row is not None
    return row[0], row[1]

"""A loyalty database with one cafe, at a fixed moment that a test may move."""

from datetime import datetime

import pytest

from services.loyalty.handlers import (
    accounts,
    adjustments,
    cafes,
    cards,
    grant_runs,
    grants,
    notices,
    periodic,
    quotes,
    redemptions,
    referrals,
    rewards,
    visits,
)
from services.loyalty.handlers.cafes import on_cafe_changed
from shared.database import db
from tests.loyalty.examples import NOON, cafe_changed


class Clock:
    """What time it is for loyalty."""

    def __init__(self) -> None:
        self.moment = NOON

    def __call__(self) -> datetime:
        return self.moment


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (
        accounts,
        adjustments,
        cafes,
        cards,
        grant_runs,
        grants,
        notices,
        periodic,
        quotes,
        redemptions,
        referrals,
        rewards,
        visits,
    ):
        monkeypatch.setattr(module, "now", clock)
    return clock


@pytest.fixture
async def pool(database, clock: Clock) -> db.Pool:
    pool = await database("loyalty")
    async with db.transaction(pool) as conn:
        await on_cafe_changed(conn, [cafe_changed()])
    return pool

"""A few orders of one history, each time the same ones; `make chaos` tries many."""

import random

from tests.chaos.arrival import arrive
from tests.chaos.house import open_house
from tests.chaos.scenario import assert_sound

SEED = 1
ORDERS = 3


async def test_history_in_any_order_has_one_end(config, database) -> None:
    house = await open_house(config, database, random.Random(SEED))
    await arrive(house, SEED, ORDERS)
    await assert_sound(config)

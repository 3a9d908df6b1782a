"""Two towns of guests who change their minds, each time the same ones; `make chaos` plays many."""

import random

from tests.chaos.answers import play
from tests.chaos.house import open_house


async def test_answers_in_any_order_end_alike_in_all_services(config, database) -> None:
    house = await open_house(config, database, random.Random(1))
    await play(house, 2)

"""A few lives, each time the same ones; `make chaos` plays many."""

import asyncio

from tests.chaos.life import live


async def test_a_guest_s_life_agrees_with_the_model(database) -> None:
    dsn = await database.create("loyalty")
    await asyncio.to_thread(live, dsn, 1, 8, 40)

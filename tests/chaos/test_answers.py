"""Lives of guests who change their minds, each time the same ones."""

import random

import pytest
from pydantic import SecretStr

from tests.campaign.conftest import API_KEY, Simulator, simulator  # noqa: F401
from tests.chaos.answers import live, with_account
from tests.chaos.house import open_house


@pytest.mark.parametrize("seed", [1, 2])
async def test_answers_in_any_order_end_alike_in_all_services(
    config,
    database,
    simulator: Simulator,  # noqa: F811
    seed: int,
) -> None:
    house = await open_house(config, database, random.Random(seed))
    await live(house, 160, 16, with_account(config, simulator.url, SecretStr(API_KEY)))

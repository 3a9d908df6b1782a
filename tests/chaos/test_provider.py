"""The provider's faults in seconds, against its simulator and the campaign's API as processes."""

import random
from pathlib import Path

from shared.settings import Settings
from tests.chaos import provider
from tests.support import Databases


async def test_nobody_is_written_to_twice_whatever_the_provider_does(
    config: Settings, database: Databases, tmp_path: Path
) -> None:
    pool = await database("campaign")
    async with provider.on_stage(tmp_path, config, pool, random.Random(5)) as stage:
        await provider.play(stage, rounds=2, kills=1)
    assert stage.faults.total() >= 3

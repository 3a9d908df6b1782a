"""The short version of `make chaos` for every run of the tests: one death of each kind, under load, and the proof."""

import pytest

from deploy.engines.engine import Engine
from shared.crashpoints import CrashPoint
from tests import support
from tests.chaos.kills import Toll, die_at, kill_some
from tests.chaos.load import load_on, supply
from tests.chaos.proof import prove
from tests.chaos.scenario import World
from tests.chaos.system import stay

SEED = 1403
DEATHS: dict[str, list[CrashPoint]] = {
    "visit-api": ["api.before_answer"],
    "visit-worker": ["consumer.before_commit"],
    "loyalty-worker": ["relay.before_delete"],
    "customer-worker": ["consumer.before_offsets"],
}


# With the end-to-end tests in one of the parallel processes, so that two whole systems never share the machine.
@pytest.mark.xdist_group("system")
@pytest.mark.timeout(600)
async def test_everything_acknowledged_is_there_once_after_parts_were_killed(
    postgres_server: Engine, kafka_server: Engine, run: support.Run
) -> None:
    folder, toll = run.folder / f"t{run.id}_chaos", Toll()
    folder.mkdir()
    world = World(folder, postgres_server, kafka_server, SEED, quick=True, say=print)
    try:
        async with stay(world) as scene:
            async with load_on(scene, per_second=30) as load:
                await die_at(scene, DEATHS, toll, print)
                await kill_some(scene, load, toll)
            await prove(scene, load.acknowledged)
            for claim, words in (
                ([*load.acknowledged, supply()[-1]], "acknowledged visits are lost"),
                (load.acknowledged[1:], "were never handed in"),
            ):
                with pytest.raises(AssertionError, match=words):
                    await prove(scene, claim)
            with pytest.raises(AssertionError, match="loyalty parked 0 records, must be 1"):
                await prove(scene, load.acknowledged, parked={"loyalty": 1})
    finally:
        await world.systems.drop()
    assert toll.points == {(part, point) for part, points in DEATHS.items() for point in points}

"""kill -9, at every named crash point and at any moment."""

from tests.chaos.load import load_on
from tests.chaos.proof import prove
from tests.chaos.scenario import Scenario, World
from tests.chaos.system import WORKERS, stay


async def kill_workers(world: World) -> str:
    """Every worker, once, at a moment of the dice."""
    async with stay(world) as scene:
        victims = scene.dice.sample(WORKERS, len(WORKERS))
        async with load_on(scene, per_second=60) as load:
            for victim in victims:
                await load.more(60)
                await scene.system.kill(victim)
                await scene.system.mend()
        await prove(scene, load.acknowledged)
    return f"{len(victims)} kills, {len(load.acknowledged):,} visits, {load.sent_again} sent again"


SCENARIOS = [Scenario("kills", kill_workers)]

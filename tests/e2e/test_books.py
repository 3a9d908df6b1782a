"""Real visits, delivered twice, shuffled, over both ways in, with processes killed between: exactly the right books."""

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from deploy import pids
from deploy.crm import processes
from deploy.demo import run as demo
from deploy.demo import till as pos
from deploy.demo.dataset import Basket, load
from shared.database.db import Pool
from tests.e2e.conftest import System

VISITS = 2000
PER_CALL = 100


def a_year_ago() -> list[Basket]:
    """Visits old enough that nobody is thanked for them: these tests are about the books."""
    return load(VISITS, until=datetime.now(UTC) - timedelta(days=2))


async def deliver_over_http(system: System, client: httpx2.AsyncClient, baskets: Sequence[Basket]) -> None:
    url = f"{system.api('visit')}/visits/batch"
    for start in range(0, len(baskets), PER_CALL):
        bodies = [pos.visit_body(basket) for basket in baskets[start : start + PER_CALL]]
        answer = await client.post(url, json={"visits": bodies})
        assert answer.status_code < 300, answer.text
        assert all(item["status"] in (200, 201) for item in answer.json()["results"]), answer.text


async def deliver_over_kafka(system: System, cafe: demo.DemoCafe, baskets: Sequence[Basket]) -> None:
    async with pos.producer(system.config.kafka_servers) as producer:
        topic = f"{system.config.topic_prefix}pos.visits"
        async for _ in pos.publish(producer, topic, cafe.api_key, baskets):
            pass


async def books(system: System, pools: dict[str, Pool], cafe: demo.DemoCafe, baskets: list[Basket]) -> list[str]:
    return await demo.settled_books(system.config, pools, cafe, baskets, within=90)


async def test_shuffled_repeated_visits_over_both_ways_give_the_right_books(
    system: System, cafe: demo.DemoCafe, pools: dict[str, Pool], till: httpx2.AsyncClient
) -> None:
    baskets, dice = a_year_ago(), random.Random(1403)
    over_kafka, over_http = baskets * 2, list(baskets)
    dice.shuffle(over_kafka)
    dice.shuffle(over_http)
    await asyncio.gather(
        deliver_over_kafka(system, cafe, over_kafka), deliver_over_http(system, till, over_http[: VISITS // 2])
    )
    await deliver_over_http(system, till, over_http[VISITS // 2 :])
    assert await books(system, pools, cafe, baskets) == []
    assert await pools["visit"].fetchval("SELECT count(*) FROM crm.parked WHERE status = 'parked'") == 0


@pytest.mark.timeout(300)
async def test_killing_every_worker_in_a_replay_leaves_the_same_books(
    system: System, cafe: demo.DemoCafe, pools: dict[str, Pool]
) -> None:
    baskets, dice = a_year_ago(), random.Random(7)
    publishing = asyncio.create_task(deliver_over_kafka(system, cafe, baskets))
    workers = ["visit", "loyalty", "customer", "campaign", "feedback", "identity"]
    dice.shuffle(workers)
    for name in workers:
        worker = system.part(f"{name}-worker")
        await asyncio.to_thread(pids.kill, worker.process)
        await asyncio.to_thread(processes.up, system.folder, simulator=True, say=print)
    await publishing
    assert await books(system, pools, cafe, baskets) == []

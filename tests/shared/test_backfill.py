"""`crm backfill`: what was on bills comes back from the topic, as far as it was taken in and is signed."""

import asyncio
from dataclasses import replace
from random import Random

from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner

from deploy.crm.main import app
from services.loyalty.worker import REACTIONS
from shared.database.db import Pool
from tests.conftest import Kafka
from tests.loyalty.examples import NOON, cafe_changed, corrected, recorded, voided
from tests.loyalty.schemes import facts_of
from tests.shared.records import record_of
from tests.shared.taking import publish, take_in
from tests.support import Databases

FACTS = "SELECT visit_id, facts FROM visit_earnings ORDER BY visit_id"


async def crm_backfill(*words: str) -> tuple[int, str]:
    done = await asyncio.to_thread(CliRunner().invoke, app, ["backfill", *words])
    return done.exit_code, done.output


async def test_facts_that_were_lost_come_back_from_the_topic(database: Databases, kafka: Kafka) -> None:
    pool: Pool = await database("loyalty")
    random = Random(1)
    bills = [recorded(number, 90_000, NOON, **facts_of(random)) for number in range(20)]
    await publish(kafka, [cafe_changed(), *bills])
    await publish(kafka, [corrected(3, 50_000, **facts_of(random)), voided(4), recorded(90, 1_000, guest=None)])
    await take_in(kafka, "loyalty", pool, REACTIONS)
    before = [tuple(row) for row in await pool.fetch(FACTS)]
    assert len({facts for _, facts in before}) > 5
    await pool.execute("UPDATE visit_earnings SET facts = NULL WHERE receipt_number <> '00007'")
    # What came after loyalty looked last, and what nobody signed.
    await publish(kafka, [recorded(8, 1, NOON, **facts_of(random))])
    await forged(kafka, random)
    code, said = await crm_backfill("loyalty")
    assert code == 0, said
    assert "19 filled" in said
    assert [tuple(row) for row in await pool.fetch(FACTS)] == before
    assert "0 filled" in (await crm_backfill("loyalty"))[1]


async def forged(kafka: Kafka, random: Random) -> None:
    record = record_of(recorded(9, 1, NOON, **facts_of(random)), kafka.prefix)
    unsigned = replace(record, headers=[each for each in record.headers if each[0].startswith("ce_")])
    producer = AIOKafkaProducer(bootstrap_servers=kafka.servers)
    await producer.start()
    try:
        await producer.send_and_wait(unsigned.topic, unsigned.value, key=unsigned.key, headers=list(unsigned.headers))
    finally:
        await producer.stop()


async def test_other_services_have_nothing_to_fill() -> None:
    code, said = await crm_backfill("customer")
    assert code == 2
    assert "only loyalty" in said

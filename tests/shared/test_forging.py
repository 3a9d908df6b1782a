"""A plain producer on a real broker says whatever it likes: nobody acts on it, nobody stops, and it is seen."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from aiokafka import AIOKafkaProducer

from services.campaign.worker import REACTIONS
from shared.clock import new_id, now
from shared.database.db import Pool, transaction
from shared.events.customer import ConsentChanged, CustomerProfiled
from shared.events.identity import AccessGranted
from shared.messaging import parked, strangers
from shared.messaging.consumer import Consumer
from shared.messaging.signing import HEADER
from shared.process import telemetry
from shared.rebuild.replay import CannotReplay
from tests.campaign.test_rebuild import profiled
from tests.conftest import Kafka
from tests.shared.records import CAFE, FakeRecord, record_of, signed, visit
from tests.shared.taking import publish, rebuilt, relay, take_in
from tests.support import Databases

TOLD = "SELECT topic, reason, event_type FROM crm.parked WHERE status = 'parked' ORDER BY topic, event_type, reason"


@pytest.fixture
async def pool(database: Databases) -> Pool:
    return await database("campaign")


async def forge(kafka: Kafka, records: Sequence[FakeRecord]) -> None:
    """What anybody who reaches the broker can do."""
    async with AIOKafkaProducer(bootstrap_servers=kafka.servers) as producer:
        for record in records:
            topic, headers = kafka.prefix + record.topic, list(record.headers)
            # Whatever time the producer names: on our topics the broker's own stands.
            await producer.send(topic, record.value, key=record.key, headers=headers, timestamp_ms=1_700_000_000_000)
        await producer.flush()


def without_signature(record: FakeRecord) -> FakeRecord:
    return replace(record, headers=[each for each in record.headers if each[0] != HEADER])


def consent(guest: UUID, *, granted: bool) -> ConsentChanged:
    return ConsentChanged(
        cafe_id=CAFE, customer_id=guest, occurred_at=now(), channel="sms", purpose="marketing", granted=granted,
        source="till",
    )  # fmt: skip


async def with_a_guest(kafka: Kafka, pool: Pool) -> tuple[CustomerProfiled, ConsentChanged]:
    """A guest whom campaign knows."""
    profile = replace_cafe(profiled(kafka, new_id(), 1, now(), now()))
    said = consent(profile.customer_id, granted=True)
    await publish(kafka, [profile, said])
    await take_in(kafka, "campaign", pool, REACTIONS)
    return profile, said


def replace_cafe(profile: CustomerProfiled) -> CustomerProfiled:
    fields = {name: getattr(profile, name) for name in profile.__struct_fields__}
    return CustomerProfiled(**fields | {"cafe_id": CAFE})


async def test_what_a_plain_producer_says_has_no_effect_and_is_parked_beside_what_is_true(
    pool: Pool, kafka: Kafka
) -> None:
    profile, _ = await with_a_guest(kafka, pool)
    granted = record_of(AccessGranted(cafe_id=CAFE, occurred_at=now(), user_id=new_id(), role="owner", version=999_999))
    true = record_of(consent(profile.customer_id, granted=False))
    lie = record_of(consent(profile.customer_id, granted=True))
    by_visit = signed(replace(without_signature(granted), topic="visit.events"))
    await forge(
        kafka,
        [
            without_signature(granted),
            replace(by_visit, topic="identity.events"),
            by_visit,
            without_signature(record_of(visit())),
            FakeRecord("customer.profiles", None, key=str(profile.customer_id).encode()),
            replace(lie, value=(lie.value or b"").replace(b"till", b"user")),
            replace(lie, key=str(new_id()).encode()),
            replace(lie, topic="feedback.events"),
        ],
    )
    alarms = forged("campaign")
    await forge(kafka, [true])
    await take_in(kafka, "campaign", pool, REACTIONS)
    assert [tuple(row) for row in await pool.fetch(TOLD)] == [
        ("customer.events", "forged", "consent.changed"),
        ("customer.events", "forged", "consent.changed"),
        ("customer.profiles", "unsigned", None),
        ("feedback.events", "forged", "consent.changed"),
        ("identity.events", "forged", "access.granted"),
        ("identity.events", "unsigned", "access.granted"),
        ("visit.events", "forged", "access.granted"),
        ("visit.events", "unsigned", "visit.recorded"),
    ]
    assert forged("campaign") - alarms == 8
    assert await pool.fetchval("SELECT count(*) FROM user_cafe_access") == 0
    assert await pool.fetchval("SELECT count(*) FROM contacts WHERE phone_sealed IS NOT NULL") == 1
    assert [row["granted"] for row in await pool.fetch("SELECT granted FROM consents")] == [False]


def forged(service: str) -> float:
    """How many were counted, in all topics."""
    return sum(
        sample.value
        for metric in telemetry.FORGED.collect()
        for sample in metric.samples
        if sample.name.endswith("_total") and sample.labels["service"] == service
    )


async def test_copy_of_a_signed_record_has_no_effect_also_when_the_inbox_has_forgotten_it(
    pool: Pool, kafka: Kafka, database: Databases
) -> None:
    _, said = await with_a_guest(kafka, pool)
    fields = {name: getattr(said, name) for name in said.__struct_fields__}
    old = ConsentChanged(**fields | {"event_id": new_id(), "recorded_at": now() - timedelta(days=31)})
    await forge(kafka, [record_of(said), record_of(said), record_of(old)])
    await take_in(kafka, "campaign", pool, REACTIONS)
    assert [tuple(row) for row in await pool.fetch(TOLD)] == [("customer.events", "replayed", "consent.changed")]
    inbox = "SELECT count(*) FROM crm.inbox WHERE event_id = $1"
    assert await pool.fetchval(inbox, old.event_id) == 0

    # Whoever knows that it is none sends it again, with the signature it came with.
    async with transaction(pool) as conn:
        ids = [row["id"] for row in await parked.list_parked(conn)]
        assert await parked.redrive(conn, ids, kafka.config.keys, "an outbox that had waited for a month") == 1
    await relay(kafka, database, "campaign", pool)
    await take_in(kafka, "campaign", pool, REACTIONS)
    assert await pool.fetchval(inbox, old.event_id) == 1
    assert await pool.fetch(TOLD) == []


async def test_forged_record_that_is_redriven_gets_no_signature_from_the_relay(
    kafka: Kafka, database: Databases, pool: Pool
) -> None:
    await forge(kafka, [without_signature(record_of(consent(new_id(), granted=True)))])
    await take_in(kafka, "campaign", pool, REACTIONS)
    async with transaction(pool) as conn:
        ids = [row["id"] for row in await parked.list_parked(conn)]
        await parked.redrive(conn, ids, kafka.config.keys, "by mistake")
    await relay(kafka, database, "campaign", pool)
    await take_in(kafka, "campaign", pool, REACTIONS)
    assert [row["reason"] for row in await pool.fetch(TOLD)] == ["unsigned"]
    assert await pool.fetchval("SELECT count(*) FROM consents") == 0


async def test_flood_of_forged_records_costs_so_many_short_rows_and_stops_nobody(
    pool: Pool, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strangers, "KEPT_PER_HOUR", 5)
    consumer = Consumer("campaign", pool, REACTIONS, kafka.config.keys)
    long = without_signature(replace(record_of(visit()), value=b"x" * 100_000, offset=10**6))
    flood = [without_signature(record_of(visit())) for _ in range(300)]
    before = forged("campaign")
    await consumer.handle([long, *flood, record_of(consent(new_id(), granted=True))])
    await consumer.handle([long, *flood])
    assert await pool.fetchval("SELECT count(*) FROM crm.parked") == 5
    assert forged("campaign") - before >= 301
    assert await pool.fetchval("SELECT max(length(body_sealed)) FROM crm.parked") < 8_000
    assert await pool.fetchval("SELECT count(*) FROM consents") == 1


async def test_rebuild_passes_over_what_was_forged(pool: Pool, kafka: Kafka, database: Databases) -> None:
    profile, _ = await with_a_guest(kafka, pool)
    await forge(kafka, [without_signature(record_of(consent(profile.customer_id, granted=False)))])
    await take_in(kafka, "campaign", pool, REACTIONS)
    assert (await rebuilt(kafka, database, "campaign", check=True)).rows_differing == 0


async def test_rebuild_changes_nothing_while_a_forged_tombstone_stands_for_a_profile(
    pool: Pool, kafka: Kafka, database: Databases
) -> None:
    profile, _ = await with_a_guest(kafka, pool)
    await forge(kafka, [FakeRecord("customer.profiles", None, key=str(profile.customer_id).encode())])
    await take_in(kafka, "campaign", pool, REACTIONS)
    with pytest.raises(
        CannotReplay, match=r"1 keys were emptied by somebody who is not the publisher of customer\.pro"
    ):
        await rebuilt(kafka, database, "campaign")
    assert await pool.fetchval("SELECT count(*) FROM contacts WHERE phone_sealed IS NOT NULL") == 1
    # The publisher says it anew.
    await publish(kafka, [profile])
    await take_in(kafka, "campaign", pool, REACTIONS)
    assert (await rebuilt(kafka, database, "campaign", check=True)).rows_differing == 0

"""Counting a service's projection anew, against the same worker taking the same events in as they come."""

import asyncio
import contextlib
import hashlib
import os
import random
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import uvloop
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from deploy import pids
from deploy.crm import processes
from deploy.crm.migrate import admin_dsn, migrate, owner_dsn
from deploy.crm.processes import Part as Process
from deploy.crm.rebuild_commands import lines_of, projection_of
from deploy.engines.engine import free_port
from shared import clock
from shared.database.db import Connection
from shared.events.base import Event, Item
from shared.events.feedback import FeedbackReceived
from shared.events.identity import CafeChanged
from shared.events.loyalty import PointsEarned, TierChanged
from shared.events.visit import VisitRecorded
from shared.messaging import topics
from shared.rebuild.rebuild import Rebuilt, rebuild
from shared.settings import Settings
from tests.bench.figure import Bench, Figure, Part
from tests.shared.records import record_of
from tests.support import SECRET, admin_connection, delete_topics

EVENTS, QUICK_EVENTS = 1_000_000, 100_000
EVENTS_OF_A_GUEST = 4
GOAL = 3.0
SERVICE = "customer"
CAFE = UUID("00000000-0000-7000-8000-00000000beac")
TAKEN_WITHIN_SECONDS = 1800
RECORDS_OF_A_BATCH = 400


@dataclass(frozen=True)
class Guests:
    """Who comes, each with a number of visits and points so far."""

    ids: list[UUID]
    chance: random.Random
    now: datetime

    def events(self, count: int) -> Iterator[Event]:
        """A year of visits with their points, now and then a tier or a rating, of guests in any order."""
        versions: dict[UUID, int] = {}
        made = 0
        while made < count:
            guest = self.chance.choice(self.ids)
            at = self.now - timedelta(minutes=self.chance.randrange(365 * 24 * 60))
            visit = self.visit(guest, at)
            version = versions[guest] = versions.get(guest, 0) + 1
            told: list[Event] = [visit, self.points(visit, guest, version)]
            if version == 3:
                told.append(self.tier(guest, version))
            if self.chance.random() < 0.03:
                told.append(self.rating(visit, guest))
            yield from told[: count - made]
            made += len(told)

    def visit(self, guest: UUID, at: datetime) -> VisitRecorded:
        """A bill of some coffees."""
        total = Decimal(self.chance.randrange(5, 60) * 10_000)
        return VisitRecorded(
            cafe_id=CAFE, customer_id=guest, occurred_at=at, visit_id=clock.new_id(), device_id="till-1",
            receipt_number=str(self.chance.randrange(10**9)), final_amount=total, currency_unit="IRT",
            total_amount=total, discount_amount=Decimal(0), payment_method="card",
            items=[Item(name="قهوه ترک", quantity=Decimal(2), amount=total)],
        )  # fmt: skip

    def points(self, visit: VisitRecorded, guest: UUID, version: int) -> PointsEarned:
        """What loyalty says of the visit."""
        points = int(visit.final_amount) // 1000
        return PointsEarned(
            cafe_id=CAFE, customer_id=guest, occurred_at=visit.occurred_at, visit_id=visit.visit_id,
            visit_at=visit.occurred_at, points=points, points_change=points, balance_after=points * version,
            account_version=version, program_version=1, multiplier="1",
        )  # fmt: skip

    def tier(self, guest: UUID, version: int) -> TierChanged:
        """The guest reaches silver."""
        return TierChanged(
            cafe_id=CAFE, customer_id=guest, occurred_at=self.now, tier="silver", previous_tier="bronze",
            starts_on=self.now.date(), expires_on=None, account_version=version,
        )  # fmt: skip

    def rating(self, visit: VisitRecorded, guest: UUID) -> FeedbackReceived:
        """The guest says how it was."""
        return FeedbackReceived(
            cafe_id=CAFE, customer_id=guest, occurred_at=self.now, visit_id=visit.visit_id,
            feedback_id=clock.new_id(), visit_at=visit.occurred_at, source="qr_code",
            overall_rating=self.chance.randint(1, 5),
        )  # fmt: skip


async def measure(bench: Bench) -> list[Figure]:
    """Events are published, taken in by the live worker, and counted anew: from nothing, and once more to compare."""
    count = QUICK_EVENTS if bench.quick else EVENTS
    async with installed(bench) as (config, environment, conn):
        await publish(config, [cafe_changed()])
        chance = random.Random(5)
        guests = Guests(
            [UUID(int=chance.getrandbits(128)) for _ in range(count // EVENTS_OF_A_GUEST)], chance, clock.now()
        )
        await register(conn, guests)
        started = time.monotonic()
        await publish(config, guests.events(count))
        bench.say(f"rebuild: {count:,} events published in {time.monotonic() - started:.0f} s")
        live = await take_in(bench, environment, config, conn, count)
        bench.say(f"rebuild: the live worker takes in {live:,.0f} events/s")
        rates, held = [], []
        for damage in (None, "TRUNCATE customer_activity", None):
            if damage:
                await conn.execute(damage)
            done = await run(config)
            if damage is None and done.rows_differing:
                raise AssertionError(f"the rebuilt rows are not the same: {lines_of(done)}")
            bench.say(f"rebuild: {done.events / done.seconds:,.0f} events/s, held {done.held_seconds:.2f} s")
            rates.append(done.events / done.seconds)
            held.append(done.held_seconds)
    note = f"{count:,} events of {len(guests.ids):,} guests; {os.cpu_count()} cores for database, broker and reader"
    return [
        Figure("rebuild", "rebuild", rates, "events/s", note=note),
        Figure("rebuild", "live worker, the same events", [live], "events/s"),
        Figure("rebuild", "rebuild against the live worker", [rate / live for rate in rates], "x", ("at least", GOAL)),
        Figure("rebuild", "the service waits", [statistics.median(held)], "s"),
    ]


PART = Part("rebuild", measure, in_quick=False)


@contextlib.asynccontextmanager
async def installed(bench: Bench) -> AsyncIterator[tuple[Settings, Mapping[str, str], Connection]]:
    """A database and topics of its own; all of it is gone afterwards."""
    environment = {
        "CRM_SECRET": SECRET,
        "CRM_POSTGRES_URL": bench.postgres.url,
        "CRM_KAFKA_SERVERS": bench.kafka.url,
        "CRM_DATABASE_PREFIX": "rebuild_",
        "CRM_TOPIC_PREFIX": "rebuild.",
    }
    config = processes.settings_of(environment)
    await migrate(config, [SERVICE])
    await topics.create(config)
    try:
        conn = await asyncpg.connect(admin_dsn(config, config.database_name(SERVICE)))
        try:
            yield config, environment, conn
        finally:
            await conn.close()
    finally:
        async with admin_connection(config) as admin:
            await admin.execute(f"DROP DATABASE {config.database_name(SERVICE)} WITH (FORCE)")
        await delete_topics(config.kafka_servers, lambda topic: topic.startswith(config.topic_prefix))


async def register(conn: Connection, guests: Guests) -> None:
    """The guests have been here for a year, so that each of them is evaluated."""
    since = guests.now - timedelta(days=365)
    rows = [(CAFE, guest, "sealed", hashlib.sha256(guest.bytes).digest(), "1234", since, since) for guest in guests.ids]
    columns = ("cafe_id", "id", "phone_sealed", "phone_hash", "phone_last4", "created_at", "updated_at")
    await conn.copy_records_to_table("customers", records=rows, columns=columns)
    await conn.execute(
        "INSERT INTO customer_activity (cafe_id, customer_id, registered_at)"
        " SELECT cafe_id, id, created_at FROM customers"
    )
    await conn.execute("ANALYZE customers, customer_activity")


def cafe_changed() -> CafeChanged:
    """The one cafe."""
    return CafeChanged(
        cafe_id=CAFE, occurred_at=clock.now(), version=1, name="Bench", time_zone="Asia/Tehran", calendar="jalali",
        currency_unit="IRT",
    )  # fmt: skip


async def publish(config: Settings, events: Any) -> None:
    """What relays would publish, in whole batches: each guest's events in one partition, in their order."""
    producer = AIOKafkaProducer(
        bootstrap_servers=config.kafka_servers, enable_idempotence=True, max_batch_size=2 * 1024 * 1024,
        max_request_size=4 * 1024 * 1024,
    )  # fmt: skip
    await producer.start()
    batches: dict[tuple[str, int], Any] = {}
    counts: dict[tuple[str, int], int] = {}

    async def send(place: tuple[str, int]) -> None:
        await producer.send_batch(batches.pop(place), place[0], partition=place[1])
        counts[place] = 0

    try:
        for event in events:
            key = event.key
            place = config.topic_prefix + event.topic, key.int % config.partitions
            batch = batches.get(place) or batches.setdefault(place, producer.create_batch())
            record = record_of(event)
            batch.append(key=record.key, value=record.value, timestamp=None, headers=list(record.headers))
            counts[place] = counts.get(place, 0) + 1
            if counts[place] == RECORDS_OF_A_BATCH:
                await send(place)
        for place in list(batches):
            await send(place)
        await producer.flush()
    finally:
        await producer.stop()


async def take_in(
    bench: Bench, environment: Mapping[str, str], config: Settings, conn: Connection, count: int
) -> float:
    """Events a second that the customer worker takes in, from its first batch to the last."""
    (bench.folder / "logs").mkdir()
    process = Process("customer-worker", "services.customer.worker", free_port())
    worker = processes.start_part(bench.folder, process, environment)
    try:
        async with asyncio.timeout(TAKEN_WITHIN_SECONDS):
            while not (already := await taken(conn)):
                await asyncio.sleep(0.01)
            started = time.monotonic()
            # One more: what the service was told of the cafe.
            while (now := await taken(conn)) < count + 1:
                await asyncio.sleep(0.1)
            took = time.monotonic() - started
            await offsets_committed(config, count + 1)
            while await conn.fetchval("SELECT EXISTS (SELECT FROM crm.outbox)"):
                await asyncio.sleep(0.1)
    finally:
        await asyncio.to_thread(pids.stop, worker.process, deadline=20)
    return (now - already) / took


async def taken(conn: Connection) -> int:
    """How many events are in the inbox."""
    found: int = await conn.fetchval("SELECT count(*) FROM crm.inbox")
    return found


async def offsets_committed(config: Settings, count: int) -> None:
    """Waits until the worker's group has committed that many records."""
    admin = AIOKafkaAdminClient(bootstrap_servers=config.kafka_servers)
    await admin.start()
    try:
        while True:
            found = await admin.list_consumer_group_offsets(config.topic_prefix + SERVICE)
            if sum(max(0, offset.offset) for offset in found.values()) >= count:
                return
            await asyncio.sleep(0.1)
    finally:
        await admin.close()


async def run(config: Settings) -> Rebuilt:
    """`crm rebuild customer`, on the event loop that it has there."""

    async def work() -> Rebuilt:
        dsn = owner_dsn(config, config.database_name(SERVICE))
        return await rebuild(SERVICE, projection_of(SERVICE), dsn=dsn, config=config, check=False, say=lambda _: None)

    return await asyncio.to_thread(uvloop.run, work())

"""How long after a visit is accepted its points, its segment and its message are there, at a tenth of the peak.

One visit in ten is the first of a new guest, who is registered, evaluated and thanked: their segments and messages are
timed, and everybody's points. What is timed is not a poll: the events that the services publish afterwards carry the
moment at which they left, and a delivery that at which the provider took it.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from deploy.crm.migrate import owner_dsn
from deploy.demo import dataset, till
from deploy.demo import run as demo
from shared.events.customer import SegmentEntered
from shared.events.loyalty import PointsEarned
from shared.events.registry import decode
from shared.messaging.records import header
from shared.services import WITH_DATABASE
from tests.bench.client import post_at_rate
from tests.bench.figure import Bench, Figure, Part
from tests.bench.whole import System, whole
from tests.bench.workers import drain, running

HTTP_PER_SECOND = 300
LONELY_PER_SECOND = 3
KNOWN_GUESTS = 500
NEW_ONE_IN = 10
TILLS = 12
WARM_UP_SECONDS = 60
SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
GOALS: Mapping[tuple[str, str], float] = {("points", "p50"): 60, ("points", "p99"): 250, ("HTTP ingest", "p95"): 50}


async def measure(bench: Bench) -> list[Figure]:
    """The peak first, then the whole system at a tenth of it."""
    seconds, rounds = (10, 1) if bench.quick else (20, 3)
    baskets = dataset.load(5_000 if bench.quick else 20_000)
    async with running(bench, "peak") as system:
        peak = (await drain(system, baskets)).per_second
    rate = max(peak / 10, 10)
    bench.say(f"  peak {peak:,.0f} visits/s, so {rate:,.0f} visits/s")
    found: dict[str, list[list[float]]] = {}
    for number in range(rounds):
        await bench.use_log_files_again()
        async with whole(bench, f"latency{number}") as system:
            await _warm_up(system, rate)
            for what, times in (await _over_kafka(system, "0912", seconds, rate)).items():
                found.setdefault(what, []).append(times)
            alone = await _over_kafka(system, "0914", seconds, LONELY_PER_SECOND)
            found.setdefault("points of a lone visit", []).append(alone["points"])
            found.setdefault("HTTP ingest", []).append(await _over_http(system, seconds))
    return [_figure(what, share, runs) for what, runs in found.items() for share in SHARES]


def _figure(what: str, share: str, runs: Sequence[Sequence[float]]) -> Figure:
    values = [sorted(times)[min(len(times) - 1, int(len(times) * SHARES[share]))] * 1000 for times in runs]
    goal = GOALS.get((what, share))
    return Figure("latency", f"{what}, {share}", values, "ms", ("at most", goal) if goal else None)


async def _warm_up(system: System, per_second: float) -> None:
    """Makes the guests known, and what a running system has by itself: compiled code, statistics of its tables."""
    await _over_kafka(system, "0911", KNOWN_GUESTS / per_second, per_second, new_one_in=1)
    for service in WITH_DATABASE:
        conn = await asyncpg.connect(owner_dsn(system.config, system.config.database_name(service)))
        await conn.execute("ANALYZE")
        await conn.close()
    await _over_kafka(system, "0910", WARM_UP_SECONDS, per_second)


async def _over_kafka(
    system: System, area: str, seconds: float, per_second: float, new_one_in: int = NEW_ONE_IN
) -> dict[str, list[float]]:
    """Publishes visits at a rate, some of them by new guests of that area; returns how long each waited for what, in
    seconds."""
    accepted: dict[str, float] = {}
    new: set[str] = set()
    count = int(seconds * per_second)
    async with till.producer(system.config.kafka_servers) as producer:
        topic, started, sending = f"{system.config.topic_prefix}pos.visits", time.monotonic(), []
        for number in range(count):
            await asyncio.sleep(max(0.0, started + number / per_second - time.monotonic()))
            receipt = f"{area}-{number}"
            is_new = number % new_one_in == 0
            if is_new:
                new.add(receipt)
            phone = f"{area}{number:07d}" if is_new else f"0911{number % KNOWN_GUESTS:07d}"
            device = f"till-{number % TILLS}"
            body = json.dumps(_bill(device, receipt, phone)).encode()
            headers = till.signed_headers(system.cafe.api_key, f"{receipt}-{started}", "pos.visit_recorded", body)
            sent = await producer.send(topic, body, key=device.encode(), headers=headers)
            sent.add_done_callback(lambda _, receipt=receipt: accepted.setdefault(receipt, time.time()))
            sending.append(sent)
        await asyncio.gather(*sending)
    return await _waited(system, accepted, new)


def _bill(device: str, receipt: str, phone: str) -> dict[str, Any]:
    return {
        "device_id": device, "receipt_number": receipt, "phone": phone,
        "marketing_consent": True, "occurred_at": datetime.now(UTC).isoformat(), "total": "185000",
        "items": [{"name": "قهوه ترک", "quantity": 2, "amount": "120000"}, {"name": "کیک", "amount": "65000"}],
        "currency_unit": "IRT", "payment_method": "card",
    }  # fmt: skip


async def _waited(system: System, accepted: Mapping[str, float], new: set[str]) -> dict[str, list[float]]:
    rows = await _taken(system, accepted)
    async with asyncio.timeout(120):
        while not await _all_sent(system, [row["id"] for row in rows if row["receipt_number"] in new]):
            await asyncio.sleep(0.2)
    told = await _told(system)
    handed = dict(
        await system.pools["campaign"].fetch(
            "SELECT visit_id, extract(epoch FROM sent_at)::float8 FROM campaign_deliveries WHERE sent_at IS NOT NULL"
        )
    )
    since = [(row, accepted[row["receipt_number"]]) for row in rows]
    first = [(row, at) for row, at in since if row["receipt_number"] in new]
    return {
        "points": [told["points", row["id"]] - at for row, at in since],
        "segment": [told["segment", row["customer_id"]] - at for row, at in first],
        "message": [handed[row["id"]] - at for row, at in first],
    }


async def _taken(system: System, accepted: Mapping[str, float]) -> list[asyncpg.Record]:
    """The visits of those receipts, once all of them have their points."""
    rows: list[asyncpg.Record] = []
    async with asyncio.timeout(120):
        while len(rows) < len(accepted):
            await asyncio.sleep(0.2)
            rows = await system.pools["visit"].fetch(
                "SELECT id, customer_id, receipt_number FROM customer_visits"
                " WHERE receipt_number = any($1) AND points_earned > 0",
                list(accepted),
            )
    return rows


async def _all_sent(system: System, visits: Sequence[UUID]) -> bool:
    sent = await system.pools["campaign"].fetchval(
        "SELECT count(*) FROM campaign_deliveries WHERE visit_id = any($1) AND sent_at IS NOT NULL", visits
    )
    return int(sent) == len(visits)


async def _told(system: System) -> dict[tuple[str, UUID], float]:
    """When the first word about each visit's points and each guest's segment left, by (what, visit or guest)."""
    prefix, told = system.config.topic_prefix, dict[tuple[str, UUID], float]()
    consumer = AIOKafkaConsumer(
        prefix + "loyalty.events", prefix + "customer.events", bootstrap_servers=system.config.kafka_servers,
        auto_offset_reset="earliest", group_id=None,
    )  # fmt: skip
    await consumer.start()
    try:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(list(consumer.assignment()))
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    event = decode(header(record, "ce_type") or "", record.value)
                    if isinstance(event, PointsEarned):
                        told.setdefault(("points", event.visit_id), record.timestamp / 1000)
                    elif isinstance(event, SegmentEntered):
                        told.setdefault(("segment", event.customer_id), record.timestamp / 1000)
    finally:
        await consumer.stop()
    return told


def _caller(number: int) -> str:
    return f"0911{number % KNOWN_GUESTS:07d}" if number % NEW_ONE_IN else f"0913{number:07d}"


async def _over_http(system: System, seconds: float) -> list[float]:
    url = f"{demo.api_url(system.config, 'visit')}/visits"
    bills = [
        json.dumps(_bill(f"till-{number % TILLS}", f"http-{number}", _caller(number))).encode()
        for number in range(int(seconds * HTTP_PER_SECOND))
    ]
    # The first requests of a process make its plans and connections.
    await post_at_rate(url, {"x-api-key": system.cafe.api_key}, bills[:100], per_second=100)
    return await post_at_rate(url, {"x-api-key": system.cafe.api_key}, bills[100:], per_second=HTTP_PER_SECOND)


PART = Part("latency", measure)

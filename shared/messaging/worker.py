"""The Kafka side of a service as one process: consumer, relay, periodic jobs, and a port with health and metrics."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import asyncpg
import uvicorn
import uvloop
from aiokafka import ConsumerRecord
from faststream import AckPolicy
from faststream.asgi import AsgiFastStream, AsgiResponse, get
from faststream.kafka.prometheus import KafkaPrometheusMiddleware
from prometheus_client import REGISTRY, make_asgi_app

from shared.crashpoints import crashpoint
from shared.database import db
from shared.database.db import OUTAGES, Pool
from shared.jobs.periodic import Job, Jobs
from shared.messaging import inbox, library_patches, parked, standing
from shared.messaging.consumer import Consumer, Reactions, TooManyParked
from shared.messaging.fetching import IMMEDIATE, Fetching, FetchPolicy
from shared.messaging.library_patches import LibraryChanged, Subscription
from shared.messaging.polling import take
from shared.messaging.positions import PutBack
from shared.messaging.rebalances import Rebalances
from shared.messaging.relay import Relay
from shared.messaging.subscriber import Broker, SteadySubscriber, lags, untaken_on_error
from shared.process import facts, telemetry
from shared.process.memory import rarely_collect
from shared.process.priority import give_way, niceness_of
from shared.settings import Settings, settings

POLL_MS = 500
DATABASE_WITHIN_SECONDS = 60
HOUSEKEEPING_SECONDS = 10.0
READY_WITHIN_SECONDS = 2.0
CLOSE_WITHIN_SECONDS = 2.5
# Bytes fetched of a partition at once. With fewer, a worker that is behind waits for the broker more often; more cost
# memory.
PARTITION_BYTES = 2 * 1024 * 1024
# Two jobs may hold three connections each at the same time, and events still wait for none.
POOL_SIZE = 8


@dataclass
class Worker:
    """The running parts of one worker process."""

    service: str
    config: Settings
    reactions: Reactions
    jobs: Sequence[Job] = ()
    fetch: FetchPolicy = IMMEDIATE
    pool: Pool | None = None
    consumer: Consumer | None = None
    relay: Relay | None = None
    broker: Broker | None = None
    subscriber: SteadySubscriber | None = None
    failed: str | None = None

    def __post_init__(self) -> None:
        self.rebalances = Rebalances(self._forget_seen)
        self.fetching = Fetching(self.fetch, self.config.topic_prefix)
        dsn, jobs = self.config.dsn(self.service), (*self.jobs, inbox.PRUNING)
        self.periodic = Jobs(self.service, dsn, jobs, self._wake)

    def build(self) -> AsgiFastStream:
        """The ASGI application that starts and stops everything."""
        config = self.config
        if unread := self.fetch.topics - set(self.reactions.topics):
            raise ValueError(f"{self.service} does not read {', '.join(sorted(unread))}")
        library_patches.install()
        self.broker = Broker(
            config.kafka_servers, client_id=f"{self.service}-worker", enable_idempotence=True, logger=None,
            apply_types=False, graceful_timeout=10,
            middlewares=[KafkaPrometheusMiddleware(registry=REGISTRY, app_name=f"{self.service}-worker")],
        )  # fmt: skip
        if self.reactions.topics:
            self.subscriber = self.subscribe(self.broker)
        return AsgiFastStream(
            self.broker,
            logger=None,
            lifespan=self._lifespan,
            asgi_routes=[
                ("/healthz", get(self._healthz)),
                ("/readyz", get(self._readyz)),
                ("/metrics", make_asgi_app()),
            ],
        )

    def subscribe(self, broker: Broker) -> SteadySubscriber:
        """The subscriber that hands whole batches to `consumer`."""
        config = self.config
        subscription = Subscription(
            topics=[config.topic_prefix + topic for topic in self.reactions.topics],
            group_id=config.topic_prefix + self.service,
            ack_policy=AckPolicy.NACK_ON_ERROR,
            listener=self.rebalances,
            client_options={
                "auto_offset_reset": "earliest",
                "fetch_max_wait_ms": self.fetch.answer_within_ms,
                "fetch_min_bytes": self.fetch.least_bytes,
                "max_partition_fetch_bytes": PARTITION_BYTES,
                "session_timeout_ms": round(config.session_seconds * 1000),
                "heartbeat_interval_ms": round(config.session_seconds * 250),
            },
        )
        subscriber = broker.steady_subscriber(subscription, self._next_batch)
        subscriber(self._take)
        return subscriber

    @contextlib.asynccontextmanager
    async def _lifespan(self, *_: Any) -> AsyncIterator[None]:
        telemetry.configure_logging(f"{self.service}-worker", self.config.log_level)
        dsn = self.config.dsn(self.service)
        self.pool = await _pool_when_there(dsn, f"{self.service} worker")
        self.relay = Relay(
            self.service,
            dsn,
            self.config.kafka_servers,
            self.config.keys,
            self.config.topic_prefix,
            self.config.batch_size,
        )
        self.consumer = Consumer(
            self.service,
            self.pool,
            self.reactions,
            self.config.keys,
            self.config.topic_prefix,
            self._wake,
            self.config.unsigned_events_until,
        )
        housekeeping = Job("housekeeping", HOUSEKEEPING_SECONDS, self._housekeep)
        loops = [self._relaying(), self.periodic.lead(self.pool), self.periodic.repeat(housekeeping, self.pool)]
        tasks = [asyncio.create_task(loop) for loop in loops]
        try:
            yield
        finally:
            crashpoint("worker.in_shutdown")
            for task in tasks:
                task.cancel()
            # Not `gather`, which would wait for a task that is stuck in its clean-up.
            await asyncio.wait(tasks, timeout=CLOSE_WITHIN_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.pool.close(), CLOSE_WITHIN_SECONDS)

    async def _next_batch(self, client: Any) -> Sequence[ConsumerRecord]:
        try:
            await self.fetching.before_poll(client)
            await self._require_positions(client)
            async with untaken_on_error(client, await take(client, self.config.batch_size, POLL_MS)) as records:
                # Partitions may have been given to us meanwhile.
                await self._require_positions(client)
        except PutBack as error:
            await self._end(f"{error}; `crm recover {self.service}` puts it right")
        full = len(records) >= self.config.batch_size
        self.fetching.after_poll(client, {record.topic for record in records}, full=full)
        return records

    def _forget_seen(self) -> None:
        if self.consumer is not None:
            self.consumer.seen.forget()

    async def _take(self, records: Sequence[ConsumerRecord]) -> None:
        assert self.consumer is not None
        try:
            await self.consumer.handle(records)
        except TooManyParked as error:
            # Parking a whole topic helps nobody.
            await self._end(str(error))
        except PutBack as error:
            await self._end(f"{error}; `crm recover {self.service}` puts it right")

    async def _require_positions(self, client: Any) -> None:
        """Raises `PutBack` when the broker and the database differ about the partitions that were given to us."""
        if not self.rebalances.unknown:
            return
        assert self.pool is not None
        assert self.consumer is not None
        assigned = set(self.rebalances.unknown)
        known = await standing.require(client, self.pool, assigned, self.config)
        self.consumer.noted |= known
        self.rebalances.unknown -= assigned

    async def _relaying(self) -> None:
        assert self.relay is not None
        try:
            await self.relay.run()
        except PutBack as error:
            await self._end(f"{error}; `crm recover {self.service}` tells what follows")

    async def _end(self, reason: str) -> NoReturn:
        """Turns readiness red, logs the alarm and ends the process a second later; until then does nothing more."""
        self.failed = reason
        telemetry.logger().critical("worker.stopped", reason=reason)
        asyncio.get_running_loop().call_later(1.0, sys.exit, 1)
        while True:
            await asyncio.Event().wait()

    def _wake(self) -> None:
        """Call after a commit: wakes the relay, which may have events to publish, and the eager jobs."""
        if self.relay is not None:
            self.relay.wake()
        self.periodic.stir()

    async def _housekeep(self, pool: Pool) -> int:
        async with pool.acquire() as conn:
            telemetry.PARKED_WAITING.labels(self.service).set(await parked.count_waiting(conn))
        client = self.subscriber.consumer if self.subscriber is not None else None
        behind = await lags(client, READY_WITHIN_SECONDS) if client is not None else {}
        for partition, lag in behind.items():
            topic = partition.topic.removeprefix(self.config.topic_prefix)
            telemetry.LAG.labels(self.service, topic, str(partition.partition)).set(lag)
        return 0

    async def _healthz(self, _: Any) -> AsgiResponse:
        return AsgiResponse(b"failed" if self.failed else b"ok", 500 if self.failed else 200)

    async def _readyz(self, _: Any) -> AsgiResponse:
        try:
            if self.pool is None or self.broker is None or self.failed:
                return AsgiResponse(b"not ready", 503)
            await asyncio.wait_for(self.pool.fetchval("SELECT 1"), READY_WITHIN_SECONDS)
            there = await self.broker.ping(READY_WITHIN_SECONDS)
        except OUTAGES:
            there = False
        return AsgiResponse(b"ready" if there else b"not ready", 200 if there else 503)


async def _pool_when_there(dsn: str, name: str) -> Pool:
    started, wait = time.monotonic(), 0.1
    while True:
        try:
            return await db.open_pool(dsn, max_size=POOL_SIZE, name=name)
        except (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError) as error:
            if time.monotonic() - started > DATABASE_WITHIN_SECONDS:
                raise
            telemetry.logger().warning("database.awaited", error=type(error).__name__)
            await asyncio.sleep(wait := min(2.0, wait * 2))


def run(
    service: str,
    reactions: Reactions,
    jobs: Sequence[Job] = (),
    *,
    fetch: FetchPolicy = IMMEDIATE,
) -> None:
    """Runs the worker process of `service` until SIGTERM. Exit code 1 when it had to stop itself, or must not start.

    `fetch` says when records are taken; by default as they come. Raises `ValueError` when it names a topic that the
    service does not read.
    """
    config = settings()
    telemetry.configure_logging(f"{service}-worker", config.log_level)
    facts.require_secret_or_exit(config, service, wait_seconds=DATABASE_WITHIN_SECONDS)
    give_way(niceness_of(takes_in=bool(reactions.ingress), gathers=fetch.kind == "gather"))
    try:
        app = Worker(service, config, reactions, jobs, fetch).build()
    except LibraryChanged as error:
        telemetry.logger().critical("start.refused", reason=str(error))
        sys.exit(1)
    uvloop.install()
    rarely_collect()
    uvicorn.run(
        app,
        host=config.host,
        port=config.worker_port(service),
        log_config=None,
        access_log=False,
        lifespan="on",
    )

"""Tills that hand in real visits while a scenario rages, and remember what was acknowledged."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count

import httpx2
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from deploy.demo import dataset, till
from deploy.demo.dataset import Basket
from tests.chaos.system import Scene

SUPPLY = 20_000
NEXT_ROUND = 10**12
# A till that got no answer in this time is in doubt.
ANSWER_WITHIN_SECONDS = 30.0
ACKNOWLEDGED_WITHIN_SECONDS = 120.0
PAUSE_SECONDS = 0.3
IN_FLIGHT = 500
# What a till may be told while something is away; anything else would be our fault or its own.
PUT_OFF = (429, 502, 503)


@cache
def supply() -> Sequence[Basket]:
    """Real baskets of a year, old enough that nobody is thanked for them."""
    return dataset.load(SUPPLY, until=datetime.now(UTC) - timedelta(days=2))


@dataclass
class KafkaTill:
    """Publishes signed visits; makes itself a new producer when the old one failed, at most so often: tills that
    knock all the time would take the machine from the system that is to come back."""

    servers: str
    topic: str
    api_key: str
    client: AIOKafkaProducer | None = None
    mending: asyncio.Lock = field(default_factory=asyncio.Lock)
    not_before: float = 0.0

    async def hand_in(self, basket: Basket) -> bool:
        """True when the broker has confirmed the visit."""
        body = json.dumps(till.visit_body(basket), ensure_ascii=False).encode()
        headers = till.signed_headers(self.api_key, till.event_id(basket), "pos.visit_recorded", body)
        client = None
        try:
            client = await self._producer()
            async with asyncio.timeout(ANSWER_WITHIN_SECONDS):
                await client.send_and_wait(self.topic, body, key=f"till-{basket.store_id}".encode(), headers=headers)
        except (KafkaError, OSError, TimeoutError):
            await self._give_up(client)
            return False
        return True

    async def close(self) -> None:
        """Ends the connection to the broker."""
        await self._give_up(self.client)

    async def _producer(self) -> AIOKafkaProducer:
        async with self.mending:
            if self.client is None:
                if time.monotonic() < self.not_before:
                    raise KafkaConnectionError("not there a moment ago")
                self.not_before = time.monotonic() + PAUSE_SECONDS
                self.client = await _started(self.servers)
            return self.client

    async def _give_up(self, client: AIOKafkaProducer | None) -> None:
        # Once: others who wait on the same producer come here too.
        if client is None or self.client != client:
            return
        self.client = None
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(5):
                await client.stop()


async def _started(servers: str) -> AIOKafkaProducer:
    client = AIOKafkaProducer(
        bootstrap_servers=servers, enable_idempotence=True, linger_ms=5, request_timeout_ms=10_000
    )
    try:
        await client.start()
    except BaseException:
        await client.stop()
        raise
    return client


@dataclass
class Load:
    """Hands in one basket after the other, `per_second`; one in `repeats` is sent again though it was acknowledged,
    and what is in doubt until it is. `urls` are where the visit service's API answers, `failed` what came of the
    requests that it did not take."""

    scene: Scene
    per_second: float
    over_http: float
    fresh: float
    repeats: float
    urls: Sequence[str]
    dice: random.Random
    acknowledged: list[Basket] = field(default_factory=list)
    handed_in: int = 0
    sent_again: int = 0
    over_http_answered: int = 0
    failed: list[str] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Hands in until told to stop, then waits until everything is acknowledged."""
        system, cafe = self.scene.system, self.scene.cafe
        kafka = KafkaTill(system.config.kafka_servers, f"{system.config.topic_prefix}pos.visits", cafe.api_key)
        # Where the machine is slower than the load, bills wait for their turn here, which is nobody's fault.
        limits, timeout = httpx2.Limits(max_connections=20), httpx2.Timeout(ANSWER_WITHIN_SECONDS, pool=None)
        headers = {"X-Api-Key": cafe.api_key}
        try:
            async with (
                httpx2.AsyncClient(timeout=timeout, headers=headers, limits=limits, trust_env=False) as http,
                asyncio.TaskGroup() as open_bills,
            ):
                room = asyncio.Semaphore(IN_FLIGHT)
                async for basket in self._in_time(self._baskets()):
                    await room.acquire()
                    self.handed_in += 1
                    open_bills.create_task(self._until_acknowledged(basket, kafka, http, room))
        finally:
            await kafka.close()

    async def more(self, visits: int, within: float = ACKNOWLEDGED_WITHIN_SECONDS) -> None:
        """Waits until so many more are acknowledged."""
        wanted = len(self.acknowledged) + visits
        async with asyncio.timeout(within):
            while len(self.acknowledged) < wanted:
                await asyncio.sleep(0.02)

    def _baskets(self) -> Iterator[Basket]:
        for round_number in count():
            for basket in supply():
                fresh = self.dice.random() < self.fresh
                yield replace(
                    basket,
                    basket_id=basket.basket_id + round_number * NEXT_ROUND,
                    at=_a_moment_ago(self.dice) if fresh else basket.at,
                )

    async def _in_time(self, baskets: Iterator[Basket]) -> AsyncIterator[Basket]:
        clock, started = asyncio.get_running_loop().time, asyncio.get_running_loop().time()
        for number, basket in zip(count(), baskets):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), max(0.0, started + number / self.per_second - clock()))
            if self.over.is_set():
                return
            yield basket

    async def _until_acknowledged(
        self, basket: Basket, kafka: KafkaTill, http: httpx2.AsyncClient, room: asyncio.Semaphore
    ) -> None:
        again = self.dice.random() < self.repeats
        try:
            while not await self._hand_in(basket, kafka, http):
                self.sent_again += 1
                await asyncio.sleep(PAUSE_SECONDS)
            self.acknowledged.append(basket)
            if again:
                self.sent_again += 1
                await self._hand_in(basket, kafka, http)
        finally:
            room.release()

    async def _hand_in(self, basket: Basket, kafka: KafkaTill, http: httpx2.AsyncClient) -> bool:
        if self.dice.random() >= self.over_http:
            return await kafka.hand_in(basket)
        try:
            answer = await http.post(f"{self.dice.choice(self.urls)}/visits", json=till.visit_body(basket))
        except httpx2.HTTPError as error:
            self.failed.append(type(error).__name__)
            return False
        if answer.status_code in PUT_OFF:
            self.failed.append(str(answer.status_code))
            return False
        assert answer.is_success, f"a good bill was answered with {answer.status_code}: {answer.text}"
        self.over_http_answered += 1
        return True


@contextlib.asynccontextmanager
async def load_on(
    scene: Scene,
    *,
    per_second: float,
    over_http: float = 0.3,
    fresh: float = 0.1,
    repeats: float = 0.05,
    urls: Sequence[str] = (),
) -> AsyncIterator[Load]:
    """Hands in visits to the scene's cafe while the block runs; at its end all that were handed in are acknowledged.

    `over_http`, `fresh` (a visit of the last hour, which a guest is thanked for) and `repeats` are shares of 1.
    """
    supply()
    where = urls or [scene.system.url("visit-api")]
    load = Load(scene, per_second, over_http, fresh, repeats, where, random.Random(scene.dice.random()))
    # An answer that no till should get ends the block too.
    async with asyncio.TaskGroup() as group:
        running = group.create_task(load.run())
        try:
            yield load
            load.over.set()
            done, _ = await asyncio.wait([running], timeout=ACKNOWLEDGED_WITHIN_SECONDS)
            left, within = load.handed_in - len(load.acknowledged), ACKNOWLEDGED_WITHIN_SECONDS
            assert done, f"{left} of {load.handed_in} visits were not acknowledged in {within:.0f} s"
        finally:
            running.cancel()


def _a_moment_ago(dice: random.Random) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=dice.randint(60, 3600))

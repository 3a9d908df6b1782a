"""All services in one process, without a broker: events go from outbox to consumer by hand, in an order of the dice.

What Kafka promises is kept (the order of a key, every record at least once) and nothing more: batches end anywhere,
come again, and the topics of one guest run at different speeds.
"""

import importlib
import json
import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from deploy.demo import till
from services.identity.handlers import cafes, tills
from services.identity.models.http import CreateApiKey, CreateCafe
from shared.clock import new_id
from shared.database import db
from shared.messaging.consumer import Consumer, Reactions
from shared.services import WITH_DATABASE
from shared.settings import Settings
from tests.shared.records import FakeRecord, relayed
from tests.support import Databases

PARTITIONS = 3
LARGEST_BATCH = 40
COMES_AGAIN = 0.2
LOOKS_FOR_NEWS = 0.3

TAKE_OUTBOX = "DELETE FROM crm.outbox RETURNING id, topic, key, headers, payload"
Queue = tuple[str, str, int]


@dataclass
class House:
    """The services' consumers and, by (service, topic, partition), what each has not taken yet."""

    config: Settings
    pools: Mapping[str, db.Pool]
    consumers: Mapping[str, Consumer]
    dice: random.Random
    queues: dict[Queue, deque[FakeRecord]] = field(default_factory=dict)
    largest_batch: int = LARGEST_BATCH

    async def make_cafe(self) -> tuple[UUID, str]:
        """A new cafe that everybody knows, and its till's key."""
        async with db.transaction(self.pools["identity"]) as conn:
            cafe = await cafes.create_cafe(conn, CreateCafe(name="کافهٔ آزمون", quiet_from="00:00", quiet_until="00:00"))
            key = await tills.create_api_key(conn, self.config.keys, cafe.cafe_id, CreateApiKey(device_name="till"))
        await self.settle()
        return cafe.cafe_id, key.api_key

    def publish(self, topic: str, record: FakeRecord, key: str) -> None:
        """Puts a record before every service that reads the topic."""
        partition = sum(key.encode()) % PARTITIONS
        for service, consumer in self.consumers.items():
            if topic in consumer.reactions.topics:
                self.queues.setdefault((service, topic, partition), deque()).append(record)

    def hand_in(self, api_key: str, kind: str, body: Mapping[str, Any], event_id: UUID | None = None) -> None:
        """A till's record on pos.visits."""
        raw, visit_id = json.dumps(body).encode(), str(event_id or new_id())
        headers = till.signed_headers(api_key, visit_id, kind, raw)
        device = str(body.get("device_id"))
        self.publish("pos.visits", FakeRecord("pos.visits", raw, headers, device.encode()), device)

    async def settle(self) -> None:
        """Lets everything that waits happen, until nothing waits."""
        while True:
            waiting = [queue for queue, records in self.queues.items() if records]
            if (not waiting or self.dice.random() < LOOKS_FOR_NEWS) and not await self.relay() and not waiting:
                return
            if waiting:
                await self.deliver(self.dice.choice(waiting))

    async def deliver(self, queue: Queue) -> None:
        """Gives one service some of what waits in one partition; now and then it comes again later."""
        waiting = self.queues[queue]
        batch = [waiting.popleft() for _ in range(min(len(waiting), self.dice.randint(1, self.largest_batch)))]
        await self.consumers[queue[0]].handle(batch)
        if self.dice.random() < COMES_AGAIN:
            await self.consumers[queue[0]].handle(batch)

    async def relay(self) -> int:
        """Moves what is in the outboxes to those who read it; returns how much."""
        return sum([await self.relay_of(service) for service in self.dice.sample(WITH_DATABASE, len(WITH_DATABASE))])

    async def relay_of(self, service: str) -> int:
        """Moves what is in one service's outbox; returns how much."""
        rows = sorted(await self.pools[service].fetch(TAKE_OUTBOX), key=lambda row: int(row["id"]))
        for row in rows:
            self.publish(row["topic"], relayed(row), row["key"])
        return len(rows)


async def open_house(config: Settings, database: Databases, dice: random.Random) -> House:
    """A house on fresh databases."""
    pools = {service: await database(service) for service in WITH_DATABASE}
    consumers = {
        service: Consumer(service, pools[service], reactions_of(service), config.keys) for service in WITH_DATABASE
    }
    return House(config, pools, consumers, dice)


def reactions_of(service: str) -> Reactions:
    """What a service's worker listens to."""
    found: Reactions = importlib.import_module(f"services.{service}.worker").REACTIONS
    return found


def shuffled(dice: random.Random, things: Sequence[Any]) -> list[Any]:
    """The things in another order."""
    return dice.sample(things, len(things))

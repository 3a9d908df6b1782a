"""A worker that takes one event per call and transaction, as the framework's tutorials do it: the yardstick.

The same handlers, inbox, outbox, relay and jobs; only the subscriber is the framework's plain one.
`python -m tests.bench.naive visit`
"""

import importlib
import sys
from typing import Any

import uvicorn
import uvloop
from aiokafka import ConsumerRecord
from faststream import AckPolicy
from faststream.asgi import AsgiFastStream
from faststream.kafka import KafkaBroker

from shared.messaging.worker import Rebalances, Worker
from shared.process.memory import rarely_collect
from shared.process.priority import NICENESS, give_way
from shared.settings import settings


class OneByOne(Worker):
    """A worker whose subscriber hands over each record alone."""

    def subscribe(self, broker: KafkaBroker) -> Any:
        """The framework's plain subscriber: a call for each record, its offset committed after it."""
        config = self.config
        subscriber = broker.subscriber(
            *(config.topic_prefix + topic for topic in self.reactions.topics),
            group_id=config.topic_prefix + self.service,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.NACK_ON_ERROR,
            listener=Rebalances(),
            decoder=_as_it_is,
        )
        subscriber(self._take_one)
        return subscriber

    async def _take_one(self, record: ConsumerRecord) -> None:
        await self._take([record])


async def _as_it_is(message: Any) -> Any:
    return message.raw_message


def main() -> None:
    """Runs the worker of the service named on the command line until SIGTERM."""
    service, config = sys.argv[1], settings()
    give_way(NICENESS)
    own = importlib.import_module(f"services.{service}.worker")
    app: AsgiFastStream = OneByOne(service, config, own.REACTIONS, own.JOBS).build()
    uvloop.install()
    rarely_collect()
    uvicorn.run(app, host=config.host, port=config.worker_port(service), log_config=None, access_log=False)


if __name__ == "__main__":
    main()

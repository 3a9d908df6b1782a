"""The worker's subscriber: FastStream's batch subscriber, but for how it polls and outlives the loss of its broker."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError
from faststream.kafka import KafkaBroker
from faststream.kafka.message import FAKE_CONSUMER, KafkaAckableMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber

from shared.database.db import OUTAGES, heed_cancellation
from shared.messaging.library_patches import Subscription, register_subscriber
from shared.process import telemetry
from shared.process.discreet import bare

Poll = Callable[[AIOKafkaConsumer], Awaitable[Sequence[ConsumerRecord]]]

PUT_OFF_SECONDS = 0.5
# Whoever stops a process waits some 25 s. What the broker was not told by then it finds out by itself.
LEAVE_WITHIN_SECONDS = 15.0


class Broker(KafkaBroker):
    """A broker that stops in time, also when the server does not answer, and whose subscribers are steady."""

    async def stop(self, *error: Any) -> None:
        """Finishes the batch in hand and leaves the consumer group."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_WITHIN_SECONDS):
                await super().stop(*error)

    def steady_subscriber(self, subscription: Subscription, poll: Poll) -> "SteadySubscriber":
        """A subscriber that gets its batches from `poll` and hands them over as the records that they are."""

        def make(*arguments: Any) -> SteadySubscriber:
            return SteadySubscriber(*arguments, poll=poll)

        subscriber = register_subscriber(self, subscription, make)
        return subscriber.add_call(parser_=subscriber.whole, decoder_=records_of, dependencies_=())


class SteadySubscriber(BatchSubscriber):
    """Polls by `poll`, and goes on whatever that raises.

    The framework's own version sleeps after an empty poll without listening and five seconds after an error of the
    broker, and ends for good when its client cancels a future of its own, as it does when it loses the broker.
    """

    def __init__(self, config: Any, specification: Any, calls: Any, *, poll: Poll) -> None:
        super().__init__(config, specification, calls, batch_timeout_ms=0, max_records=None)
        self.poll = poll

    async def get_msg(self, consumer: AIOKafkaConsumer) -> tuple[ConsumerRecord, ...]:
        """The next batch; an empty one when there was none, or when `poll` failed."""
        try:
            return tuple(await self.poll(consumer))
        except ConsumerStoppedError:
            raise
        except (KafkaError, asyncio.CancelledError, *OUTAGES) as error:
            heed_cancellation()
            telemetry.logger().warning("consuming.put_off", error=type(error).__name__)
        except Exception as error:
            # A torn connection can make a client library stumble over itself; this loop must outlive that.
            heed_cancellation()
            telemetry.logger().error("consuming.failed", error=type(error).__name__, exc_info=bare(error))
        await asyncio.sleep(PUT_OFF_SECONDS)
        return ()

    async def consume_one(self, msg: tuple[ConsumerRecord, ...]) -> None:
        """Works on one batch. If a future of the client was cancelled meanwhile, nobody knows how much was done and
        committed, so the batch is taken again."""
        try:
            await super().consume_one(msg)
        except asyncio.CancelledError:
            heed_cancellation()
            telemetry.logger().warning("consuming.taken_again", records=len(msg))
            _rewind(self.consumer, msg)

    async def whole(self, records: Sequence[ConsumerRecord]) -> KafkaAckableMessage:
        """The batch as one message of the framework. Its own parser decodes all headers as UTF-8 and loses the whole
        batch on one that is not (https://github.com/ag2ai/faststream/issues/2458, open with 0.7.8)."""
        first, last = records[0], records[-1]
        return KafkaAckableMessage(
            body=[record.value or b"" for record in records],
            raw_message=tuple(records),
            message_id=f"{first.topic}-{first.partition}-{first.offset}-{last.offset}",
            consumer=self.consumer or FAKE_CONSUMER,
        )


async def records_of(message: KafkaAckableMessage) -> tuple[ConsumerRecord, ...]:
    """What a handler is called with."""
    records: tuple[ConsumerRecord, ...] = message.raw_message
    return records


@contextlib.asynccontextmanager
async def untaken_on_error(
    client: AIOKafkaConsumer, records: Sequence[ConsumerRecord]
) -> AsyncIterator[Sequence[ConsumerRecord]]:
    """Lets the client read these records again when the block fails: it counts them as consumed, and the next commit
    would pass them."""
    try:
        yield records
    except BaseException:
        _rewind(client, records)
        raise


def _rewind(client: Any, records: Sequence[ConsumerRecord]) -> None:
    first: dict[TopicPartition, int] = {}
    for record in records:
        first.setdefault(TopicPartition(record.topic, record.partition), record.offset)
    # A partition that was given away meanwhile is read by others, from the committed offset.
    for partition in first.keys() & (client.assignment() if client is not None else set()):
        client.seek(partition, first[partition])


async def lags(client: Any, within_seconds: float) -> dict[TopicPartition, int]:
    """How many records of each partition the client has not taken yet. Positions that are not known are waited for, all
    of them together no longer than `within_seconds`."""
    found: dict[TopicPartition, int] = {}
    with contextlib.suppress(TimeoutError, KafkaError):
        async with asyncio.timeout(within_seconds):
            for partition in client.assignment():
                position, end = await client.position(partition), client.highwater(partition)
                found[partition] = max(0, end - position) if end is not None else 0
    return found

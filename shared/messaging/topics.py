"""Every topic, its partitions' key and how long it keeps what. The only place that creates them."""

import asyncio
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from shared.messaging.clients import opened
from shared.settings import Settings

DAY_MS = 86_400_000
FORGET_MS = 7 * DAY_MS
LEADERS_WITHIN_SECONDS = 30
# On our own topics the moment of a record is when the broker got it, whatever the producer says.
BROKERS_TIME = {"message.timestamp.type": "LogAppendTime"}
# The source of a setting that was made for this topic, in Kafka's protocol.
SET_ON_TOPIC = 1


@dataclass(frozen=True)
class Topic:
    """`keep_ms` is None for ever; `compacted` keeps the last record of each key, and earlier ones for `FORGET_MS`.
    The broker unpacks what comes into an `open_to_others` topic: whoever writes there may pack with what our consumers
    can't unpack."""

    name: str
    key: str
    keep_ms: int | None = None
    compacted: bool = False
    open_to_others: bool = False


TOPICS = (
    Topic("pos.visits", key="device id, chosen by the till", keep_ms=7 * DAY_MS, open_to_others=True),
    Topic("visit.contacts", key="customer id", keep_ms=7 * DAY_MS),
    Topic("customer.profiles", key="customer id", compacted=True),
    Topic("identity.events", key="cafe id"),
    Topic("customer.events", key="customer id, or cafe id of what is about the whole cafe"),
    Topic("visit.events", key="customer id, or visit id of an unknown guest"),
    Topic("loyalty.events", key="customer id"),
    Topic("campaign.events", key="customer id"),
    Topic("feedback.events", key="customer id, or visit id of an unknown guest"),
)


def _new(topic: Topic, config: Settings) -> NewTopic:
    return NewTopic(
        config.topic_prefix + topic.name, config.partitions, config.replication, topic_configs=_configs(topic)
    )


def _configs(topic: Topic) -> dict[str, str]:
    own = {"compression.type": "uncompressed"} if topic.open_to_others else BROKERS_TIME
    # The broker deletes and compacts whole segments, never the one it writes to: that one must not last for weeks.
    short = {"segment.ms": str(DAY_MS)}
    if topic.compacted:
        forgets = {"max.compaction.lag.ms": str(FORGET_MS), "delete.retention.ms": str(DAY_MS)}
        return {"cleanup.policy": "compact"} | forgets | short | own
    if topic.keep_ms is None:
        return {"retention.ms": "-1"} | own
    return {"retention.ms": str(topic.keep_ms)} | short | own


async def _keep_brokers_time(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    """Gives topics from before signatures the broker's time: whoever writes there must not choose when a record was."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    for answer in await admin.describe_configs(resources):
        for error, message, _, name, entries in answer.resources:
            if error:
                raise for_code(error)(f"{name}: {message}")
            # A change replaces the topic's whole configuration, so it repeats what an operator has set.
            given = {key: value for key, value, _, source, *_ in entries if source == SET_ON_TOPIC}
            if BROKERS_TIME.items() <= given.items():
                continue
            resource = ConfigResource(ConfigResourceType.TOPIC, name, given | BROKERS_TIME)
            for changed in await admin.alter_configs([resource]):
                for code, why, *_ in changed.resources:
                    if code:
                        raise for_code(code)(f"{name}: {why}")


async def _await_leaders(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    # The broker answers before its partitions have leaders; a client that comes too early waits out a metadata refresh.
    async with asyncio.timeout(LEADERS_WITHIN_SECONDS):
        while any(
            partition["error_code"] or partition["leader"] < 0
            for topic in await admin.describe_topics(names)
            for partition in topic["partitions"] or [{"error_code": 1}]
        ):
            await asyncio.sleep(0.05)


async def create(config: Settings) -> list[str]:
    """Creates the missing topics, brings those from before up to date, and returns their full names. Safe to repeat.

    Raises the broker's own error when a topic can't be made, `TimeoutError` when its partitions find no leader.
    """
    async with opened(AIOKafkaAdminClient(bootstrap_servers=config.kafka_servers)) as admin:
        answer = await admin.create_topics([_new(topic, config) for topic in TOPICS])
        await _await_leaders(admin, [config.topic_prefix + topic.name for topic in TOPICS])
        await _keep_brokers_time(admin, [config.topic_prefix + each.name for each in TOPICS if not each.open_to_others])
    made = []
    for name, code, *message in answer.topic_errors:
        if code == 0:
            made.append(name)
        elif code != TopicAlreadyExistsError.errno:
            raise for_code(code)(f"{name}: {message}")
    return made

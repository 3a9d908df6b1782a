"""How long the broker keeps what: personal data leaves by itself."""

from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.messaging.topics import DAY_MS, FORGET_MS, TOPICS
from tests.support import Kafka


async def settings_of(kafka: Kafka, topic: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.servers)
    await admin.start()
    try:
        answers: Any = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, kafka.prefix + topic)])
    finally:
        await admin.close()
    [(_, _, _, _, entries)] = answers[0].resources
    return {name: value for name, value, *_ in entries}


async def test_topics_with_personal_data_end_or_forget_within_eight_days(kafka: Kafka) -> None:
    personal = {topic.name: topic for topic in TOPICS if topic.keep_ms is not None or topic.compacted}
    assert personal.keys() == {"pos.visits", "visit.contacts", "customer.profiles"}
    for name, topic in personal.items():
        found = await settings_of(kafka, name)
        assert int(found["segment.ms"]) == DAY_MS
        lasts = found["max.compaction.lag.ms"] if topic.compacted else found["retention.ms"]
        assert int(lasts) == FORGET_MS
        assert found["cleanup.policy"] == ("compact" if topic.compacted else "delete")


async def test_events_are_kept_for_ever(kafka: Kafka) -> None:
    assert (await settings_of(kafka, "visit.events"))["retention.ms"] == "-1"

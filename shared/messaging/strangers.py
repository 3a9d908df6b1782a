"""Records without a valid signature. Whoever reaches the broker chooses how many there are, so their cost is
bounded."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.messaging.records import Record, Refusal
from shared.messaging.signing import SignatureFault
from shared.process import telemetry

KEPT_PER_HOUR = 100
LONGEST_BODY = 2048
LONGEST_HEADER = 200
MOST_HEADERS = 20


@dataclass(frozen=True)
class Cut:
    """A record cut short, to be parked."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass
class Strangers:
    """Keeps the first such records of each topic and hour for people to look at, and counts the others."""

    service: str
    hour: int = 0
    kept: defaultdict[str, set[tuple[int, int]]] = field(default_factory=lambda: defaultdict(set))

    def refuse(self, topic: str, record: Record, fault: SignatureFault) -> list[Refusal]:
        """The refusals to park: none when enough of the topic (plain name) is kept already.

        For the same record the answer stays the same: a batch may be tried several times.
        """
        if (hour := int(time.time() // 3600)) != self.hour:
            self.hour = hour
            self.kept.clear()
        kept, place = self.kept[topic], (record.partition, record.offset)
        if place not in kept:
            telemetry.FORGED.labels(self.service, topic, fault.code).inc()
            if len(kept) >= KEPT_PER_HOUR:
                return []
            kept.add(place)
            telemetry.logger().critical(
                "record.forged", topic=topic, partition=record.partition, offset=record.offset, reason=fault.code
            )
            if len(kept) == KEPT_PER_HOUR:
                telemetry.logger().critical("records.only_counted", topic=topic, reason=fault.code)
        return [Refusal(_cut(record), fault.code, fault.detail)]


def _cut(record: Record) -> Cut:
    headers = [
        (name[:LONGEST_HEADER], (value or b"")[:LONGEST_HEADER]) for name, value in record.headers[:MOST_HEADERS]
    ]
    key = record.key[:LONGEST_HEADER] if record.key else record.key
    value = record.value[:LONGEST_BODY] if record.value else record.value
    return Cut(record.topic, record.partition, record.offset, record.timestamp, key, value, headers)

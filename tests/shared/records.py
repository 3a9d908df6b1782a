"""Records as a topic gives them, for tests that need no broker."""

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from shared.clock import new_id
from shared.events.base import Event
from shared.events.registry import encode
from shared.events.visit import VisitRecorded
from shared.messaging.outbox import headers_of
from shared.messaging.signing import HEADER, signature
from shared.settings import settings

CAFE = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
_offsets = itertools.count()


@dataclass(frozen=True)
class FakeRecord:
    """Stands in for aiokafka's record."""

    topic: str
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    key: bytes | None = b"key"
    partition: int = 0
    timestamp: int = field(default_factory=lambda: round(time.time() * 1000))
    offset: int = field(default_factory=lambda: next(_offsets))


def record_of(event: Event, prefix: str = "") -> FakeRecord:
    """The record that the relay would publish for this event."""
    headers = [(name, str(value).encode()) for name, value in headers_of(event)]
    return signed(FakeRecord(prefix + event.topic, encode(event), headers, str(event.key).encode()), prefix)


def relayed(row: Mapping[str, Any]) -> FakeRecord:
    """The record that the relay would publish for a row of the outbox."""
    headers = [(name, value.encode()) for name, value in msgspec.json.decode(row["headers"])]
    return signed(FakeRecord(row["topic"], row["payload"], headers, row["key"].encode()), number=row["id"])


def signed(record: FakeRecord, prefix: str = "", number: int = 1) -> FakeRecord:
    """The same with the signature of its topic's publisher."""
    topic, headers = record.topic.removeprefix(prefix), list(record.headers)
    value = signature(settings().keys, topic, record.key or b"", headers, record.value, number)
    return replace(record, headers=(*headers, (HEADER, value)))


def visit(**changes: Any) -> VisitRecorded:
    """A visit of 185,000 Toman by a new guest."""
    facts: dict[str, Any] = {
        "cafe_id": CAFE,
        "occurred_at": datetime(2026, 3, 21, 12, 30, tzinfo=UTC),
        "visit_id": new_id(),
        "customer_id": new_id(),
        "device_id": "till-1",
        "receipt_number": "1",
        "final_amount": Decimal(185_000),
        "total_amount": Decimal(185_000),
        "discount_amount": Decimal(0),
        "currency_unit": "IRT",
    }
    return VisitRecorded(**facts | changes)

"""What every event of the published language carries.

CloudEvents 1.0 in Kafka's binary mode: the `ce_…` headers repeat the body's ids, so a reader routes and deduplicates
without decoding the body, and the body alone is enough to replay it.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal
from uuid import UUID

import msgspec

from shared.clock import new_id, now

CurrencyUnit = Literal["IRT", "IRR"]
Tier = Literal["bronze", "silver", "gold", "platinum"]
Segment = Literal["new", "occasional", "regular", "vip"]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A fact. `occurred_at` is the world's clock, `recorded_at` ours.

    Subclasses set `type` (`noun.past_participle`) and inherit `topic` and `key`. Fields are only ever added, with a
    default; anything else is a new type beside the old.
    """

    type: ClassVar[str]
    topic: ClassVar[str]
    key_field: ClassVar[str] = "customer_id"

    event_id: UUID = msgspec.field(default_factory=new_id)
    cafe_id: UUID
    occurred_at: datetime
    recorded_at: datetime = msgspec.field(default_factory=now)
    correlation_id: UUID = msgspec.field(default_factory=new_id)
    causation_id: UUID | None = None

    @property
    def key(self) -> UUID:
        """Events with one key keep their order."""
        value = getattr(self, self.key_field)
        return value if isinstance(value, UUID) else self.event_id


def caused_by(cause: Event) -> dict[str, Any]:
    """Keyword arguments that tie a new event to the one it follows from."""
    return {"correlation_id": cause.correlation_id, "causation_id": cause.event_id}


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One line of a bill. `quantity` may be fractional (weighed goods); `amount` is of the whole line."""

    name: str
    quantity: Decimal = Decimal(1)
    amount: Decimal | None = None
    sku: str | None = None
    category: str | None = None

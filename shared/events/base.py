"""What every event of the published language carries.

CloudEvents 1.0 in Kafka's binary mode: the `ce_…` headers repeat the body's ids, so a reader routes and deduplicates
without decoding the body, and the body alone is enough to replay it.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from shared.clock import new_id, now

CurrencyUnit = Literal["IRT", "IRR"]
Tier = Literal["bronze", "silver", "gold", "platinum"]
Segment = Literal["new", "occasional", "regular", "vip"]

# What a text in an event may be. Most topics are kept for ever, and what somebody wrote freely could name a guest who
# is forgotten one day: it stays in its service's own table, which erasure empties, or travels sealed on
# `visit.contacts` or `customer.profiles`. A text of none of these kinds fails tests/contract/test_words.py.
# Made by a machine or from a form's narrow field: a device's id, a receipt's number, a key's id.
Identifier = Annotated[str, Meta(extra={"kind": "identifier"})]
# One of a list that our own code or a provider's documentation holds.
Code = Annotated[str, Meta(extra={"kind": "code"})]
# What the cafe calls itself, its branches and its tills.
OwnName = Annotated[str, Meta(extra={"kind": "own_name"})]
# An envelope of shared.security.crypto, or a keyed hash: only on topics that forget, unless it is about no guest.
Sealed = Annotated[str, Meta(extra={"kind": "sealed"})]
# Filled by earlier versions, empty since; readers leave it alone.
Emptied = Annotated[str, Meta(extra={"kind": "emptied"})]
EmptiedObject = Annotated[dict[str, Any], Meta(extra={"kind": "emptied"})]


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
    """One line of a bill. `quantity` may be fractional (weighed goods); `amount` is of the whole line.

    The visit's own table keeps `name`, `sku` and `category` as the till wrote them. An event has the code of
    each instead (`shared.security.ids.menu_code`): a rule about a category asks whether its own word has that code.
    Its `name` is empty.
    """

    name: Emptied
    quantity: Decimal = Decimal(1)
    amount: Decimal | None = None
    sku: Emptied | None = None
    category: Emptied | None = None
    name_code: Code | None = None
    sku_code: Code | None = None
    category_code: Code | None = None

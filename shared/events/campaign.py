"""Published by `campaign`, keyed by the guest."""

from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from shared.events.base import Code, Event


class MessageEvent(Event, frozen=True, kw_only=True):
    topic: ClassVar[str] = "campaign.events"
    customer_id: UUID
    delivery_id: UUID
    campaign_id: UUID


class MessageSent(MessageEvent, frozen=True, kw_only=True):
    """The provider took it. `cost` in Rial, as the provider bills."""

    type: ClassVar[str] = "message.sent"
    provider: Code
    parts: int
    cost: Decimal


class MessageDelivered(MessageEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "message.delivered"


class MessageFailed(MessageEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "message.failed"
    error_code: Code


class MessageSkipped(MessageEvent, frozen=True, kw_only=True):
    """Decided not to send; `reason` names the check that said no."""

    type: ClassVar[str] = "message.skipped"
    reason: Code


class ReplyReceived(Event, frozen=True, kw_only=True):
    """A guest answered at `occurred_at`; `opted_out` when the answer was the line's stop word (11), by itself or as a
    person read it, `rejoined` when it was the word that undoes it (12)."""

    type: ClassVar[str] = "message.reply_received"
    topic: ClassVar[str] = "campaign.events"
    customer_id: UUID
    opted_out: bool
    rejoined: bool = False


EVENTS = (MessageSent, MessageDelivered, MessageFailed, MessageSkipped, ReplyReceived)

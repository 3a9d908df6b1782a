"""What any SMS provider is asked, and what can come out of it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from services.campaign.channels.models.values import DeliveryReceipt, Message, SendResult


class LookupFailed(Exception):
    """The provider did not answer a question about earlier messages. Nothing was learned and nothing changed."""


class SmsProvider(Protocol):
    """One account at one provider. `largest_send` and `largest_lookup` are messages per call."""

    name: str
    largest_send: int
    largest_lookup: int

    async def send(self, messages: Sequence[Message], until: float) -> Mapping[int, SendResult]:
        """Hand over messages (at most `largest_send`); results by local id, one for each. Never raises for what the
        provider or the network did: that is the verdict. What is not under way at `until` (of the monotonic clock)
        does not leave any more: "busy"."""
        ...

    async def find(self, local_ids: Sequence[int]) -> Mapping[int, DeliveryReceipt]:
        """What the provider knows of messages by our own ids, a receipt for each that it said something of.

        Raises `LookupFailed`.
        """
        ...

    async def receipts(self, message_ids: Sequence[str]) -> Mapping[str, DeliveryReceipt]:
        """How far messages have come, by the provider's ids, a receipt for each that it said something of.

        Raises `LookupFailed`.
        """
        ...

"""What any provider is asked, on any channel, and what can come out of it."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

import httpx2

from services.campaign.audience.models.values import Contact
from services.campaign.channels.models.values import (
    Credentials,
    DeliveryReceipt,
    Message,
    Provider,
    Rendered,
    SendResult,
)
from shared.consent import Channel


class CannotKnow(Exception):
    """The provider did not answer a question about earlier messages, or can't be asked. Nothing was learned and nothing
    changed."""


class Adapter(Protocol):
    """One account at one provider; the client is the caller's, who closes it.

    `endpoint` is where the provider is reached: a key travels there and nowhere else, so addresses are not free text.
    `largest_send` and `largest_lookup` are messages per call. `receipt_fields` and `reply_fields` are what its
    callbacks give.
    """

    name: ClassVar[str]
    channel: ClassVar[Channel]
    endpoint: ClassVar[str]
    largest_send: ClassVar[int]
    largest_lookup: ClassVar[int]
    receipt_fields: ClassVar[tuple[str, ...]]
    reply_fields: ClassVar[tuple[str, ...]]

    def __init__(self, credentials: Credentials, client: httpx2.AsyncClient) -> None: ...

    @staticmethod
    def address_of(contact: Contact) -> str | None:
        """Where the channel reaches this guest; None: nowhere."""
        ...

    @staticmethod
    def render(text: str, account: Provider | None = None) -> Rendered:
        """In how many parts the text is billed, and what that is expected to cost by the account."""
        ...

    async def send(self, messages: Sequence[Message], until: float) -> Mapping[int, SendResult]:
        """Hands over messages (at most `largest_send`); results by local id, one for each.

        Never raises for what the provider or the network did: that is the verdict. Messages whose call has not begun by
        `until` (of the monotonic clock) are not sent: "busy".
        """
        ...

    async def find(self, local_ids: Sequence[int]) -> Mapping[int, DeliveryReceipt]:
        """What the provider knows of messages by our own ids, a receipt for each that it said something of. "missing"
        lets a message be sent again: it must have been said.

        Raises `CannotKnow`.
        """
        ...

    async def receipts(self, message_ids: Sequence[str]) -> Mapping[str, DeliveryReceipt]:
        """How far messages have come, by the provider's ids, a receipt for each that it said something of.

        Raises `CannotKnow`.
        """
        ...

    @staticmethod
    def read_receipt(given: Mapping[str, str]) -> tuple[str, DeliveryReceipt] | None:
        """The provider's id of a message and how it fared, of a callback's `receipt_fields`; None: it says nothing."""
        ...

    @staticmethod
    def read_reply(given: Mapping[str, str]) -> tuple[str, str]:
        """Who answered and what, of a callback's `reply_fields`."""
        ...

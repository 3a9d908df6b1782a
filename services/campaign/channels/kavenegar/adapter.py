"""Kavenegar's HTTP API: form in, `{"return": {...}, "entries": [...]}` out, the key in the path."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar, Final

import httpx2
import msgspec

from services.campaign.audience.models.values import Contact
from services.campaign.channels import transport
from services.campaign.channels.models.values import (
    DEAREST_MESSAGE,
    Credentials,
    DeliveryReceipt,
    Message,
    Progress,
    Provider,
    Rendered,
    SendResult,
    SendVerdict,
)
from services.campaign.channels.protocol import CannotKnow
from services.campaign.channels.rules import sms_address_of, sms_render
from services.campaign.channels.transport import read_answer
from shared.consent import Channel
from shared.database.db import heed_cancellation
from shared.persian.money import rounded

# Two hundred entries, each with a text of the longest kind, are a third of it.
LARGEST_ANSWER: Final = 4 * 1024 * 1024
LONGEST_WORD: Final = 100
# What a failed call means for every message in it. Anything not listed leaves the outcome unknown.
VERDICTS: Final[Mapping[int, SendVerdict]] = {
    400: "refused",
    401: "refused",
    403: "refused",
    404: "refused",
    405: "refused",
    406: "refused",
    407: "refused",
    411: "refused_message",
    412: "refused",
    413: "refused_message",
    414: "refused",
    417: "refused",
    418: "refused",
    419: "refused",
    420: "refused",
    422: "refused_message",
    424: "refused",
    426: "refused",
    429: "busy",
    431: "refused",
    432: "refused",
    451: "busy",
}
PROGRESS: Final[Mapping[int, Progress]] = {
    1: "under_way",
    2: "under_way",
    4: "under_way",
    5: "under_way",
    6: "failed",
    10: "delivered",
    11: "undelivered",
    13: "failed",
    14: "blocked",
    100: "missing",
}
# Nothing of the request can have reached the provider.
_NEVER_LEFT: Final = (
    httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol,
)  # fmt: skip


class Kavenegar:
    """One account. The client is the caller's, who closes it."""

    name: ClassVar[str] = "kavenegar"
    channel: ClassVar[Channel] = "sms"
    endpoint: ClassVar[str] = "https://api.kavenegar.com"
    largest_send: ClassVar[int] = 200
    largest_lookup: ClassVar[int] = 500
    receipt_fields: ClassVar[tuple[str, ...]] = ("messageid", "status")
    reply_fields: ClassVar[tuple[str, ...]] = ("from", "message")

    def __init__(self, credentials: Credentials, client: httpx2.AsyncClient) -> None:
        self._account, self._client = credentials, client

    async def send(self, messages: Sequence[Message], until: float) -> Mapping[int, SendResult]:
        """See `Adapter.send`. One number or text that is refused does not hold up the others of its call."""
        if time.monotonic() > until:
            return _all(messages, SendResult("busy", code="out_of_time"))
        verdict, code, entries = await self._send_together(messages)
        if verdict == "refused_message" and len(messages) > 1:
            middle = len(messages) // 2
            return {**await self.send(messages[:middle], until), **await self.send(messages[middle:], until)}
        if verdict != "accepted":
            return _all(messages, SendResult(verdict, code=code, reason=REASONS.get(code)))
        results = {message.local_id: _accepted(entry) for message, entry in zip(messages, entries, strict=True)}
        return _without_doubles(results)

    async def find(self, local_ids: Sequence[int]) -> Mapping[int, DeliveryReceipt]:
        """See `Adapter.find`. Kavenegar answers for twelve hours after the sending."""
        entries = await self._look_up("sms/statuslocalmessageid", "localid", [str(each) for each in local_ids])
        known = {_word(entry.get("localid")): entry for entry in entries}
        return _told({local_id: _receipt(known.get(str(local_id))) for local_id in local_ids})

    async def receipts(self, message_ids: Sequence[str]) -> Mapping[str, DeliveryReceipt]:
        """See `Adapter.receipts`. Kavenegar answers for two days after the sending."""
        entries = await self._look_up("sms/status", "messageid", list(message_ids))
        known = {_word(entry.get("messageid")): entry for entry in entries}
        return _told({message_id: _receipt(known.get(message_id)) for message_id in message_ids})

    @staticmethod
    def address_of(contact: Contact) -> str | None:
        """See `Adapter.address_of`."""
        return sms_address_of(contact)

    @staticmethod
    def render(text: str, account: Provider | None = None) -> Rendered:
        """See `Adapter.render`."""
        return sms_render(text, account)

    @staticmethod
    def read_receipt(given: Mapping[str, str]) -> tuple[str, DeliveryReceipt] | None:
        """See `Adapter.read_receipt`. A number of up to three digits, and an id in ASCII."""
        message_id, status = given["messageid"], given["status"]
        if not (message_id.isascii() and status.isdecimal() and len(status) <= 3):
            return None
        return message_id, receipt_of(int(status))

    @staticmethod
    def read_reply(given: Mapping[str, str]) -> tuple[str, str]:
        """See `Adapter.read_reply`."""
        return given["from"], given["message"]

    async def _send_together(self, messages: Sequence[Message]) -> tuple[SendVerdict, str, list[dict[str, Any]]]:
        form = {
            "receptor": _array([_dialled(message.address) for message in messages]),
            "message": _array([message.text for message in messages]),
            "sender": _array([self._account.sender_line or "" for _ in messages]),
            "localmessageids": _array([message.local_id for message in messages]),
            # The provider's panel is no place for guests' numbers.
            "hide": "1",
        }
        try:
            status, entries = await self._call("sms/sendarray", form)
        except _NEVER_LEFT:
            return "refused", "unreachable", []
        except _Unasked:
            return "refused", "unsendable", []
        except Exception as error:
            # Whatever a client raises once it may have sent something: only the provider knows.
            heed_cancellation()
            return "unknown", str(error) if isinstance(error, _Unreadable) else type(error).__name__, []
        if status == 200 and len(entries) == len(messages):
            return "accepted", "200", entries
        return VERDICTS.get(status, "unknown"), str(status), []

    async def _look_up(self, method: str, field: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        try:
            status, entries = await self._call(method, {field: ",".join(ids)})
        except Exception as error:
            heed_cancellation()
            # Without the cause: its words hold the address, and the address holds the key.
            raise CannotKnow(type(error).__name__) from None
        if status != 200:
            raise CannotKnow(f"status {status}")
        if not entries or not all(entries):
            # "I don't know it" lets a message be sent again, so it must have been said, not garbled.
            raise CannotKnow("unreadable")
        return entries

    async def _call(self, method: str, form: Mapping[str, str]) -> tuple[int, list[dict[str, Any]]]:
        url = f"{self._account.endpoint.rstrip('/')}/v1/{self._account.api_key}/{method}.json"
        try:
            request = self._client.build_request(
                "POST", url, data=dict(form), headers={"accept-encoding": "gzip, identity"}
            )
        except Exception:
            raise _Unasked from None
        async with asyncio.timeout(transport.CALL_SECONDS):
            status, content = await read_answer(self._client, request, LARGEST_ANSWER)
        try:
            return _understood(content)
        except Exception:
            # Some refusals (a wrong key, too many calls) come from a gateway as bare HTTP.
            if status in VERDICTS:
                return status, []
            raise _Unreadable(f"http {status}") from None


class _Unreadable(Exception):
    """An answer that says nothing about the messages."""


class _Unasked(Exception):
    """The request could not even be built: nothing has left."""


def _understood(content: bytes) -> tuple[int, list[dict[str, Any]]]:
    body = msgspec.json.decode(content)
    status, entries = body["return"]["status"], body.get("entries")
    if isinstance(status, bool) or not 0 <= int(status) <= 9999:
        raise ValueError
    found = entries if isinstance(entries, list) else []
    # A malformed entry says nothing, but still counts in the order of entries.
    return int(status), [entry if isinstance(entry, dict) else {} for entry in found]


def receipt_of(code: int) -> DeliveryReceipt:
    """The receipt that a status number stands for; an unknown number is taken as under way."""
    return DeliveryReceipt(PROGRESS.get(code, "under_way"), str(code))


def _all(messages: Sequence[Message], result: SendResult) -> dict[int, SendResult]:
    return dict.fromkeys((message.local_id for message in messages), result)


def _accepted(entry: Mapping[str, Any]) -> SendResult:
    message_id = _word(entry.get("messageid"))
    if not message_id:
        return SendResult("unknown", code="no messageid")
    return SendResult("accepted", message_id, _cost(entry.get("cost")), _word(entry.get("status")) or None)


def _without_doubles(results: dict[int, SendResult]) -> dict[int, SendResult]:
    # An id that two messages share identifies neither.
    times = Counter(result.message_id for result in results.values())
    return {
        local_id: SendResult("unknown", code="no messageid")
        if result.message_id and times[result.message_id] > 1
        else result
        for local_id, result in results.items()
    }


def _receipt(entry: Mapping[str, Any] | None) -> DeliveryReceipt | None:
    """How far the message has come by its entry; None when the entry does not say."""
    if entry is None:
        return DeliveryReceipt("missing", "absent")
    status = _word(entry.get("status"))
    if not status.isdecimal() or len(status) > 4:
        return None
    found = receipt_of(int(status))
    return DeliveryReceipt(found.progress, found.code, _word(entry.get("messageid")) or None)


def _told(receipts: Mapping[Any, DeliveryReceipt | None]) -> dict[Any, DeliveryReceipt]:
    return {key: receipt for key, receipt in receipts.items() if receipt is not None}


def _word(value: Any) -> str:
    """A number or a short word of an answer; nothing for anything else, and for what says nothing."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return ""
    word = str(value) if isinstance(value, str) or abs(value) < 10**LONGEST_WORD else ""
    return word if len(word) <= LONGEST_WORD and word.isascii() and word.isprintable() and word != "0" else ""


def _cost(value: Any) -> Decimal | None:
    """Rial that the provider says it took; None for what can't be right, so that what was expected stands."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        cost = Decimal(str(value)[:40])
    except InvalidOperation:
        return None
    return rounded(cost) if cost.is_finite() and 0 <= cost <= DEAREST_MESSAGE else None


def _dialled(e164: str) -> str:
    return "0" + e164.removeprefix("+98") if e164.startswith("+98") else "00" + e164.removeprefix("+")


def _array(values: Sequence[str | int]) -> str:
    return msgspec.json.encode(values).decode()


# What staff read beside a code; the provider's own sentences may quote a number.
REASONS: Final[Mapping[str | None, str]] = {
    "unreachable": "the provider can't be reached",
    "unsendable": "the account's address or key is not right",
    "401": "the API key is not valid",
    "403": "the API key is not valid",
    "407": "this server's address is not allowed by the account",
    "411": "the number is not valid",
    "412": "the sender line is not valid",
    "413": "the text is empty or too long",
    "418": "the account has no credit",
    "420": "links are not cleared for this account",
    "422": "the text has characters the provider does not take",
    "429": "too many calls",
    "451": "too many messages to one number",
}

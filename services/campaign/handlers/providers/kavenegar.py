"""Kavenegar's HTTP API: form in, `{"return": {...}, "entries": [...]}` out, the key in the path."""

import ssl
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

import httpx2
import msgspec

from services.campaign.handlers.providers.base import Account, LookupFailed
from services.campaign.models import Message, Progress, Receipt, SendResult, Verdict
from shared.bounds import MOST_RIAL
from shared.persian.money import rounded

NAME: Final = "kavenegar"
ENDPOINT: Final = "https://api.kavenegar.com"
TIMEOUT: Final = httpx2.Timeout(20.0, connect=5.0)

# What a failed call means for every message in it. Anything not listed leaves the outcome unknown.
VERDICTS: Final[Mapping[int, Verdict]] = {
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
_NEVER_LEFT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


class Kavenegar:
    """One account. The client is the caller's, who closes it."""

    name = NAME
    largest_send = 200
    largest_lookup = 500

    def __init__(self, account: Account, client: httpx2.AsyncClient) -> None:
        self._account, self._client = account, client

    async def send(self, messages: Sequence[Message]) -> Mapping[int, SendResult]:
        """See `SmsProvider.send`. One number or text that is refused does not hold up the others of its call."""
        verdict, code, entries = await self._send_together(messages)
        if verdict == "refused_message" and len(messages) > 1:
            middle = len(messages) // 2
            return {**await self.send(messages[:middle]), **await self.send(messages[middle:])}
        if verdict != "accepted":
            failure = SendResult(verdict, code=code, reason=REASONS.get(code))
            return dict.fromkeys((message.local_id for message in messages), failure)
        return {
            message.local_id: _accepted(entry) for message, entry in zip(messages, entries, strict=True)
        }  # fmt: skip

    async def find(self, local_ids: Sequence[int]) -> Mapping[int, Receipt]:
        """See `SmsProvider.find`. Kavenegar answers for twelve hours after the sending."""
        entries = await self._look_up("sms/statuslocalmessageid", "localid", [str(each) for each in local_ids])
        known = {str(entry.get("localid")): entry for entry in entries}
        return {local_id: _receipt(known.get(str(local_id))) for local_id in local_ids}

    async def receipts(self, message_ids: Sequence[str]) -> Mapping[str, Receipt]:
        """See `SmsProvider.receipts`. Kavenegar answers for two days after the sending."""
        entries = await self._look_up("sms/status", "messageid", list(message_ids))
        known = {str(entry.get("messageid")): entry for entry in entries}
        return {message_id: _receipt(known.get(message_id)) for message_id in message_ids}

    async def _send_together(self, messages: Sequence[Message]) -> tuple[Verdict, str, list[dict[str, Any]]]:
        form = {
            "receptor": _array([_dialled(message.phone) for message in messages]),
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
        except httpx2.HTTPError as error:
            return "unknown", type(error).__name__, []
        except _Unreadable as error:
            return "unknown", str(error), []
        if status == 200 and len(entries) == len(messages):
            return "accepted", "200", entries
        return VERDICTS.get(status, "unknown"), str(status), []

    async def _look_up(self, method: str, field: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        try:
            status, entries = await self._call(method, {field: ",".join(ids)})
        except (httpx2.HTTPError, _Unreadable) as error:
            # Without the cause: its words hold the address, and the address holds the key.
            raise LookupFailed(type(error).__name__) from None
        if status != 200:
            raise LookupFailed(f"status {status}")
        return entries

    async def _call(self, method: str, form: Mapping[str, str]) -> tuple[int, list[dict[str, Any]]]:
        url = f"{self._account.endpoint.rstrip('/')}/v1/{self._account.api_key}/{method}.json"
        answer = await self._client.post(url, data=dict(form))
        try:
            body = msgspec.json.decode(answer.content)
            entries = body.get("entries")
            return int(body["return"]["status"]), entries if isinstance(entries, list) else []
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError):
            # Some refusals (a wrong key, too many calls) come from a gateway as bare HTTP.
            if answer.status_code in VERDICTS:
                return answer.status_code, []
            raise _Unreadable(f"http {answer.status_code}") from None


class _Unreadable(Exception):
    """An answer that says nothing about the messages."""


@lru_cache(maxsize=1)
def _trusted() -> ssl.SSLContext:
    # Reading the trusted roots costs more than a call; they are read once.
    return httpx2.create_ssl_context()


def open_client() -> httpx2.AsyncClient:
    """A client for one run of a job. It never follows a redirect: the key is in the path."""
    return httpx2.AsyncClient(timeout=TIMEOUT, follow_redirects=False, verify=_trusted(), trust_env=False)


def receipt_of(code: int) -> Receipt:
    """The receipt that a status number stands for; an unknown number is taken as under way."""
    return Receipt(PROGRESS.get(code, "under_way"), str(code))


def _accepted(entry: Mapping[str, Any]) -> SendResult:
    message_id = entry.get("messageid")
    if not message_id:
        return SendResult("unknown", code="no messageid")
    return SendResult("accepted", str(message_id), _charged(entry.get("cost")), str(entry.get("status", "")))


def _charged(told: Any) -> Decimal | None:
    """What the provider says it charged, None when that is no amount: then it counts as what was reckoned with."""
    try:
        cost = Decimal(str(told))
    except InvalidOperation:
        return None
    return rounded(cost) if cost.is_finite() and 0 <= cost <= MOST_RIAL else None


def _receipt(entry: Mapping[str, Any] | None) -> Receipt:
    if entry is None:
        return Receipt("missing", "absent")
    found = receipt_of(int(entry.get("status", 0)))
    message_id = entry.get("messageid")
    return Receipt(found.progress, found.code, str(message_id) if message_id else None)


def _dialled(e164: str) -> str:
    return "0" + e164.removeprefix("+98") if e164.startswith("+98") else "00" + e164.removeprefix("+")


def _array(values: Sequence[str | int]) -> str:
    return msgspec.json.encode(values).decode()


# What staff read beside a code; the provider's own sentences may quote a number.
REASONS: Final[Mapping[str | None, str]] = {
    "unreachable": "the provider can't be reached",
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

"""Who published a record: a signature over all of it that has a meaning, made by the relay and checked by each reader.

The topic says which service must have signed: the first word of its name. So whoever reaches the broker can add nothing
to our own topics, change nothing in them and move nothing between them that anybody would take in.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from struct import Struct
from typing import Any

from shared.clock import now
from shared.events.base import Event
from shared.messaging.records import Record
from shared.security.crypto import KEY_ID_DIGITS, Keys

HEADER = "ce_signature"
UNSIGNED, FORGED = "unsigned", "forged"
NO_SIGNATURE = "no signature; see CRM_UNSIGNED_EVENTS_UNTIL if it is from before there were any"
NOT_THE_PUBLISHERS = "not what the topic's publisher signed, or with a secret that is not in CRM_PREVIOUS_SECRET"

_MAC_DIGITS = 32
_NO_BODY = 0xFFFFFFFF
_BLOCK_BYTES = 64
_lengths = Struct(">6I").pack


@dataclass(frozen=True)
class SignatureFault:
    """Why nobody vouches for a record. `detail` holds nothing of what was in it."""

    code: str
    detail: str


def publisher_of(topic: str) -> str:
    """The service that alone publishes to the topic (plain name)."""
    return topic.partition(".")[0]


def signature(
    keys: Keys, topic: str, key: bytes, headers: Sequence[tuple[str, bytes]], body: bytes | None, number: int
) -> bytes:
    """The value of the header, `<key id>.<number>.<mac>`: made with the newest secret for the topic's publisher.

    `topic` is the plain name, `number` that of the row in the publisher's outbox.
    """
    said = f"{keys.key_id}.{number}.".encode()
    return said + _mac(_begun(keys.signing[keys.key_id.encode()], topic), said, key, dict(headers), body)


def number_of(keys: Keys, topic: str, record: Record) -> int | None:
    """The number of the outbox row that the record left; None when its publisher did not sign it."""
    headers = dict(record.headers)
    value = headers.get(HEADER) or b""
    return int(value.split(b".")[1]) if _holds(keys, topic, record, headers, value) else None


@dataclass(frozen=True)
class Doorkeeper:
    """Lets records of our own topics in, or says why not.

    Those without any signature are let in when the broker had them before `unsigned_until`; a wrong signature never is.
    """

    keys: Keys
    unsigned_until: datetime | None = None

    def fault(
        self,
        topic: str,
        record: Record,
        headers: Mapping[str, bytes | None],
        event_class: type[Event] | None,
        *,
        live: bool = True,
    ) -> SignatureFault | None:
        """What is wrong with a record of a topic (plain name), None when its publisher vouches for it.

        `headers` and `event_class` are the record's own, read by the caller anyway. `live` readers let unsigned records
        in only until `unsigned_until` has come. Readers of old records go by the broker's time alone, which nobody else
        sets on our topics (`shared.messaging.topics`).
        """
        if event_class is not None and event_class.topic != topic:
            return SignatureFault(FORGED, f"{event_class.type} is never said there")
        value = headers.get(HEADER)
        if value is not None:
            return (
                None if _holds(self.keys, topic, record, headers, value) else SignatureFault(FORGED, NOT_THE_PUBLISHERS)
            )
        until = self.unsigned_until
        if until is not None and record.timestamp < until.timestamp() * 1000 and (not live or now() < until):
            return None
        return SignatureFault(UNSIGNED, NO_SIGNATURE)


def _holds(keys: Keys, topic: str, record: Record, headers: Mapping[str, bytes | None], value: bytes) -> bool:
    known = keys.signing.get(value[:KEY_ID_DIGITS])
    if known is None:
        return False
    mac = _mac(_begun(known, topic), value[:-_MAC_DIGITS], record.key or b"", headers, record.value)
    return hmac.compare_digest(mac, value[-_MAC_DIGITS:])


def _mac(
    begun: tuple[Any, Any], said: bytes, key: bytes, headers: Mapping[str, bytes | None], body: bytes | None
) -> bytes:
    find, text = headers.get, body or b""
    kind, event_id, cafe_id = find("ce_type") or b"", find("ce_id") or b"", find("ce_cafeid") or b""
    length = _NO_BODY if body is None else len(text)
    lengths = _lengths(len(said), len(key), len(kind), len(event_id), len(cafe_id), length)
    inner, outer = begun[0].copy(), begun[1].copy()
    inner.update(b"".join((lengths, said, key, kind, event_id, cafe_id, text)))
    outer.update(inner.digest())
    digits: str = outer.hexdigest()
    return digits[:_MAC_DIGITS].encode()


@lru_cache(maxsize=256)
def _begun(signing_key: bytes, topic: str) -> tuple[Any, Any]:
    """The two hashes of HMAC-SHA256 (RFC 2104), after each has read the key of publisher and topic: beginning them anew
    for each record would be most of what its signature costs a reader. Cut to 128 bits, as the RFC allows."""
    service = hmac.digest(signing_key, publisher_of(topic).encode(), "sha256")
    key = hmac.digest(service, topic.encode(), "sha256").ljust(_BLOCK_BYTES, b"\0")
    return hashlib.sha256(bytes(byte ^ 0x36 for byte in key)), hashlib.sha256(bytes(byte ^ 0x5C for byte in key))

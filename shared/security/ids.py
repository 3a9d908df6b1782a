"""Identifiers that carry meaning: derived guest ids, feedback tokens, the keys and signatures of tills."""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal
from uuid import UUID

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.clock import compiled_id
from shared.persian.text import search_key
from shared.security.crypto import Keys, keyed_digest, same, sha256

Scope = Literal["ingest", "loyalty_lookup"]

_API_KEY = re.compile("crm_([A-Za-z0-9]{12})_([A-Za-z0-9_-]{43})")
_KEY_ID_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
_SIGNATURE = "v1,"


@dataclass(frozen=True)
class ApiKey:
    """A till's credential: `key_id` is public, `secret` is shown once and never stored."""

    key_id: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """What the till is configured with: `crm_<key id>_<secret>`."""
        return f"crm_{self.key_id}_{self.secret}"


def customer_id(keys: Keys, cafe_id: UUID, e164: str) -> UUID:
    """The id of the guest with that canonical number in that cafe (UUIDv8).

    It is derived, so that services which never talk to each other give the same guest the same id.
    """
    return _uuid8(keyed_digest(keys, "customer", cafe_id, e164.encode()))


# A menu has few words, and they come with every visit.
@lru_cache(maxsize=16_384)
def menu_code(keys: Keys, cafe_id: UUID, word: str) -> str:
    """What stands for a word of a cafe's menu (a dish, a category, a SKU) where the word itself may not be: 16 hex
    digits, the same for all spellings, unrelated in another cafe."""
    return keyed_digest(keys, "menu", cafe_id, search_key(word).encode())[:8].hex()


def feedback_token(keys: Keys, cafe_id: UUID, visit_id: UUID) -> str:
    """The secret part of the feedback link of a visit: 22 URL-safe characters, 128 bits."""
    return _base64url(keyed_digest(keys, "feedback", cafe_id, visit_id.bytes)[:16])


def feedback_address(keys: Keys, public_url: str, cafe_id: UUID, visit_id: UUID) -> str:
    """Where the guest of a visit says how it was; whoever has the address may answer for that visit."""
    return f"{public_url.rstrip('/')}/f/{feedback_token(keys, cafe_id, visit_id)}"


def generate_api_key() -> ApiKey:
    """A new credential with 256 random bits in its secret."""
    key_id = "".join(secrets.choice(_KEY_ID_LETTERS) for _ in range(12))
    return ApiKey(key_id, _base64url(secrets.token_bytes(32)))


def parse_api_key(text: str) -> ApiKey | None:
    """The parts of `crm_<12 letters>_<43 characters>`, or None when `text` has another form."""
    found = _API_KEY.fullmatch(text)
    return ApiKey(found[1], found[2]) if found else None


def hash_api_key(key: ApiKey) -> bytes:
    """32 bytes kept instead of the credential; it has 256 random bits, so a slow hash would add nothing."""
    return sha256(key.text)


def signing_key(api_secret: str) -> bytes:
    """32 bytes with which a till signs its Kafka records, from the secret part of its API key.

    It cannot be turned back into the secret: who verifies signatures cannot call the HTTP API as the till.
    """
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"pos-signing").derive(api_secret.encode())


def sign(key: bytes, event_id: str, event_type: str, body: bytes) -> str:
    """Signature header of one record: `v1,` + base64 of HMAC-SHA256 over `<event_id>.<event_type>.<body>`."""
    return _SIGNATURE + base64.b64encode(_mac(key, event_id, event_type, body)).decode()


def verify(key: bytes, event_id: str, event_type: str, body: bytes, signature: str) -> bool:
    """Whether `signature` was made by `sign` with the same arguments; compares in constant time."""
    return same(sign(key, event_id, event_type, body).encode(), signature.encode())


def _mac(key: bytes, event_id: str, event_type: str, body: bytes) -> bytes:
    return hmac.digest(key, f"{event_id}.{event_type}.".encode() + body, hashlib.sha256)


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _uuid8(digest: bytes) -> UUID:
    number = int.from_bytes(digest[:16], "big")
    number = number & ~(0xF << 76) | (8 << 76)
    return compiled_id((number & ~(0x3 << 62) | (0x2 << 62)).to_bytes(16, "big"))

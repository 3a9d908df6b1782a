"""Keys derived from one secret; sealing of personal fields; keyed hashes for look-ups."""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_SHORTEST_SECRET = 32
_NONCE_BYTES = 12
_ENVELOPE = "s1"
KEY_ID_DIGITS = 12


class CannotUnseal(ValueError):
    """The envelope is damaged, belongs to another table, column or row, or its secret is not known."""


@dataclass(frozen=True)
class Keys:
    """All keys of a process. The representation shows none of them.

    Sealing and signing use the newest secret; what earlier ones sealed still opens, what they signed still holds.
    Look-ups (guest ids, phone hashes, feedback tokens) always use the founding secret: a guest's id comes from it and
    must never change.
    """

    key_id: str
    sealing: Mapping[str, AESGCM] = field(repr=False, hash=False)
    lookup: bytes = field(repr=False)
    signing: Mapping[bytes, bytes] = field(repr=False, hash=False)

    @classmethod
    def from_secret(cls, secret: str, previous: str | None = None) -> "Keys":
        """Derive all keys with HKDF-SHA256.

        Args:
            secret: the newest secret, at least 32 characters.
            previous: earlier secrets, comma-separated, newest first. The last is the founding one and stays for
                ever; one between may go when nothing sealed with it is left.

        Raises:
            ValueError: a secret is too short.
        """
        secrets = [secret, *(part.strip() for part in (previous or "").split(",") if part.strip())]
        if any(len(each) < _SHORTEST_SECRET for each in secrets):
            raise ValueError(f"a secret needs at least {_SHORTEST_SECRET} characters")
        ids = {derive(each, "seal-key-id", KEY_ID_DIGITS // 2).hex(): each for each in secrets}
        sealing = {key_id: AESGCM(derive(each, "seal")) for key_id, each in ids.items()}
        signing = {key_id.encode(): derive(each, "sign-events") for key_id, each in ids.items()}
        return cls(next(iter(ids)), sealing, derive(secrets[-1], "lookup"), signing)


def derive(secret: str, label: str, length: int = 32) -> bytes:
    """`length` bytes that only a holder of `secret` can make; different labels give unrelated bytes."""
    info = f"servaan-crm/{label}".encode()
    return HKDF(hashes.SHA256(), length, salt=None, info=info).derive(secret.encode())


def derive_password(secret: str, service: str) -> str:
    """The password of a service's database login (43 characters, URL-safe)."""
    return base64.urlsafe_b64encode(derive(secret, f"database/{service}")).decode().rstrip("=")


def seal(keys: Keys, plaintext: str, *, table: str, column: str, row: UUID | str) -> str:
    """Encrypt one field with AES-256-GCM. The result opens only in the same table, column and row.

    Returns:
        `s1.<key id>.<base64url of nonce and ciphertext>`.
    """
    nonce = os.urandom(_NONCE_BYTES)
    sealed = keys.sealing[keys.key_id].encrypt(nonce, plaintext.encode(), _place(table, column, row))
    return f"{_ENVELOPE}.{keys.key_id}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"


def unseal(keys: Keys, envelope: str, *, table: str, column: str, row: UUID | str) -> str:
    """The text that `seal` was given for the same table, column and row.

    Raises:
        CannotUnseal: see there; the message holds no content.
    """
    version, _, rest = envelope.partition(".")
    key_id, _, body = rest.partition(".")
    opener = keys.sealing.get(key_id)
    if version != _ENVELOPE or opener is None:
        raise CannotUnseal(f"{table}.{column}: not an envelope of a known secret")
    try:
        raw = base64.b64decode(body, altchars=b"-_", validate=True)
        return opener.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _place(table, column, row)).decode()
    except (InvalidTag, binascii.Error, ValueError) as error:
        raise CannotUnseal(f"{table}.{column}: damaged, or moved from another row") from error


def phone_hash(keys: Keys, cafe_id: UUID, e164: str) -> bytes:
    """32 bytes by which a cafe finds a guest's number; another cafe's hash of that number is unrelated."""
    return keyed_digest(keys, "phone", cafe_id, e164.encode())


def keyed_digest(keys: Keys, purpose: str, cafe_id: UUID, message: bytes) -> bytes:
    """HMAC-SHA256 (32 bytes) of `message` under a key that belongs to one purpose and one cafe."""
    mac = _begun_mac(keys.lookup, purpose, cafe_id).copy()
    mac.update(message)
    return mac.digest()


# Each visit needs three keys of its cafe. Deriving a key and beginning a MAC with it costs more than the rest of the
# MAC. The keys of ten thousand cafes take 30 MB; an installation with one cafe keeps three.
@lru_cache(maxsize=32_768)
def _begun_mac(lookup: bytes, purpose: str, cafe_id: UUID) -> hmac.HMAC:
    cafe_key = hmac.digest(lookup, purpose.encode() + b"\0" + cafe_id.bytes, "sha256")
    return hmac.new(cafe_key, digestmod="sha256")


def sha256(text: str) -> bytes:
    """SHA-256 (32 bytes) of a text with enough entropy of its own: an API key or a token, never a phone."""
    return hashlib.sha256(text.encode()).digest()


def same(left: bytes, right: bytes) -> bool:
    """Equality in constant time."""
    return hmac.compare_digest(left, right)


def _place(table: str, column: str, row: UUID | str) -> bytes:
    return f"{table}\0{column}\0{row}".encode()

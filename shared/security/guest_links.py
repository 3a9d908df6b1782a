"""Links to a guest's own page: sealed, with nothing to look up. Whoever holds one sees that guest's points, and answers
for them; so it ends after some time, and with the guest's erasure.

Sealed with AES-SIV, so that a link is short and the same guest and minute make the same link. Each service opens it by
itself; another secret opens none.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.security.crypto import Keys

# Between processes the secret part stands in this header, so that it stands in no address.
GUEST_LINK_HEADER: Final = "X-Guest-Link"
LIVES: Final = timedelta(days=90)
# A till's clock may be ahead of ours.
_AHEAD: Final = timedelta(days=2)
_EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
_MINUTE: Final = timedelta(minutes=1)
_MINUTES: Final = range(2**24)
_CONTEXT: Final = [b"servaan-crm/guest-page/1"]
_LETTERS: Final = 68


class WrongGuestLink(ValueError):
    """Not one of ours, or damaged. The message holds no content."""


@dataclass(frozen=True)
class GuestLink:
    """Whose page it is, and since when the link is there."""

    cafe_id: UUID
    customer_id: UUID
    made_at: datetime

    @property
    def ends_at(self) -> datetime:
        """When it opens no more."""
        return self.made_at + LIVES

    def is_over(self, moment: datetime) -> bool:
        """Whether its time is not now."""
        return not self.made_at - _AHEAD <= moment < self.ends_at


def guest_page_address(keys: Keys, base_url: str, cafe_id: UUID, customer_id: UUID, made_at: datetime) -> str:
    """Where the guest sees their own page until `LIVES` after `made_at`, which counts to the minute."""
    return f"{base_url.rstrip('/')}/g/{guest_token(keys, cafe_id, customer_id, made_at)}"


def guest_token(keys: Keys, cafe_id: UUID, customer_id: UUID, made_at: datetime) -> str:
    """The secret part of that address: 68 URL-safe characters."""
    minutes = min(max((made_at - _EPOCH) // _MINUTE, _MINUTES.start), _MINUTES.stop - 1)
    plain = cafe_id.bytes + customer_id.bytes + minutes.to_bytes(3, "big")
    return base64.urlsafe_b64encode(_cipher(keys).encrypt(plain, _CONTEXT)).decode()


def read_guest_token(keys: Keys, token: str) -> GuestLink:
    """Whose link it is.

    Raises:
        WrongGuestLink: nobody's.
    """
    if len(token) != _LETTERS:
        raise WrongGuestLink("not the form of a link")
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
        plain = _cipher(keys).decrypt(raw, _CONTEXT)
    except (InvalidTag, binascii.Error, ValueError) as error:
        raise WrongGuestLink("not sealed by this installation") from error
    made_at = _EPOCH + int.from_bytes(plain[32:], "big") * _MINUTE
    return GuestLink(UUID(bytes=plain[:16]), UUID(bytes=plain[16:32]), made_at)


def _cipher(keys: Keys) -> AESSIV:
    made = HKDF(hashes.SHA256(), 64, salt=None, info=b"servaan-crm/guest-page").derive(keys.lookup)
    return AESSIV(made)

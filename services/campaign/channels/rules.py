"""Which account is asked, what it is expected to cost, and what its answers say about the account itself."""

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_UP, Decimal
from typing import Final
from uuid import UUID

from services.campaign.audience.models.values import Contact
from services.campaign.channels.models.values import Provider, Rendered, SendResult
from services.campaign.texts.rules.parts import count_parts
from shared.persian.phone import is_mobile


def cost_of(parts: int, provider: Provider) -> Decimal:
    """What a message is expected to cost, in Rial: by the dearer of what the cafe says and what was charged last."""
    return parts * max(provider.cost_per_sms, provider.charged_per_part or Decimal(0))


def in_priority(providers: Sequence[Provider]) -> list[Provider]:
    """Active providers, the most wanted (lowest number) first."""
    return sorted((p for p in providers if p.is_active), key=lambda p: (p.priority_order, p.id))


def first_choice(accounts: Sequence[Provider], moment: datetime) -> Provider | None:
    """The account that the cafe's next message would go by, its limits aside."""
    usable = (each for each in in_priority(accounts) if each.fault is None and not is_paused(each, moment))
    return next(usable, None)


def is_paused(provider: Provider, moment: datetime) -> bool:
    """Whether the account is left alone for a while, because its calls failed."""
    return provider.paused_until is not None and provider.paused_until > moment


_CENT: Final = Decimal("0.01")
# Refusals that say something about a number, a text or our own haste, and nothing about the account.
_OF_THE_MESSAGE: Final = frozenset({"411", "413", "422", "451", "out_of_time"})
# What is wrong with an account whoever's messages it carries; anything else may be one cafe's doing.
OF_ALL: Final = frozenset({"unreachable", "unsendable", "401", "403", "407", "418", "429", "431", "432"})


def account_fault(results: Collection[SendResult]) -> tuple[bool, str | None]:
    """Whether the account has shown that it works; if not, the code of its fault, or None when nothing was learned of
    it."""
    if any(result.verdict == "accepted" for result in results):
        return True, None
    codes = (result.code or result.verdict for result in results if result.verdict != "refused_message")
    return False, next((code for code in codes if code not in _OF_THE_MESSAGE), None)


def price_of(charges: Collection[tuple[int, SendResult]], expected: Decimal) -> Decimal | None:
    """The price of the dearest part of a call, by (parts, result) of each message: `expected` where the provider names
    none, None when it took nothing."""
    accepted = [(parts, result.cost) for parts, result in charges if result.verdict == "accepted"]
    prices = [(cost / parts).quantize(_CENT, ROUND_UP) for parts, cost in accepted if cost is not None]
    return max(prices, default=expected) if accepted else None


def is_of_all(code: str) -> bool:
    """Whether a fault of the installation's account concerns all cafes: one of `OF_ALL`, or a code that is no number of
    the provider's."""
    return code in OF_ALL or not code.isdecimal()


# An account whose call failed is left alone for so long, twice as long after each further one.
FIRST_PAUSE: Final = timedelta(seconds=10)
LONGEST_PAUSE: Final = timedelta(minutes=10)


def pause_after(failures: int) -> timedelta:
    """How long an account is left alone after so many failed calls in a row."""
    doublings: int = min(max(failures - 1, 0), 10)
    return min(LONGEST_PAUSE, FIRST_PAUSE * float(2**doublings))


def local_id_of(delivery_id: UUID) -> int:
    """The number by which a provider recognizes a message: 63 bits drawn from the delivery's id."""
    return int.from_bytes(hashlib.sha256(delivery_id.bytes).digest()[:8], "big") >> 1


def sms_address_of(contact: Contact) -> str | None:
    """The mobile number; no SMS reaches any other."""
    return contact.phone if contact.phone is not None and is_mobile(contact.phone) else None


def sms_render(text: str, account: Provider | None = None) -> Rendered:
    """An SMS is billed by parts, by whichever account it goes."""
    parts = count_parts(text)
    return Rendered(parts, cost_of(parts, account) if account else Decimal(0))

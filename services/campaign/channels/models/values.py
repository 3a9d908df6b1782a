"""Accounts at providers, what is handed to them, and what they answer. Costs are Rial, as providers bill."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

# accepted: the provider has it. refused_message: never for this number or text. refused: not by this provider, ask
# another. busy: not now. unknown: nobody can say whether it has the message; only a look-up by local id settles that.
SendVerdict = Literal["accepted", "refused_message", "refused", "busy", "unknown"]
# missing: the provider does not know such a message.
Progress = Literal["under_way", "delivered", "failed", "undelivered", "blocked", "missing"]
# Why a cafe's account can't be used at all, whatever the message.
AccountFault = Literal["no_account", "not_lent", "price_too_high"]
# Rial for one part: a thousand times a usual price, and the sums of all messages of a cafe's life still fit.
DEAREST_SMS = Decimal(1_000_000)
DEAREST_MESSAGE = 20 * DEAREST_SMS


@dataclass(frozen=True)
class Provider:
    """One account at one SMS provider. `api_key_sealed` None: the installation's own account.

    `failures` calls in a row failed; until `paused_until` no other is tried. `fault`: why it can't be used at all.
    `charged_per_part` is what the provider last asked, `cost_per_sms` what the cafe says that it asks (Rial).
    """

    id: UUID
    cafe_id: UUID
    provider_name: str
    api_endpoint: str | None
    api_key_sealed: str | None = field(repr=False)
    sender_line: str | None
    cost_per_sms: Decimal
    is_active: bool
    priority_order: int
    daily_limit: int | None
    monthly_limit: int | None
    failures: int = 0
    paused_until: datetime | None = None
    fault: AccountFault | None = None
    charged_per_part: Decimal | None = None


@dataclass(frozen=True)
class Message:
    """A delivery as it is handed to a provider. `address` is where its channel reaches the guest."""

    delivery_id: UUID
    local_id: int
    address: str = field(repr=False)
    text: str = field(repr=False)


@dataclass(frozen=True)
class Rendered:
    """What a text counts as on a channel, and what it is expected to cost by an account (Rial)."""

    parts: int
    cost: Decimal = Decimal(0)


@dataclass(frozen=True)
class SendResult:
    """What became of one message of a call. `cost` in Rial; `code` and `reason` are the provider's own."""

    verdict: SendVerdict
    message_id: str | None = None
    cost: Decimal | None = None
    code: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class DeliveryReceipt:
    """How far a message has come, with the provider's own code."""

    progress: Progress
    code: str
    message_id: str | None = None


@dataclass(frozen=True)
class Credentials:
    """Where and as whom to speak to a provider."""

    endpoint: str
    api_key: str = field(repr=False)
    sender_line: str | None


AccountsOfCafes = Mapping[UUID, Sequence[Provider]]

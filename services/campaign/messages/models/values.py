"""A message from queued to delivered: what is known of it, decided about it, and became of it. Costs are Rial."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

from services.campaign.audience.models.values import Contact, Notice
from services.campaign.channels.models.values import Provider
from shared.consent import Channel, Purpose

CampaignStatus = Literal["draft", "scheduled", "sending", "sent", "completed", "cancelled", "failed"]
DecisionOutcome = Literal["send", "hold", "skip"]
# Of a cafe's campaigns together: enough to see a text grow, too few to write to people by it.
TRIES_A_DAY = 10


@dataclass(frozen=True)
class CafeRules:
    """What a cafe decides for all its messages, with what was already sent and spent today and this month."""

    cafe_id: UUID
    name: str
    time_zone: str
    calendar: Literal["jalali", "gregorian"]
    quiet_from: time
    quiet_until: time
    is_active: bool
    guest_daily_cap: int
    monthly_budget: Decimal | None


@dataclass(frozen=True)
class Place:
    """A second in which a cafe has something due."""

    kind: Literal["run", "delivery"]
    second: datetime
    cafe_id: UUID


@dataclass(frozen=True)
class Turn:
    """A cafe's share of a round: so many runs and so many messages at most."""

    cafe_id: UUID
    share: int


@dataclass(frozen=True)
class Pending:
    """A message whose time has come, with what its campaign says."""

    id: UUID
    cafe_id: UUID
    campaign_id: UUID
    customer_id: UUID
    trigger_id: UUID
    visit_id: UUID | None
    local_id: int
    template: str
    fallbacks: Mapping[str, str]
    purpose: Purpose
    ignores_quiet_hours: bool
    budget: Decimal | None
    spent: Decimal
    campaign_status: CampaignStatus
    queued_at: datetime
    expires_at: datetime
    attempts: int
    provider_id: UUID | None
    refused_by: Sequence[UUID]
    correlation_id: UUID
    causation_id: UUID | None
    channel: Channel
    held_for: str | None = None
    # The number that a message to try goes to, sealed in its own row; None for all others.
    test_phone_sealed: str | None = field(default=None, repr=False)
    # The part of `spent` whose price is only expected so far.
    reserved: Decimal = Decimal(0)
    # The guest must be in one of these at the moment of sending; None: in none. With `of_this_stay`, by the very stay
    # that the message is about.
    segments: Sequence[str] | None = None
    of_this_stay: bool = False
    # Why there is no occasion any more, such as a voided visit.
    cancelled_for: str | None = None
    # It is in no table yet: its run has only just become due.
    is_new: bool = False
    # Its campaign rests until somebody lets it go on.
    is_paused: bool = False


@dataclass(frozen=True)
class MessageFacts:
    """What was looked up for one message. `stays` are those that the guest is in now, by segment; `address` is where
    the channel reaches the guest. `fault`: what is so broken that nothing can be decided by it."""

    pending: Pending
    cafe: CafeRules | None = None
    contact: Contact | None = None
    address: str | None = field(default=None, repr=False)
    stays: Mapping[str, UUID] = field(default_factory=dict)
    accounts: Sequence[Provider] = ()
    # The feedback link, and that to the guest's own page, stand nowhere else in clear.
    link: str | None = field(default=None, repr=False)
    page: str | None = field(default=None, repr=False)
    notice: Notice | None = None
    fault: Exception | None = None


@dataclass(frozen=True)
class Check:
    """One question asked before sending. `detail` holds no personal data."""

    check: str
    passed: bool
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """To send, to hold until a moment, or not to send, with the checks in the order they were made."""

    outcome: DecisionOutcome
    reason: str
    checks: Sequence[Check]
    hold_until: datetime | None = None
    provider: Provider | None = None


@dataclass
class SentSoFar:
    """What has been sent and spent, counted on while a batch is decided.

    `today` counts messages by guest, `by_day` and `by_month` by provider; `month_cost` is Rial by cafe, of which
    `month_reserved` is under way, and `campaign_cost` by campaign, all of it under way.
    """

    today: dict[UUID, int] = field(default_factory=dict)
    by_day: dict[UUID, int] = field(default_factory=dict)
    by_month: dict[UUID, int] = field(default_factory=dict)
    month_cost: dict[UUID, Decimal] = field(default_factory=dict)
    month_reserved: dict[UUID, Decimal] = field(default_factory=dict)
    campaign_cost: dict[UUID, Decimal] = field(default_factory=dict)

    def copy(self) -> "SentSoFar":
        """One that can be counted on while this one stays."""
        return SentSoFar(**{each.name: dict(getattr(self, each.name)) for each in fields(self)})

    def add(self, pending: Pending, provider: Provider, cost: Decimal) -> None:
        """Counts one message that will be sent."""
        self.today[pending.customer_id] = self.today.get(pending.customer_id, 0) + 1
        self.by_day[provider.id] = self.by_day.get(provider.id, 0) + 1
        self.by_month[provider.id] = self.by_month.get(provider.id, 0) + 1
        self.month_cost[pending.cafe_id] = self.month_cost.get(pending.cafe_id, Decimal(0)) + cost
        self.month_reserved[pending.cafe_id] = self.month_reserved.get(pending.cafe_id, Decimal(0)) + cost
        self.campaign_cost[pending.campaign_id] = self.campaign_cost.get(pending.campaign_id, Decimal(0)) + cost


@dataclass(frozen=True)
class Decided:
    """A message with the decision about it, the text as its guest would read it, and what that is expected to cost.

    `is_left`: nothing is decided before it is known what others of this round cost, and it stays due. `fault`: why
    nothing could be decided.
    """

    facts: MessageFacts
    decision: Decision
    text: str = field(default="", repr=False)
    parts: int = 0
    cost: Decimal = Decimal(0)
    is_left: bool = False
    fault: Exception | None = None


@dataclass(frozen=True)
class Settled:
    """What became of a delivery, as far as a provider has told.

    `accepted`: the provider has it, which was not known before. `unpinned`: the provider surely has not got it, so
    another may be asked. Costs in Rial.
    """

    delivery_id: UUID
    cafe_id: UUID
    status: Literal["queued", "sending", "sent", "delivered", "failed", "bounced"]
    accepted: bool = False
    provider_message_id: str | None = None
    cost: Decimal | None = None
    error_code: str | None = None
    error_message: str | None = None
    check_at: datetime | None = None
    due_at: datetime | None = None
    refused_by: UUID | None = None
    unpinned: bool = False
    blocked: bool = False


@dataclass(frozen=True)
class Handed:
    """A delivery that was given to a provider, as it stands. `day` is the cafe's day it is counted on."""

    id: UUID
    cafe_id: UUID
    campaign_id: UUID
    customer_id: UUID
    provider_id: UUID
    provider_name: str
    local_id: int
    provider_message_id: str | None
    status: str
    parts: int
    cost: Decimal
    day: date
    sending_at: datetime
    sent_at: datetime | None
    correlation_id: UUID
    causation_id: UUID | None
    # The guest was quicker than the provider's answer.
    is_opened: bool = False
    reason: str | None = None
    is_test: bool = False
    # The guest was in the cafe within a week of it.
    is_returned: bool = False


@dataclass(frozen=True)
class Effects:
    """What a settled delivery adds to its campaign's counters and costs and to its provider's usage (Rial)."""

    sent: int = 0
    delivered: int = 0
    failed: int = 0
    cost: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)
    messages_used: int = 0
    cost_used: Decimal = Decimal(0)


@dataclass(frozen=True)
class NewDelivery:
    """A message to be; `trigger_id` is the occasion that it may be sent for once.

    One that was decided about has its status: "queued" until `due_at` (None: at once) or "skipped", and the reason.
    """

    id: UUID
    cafe_id: UUID
    campaign_id: UUID
    customer_id: UUID
    trigger_id: UUID
    visit_id: UUID | None
    local_id: int
    content: str
    expires_at: datetime
    correlation_id: UUID
    causation_id: UUID | None
    channel: Channel
    status: str = "queued"
    due_at: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Ready:
    """A claimed message with everything sealed that it is sent with."""

    cafe_id: UUID
    id: UUID
    phone_sealed: str = field(repr=False)
    phone_hash: bytes = field(repr=False)
    name_sealed: str | None = field(repr=False)
    text_sealed: str = field(repr=False)
    parts: int
    cost: Decimal
    provider_id: UUID


End = tuple[Literal["skipped", "failed", "undelivered"], str]
Ends = Mapping[End, int]


@dataclass(frozen=True)
class CounterChange:
    """What a batch adds to a campaign's counters and costs (Rial): `recipients` are messages that came to be, `ended`
    those that will not be sent or did not arrive, by reason, `returned` delivered ones whose guest came back."""

    cafe_id: UUID
    campaign_id: UUID
    sent: int = 0
    delivered: int = 0
    failed: int = 0
    opened: int = 0
    cost: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)
    recipients: int = 0
    replied: int = 0
    returned: int = 0
    ended: Ends = field(default_factory=dict)


@dataclass(frozen=True)
class Opening:
    """The link that a guest got for a visit was opened, `times` times by then, or answered."""

    cafe_id: UUID
    customer_id: UUID
    visit_id: UUID
    at: datetime
    times: int = 0
    answers: int = 0


@dataclass(frozen=True)
class ComingBack:
    """A visit of a guest, or one that never was."""

    cafe_id: UUID
    customer_id: UUID
    visit_id: UUID
    at: datetime


Settlement = Literal["stop", "nothing"]


@dataclass(frozen=True)
class Reply:
    """An answer, its words sealed, and what a person took it for, if one has read it."""

    cafe_id: UUID
    id: UUID
    customer_id: UUID
    words_sealed: str = field(repr=False)
    received_at: datetime
    settled_as: Settlement | None = None
    settled_by: UUID | None = None
    settled_at: datetime | None = None


DELIVERIES: Final = "campaign_deliveries"

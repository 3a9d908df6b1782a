"""What the campaign service keeps and answers. Pure data; costs are Rial, as providers bill."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

Purpose = Literal["service", "marketing"]
CampaignType = Literal["sms", "instagram", "email", "push"]
CampaignStatus = Literal["draft", "scheduled", "sending", "sent", "completed", "cancelled", "failed"]
Trigger = Literal["visit.recorded", "segment.entered", "case.opened", "feedback.responded"]
RunState = Literal["waiting", "queued", "cancelled", "skipped"]
# What may start a journey about a segment: the reasons of segment.entered, less those that are nobody's doing.
StartReason = Literal[
    "visit", "time", "registered", "profile", "points", "tier", "feedback", "visit_corrected", "visit_voided",
    "definition",
]  # fmt: skip
# Whether a guest who is in the segment once more is welcomed once more.
Reentry = Literal["never", "after_days", "every_stay"]
ContactStatus = Literal["active", "inactive", "blocked"]
TextState = Literal["waiting", "in_force", "replaced", "declined"]
Step = Literal["written", "edited", "scheduled", "approved", "cancelled", "switched", "tried"]
Outcome = Literal["send", "hold", "skip"]
# accepted: the provider has it. refused_message: never for this number or text. refused: not by this provider, ask
# another. busy: not now. unknown: nobody can say whether it has the message; only a look-up by local id settles that.
Verdict = Literal["accepted", "refused_message", "refused", "busy", "unknown"]
# missing: the provider does not know such a message.
Progress = Literal["under_way", "delivered", "failed", "undelivered", "blocked", "missing"]

# Why a cafe's account can't be used at all, whatever the message.
AccountFault = Literal["no_account", "not_lent", "price_too_high"]

# Who made the rows that nobody made.
SYSTEM_USER = UUID(int=0)
LONGEST_MESSAGE = 900
# Of a cafe's campaigns together: enough to see a text grow, too few to write to people by it.
TRIES_A_DAY = 10
# Rial for one part. A thousand times what one costs, and the sums of all messages of a cafe's life still fit.
DEAREST_SMS = Decimal(1_000_000)
DEAREST_MESSAGE = 20 * DEAREST_SMS

# Fixed: a message about the guest's own visit asks for no consent to advertising, so it never becomes an advert.
PURPOSE_OF: Mapping[Trigger, Purpose] = {
    "visit.recorded": "service",
    "segment.entered": "marketing",
    "case.opened": "service",
    "feedback.responded": "service",
}
# Whose occasion is a visit, so that the message may hold the visit's link.
ABOUT_VISITS: frozenset[Trigger] = frozenset({"visit.recorded", "feedback.responded"})


@dataclass(frozen=True)
class Remark:
    """Something that whoever wrote a text should look at, in both languages."""

    code: str
    en: str
    fa: str


@dataclass(frozen=True)
class KnownSegments:
    """Keys of a cafe's segments: in use, and switched off. `with_members`: keys that guests are in, where nobody has
    told of the cafe's segments yet."""

    keys: Sequence[str]
    off_keys: Sequence[str]
    with_members: Sequence[str]


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
class Contact:
    """What is known of a guest at the moment of sending, in clear: never stored or logged like this."""

    phone: str | None = field(repr=False)
    name: str | None = field(repr=False)
    status: ContactStatus
    line_blocked: bool
    erased: bool
    consents: Mapping[Purpose, bool]
    # Cases that a low rating opened and nobody has closed.
    complaints: Sequence[UUID] = ()
    # How many messages a day this one gets at most, where that is not the same for all guests.
    daily_cap: int | None = None


@dataclass(frozen=True)
class OnDuty:
    """Somebody of the cafe who may be told of unhappy guests."""

    id: UUID
    cafe_id: UUID
    phone_sealed: str = field(repr=False)
    phone_hash: bytes = field(repr=False)
    label: str
    is_on_duty: bool


@dataclass(frozen=True)
class Notice:
    """What a message to whoever is on duty says of a case."""

    case_id: UUID
    overall_rating: int | None
    table_number: str | None


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
    held_for: str | None = None
    # The number that a message to try goes to, sealed in its own row; None for all others.
    test_phone_sealed: str | None = field(default=None, repr=False)
    # Of what is spent, the part whose price is only what was expected.
    reserved: Decimal = Decimal(0)
    # The guest must be in one of these at the moment of sending; None: in none. With `of_this_stay`, by the very stay
    # that the message is about.
    segments: Sequence[str] | None = None
    of_this_stay: bool = False
    # Why the occasion is none any more, as of a visit that was voided.
    cancelled_for: str | None = None


@dataclass(frozen=True)
class Message:
    """A delivery as it is handed to a provider."""

    delivery_id: UUID
    local_id: int
    phone: str = field(repr=False)
    text: str = field(repr=False)


@dataclass(frozen=True)
class SendResult:
    """What became of one message of a call. `cost` in Rial; `code` and `reason` are the provider's own."""

    verdict: Verdict
    message_id: str | None = None
    cost: Decimal | None = None
    code: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Receipt:
    """How far a message has come, with the provider's own code."""

    progress: Progress
    code: str
    message_id: str | None = None


@dataclass(frozen=True)
class Check:
    """One question asked before sending. `detail` holds no personal data."""

    check: str
    passed: bool
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """To send, to hold until a moment, or not to send, with the checks in the order they were made."""

    outcome: Outcome
    reason: str
    checks: Sequence[Check]
    hold_until: datetime | None = None
    provider: Provider | None = None


@dataclass
class Tally:
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

    def add(self, pending: Pending, provider: Provider, cost: Decimal) -> None:
        """Counts one message that will be sent."""
        self.today[pending.customer_id] = self.today.get(pending.customer_id, 0) + 1
        self.by_day[provider.id] = self.by_day.get(provider.id, 0) + 1
        self.by_month[provider.id] = self.by_month.get(provider.id, 0) + 1
        self.month_cost[pending.cafe_id] = self.month_cost.get(pending.cafe_id, Decimal(0)) + cost
        self.month_reserved[pending.cafe_id] = self.month_reserved.get(pending.cafe_id, Decimal(0)) + cost
        self.campaign_cost[pending.campaign_id] = self.campaign_cost.get(pending.campaign_id, Decimal(0)) + cost


@dataclass(frozen=True)
class Journey:
    """A trigger, a delay, and the standing campaign that holds the words. About a segment: `starts_on` are the reasons
    for which entering it starts the journey, `reentry` says whether it does again."""

    id: UUID
    cafe_id: UUID
    trigger: Trigger
    segment_key: str | None
    delay_minutes: int
    max_age_minutes: int
    campaign_id: UUID
    starts_on: Sequence[StartReason] = ()
    reentry: Reentry = "never"
    reentry_days: int | None = None


@dataclass(frozen=True, kw_only=True)
class JourneyText:
    """A version of what a journey says, may spend (Rial) and starts on, about a segment. `decided_by` is None when
    nobody else was needed."""

    cafe_id: UUID
    journey_id: UUID
    version: int
    state: TextState
    template_content: str
    template_variables: dict[str, str]
    ignores_quiet_hours: bool
    budget: Decimal | None
    created_by: UUID
    created_at: datetime
    decided_by: UUID | None = None
    decided_at: datetime | None = None
    starts_on: list[StartReason] | None = None


@dataclass(frozen=True)
class Run:
    """One guest's way through one journey."""

    cafe_id: UUID
    journey_id: UUID
    trigger_id: UUID
    customer_id: UUID
    occurred_at: datetime
    due_at: datetime
    state: RunState
    reason: str | None
    correlation_id: UUID
    causation_id: UUID


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

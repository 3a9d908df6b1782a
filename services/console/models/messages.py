"""What goes out to guests by itself, its texts, what it costs, and by which accounts."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import msgspec


class TextRemark(msgspec.Struct, frozen=True):
    """Something that whoever wrote a text should look at."""

    en: str
    fa: str


class JourneyVersion(msgspec.Struct, frozen=True):
    """What a journey said, says or may say; the budget in `currency_unit`."""

    currency_unit: str
    version: int
    state: str
    template_content: str
    template_variables: dict[str, str]
    ignores_quiet_hours: bool
    budget: Decimal | None
    created_by: UUID
    created_at: datetime
    decided_by: UUID | None
    decided_at: datetime | None


class JourneyOfCafe(msgspec.Struct, frozen=True):
    """A message that goes by itself: its occasion, its text, and what it sent since it began."""

    currency_unit: str
    id: UUID
    journey_key: str
    name: str
    trigger: str
    segment_key: str | None
    delay_minutes: int
    max_age_minutes: int
    starts_on: tuple[str, ...]
    reentry: str
    reentry_days: int | None
    is_active: bool
    purpose: str
    ignores_quiet_hours: bool
    template_content: str
    template_variables: dict[str, str]
    budget: Decimal | None
    actual_cost: Decimal
    messages_sent: int
    messages_delivered: int
    version: int
    waiting: JourneyVersion | None
    warnings: tuple[TextRemark, ...]


class NotSentFor(msgspec.Struct, frozen=True):
    """Messages that did not go, for one reason."""

    outcome: str
    reason: str
    messages: int
    en: str
    fa: str


class JourneyFigures(msgspec.Struct, frozen=True):
    """What became of a journey's messages of the last 30 days."""

    currency_unit: str
    journey_id: UUID
    sent: int
    delivered: int
    opened: int
    not_sent: int
    cost: Decimal
    reasons: tuple[NotSentFor, ...]


class JourneyMessage(msgspec.Struct, frozen=True):
    """One message of a journey, and why it did not go or waits."""

    currency_unit: str
    customer_id: UUID
    status: str
    en: str | None
    fa: str | None
    queued_at: datetime
    due_at: datetime
    cost: Decimal | None


class MessageTemplate(msgspec.Struct, frozen=True):
    """A text of the library."""

    id: UUID
    name: str
    content: str
    variables: dict[str, str]
    category: str | None
    is_system_template: bool
    warnings: tuple[TextRemark, ...]


class TextPreview(msgspec.Struct, frozen=True):
    """How a text reads to somebody made up, its parts and what it costs."""

    text: str
    characters: int
    parts: int
    cost: Decimal | None
    currency_unit: str
    warnings: tuple[TextRemark, ...]


class SpendOfDay(msgspec.Struct, frozen=True):
    """What messages cost on a day."""

    day: date
    messages: int
    spent: Decimal


class SpendOfMonth(msgspec.Struct, frozen=True):
    """What messages cost in a month, against the budget."""

    first: date
    last: date
    messages: int
    spent: Decimal
    expected: Decimal
    budget: Decimal | None
    days: tuple[SpendOfDay, ...]
    currency_unit: str


class UnclearReply(msgspec.Struct, frozen=True):
    """What a guest answered, whose meaning is not sure."""

    id: UUID
    customer_id: UUID
    words: str
    received_at: datetime


class MessagingRules(msgspec.Struct, frozen=True):
    """A cafe's rules for all its messages."""

    guest_daily_cap: int
    monthly_budget: Decimal | None
    currency_unit: str


class DutyPerson(msgspec.Struct, frozen=True):
    """Somebody who may be told of unhappy guests."""

    id: UUID
    label: str
    phone_ending: str
    is_on_duty: bool


class DutyList(msgspec.Struct, frozen=True):
    """Who is told of unhappy guests, and how often a day at most."""

    people: tuple[DutyPerson, ...]
    most_a_day: int


class SmsAccount(msgspec.Struct, frozen=True):
    """An account by which the cafe sends; its key is never shown."""

    id: UUID
    provider_name: str
    api_endpoint: str | None
    sender_line: str | None
    cost_per_sms: Decimal
    charged_per_part: Decimal | None
    currency_unit: str
    is_active: bool
    priority_order: int
    daily_limit: int | None
    monthly_limit: int | None
    own_key: bool
    sent_today: int
    last_error: str | None
    last_error_at: datetime | None
    paused_until: datetime | None

"""What the campaign service says of campaigns."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec


class CountOfReason(msgspec.Struct, frozen=True):
    """Guests who would not be sent it, for one reason."""

    reason: str
    guests: int
    en: str
    fa: str


class SumsOfCampaign(msgspec.Struct, frozen=True):
    """Whom it was for, and how many of them a provider took."""

    recipients: int
    sent: int
    waiting: int


class RemarkOnText(msgspec.Struct, frozen=True):
    """Something to look at."""

    code: str
    en: str
    fa: str


class CampaignRow(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign; amounts in `currency_unit`."""

    id: UUID
    journey_id: UUID | None
    name: str
    description: str | None
    purpose: str
    ignores_quiet_hours: bool
    target_segment: dict[str, object]
    estimated_recipients: int | None
    template_content: str
    template_variables: dict[str, str]
    scheduled_date: datetime | None
    wanted_date: datetime | None
    at_once: bool
    sent_date: datetime | None
    status: str
    paused_at: datetime | None
    lapses_at: datetime | None
    budget: Decimal | None
    estimated_cost: Decimal | None
    actual_cost: Decimal
    currency_unit: str
    messages_sent: int
    messages_delivered: int
    created_at: datetime
    created_by: UUID
    edited_by: UUID | None
    approved_by: UUID | None
    approved_at: datetime | None
    version: int
    results: SumsOfCampaign | None
    failure: RemarkOnText | None
    warnings: tuple[RemarkOnText, ...]

    @property
    def segments(self) -> tuple[str, ...] | None:
        """The keys of its segments; None is everybody."""
        keys = self.target_segment.get("segments")
        return tuple(str(key) for key in keys) if isinstance(keys, list) else None


class SampleMessage(msgspec.Struct, frozen=True):
    """The message to one guest."""

    customer_id: UUID
    phone_ends_with: str
    text: str
    parts: int


class PartsCount(msgspec.Struct, frozen=True):
    """How many of the guests that were looked at get so many parts."""

    parts: int
    guests: int


class CampaignPreview(msgspec.Struct, frozen=True):
    """What a campaign would do now; amounts in `currency_unit`."""

    guests: int
    reached: int
    not_reached: tuple[CountOfReason, ...]
    samples: tuple[SampleMessage, ...]
    parts: int
    parts_of_samples: tuple[PartsCount, ...]
    cost_of_one: Decimal
    cost: Decimal
    is_affordable: bool
    month_left: Decimal | None
    is_within_month: bool
    asks_another: bool
    currency_unit: str


class LostMessages(msgspec.Struct, frozen=True):
    """Messages that were lost between two steps, for one reason."""

    loss: str
    reason: str
    messages: int
    en: str
    fa: str


class FunnelOfCampaign(msgspec.Struct, frozen=True):
    """Steps that add up, and what was lost between them."""

    recipients: int
    barred: int
    allowed: int
    dropped: int
    failed: int
    waiting: int
    sent: int
    undelivered: int
    on_the_way: int
    delivered: int
    opened: int
    replied: int
    returned: int
    lost: tuple[LostMessages, ...]


class ResultsOfCampaign(msgspec.Struct, frozen=True):
    """What became of a campaign until `as_of`; amounts in `currency_unit`."""

    as_of: datetime
    is_growing: bool
    funnel: FunnelOfCampaign
    actual_cost: Decimal
    reserved_cost: Decimal
    budget: Decimal | None
    cost_per_message: Decimal | None
    currency_unit: str


class DeliveryRow(msgspec.Struct, frozen=True):
    """One guest's message."""

    customer_id: UUID
    status: str
    reason: str | None
    en: str | None
    fa: str | None
    at: datetime
    parts: int | None
    cost: Decimal | None
    currency_unit: str
    replied: bool
    returned: bool


class DeliveryRows(msgspec.Struct, frozen=True):
    """A page of messages; `after` asks for the next."""

    deliveries: tuple[DeliveryRow, ...]
    after: str | None


class TrailStep(msgspec.Struct, frozen=True):
    """Something that was done with a campaign."""

    what: str
    by_user: UUID
    at: datetime
    version: int
    ended_approval: bool


class ReadyText(msgspec.Struct, frozen=True):
    """A text of the library."""

    id: UUID
    name: str
    content: str
    variables: dict[str, str]
    category: str | None


class TargetSegment(msgspec.Struct, frozen=True):
    """A segment, how many are in it, and whom of them advertising may be sent."""

    id: UUID
    name: str
    segment_key: str
    customer_count: int
    reachable_count: int
    is_active: bool
    color_hex: str

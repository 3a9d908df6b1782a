"""Journeys, and what guests got and why, as staff send and see it."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from services.campaign.channels.models.http import WithCosts
from services.campaign.journeys.models.values import Reentry, StartReason, TextState
from services.campaign.texts.models.http import Fallbacks, RemarkView, TemplateText
from services.campaign.texts.models.values import Trigger
from shared.consent import Purpose
from shared.inputs.amounts import Money, Priced
from shared.inputs.bounds import Rial
from shared.inputs.fields import Whole
from shared.persian.money import Unit


class ChangeJourney(WithCosts):
    """What is not given stays. `budget` null takes the limit away. `starts_on`, `reentry` and `reentry_days` are of
    journeys about a segment."""

    is_active: StrictBool | None = None
    delay_minutes: Annotated[int, Whole(0, 10_080)] | None = None
    max_age_minutes: Annotated[int, Whole(1, 43_200)] | None = None
    starts_on: Annotated[list[StartReason], Field(min_length=1, max_length=10)] | None = None
    reentry: Reentry | None = None
    reentry_days: Annotated[int, Whole(1, 3650)] | None = None
    template: TemplateText | None = None
    fallbacks: Fallbacks | None = None
    ignores_quiet_hours: StrictBool | None = None
    budget: Rial | None = None


class TextView(Priced):
    """A version of what a journey says and may spend, in `currency_unit`."""

    model_config = ConfigDict(from_attributes=True)

    currency_unit: Unit = "IRR"
    version: int
    state: TextState
    template_content: str
    template_variables: dict[str, str]
    ignores_quiet_hours: bool
    starts_on: list[StartReason] | None
    budget: Money | None
    created_by: UUID
    created_at: datetime
    decided_by: UUID | None
    decided_at: datetime | None


class JourneyView(Priced):
    """A journey, its text, the one that waits for a second person, and what it has sent; costs in `currency_unit`. The
    warnings are about the text that waits, or else the one in force. A journey about a segment takes guests who entered
    it for a reason in `starts_on`, and by `reentry` once, again after `reentry_days`, or once per stay."""

    model_config = ConfigDict(from_attributes=True)

    currency_unit: Unit = "IRR"
    id: UUID
    journey_key: str
    name: str
    trigger: Trigger
    segment_key: str | None
    delay_minutes: int
    max_age_minutes: int
    starts_on: list[StartReason]
    reentry: Reentry
    reentry_days: int | None
    is_active: bool
    campaign_id: UUID
    purpose: Purpose
    ignores_quiet_hours: bool
    template_content: str
    template_variables: dict[str, str]
    budget: Money | None
    actual_cost: Money
    cost_per_message: Money | None
    messages_sent: int
    messages_delivered: int
    messages_failed: int
    messages_opened: int
    sent_date: datetime | None
    version: int
    waiting: TextView | None
    warnings: list[RemarkView]


class CheckView(BaseModel):
    """One question asked before sending."""

    check: str
    passed: bool
    detail: dict[str, Any]


class DecisionView(BaseModel):
    """One decision, with the checks up to the one that decided."""

    decided_at: datetime
    outcome: Literal["send", "hold", "skip"]
    reason: str
    hold_until: datetime | None
    checks: list[CheckView]

    def without_budget(self) -> Self:
        """The same decision, of the budget only whether it held."""
        checks = [each.model_copy(update={"detail": {}}) if each.check == "budget" else each for each in self.checks]
        return self.model_copy(update={"checks": checks})


class MessageView(Priced):
    """One message to the guest. Its words are not shown: they hold the guest's own link. Amounts, also those of its
    checks, are in `currency_unit`. For managers `message_content` is the text before names are put in."""

    id: UUID
    campaign_id: UUID
    campaign: str
    purpose: Purpose
    trigger_id: UUID
    visit_id: UUID | None
    message_content: str | None
    delivery_status: str
    delivery_attempts: int
    queued_at: datetime
    due_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    opened_at: datetime | None
    failed_at: datetime | None
    error_code: str | None
    error_message: str | None
    message_cost: Money | None
    parts: int | None
    provider_name: str | None
    link_clicks: int
    reply_received: bool
    is_test: bool
    decisions: list[DecisionView]

    def for_staff(self) -> Self:
        """What became of the message and why, without its text, its cost and what is left of the budget."""
        decisions = [each.without_budget() for each in self.decisions]
        return self.without_amounts().model_copy(update={"message_content": None, "decisions": decisions})


class RunView(BaseModel):
    """One way through a journey, also one that was taken back or began too late: `en` and `fa` say why."""

    journey_key: str
    trigger_id: UUID
    occurred_at: datetime
    due_at: datetime
    state: str
    reason: str | None
    en: str | None
    fa: str | None


class NotBegunView(BaseModel):
    """A journey about a segment that the guest is in, and that this stay did not start: `reason` is why the guest
    entered ("unknown" from before it was kept)."""

    journey_key: str
    segment_key: str
    entered_at: datetime
    reason: str
    en: str
    fa: str


class GuestView(BaseModel):
    """Why a guest got what they got, and why not."""

    runs: list[RunView]
    not_begun: list[NotBegunView]
    messages: list[MessageView]


class NotSentView(BaseModel):
    """Messages of a journey that did not go, for one reason: a check's name, or a provider's code."""

    model_config = ConfigDict(from_attributes=True)

    outcome: Literal["skipped", "failed"]
    reason: str
    messages: int
    en: str
    fa: str


class JourneyResultsView(Priced):
    """What became of a journey's messages over some days; the cost in `currency_unit`."""

    model_config = ConfigDict(from_attributes=True)

    currency_unit: Unit = "IRR"
    journey_id: UUID
    sent: int
    delivered: int
    opened: int
    not_sent: int
    cost: Money
    reasons: list[NotSentView]


class JourneyMessageView(Priced):
    """One message of a journey and what became of it; `reason` is why it did not go or still waits, in words beside
    it. Its cost in `currency_unit`."""

    id: UUID
    customer_id: UUID
    visit_id: UUID | None
    status: Literal["queued", "sending", "sent", "delivered", "failed", "bounced", "opened", "skipped"]
    reason: str | None
    en: str | None
    fa: str | None
    queued_at: datetime
    due_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    opened_at: datetime | None
    cost: Money | None
    parts: int | None

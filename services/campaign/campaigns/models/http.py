"""Campaigns, as staff send and see them. Amounts are kept in Rial, as providers bill."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator
from pydantic_core import PydanticCustomError

from services.campaign.audience.models.http import Mobile
from services.campaign.campaigns.models.values import Step
from services.campaign.channels.models.http import WithCosts
from services.campaign.messages.models.values import CampaignStatus
from services.campaign.texts.models.http import Fallbacks, Name, RemarkView, SendableChannel, TemplateText
from shared.consent import Channel, Purpose
from shared.inputs.amounts import Money, Priced
from shared.inputs.bounds import Rial
from shared.inputs.fields import Command, Matching, Moment, Version, Words
from shared.persian.money import Unit

Description = Annotated[str | None, Words(2000)]
WrittenSegmentKey = Annotated[str, Matching("[a-z][a-z0-9_]{0,49}", 50, "کلید بخش درست نیست")]


class Target(Command):
    """Guests of any of the segments, or everyone."""

    segments: Annotated[list[WrittenSegmentKey], Field(max_length=50)] = []
    everyone: StrictBool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> "Target":
        if self.everyone == bool(self.segments):
            raise PydanticCustomError(
                "target",
                "name segments or say everyone, one of the two",
                {"fa": "یا بخش‌ها را نام ببرید یا «همه» را انتخاب کنید"},
            )
        return self


class WriteCampaign(WithCosts):
    """A one-off campaign, whole."""

    name: Name
    description: Description = None
    campaign_type: SendableChannel = "sms"
    purpose: Purpose = "marketing"
    ignores_quiet_hours: StrictBool = False
    target: Target
    template: TemplateText
    fallbacks: Fallbacks = {}
    budget: Rial | None = None


class Schedule(Command):
    """When to begin."""

    scheduled_date: Moment


class Approve(Command):
    """What is approved: `version` is the one that was looked at. Changed meanwhile, it is refused; left out, whatever
    it says now is approved."""

    version: Version | None = None


class TryCampaign(Command):
    """The number to send a campaign's message to, to see it."""

    phone: Mobile


class EndView(BaseModel):
    """Messages that were not sent, for one reason: a check's name, or a provider's code."""

    model_config = ConfigDict(from_attributes=True)

    outcome: Literal["skipped", "failed"]
    reason: str
    messages: int
    en: str
    fa: str


class ResultsView(BaseModel):
    """Everybody whom the campaign was for: `recipients` is at every moment what was sent, failed, was skipped, and
    waits. `sent` are those that a provider took, whatever became of them there."""

    model_config = ConfigDict(from_attributes=True)

    recipients: int
    sent: int
    failed: int
    skipped: int
    waiting: int
    reasons: list[EndView]


class CampaignView(Priced):
    """A campaign; one with a `journey_id` is the standing one of a journey. Costs in `currency_unit`; `failure` says
    why it failed where no provider is the reason. One from before results were counted has none for some minutes."""

    id: UUID
    journey_id: UUID | None
    name: str
    description: str | None
    campaign_type: Channel
    purpose: Purpose
    ignores_quiet_hours: bool
    target_segment: dict[str, Any]
    estimated_recipients: int | None
    template_content: str
    template_variables: dict[str, str]
    scheduled_date: datetime | None
    sent_date: datetime | None
    status: CampaignStatus
    budget: Money | None
    estimated_cost: Money | None
    actual_cost: Money
    cost_per_message: Money | None
    messages_sent: int
    messages_delivered: int
    messages_failed: int
    messages_opened: int
    created_at: datetime
    updated_at: datetime
    created_by: UUID
    approved_by: UUID | None
    approved_at: datetime | None
    version: int
    edited_by: UUID | None
    approved_alone: bool
    results: ResultsView | None
    failure: RemarkView | None
    warnings: list[RemarkView]


class StepView(Priced):
    """Something that was done with a campaign, and what it then said; a budget in `currency_unit`."""

    currency_unit: Unit = "IRR"
    what: Step
    by_user: UUID
    at: datetime
    version: int
    ended_approval: bool
    detail: dict[str, Any]


class NotReachedView(BaseModel):
    """Guests who would not be sent it, for one reason."""

    model_config = ConfigDict(from_attributes=True)

    reason: str
    guests: int
    en: str
    fa: str


class SampleView(BaseModel):
    """The message to one guest."""

    model_config = ConfigDict(from_attributes=True)

    customer_id: UUID
    phone_ends_with: str
    text: str
    parts: int


class PreviewView(Priced):
    """What would be sent now, to how many, and what it would cost, by the longest of the samples. Hours, caps and
    accounts are asked about when it is sent."""

    model_config = ConfigDict(from_attributes=True)

    guests: int
    reached: int
    not_reached: list[NotReachedView]
    samples: list[SampleView]
    parts: int
    cost_of_one: Money
    cost: Money
    is_affordable: bool


class TryView(BaseModel):
    """The message that was queued; the campaign's trail names it."""

    delivery_id: UUID

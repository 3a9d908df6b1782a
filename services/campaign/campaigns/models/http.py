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
    template: Annotated[
        TemplateText | None, Field(description="a draft may go without a text until it is scheduled")
    ] = None
    fallbacks: Fallbacks = {}
    budget: Rial | None = None
    wanted_date: Annotated[Moment | None, Field(description="when it shall begin; null is as soon as it may")] = None


class ReplaceCampaign(WriteCampaign):
    """A one-off campaign, whole. `version` is the one that was changed; where there is a newer one it is refused."""

    version: Version | None = None


class DraftCampaign(WithCosts):
    """A one-off campaign that is being written. `counts` false leaves out who is reached, which reads all guests."""

    campaign_type: SendableChannel = "sms"
    purpose: Purpose = "marketing"
    target: Target
    template: TemplateText | None = None
    fallbacks: Fallbacks = {}
    budget: Rial | None = None
    counts: StrictBool = True


class Schedule(Command):
    """When to begin; null is when the draft says, and if it says nothing, as soon as it may."""

    scheduled_date: Moment | None = None


class Approve(Command):
    """What is approved: `version` is the one that was looked at. Changed meanwhile, it is refused; left out, whatever
    it says now is approved."""

    version: Version | None = None


class TryCampaign(Command):
    """The number to send a campaign's message to, to see it."""

    phone: Mobile


class EndView(BaseModel):
    """Messages that were not sent, or taken by the provider and not delivered, for one reason: a check's name, or a
    provider's code."""

    model_config = ConfigDict(from_attributes=True)

    outcome: Literal["skipped", "failed", "undelivered"]
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
    why it failed where no provider is the reason. One from before results were counted has none for some minutes. While
    `paused_at` is set nothing of it is taken up or sent; what is not sent by `lapses_at` is not sent any more.
    `at_once`: it begins as soon as it is approved."""

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
    wanted_date: datetime | None
    at_once: bool
    sent_date: datetime | None
    status: CampaignStatus
    paused_at: datetime | None
    lapses_at: datetime | None
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


class PartsView(BaseModel):
    """How many of the guests that were looked at would get so many parts."""

    model_config = ConfigDict(from_attributes=True)

    parts: int
    guests: int


class PreviewView(Priced):
    """What would be sent now, to how many, and what it would cost at most, by the longest text of those looked at:
    `parts_of_samples` says how many of them get how many parts. `guests` are `reached` and `not_reached` together.
    `month_left` is what the cafe's own budget of the month leaves, null without one. `asks_another`: once it is
    scheduled, a second person must approve it. Hours, caps and accounts are asked about when it is sent."""

    model_config = ConfigDict(from_attributes=True)

    guests: int
    reached: int
    not_reached: list[NotReachedView]
    samples: list[SampleView]
    parts: int
    parts_of_samples: list[PartsView]
    cost_of_one: Money
    cost: Money
    is_affordable: bool
    month_left: Money | None
    is_within_month: bool
    asks_another: bool


class LostView(BaseModel):
    """Messages that were lost between two steps, for one reason: a check's name, or a provider's code."""

    model_config = ConfigDict(from_attributes=True)

    loss: Literal["barred", "dropped", "failed", "undelivered"]
    reason: str
    messages: int
    en: str
    fa: str


class FunnelView(BaseModel):
    """Steps that add up: `recipients` are `barred` (it lies with the guest) and `allowed`; `allowed` are `dropped` (it
    lies with us), `failed` (no provider took it), `waiting` and `sent`; `sent` are `undelivered`, `on_the_way` and
    `delivered`; of those `opened` a link, and `returned` to the cafe within a week. `lost` are the four losses by
    reason."""

    model_config = ConfigDict(from_attributes=True)

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
    lost: list[LostView]


class CampaignResultsView(Priced):
    """What became of a campaign until `as_of`; costs in `currency_unit`, `reserved_cost` of messages whose price is not
    known yet. While it `is_growing`, guests are still being taken up, of `estimated_recipients`."""

    model_config = ConfigDict(from_attributes=True)

    as_of: datetime
    is_growing: bool
    estimated_recipients: int | None
    lapses_at: datetime | None
    funnel: FunnelView
    actual_cost: Money
    reserved_cost: Money
    budget: Money | None
    cost_per_message: Money | None


class DeliveryView(Priced):
    """One guest's message: its status, why it is so, since when, and what it cost in `currency_unit`. `is_sent`: a
    provider took it. `returned`: it was delivered and the guest came within a week."""

    id: UUID
    customer_id: UUID
    status: Literal["queued", "sending", "sent", "delivered", "failed", "bounced", "opened", "skipped"]
    is_sent: bool
    reason: str | None
    en: str | None
    fa: str | None
    at: datetime
    parts: int | None
    cost: Money | None
    replied: bool
    returned: bool


class DeliveriesView(BaseModel):
    """A page of messages; `after` asks for the next, null at the end."""

    deliveries: list[DeliveryView]
    after: str | None


class TryView(BaseModel):
    """The message that was queued; the campaign's trail names it."""

    delivery_id: UUID

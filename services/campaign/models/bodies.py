"""What staff send over HTTP. Amounts are kept in Rial, as providers bill."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool, ValidationInfo, WithJsonSchema, field_validator, model_validator
from pydantic_core import PydanticCustomError

from services.campaign.models import DEAREST_SMS, LONGEST_MESSAGE, CampaignType, Purpose, Reentry, StartReason
from shared.inputs.bounds import MOST_RIAL, Rial, too_much
from shared.inputs.credentials import Credential
from shared.inputs.fields import Command, Matching, Moment, Phone, Text, Version, Whole, Wording, Words, fault
from shared.persian.money import Unit, in_unit
from shared.persian.phone import is_mobile


def _takes_messages(phone: str) -> str:
    if not is_mobile(phone):
        raise fault("not_a_mobile", "SMS go to mobile numbers only.", "پیامک تنها به شمارهٔ همراه می‌رسد.")
    return phone


Mobile = Annotated[Phone, AfterValidator(_takes_messages)]
# The others are known by name and refused by one of their own; documents say what can be sent.
Channel = Annotated[CampaignType, WithJsonSchema({"type": "string", "enum": ["sms"], "default": "sms"})]
Name = Annotated[str, Text(200, line=True)]
Description = Annotated[str | None, Words(2000)]
Template = Annotated[str, Text(LONGEST_MESSAGE)]
Variable = Annotated[str, Matching("[a-z_]{1,30}", 30, "نام متغیر از حروف کوچک انگلیسی و زیرخط است")]
Fallbacks = Annotated[dict[Variable, Annotated[str, Wording(60)]], Field(max_length=20)]
SegmentKey = Annotated[str, Matching("[a-z][a-z0-9_]{0,49}", 50, "کلید بخش درست نیست")]
SenderLine = Annotated[str, Matching("[0-9]{4,20}", 20, "شمارهٔ خط ۴ تا ۲۰ رقم دارد")]
Endpoint = Annotated[str, Matching("[!-~]{1,255}", 255, "نشانی درست نیست")]


class _WithCosts(Command):
    # Before the amounts, which are read by it.
    currency_unit: Annotated[
        Unit, Field(description="of the amounts in this body: IRR (Rial), as providers bill, or IRT (Toman)")
    ] = "IRR"

    @field_validator("budget", "monthly_budget", "cost_per_sms", check_fields=False)
    @classmethod
    def _in_rial(cls, amount: Decimal | None, info: ValidationInfo) -> Decimal | None:
        if amount is None or "currency_unit" not in info.data:
            return amount
        rial = in_unit(amount, info.data["currency_unit"], "IRR")
        if rial > (DEAREST_SMS if info.field_name == "cost_per_sms" else MOST_RIAL):
            raise too_much()
        return rial


class ChangeJourney(_WithCosts):
    """What is not given stays. `budget` null takes the limit away. `starts_on`, `reentry` and `reentry_days` are of
    journeys about a segment."""

    is_active: StrictBool | None = None
    delay_minutes: Annotated[int, Whole(0, 10_080)] | None = None
    max_age_minutes: Annotated[int, Whole(1, 43_200)] | None = None
    starts_on: Annotated[list[StartReason], Field(min_length=1, max_length=10)] | None = None
    reentry: Reentry | None = None
    reentry_days: Annotated[int, Whole(1, 3650)] | None = None
    template: Template | None = None
    fallbacks: Fallbacks | None = None
    ignores_quiet_hours: StrictBool | None = None
    budget: Rial | None = None


class Target(Command):
    """Guests of any of the segments, or everyone."""

    segments: Annotated[list[SegmentKey], Field(max_length=50)] = []
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


class WriteCampaign(_WithCosts):
    """A one-off campaign, whole."""

    name: Name
    description: Description = None
    campaign_type: Channel = "sms"
    purpose: Purpose = "marketing"
    ignores_quiet_hours: StrictBool = False
    target: Target
    template: Template
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


class WriteTemplate(Command):
    """A text for the library."""

    name: Name
    template_type: Channel = "sms"
    content: Template
    variables: Fallbacks = {}
    category: Annotated[str | None, Words(50, line=True)] = None


class WriteProvider(_WithCosts):
    """An account at a provider, whole; the key stays as it is when it is not given, and is never shown again.

    Without a key of its own it sends by the installation's account: then line and price are the installation's, and are
    not given here.
    """

    provider_name: Literal["kavenegar"]
    api_endpoint: Endpoint | None = None
    api_key: Credential | None = None
    sender_line: SenderLine | None = None
    cost_per_sms: Annotated[Rial, Field(le=DEAREST_SMS)] | None = None
    is_active: StrictBool = True
    priority_order: Annotated[int, Whole(0, 10_000)] = 0
    daily_limit: Annotated[int, Whole(0, 10_000_000)] | None = None
    monthly_limit: Annotated[int, Whole(0, 100_000_000)] | None = None


class Person(Command):
    """Somebody of the cafe: a mobile number, and what the cafe calls it."""

    phone: Mobile
    label: Annotated[str, Text(100, line=True)]
    is_on_duty: StrictBool = True


class WriteDuty(Command):
    """Whom the cafe wants told of low ratings, whole."""

    people: Annotated[list[Person], Field(max_length=10)]
    most_a_day: Annotated[int, Whole(1, 50)] = 10

    @field_validator("people")
    @classmethod
    def _each_once(cls, people: list[Person]) -> list[Person]:
        if len({person.phone for person in people}) < len(people):
            raise fault("twice", "A number is there twice.", "شماره‌ای دو بار آمده است.")
        return people


class WriteSettings(_WithCosts):
    """The cafe's own rules for all its messages; a budget of null is none."""

    guest_daily_cap: Annotated[int, Whole(0, 100)]
    monthly_budget: Rial | None = None

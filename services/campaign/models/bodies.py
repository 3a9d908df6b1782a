"""What staff send over HTTP. Amounts are Rial, as providers bill."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from services.campaign.models import LONGEST_MESSAGE, CampaignType, Purpose
from shared.persian.text import latin_digits, normalize


def _money(value: Any) -> Any:
    if isinstance(value, (bool, float)):
        raise PydanticCustomError("decimal_type", "must be a whole number or a string, never a binary fraction")
    return latin_digits(value) if isinstance(value, str) else value


def _words(value: Any) -> Any:
    return (normalize(value) or None) if isinstance(value, str) else value


Money = Annotated[Decimal, BeforeValidator(_money), Field(ge=0, max_digits=18, decimal_places=2)]
Name = Annotated[str, BeforeValidator(_words), Field(min_length=1, max_length=200)]
Words = Annotated[Annotated[str, Field(max_length=2000)] | None, BeforeValidator(_words)]
Text = Annotated[str, Field(min_length=1, max_length=LONGEST_MESSAGE)]
Variable = Annotated[str, Field(pattern="^[a-z_]{1,30}$")]
Fallbacks = Annotated[dict[Variable, Annotated[str, Field(max_length=60)]], Field(max_length=20)]
SegmentKey = Annotated[str, Field(min_length=1, max_length=50)]


class Body(BaseModel):
    """Unknown fields are refused, so that a misspelt one is not silently dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ChangeJourney(Body):
    """What is not given stays. `budget` null takes the limit away."""

    is_active: bool | None = None
    delay_minutes: Annotated[int | None, Field(ge=0, le=10_080)] = None
    max_age_minutes: Annotated[int | None, Field(ge=1, le=43_200)] = None
    template: Text | None = None
    fallbacks: Fallbacks | None = None
    ignores_quiet_hours: bool | None = None
    budget: Money | None = None


class Target(Body):
    """Guests of any of the segments, or everyone."""

    segments: Annotated[list[SegmentKey], Field(max_length=50)] = []
    everyone: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> "Target":
        if self.everyone == bool(self.segments):
            raise PydanticCustomError(
                "target",
                "name segments or say everyone, one of the two",
                {"fa": "یا بخش‌ها را نام ببرید یا «همه» را انتخاب کنید"},
            )
        return self


class WriteCampaign(Body):
    """A one-off campaign, whole."""

    name: Name
    description: Words = None
    campaign_type: CampaignType = "sms"
    purpose: Purpose = "marketing"
    ignores_quiet_hours: bool = False
    target: Target
    template: Text
    fallbacks: Fallbacks = {}
    budget: Money | None = None


class Schedule(Body):
    """When to begin."""

    scheduled_date: AwareDatetime


class WriteTemplate(Body):
    """A text for the library."""

    name: Name
    template_type: CampaignType = "sms"
    content: Text
    variables: Fallbacks = {}
    category: Annotated[Annotated[str, Field(max_length=50)] | None, BeforeValidator(_words)] = None


class WriteProvider(Body):
    """An account at a provider, whole; the key stays as it is when it is not given, and is never shown again."""

    provider_name: Literal["kavenegar"]
    api_endpoint: Annotated[str | None, Field(max_length=255)] = None
    api_key: Annotated[SecretStr | None, Field(min_length=8, max_length=200)] = None
    sender_line: Annotated[Annotated[str, Field(pattern="^[0-9]{4,20}$")] | None, BeforeValidator(_money)] = None
    cost_per_sms: Money
    is_active: bool = True
    priority_order: Annotated[int, Field(ge=0, le=10_000)] = 0
    daily_limit: Annotated[int | None, Field(ge=0, le=10_000_000)] = None
    monthly_limit: Annotated[int | None, Field(ge=0, le=100_000_000)] = None


class WriteSettings(Body):
    """The cafe's own rules for all its messages; a budget of null is none."""

    guest_daily_cap: Annotated[int, Field(ge=0, le=100)]
    monthly_budget: Money | None = None

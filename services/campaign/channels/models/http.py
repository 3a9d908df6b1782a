"""Accounts at providers, as staff send and see them. Amounts are kept in Rial, as providers bill."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StrictBool, ValidationInfo, field_validator

from services.campaign.channels.models.values import DEAREST_SMS
from shared.inputs.amounts import Money, Priced
from shared.inputs.bounds import MOST_RIAL, Rial, too_much
from shared.inputs.credentials import Credential
from shared.inputs.fields import Command, Matching, Whole
from shared.persian.money import Unit, in_unit


class WithCosts(Command):
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


SenderLine = Annotated[str, Matching("[0-9]{4,20}", 20, "شمارهٔ خط ۴ تا ۲۰ رقم دارد")]
Endpoint = Annotated[str, Matching("[!-~]{1,255}", 255, "نشانی درست نیست")]


class WriteProvider(WithCosts):
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


class ProviderView(Priced):
    """An account without its key; one without a key of its own sends on the installation's terms, which are shown. Its
    price is in `currency_unit`.

    `charged_per_part` is what the provider last asked; budgets are judged by the dearer of this and `cost_per_sms`. The
    two addresses belong into the provider's panel, behind this API's own.

    `last_error` is the provider's code or what became of the last call that failed. Until `paused_until` the account is
    not tried again: its messages go by the next account, or wait.
    """

    id: UUID
    provider_name: str
    api_endpoint: str | None
    sender_line: str | None
    cost_per_sms: Money
    charged_per_part: Money | None
    is_active: bool
    priority_order: int
    daily_limit: int | None
    monthly_limit: int | None
    created_at: datetime
    own_key: bool
    sent_today: int
    last_error: str | None
    last_error_at: datetime | None
    paused_until: datetime | None
    receipts_address: str
    replies_address: str


class Created(BaseModel):
    """The id of what was added."""

    id: UUID

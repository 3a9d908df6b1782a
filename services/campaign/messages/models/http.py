"""A cafe's rules for all its messages, and guests' replies, as staff send and see them."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel

from services.campaign.channels.models.http import WithCosts
from shared.inputs.amounts import Money, Priced
from shared.inputs.bounds import Rial
from shared.inputs.fields import Command, Whole


class WriteSettings(WithCosts):
    """The cafe's own rules for all its messages; a budget of null is none."""

    guest_daily_cap: Annotated[int, Whole(0, 100)]
    monthly_budget: Rial | None = None


class SettingsView(Priced):
    """The cafe's rules for all its messages; the budget of a month in `currency_unit`."""

    guest_daily_cap: int
    monthly_budget: Money | None


class SettleReply(Command):
    """What the answer is: the guest wants no more advertising, or something that needs nothing here."""

    settled_as: Literal["stop", "nothing"]


class ReplyView(BaseModel):
    """What a guest answered, whose meaning is not sure."""

    id: UUID
    customer_id: UUID
    words: str
    received_at: datetime
    settled_as: Literal["stop", "nothing"] | None
    settled_by: UUID | None
    settled_at: datetime | None

"""A cafe's rules for all its messages, and guests' replies, as staff send and see them."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel

from services.campaign.channels.models.http import WithCosts
from services.campaign.texts.models.http import Fallbacks, RemarkView, TemplateText
from services.campaign.texts.models.values import Trigger
from shared.consent import Purpose
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


class SpendDay(Priced):
    """What messages cost on one day of the cafe; `expected` of it is of messages whose price is not known yet."""

    day: date
    messages: int
    spent: Money
    expected: Money


class SpendView(Priced):
    """What messages cost in a month of the cafe, from `first` to `last`, and its budget, null without one. Days on
    which nothing went out are left out."""

    first: date
    last: date
    messages: int
    spent: Money
    expected: Money
    budget: Money | None
    days: list[SpendDay]


class AskWording(Command):
    """A text that is being written; `trigger` is that of its journey, which says what it may ask for."""

    content: TemplateText
    variables: Fallbacks = {}
    trigger: Trigger | None = None
    purpose: Purpose = "marketing"


class WordingView(Priced):
    """How the text reads to somebody made up, and what that message costs; null while nothing could send it."""

    text: str
    characters: int
    parts: int
    cost: Money | None
    warnings: list[RemarkView]

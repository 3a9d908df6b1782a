"""One-off campaigns as they are written, and what is done with them."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from shared.consent import Purpose

Step = Literal["written", "edited", "scheduled", "approved", "cancelled", "switched", "tried", "paused", "resumed"]


@dataclass(frozen=True)
class NewCampaign:
    """A one-off campaign as it is written down first."""

    cafe_id: UUID
    id: UUID
    name: str
    description: str | None
    purpose: Purpose
    ignores_quiet_hours: bool
    target_segment: dict[str, Any]
    template: str
    fallbacks: dict[str, str]
    budget: Decimal | None
    created_by: UUID
    wanted_date: datetime | None = None


# What became of a message, as the funnel counts it.
DeliveryState = Literal["waiting", "on_the_way", "delivered", "undelivered", "failed", "skipped", "returned", "replied"]


@dataclass(frozen=True)
class MessageBookmark:
    """The last message of a page: where the next begins."""

    reason: str
    customer_id: UUID

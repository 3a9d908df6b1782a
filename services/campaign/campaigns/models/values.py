"""One-off campaigns as they are written, and what is done with them."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from shared.consent import Purpose

Step = Literal["written", "edited", "scheduled", "approved", "cancelled", "switched", "tried"]


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

"""What explaining a guest's journeys reads."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.campaign.journeys.models.values import Journey


@dataclass(frozen=True)
class KnownJourney:
    """A journey as it is now."""

    journey: Journey
    key: str
    is_active: bool
    created_at: datetime


@dataclass(frozen=True)
class RunRow:
    """One way through a journey."""

    journey_id: UUID
    trigger_id: UUID
    occurred_at: datetime
    due_at: datetime
    state: str
    reason: str | None
    created_at: datetime


@dataclass(frozen=True)
class StayRow:
    """A segment that the guest is in and a journey is about; `last_at`: for when that journey took the guest last."""

    journey_id: UUID
    segment_id: UUID
    entered_at: datetime
    reason: str
    last_at: datetime | None

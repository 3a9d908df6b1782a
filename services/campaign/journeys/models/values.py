"""Journeys, the versions of what they say, and guests on their way through them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from services.campaign.texts.models.values import Trigger
from shared.consent import Purpose

RunState = Literal["waiting", "queued", "cancelled", "skipped"]
# What may start a journey about a segment: the reasons of segment.entered, less those that are nobody's doing.
StartReason = Literal[
    "visit", "time", "registered", "profile", "points", "tier", "feedback", "visit_corrected", "visit_voided",
    "definition",
]  # fmt: skip
# Whether a guest who is in the segment once more is welcomed once more.
Reentry = Literal["never", "after_days", "every_stay"]
TextState = Literal["waiting", "in_force", "replaced", "declined"]
# Who made the rows that nobody made.
SYSTEM_USER = UUID(int=0)
# Fixed: a message about the guest's own visit asks for no consent to advertising, so it never becomes an advert.
PURPOSE_OF: Mapping[Trigger, Purpose] = {
    "visit.recorded": "service",
    "segment.entered": "marketing",
    "case.opened": "service",
    "feedback.responded": "service",
}


@dataclass(frozen=True)
class Journey:
    """A trigger, a delay, and the standing campaign that holds the words. About a segment: `starts_on` are the reasons
    for which entering it starts the journey, `reentry` says whether it does again."""

    id: UUID
    cafe_id: UUID
    trigger: Trigger
    segment_key: str | None
    delay_minutes: int
    max_age_minutes: int
    campaign_id: UUID
    starts_on: Sequence[StartReason] = ()
    reentry: Reentry = "never"
    reentry_days: int | None = None


@dataclass(frozen=True, kw_only=True)
class JourneyText:
    """A version of what a journey says, may spend (Rial) and starts on, about a segment. `decided_by` is None when
    nobody else was needed."""

    cafe_id: UUID
    journey_id: UUID
    version: int
    state: TextState
    template_content: str
    template_variables: dict[str, str]
    ignores_quiet_hours: bool
    budget: Decimal | None
    created_by: UUID
    created_at: datetime
    decided_by: UUID | None = None
    decided_at: datetime | None = None
    starts_on: list[StartReason] | None = None


@dataclass(frozen=True)
class Run:
    """One guest's way through one journey."""

    cafe_id: UUID
    journey_id: UUID
    trigger_id: UUID
    customer_id: UUID
    occurred_at: datetime
    due_at: datetime
    state: RunState
    reason: str | None
    correlation_id: UUID
    causation_id: UUID


@dataclass(frozen=True)
class NewJourney:
    """A journey with its standing campaign and the template it starts from; ids are made by the caller."""

    id: UUID
    campaign_id: UUID
    template_id: UUID
    cafe_id: UUID
    journey_key: str
    name: str
    trigger: Trigger
    segment_key: str | None
    delay_minutes: int
    purpose: Purpose
    content: str
    fallbacks: Mapping[str, str]
    category: str

"""Why a guest is evaluated again. If several events say so at once, the reason counts that lets the least be sent."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from services.customer.models.values import Cause, GuestKey
from shared.events.base import Event
from shared.events.feedback import FeedbackReceived
from shared.events.loyalty import PointsChanged, PointsEarned, TierChanged
from shared.events.visit import ContactLearned, VisitClaimed, VisitCorrected, VisitRecorded, VisitVoided

VISIT: Final = "visit"
REASONS: Final[Mapping[type[Event], str]] = {
    ContactLearned: "visit_corrected",
    VisitClaimed: "visit_corrected",
    VisitCorrected: "visit_corrected",
    VisitVoided: "visit_voided",
    PointsEarned: "points",
    PointsChanged: "points",
    TierChanged: "tier",
    FeedbackReceived: "feedback",
}


def causes_of(events: Sequence[Event]) -> dict[GuestKey, Cause]:
    """The cause of each guest's evaluation, from events in their order; events about nobody are left out."""
    causes: dict[GuestKey, Cause] = {}
    for event in events:
        customer_id = getattr(event, "customer_id", None)
        if customer_id is not None:
            guest, cause = GuestKey(event.cafe_id, customer_id), cause_of(event)
            causes[guest] = together(causes[guest], cause) if guest in causes else cause
    return causes


def cause_of(event: Event) -> Cause:
    """The cause that one event gives. Points and tiers that a new visit brought are that visit's doing, and so is a
    guest whom a till made known."""
    if type(event) is VisitRecorded or (isinstance(event, ContactLearned) and not event.is_correction):
        return Cause(VISIT, event, event.occurred_at)
    if isinstance(event, PointsEarned) and event.is_new:
        return Cause(VISIT, event, event.visit_at)
    if isinstance(event, TierChanged) and event.visit_at is not None:
        return Cause(VISIT, event, event.visit_at)
    return Cause(REASONS[type(event)], event)


def together(earlier: Cause, later: Cause) -> Cause:
    """One cause for two: a visit only if both are new visits, and then the older of them. A fresh visit must not speak
    for what a late one did."""
    if later.reason != VISIT:
        return later
    if earlier.reason != VISIT:
        return Cause(earlier.reason, later.event)
    return Cause(VISIT, later.event, min(moment for moment in (earlier.visit_at, later.visit_at) if moment))


def of_all_visits(cause: Cause, first_visit_at: datetime | None) -> Cause:
    """The cause of a guest's first evaluation: all visits known by then have a part in it, so the first dates it."""
    if cause.visit_at is None or first_visit_at is None:
        return cause
    return replace(cause, visit_at=min(cause.visit_at, first_visit_at))

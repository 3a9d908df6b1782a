"""Whom a journey takes, for which occasion, and when the message is due."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from services.campaign.audience.rules import stay_id
from services.campaign.journeys.models.values import Journey, Run, RunState
from shared.events.customer import SegmentEntered
from shared.events.feedback import CaseOpened, FeedbackResponded
from shared.events.visit import VisitRecorded


def enrol_visit(journey: Journey, visit: VisitRecorded, moment: datetime) -> Run | None:
    """The run of a known guest's visit; None for a guest without a number."""
    if visit.customer_id is None:
        return None
    return _run(journey, visit, visit.visit_id, visit.customer_id, visit.occurred_at, moment)


def enrol_member(journey: Journey, entered: SegmentEntered, last_at: datetime | None, moment: datetime) -> Run:
    """The run of a guest who entered the segment for a reason that starts the journey, and whom it took last for the
    moment `last_at`. Its occasion is the stay, and its moment that of the visit that led to it."""
    happened_at = min(entered.visit_at or entered.occurred_at, entered.occurred_at)
    occasion = stay_id(entered.segment_id, entered.occurred_at)
    run = _run(journey, entered, occasion, entered.customer_id, happened_at, moment)
    if run.state == "waiting" and not takes_again(journey, happened_at, last_at):
        return replace(run, state="skipped", reason="entered_before")
    return run


def enrol_on_duty(journey: Journey, opened: CaseOpened, person: UUID, moment: datetime) -> Run:
    """The run of somebody of the cafe who is to be told of a case: once for each case."""
    return _run(journey, opened, opened.case_id, person, opened.occurred_at, moment)


def enrol_answered(journey: Journey, responded: FeedbackResponded, moment: datetime) -> Run | None:
    """The run of a guest whom the cafe has answered: once for each visit, whose link shows the answer."""
    if responded.customer_id is None or responded.visit_id is None:
        return None
    return _run(journey, responded, responded.visit_id, responded.customer_id, responded.occurred_at, moment)


def takes_again(journey: Journey, at: datetime, last_at: datetime | None) -> bool:
    """Whether the journey takes a guest for an occasion at that moment, whom it took last at `last_at`."""
    if last_at is None or journey.reentry == "every_stay":
        return True
    return journey.reentry_days is not None and at - last_at >= timedelta(days=journey.reentry_days)


def _run(
    journey: Journey,
    cause: VisitRecorded | SegmentEntered | CaseOpened | FeedbackResponded,
    trigger_id: UUID,
    customer_id: UUID,
    happened_at: datetime,
    moment: datetime,
) -> Run:
    late = moment - happened_at > timedelta(minutes=journey.max_age_minutes)
    state: RunState = "skipped" if late else "waiting"
    return Run(
        cafe_id=journey.cafe_id,
        journey_id=journey.id,
        trigger_id=trigger_id,
        customer_id=customer_id,
        occurred_at=happened_at,
        due_at=happened_at + timedelta(minutes=journey.delay_minutes),
        state=state,
        reason="too_late" if late else None,
        correlation_id=cause.correlation_id,
        causation_id=cause.event_id,
    )


def in_key_order(runs: Sequence[Run]) -> list[Run]:
    """Runs in the order of their key, in which concurrent workers lock rows without deadlock."""
    return sorted(runs, key=lambda run: (run.cafe_id, run.journey_id, run.trigger_id, run.customer_id))

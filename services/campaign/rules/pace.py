"""When: quiet hours, late triggers, and how often a provider is asked."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from services.campaign.models import CafeRules, Journey, Run, RunState
from shared.events.customer import SegmentEntered
from shared.events.feedback import CaseOpened, FeedbackResponded
from shared.events.visit import VisitRecorded
from shared.persian.calendar import day_bounds, local_date

# A provider answers a look-up by our own id for this long; by its own id for two days.
LOCAL_ID_WINDOW: Final = timedelta(hours=12)
RECEIPT_WINDOW: Final = timedelta(hours=48)
# Longer than any call may take: before that, a message in the state "sending" may still be on its way.
UNKNOWN_AFTER: Final = timedelta(seconds=45)
CONTACT_PATIENCE: Final = timedelta(hours=1)
# An account whose call failed is left alone for so long, twice as long after each further one.
FIRST_PAUSE: Final = timedelta(seconds=10)
LONGEST_PAUSE: Final = timedelta(minutes=10)
# What can't be sent is looked at a last time so long before nobody wants it any more.
LAST_CHANCE: Final = timedelta(seconds=5)
BUSY_WAIT: Final = timedelta(seconds=30)
SHORTEST_WAIT: Final = timedelta(minutes=2)
# What a message cost is known when its call has ended.
SHORTEST_WAIT_FOR_A_PRICE: Final = timedelta(seconds=2)
# A profile that is still under way arrives in a moment or, when something is broken, much later.
SHORTEST_WAIT_FOR_CONTACT: Final = timedelta(seconds=1)

_RECEIPT_PAUSES: Final = (
    (timedelta(minutes=2), timedelta(seconds=20)),
    (timedelta(minutes=15), timedelta(minutes=2)),
    (timedelta(hours=2), timedelta(minutes=15)),
    (RECEIPT_WINDOW, timedelta(hours=2)),
)


def quiet_until(cafe: CafeRules, moment: datetime) -> datetime | None:
    """The end of the quiet hours that `moment` falls in, by the cafe's own clock; None outside of them.

    Equal bounds mean that there are no quiet hours.
    """
    local = moment.astimezone(ZoneInfo(cafe.time_zone))
    clock, start, end = local.time(), cafe.quiet_from, cafe.quiet_until
    if start == end:
        return None
    inside = start <= clock < end if start < end else clock >= start or clock < end
    if not inside:
        return None
    day = local.date() if clock < end else local.date() + timedelta(days=1)
    return datetime.combine(day, end, ZoneInfo(cafe.time_zone))


def has_clock(cafe: CafeRules) -> bool:
    """Whether anybody knows the cafe's time zone."""
    try:
        ZoneInfo(cafe.time_zone)
    except (KeyError, OSError, ValueError):
        return False
    return True


def held_by(before: CafeRules, after: CafeRules, moment: datetime) -> datetime | None:
    """Until when messages are held by quiet hours that are not the cafe's any more; None if none are."""
    hours = [(cafe.time_zone, cafe.quiet_from, cafe.quiet_until) for cafe in (before, after)]
    return quiet_until(before, moment) if hours[0] != hours[1] and has_clock(before) else None


def next_day(cafe: CafeRules, moment: datetime) -> datetime:
    """The next local midnight: when daily limits begin anew."""
    return day_bounds(local_date(moment, cafe.time_zone), cafe.time_zone)[1]


def try_again(queued_at: datetime, moment: datetime, shortest: timedelta = SHORTEST_WAIT) -> datetime:
    """When to look again at a message that can't go now: sooner while it is young."""
    return moment + max(shortest, (moment - queued_at) / 2)


def pause_after(failures: int) -> timedelta:
    """How long an account is left alone after so many failed calls in a row."""
    doublings: int = min(max(failures - 1, 0), 10)
    return min(LONGEST_PAUSE, FIRST_PAUSE * float(2**doublings))


def next_receipt_check(sent_at: datetime, moment: datetime) -> datetime | None:
    """When to ask about delivery again; None once the provider has forgotten the message."""
    age = moment - sent_at
    for until, pause in _RECEIPT_PAUSES:
        if age < until:
            return moment + pause
    return None


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


def stay_id(segment_id: UUID, entered_at: datetime) -> UUID:
    """What identifies a guest's stay in a segment, beside the guest."""
    return uuid5(segment_id, entered_at.astimezone(UTC).isoformat())


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

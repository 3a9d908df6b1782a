"""Other services' events put guests on journeys, and take them off. Every function takes a batch and touches each table
once."""

from collections.abc import Sequence
from dataclasses import replace

from services.campaign.audience.handlers.guests import keep_cases, keep_moves
from services.campaign.audience.models.values import Notice
from services.campaign.audience.store import duty
from services.campaign.journeys.models.values import Run
from services.campaign.journeys.rules import enrolling
from services.campaign.journeys.store import journeys
from services.campaign.journeys.store import runs as runs_store
from services.campaign.messages.handlers.returns import forget_visits, note_visits
from services.campaign.messages.handlers.settling import count_skipped
from shared.clock import now
from shared.database.db import Connection
from shared.events.customer import SegmentEntered
from shared.events.feedback import CaseOpened, FeedbackResponded
from shared.events.visit import VisitClaimed, VisitRecorded, VisitVoided


async def on_visit_recorded(conn: Connection, events: Sequence[VisitRecorded]) -> None:
    """Puts known guests on the journeys that follow a visit; a visit that became known too late is noted as such. Who
    was sent a campaign's message before it has come back."""
    known = [event for event in events if event.customer_id is not None]
    if not known:
        return
    await note_visits(conn, known)
    found = await journeys.active_journeys(conn, sorted({e.cafe_id for e in known}), "visit.recorded")
    moment = now()
    runs: list[Run] = []
    for event in known:
        enrolled = (enrolling.enrol_visit(journey, event, moment) for journey in found.get(event.cafe_id, ()))
        runs.extend(run for run in enrolled if run is not None)
    await runs_store.insert_runs(conn, enrolling.in_key_order(runs), moment)


async def on_visit_claimed(conn: Connection, events: Sequence[VisitClaimed]) -> None:
    """Begins no journey, and notes that: nobody is thanked for what was said about a bill later."""
    await note_visits(conn, events)
    found = await journeys.active_journeys(conn, sorted({e.cafe_id for e in events}), "visit.recorded")
    moment = now()
    enrolled = [
        enrolling.enrol_visit(journey, event, moment) for event in events for journey in found.get(event.cafe_id, ())
    ]
    runs = [replace(run, state="skipped", reason=run.reason or "claimed") for run in enrolled if run is not None]
    await runs_store.insert_runs(conn, enrolling.in_key_order(runs), moment)


async def on_visit_voided(conn: Connection, events: Sequence[VisitVoided]) -> None:
    """Takes back the thanks for visits that never were, unless a provider has it already."""
    await forget_visits(conn, events)
    taken_back = await runs_store.cancel_visits(conn, sorted({(event.cafe_id, event.visit_id) for event in events}))
    await count_skipped(conn, taken_back, "visit_voided")


async def on_segment_entered(conn: Connection, events: Sequence[SegmentEntered]) -> None:
    """Keeps memberships, and puts guests whom their own doing or the passing of time moved on the journeys of that
    segment, as far as these take them again."""
    await keep_moves(conn, events)
    found = await journeys.active_journeys(conn, sorted({e.cafe_id for e in events}), "segment.entered")
    entering = [
        (journey, event)
        for event in events
        for journey in found.get(event.cafe_id, ())
        if journey.segment_key == event.segment_key and event.reason in journey.starts_on
    ]
    if not entering:
        return
    asked = {(e.cafe_id, journey.id, e.segment_id, e.customer_id) for journey, e in entering}
    last = await runs_store.last_entries(conn, sorted(asked))
    moment, runs = now(), list[Run]()
    for journey, event in entering:
        place = (event.cafe_id, journey.id, event.customer_id)
        run = enrolling.enrol_member(journey, event, last.get(place), moment)
        if run.state == "waiting":
            last[place] = max(run.occurred_at, last.get(place, run.occurred_at))
        runs.append(run)
    await runs_store.insert_runs(conn, enrolling.in_key_order(runs), moment)
    await runs_store.keep_entries(conn, [run for run in runs if run.state == "waiting"])


async def on_case_opened(conn: Connection, events: Sequence[CaseOpened]) -> None:
    """Holds advertising to the guests back, and has somebody of the cafe told."""
    await keep_cases(conn, events)
    await tell_of_cases(conn, events)


async def tell_of_cases(conn: Connection, events: Sequence[CaseOpened]) -> None:
    """Puts whoever is on duty on the journeys that tell of a case, once for each case."""
    cafe_ids = sorted({event.cafe_id for event in events})
    people = await duty.on_duty(conn, cafe_ids)
    if not people:
        return
    found = await journeys.active_journeys(conn, sorted(people), "case.opened")
    moment = now()
    told = [event for event in events if event.cafe_id in people and event.cafe_id in found]
    notices = [(each.cafe_id, Notice(each.case_id, each.overall_rating, each.table_number)) for each in told]
    await duty.note_cases(conn, notices)
    runs = [
        enrolling.enrol_on_duty(journey, event, person, moment)
        for event in told
        for journey in found[event.cafe_id]
        for person in people[event.cafe_id]
    ]
    await runs_store.insert_runs(conn, enrolling.in_key_order(runs), moment)


async def on_feedback_responded(conn: Connection, events: Sequence[FeedbackResponded]) -> None:
    """Puts guests on the journeys that tell them of the cafe's answer."""
    found = await journeys.active_journeys(conn, sorted({e.cafe_id for e in events}), "feedback.responded")
    moment = now()
    runs: list[Run] = []
    for event in events:
        enrolled = (enrolling.enrol_answered(journey, event, moment) for journey in found.get(event.cafe_id, ()))
        runs.extend(run for run in enrolled if run is not None)
    await runs_store.insert_runs(conn, enrolling.in_key_order(runs), moment)

"""What follows from other services' events. Every function takes a batch and touches each table once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from services.campaign.handlers import duty
from services.campaign.handlers.defaults import give_defaults
from services.campaign.models import Run
from services.campaign.rules import pace
from services.campaign.store import audience, campaigns, deliveries, holds, journeys, openings, providers
from services.campaign.store.audience import Consent, Membership, Profile, SegmentList
from services.campaign.store.campaigns import Change
from services.campaign.store.holds import CaseWord
from services.campaign.store.openings import Opening
from shared.clock import now
from shared.database.db import Connection
from shared.events.campaign import MessageDelivered
from shared.events.customer import (
    ConsentChanged,
    CustomerErased,
    CustomerProfiled,
    CustomerStatusChanged,
    SegmentEntered,
    SegmentLeft,
    SegmentListChanged,
)
from shared.events.feedback import CaseClosed, CaseOpened, FeedbackReceived, LinkOpened
from shared.events.identity import CafeChanged
from shared.events.visit import VisitClaimed, VisitRecorded, VisitVoided
from shared.messaging import outbox, parked
from shared.security import access
from shared.security.crypto import Keys, phone_hash, unseal

PROFILES: Final = "customer.profiles"


async def on_cafe_changed(conn: Connection, events: Sequence[CafeChanged]) -> None:
    """Keeps the cafes; one seen for the first time gets its settings, its journeys and its provider. What is held by
    quiet hours that have changed is decided about again."""
    cafe_ids = sorted({event.cafe_id for event in events})
    # Whoever decides for these cafes by the former hours is done, or waits for the new ones.
    await providers.lock_providers(conn, cafe_ids)
    before = await providers.cafe_rules(conn, cafe_ids)
    await access.on_cafe_changed(conn, events)
    await give_defaults(conn, cafe_ids)
    after, moment = await providers.cafe_rules(conn, cafe_ids), now()
    held = ((cafe_id, pace.held_by(rules, after[cafe_id], moment)) for cafe_id, rules in before.items())
    await deliveries.end_quiet_hours(conn, [(cafe_id, until) for cafe_id, until in held if until], moment)


async def on_customer_profiled(conn: Connection, events: Sequence[CustomerProfiled], *, keys: Keys) -> None:
    """Keeps guests' profiles. A message that was quicker than the first word about its guest waits no longer."""
    await keep_profiles(conn, events, keys=keys)
    await deliveries.end_wait_for_contact(conn, [(e.cafe_id, e.customer_id) for e in events if e.version == 1], now())


async def keep_profiles(conn: Connection, events: Sequence[CustomerProfiled], *, keys: Keys) -> None:
    """Keeps guests' numbers and names, sealed as they came, and the hash that a reply is found by."""
    await audience.keep_contacts(conn, [_profile(event, keys) for event in events])


def _profile(event: CustomerProfiled, keys: Keys) -> Profile:
    phone = unseal(keys, event.phone_sealed, table=PROFILES, column="phone", row=event.customer_id)
    return Profile(
        cafe_id=event.cafe_id,
        customer_id=event.customer_id,
        version=event.version,
        phone_sealed=event.phone_sealed,
        phone_hash=phone_hash(keys, event.cafe_id, phone),
        name_sealed=event.name_sealed,
        status=event.status,
        language=event.language,
        at=event.occurred_at,
        registered_at=event.registered_at,
    )


async def on_customer_status_changed(conn: Connection, events: Sequence[CustomerStatusChanged]) -> None:
    """Keeps guests' status; a blocked guest gets nothing from the next decision on."""
    await audience.set_status(conn, [(e.cafe_id, e.customer_id, e.status, e.occurred_at) for e in events])


async def on_customer_erased(conn: Connection, events: Sequence[CustomerErased]) -> None:
    """Empties what is personal, and takes back what was waiting to be sent."""
    await _count_skipped(conn, await audience.erase(conn, _erasures(events)), "erased")
    await parked.forget(conn, [event.customer_id for event in events])


async def forget_erased(conn: Connection, events: Sequence[CustomerErased]) -> None:
    """Empties only what is kept of the guests themselves."""
    await audience.forget(conn, _erasures(events))


def _erasures(events: Sequence[CustomerErased]) -> list[tuple[UUID, UUID, datetime]]:
    return [(event.cafe_id, event.customer_id, event.occurred_at) for event in events]


async def on_consent_changed(conn: Connection, events: Sequence[ConsentChanged]) -> None:
    """Keeps guests' latest word. From this commit on no decision is made on an older one."""
    await audience.keep_consents(
        conn,
        [
            Consent(e.cafe_id, e.customer_id, e.channel, e.purpose, e.granted, e.occurred_at, e.source)
            for e in events
        ],
    )  # fmt: skip


async def on_segment_list_changed(conn: Connection, events: Sequence[SegmentListChanged]) -> None:
    """Keeps which segments cafes have."""
    await audience.keep_segments(
        conn,
        [
            SegmentList(
                cafe_id=e.cafe_id,
                keys=[each.segment_key for each in e.segments if each.is_active],
                off_keys=[each.segment_key for each in e.segments if not each.is_active],
                at=e.occurred_at,
            )
            for e in events
        ],
    )


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
    last = await journeys.last_entries(conn, sorted(asked))
    moment, runs = now(), list[Run]()
    for journey, event in entering:
        place = (event.cafe_id, journey.id, event.customer_id)
        run = pace.enrol_member(journey, event, last.get(place), moment)
        if run.state == "waiting":
            last[place] = max(run.occurred_at, last.get(place, run.occurred_at))
        runs.append(run)
    await journeys.insert_runs(conn, pace.in_key_order(runs), moment)
    await journeys.keep_entries(conn, [run for run in runs if run.state == "waiting"])


async def on_segment_left(conn: Connection, events: Sequence[SegmentLeft]) -> None:
    """Ends memberships."""
    await keep_moves(conn, events)


async def keep_moves(conn: Connection, events: Sequence[SegmentEntered | SegmentLeft]) -> None:
    """Keeps the latest word about who is in which segment."""
    await audience.keep_members(
        conn,
        [
            Membership(
                e.cafe_id, e.segment_key, e.customer_id, e.segment_id, isinstance(e, SegmentEntered), e.occurred_at,
                e.reason,
            )
            for e in events
        ],
    )  # fmt: skip


async def on_visit_recorded(conn: Connection, events: Sequence[VisitRecorded]) -> None:
    """Puts known guests on the journeys that follow a visit; a visit that became known too late is noted as such."""
    known = [event for event in events if event.customer_id is not None]
    if not known:
        return
    found = await journeys.active_journeys(conn, sorted({e.cafe_id for e in known}), "visit.recorded")
    moment = now()
    runs: list[Run] = []
    for event in known:
        enrolled = (pace.enrol_visit(journey, event, moment) for journey in found.get(event.cafe_id, ()))
        runs.extend(run for run in enrolled if run is not None)
    await journeys.insert_runs(conn, pace.in_key_order(runs), moment)


async def on_visit_claimed(conn: Connection, events: Sequence[VisitClaimed]) -> None:
    """Nobody is thanked for what was said about a bill later; that it was not done is noted."""
    found = await journeys.active_journeys(conn, sorted({e.cafe_id for e in events}), "visit.recorded")
    moment = now()
    enrolled = [
        pace.enrol_visit(journey, event, moment) for event in events for journey in found.get(event.cafe_id, ())
    ]
    runs = [replace(run, state="skipped", reason=run.reason or "claimed") for run in enrolled if run is not None]
    await journeys.insert_runs(conn, pace.in_key_order(runs), moment)


async def on_visit_voided(conn: Connection, events: Sequence[VisitVoided]) -> None:
    """Takes back the thanks for visits that never were, unless a provider has it already."""
    taken_back = await journeys.cancel_visits(conn, sorted({(event.cafe_id, event.visit_id) for event in events}))
    await _count_skipped(conn, taken_back, "visit_voided")


async def _count_skipped(conn: Connection, messages: Sequence[tuple[UUID, UUID]], reason: str) -> None:
    changes = [Change(cafe_id, campaign_id, ended={("skipped", reason): 1}) for cafe_id, campaign_id in messages]
    await campaigns.count(conn, changes, now())


async def on_case_opened(conn: Connection, events: Sequence[CaseOpened]) -> None:
    """Holds advertising to the guests back, and has somebody of the cafe told."""
    await on_case_changed(conn, events)
    await duty.tell_of_cases(conn, events)


async def on_case_changed(conn: Connection, events: Sequence[CaseOpened | CaseClosed]) -> None:
    """Keeps whose complaints are open: from this commit on they are sent no advertising until these are closed."""
    words = [
        CaseWord(e.cafe_id, e.customer_id, e.case_id, opened_at=e.occurred_at)
        if isinstance(e, CaseOpened)
        else CaseWord(e.cafe_id, e.customer_id, e.case_id, closed_at=e.occurred_at)
        for e in events
        if e.customer_id is not None
    ]
    if words:
        await audience.lock_contacts(conn, [(word.cafe_id, word.customer_id) for word in words])
        await holds.keep(conn, words)


async def on_link_opened(conn: Connection, events: Sequence[LinkOpened]) -> None:
    """Counts how often the link in a message was opened."""
    await _note_openings(
        conn, [Opening(e.cafe_id, e.customer_id, e.visit_id, e.occurred_at, times=e.times) for e in events]
    )


async def on_feedback_received(conn: Connection, events: Sequence[FeedbackReceived]) -> None:
    """An answer given through the link of a message counts as that message's opening."""
    answers = [
        Opening(event.cafe_id, event.customer_id, event.visit_id, event.occurred_at, answers=1)
        for event in events
        if event.source == "sms_link" and event.customer_id and event.visit_id
    ]
    if answers:
        await _note_openings(conn, answers)


async def _note_openings(conn: Connection, found: Sequence[Opening]) -> None:
    opened = await openings.mark_opened(conn, found)
    changes = [
        Change(row["cafe_id"], row["campaign_id"], delivered=int(row["arrived"]), opened=int(row["first_opened"]))
        for row in opened
    ]
    await campaigns.count(conn, changes, now())
    await outbox.emit(
        conn,
        [
            MessageDelivered(
                cafe_id=row["cafe_id"],
                occurred_at=row["at"],
                correlation_id=row["correlation_id"],
                customer_id=row["customer_id"],
                delivery_id=row["id"],
                campaign_id=row["campaign_id"],
            )
            for row in opened
            if row["arrived"]
        ],
    )

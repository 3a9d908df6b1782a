"""What the feedback service makes of events."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from services.feedback import rules
from services.feedback.store import erasure, guests
from services.feedback.store import links as link_store
from services.feedback.store import visits as visit_store
from shared.database.db import Connection
from shared.events.customer import CustomerErased, CustomerRegistered
from shared.events.feedback import CaseOpened
from shared.events.visit import VisitClaimed, VisitCorrected, VisitRecorded, VisitVoided
from shared.messaging import outbox, parked
from shared.security.crypto import Keys
from shared.security.ids import feedback_token

E = TypeVar("E", VisitRecorded, VisitCorrected, VisitVoided)


async def on_visit_recorded(conn: Connection, events: Sequence[VisitRecorded], *, keys: Keys) -> None:
    """Keep the visits and give each a link, also those of unknown guests: theirs is printed as a code."""
    visits = await keep_recorded(conn, events)
    tokens = [feedback_token(keys, event.cafe_id, event.visit_id) for event in visits]
    await link_store.make_links(conn, visits, tokens, [rules.link_expires(event.recorded_at) for event in visits])


async def on_visit_claimed(conn: Connection, events: Sequence[VisitClaimed]) -> None:
    """Gives claimed visits, and what was said about them, to their guests. Open cases among it are published again, now
    with the guest."""
    await keep_recorded(conn, events)
    moved = await link_store.move_to_guests(conn, events)
    names = ("cafe_id", "customer_id", "visit_id", "feedback_id", "case_id", "due_at")
    await outbox.emit(
        conn,
        [
            CaseOpened(occurred_at=case["opened_at"], **{name: case[name] for name in names})
            for case in moved
            if case["status"] == "open"
        ],
    )


async def on_visit_corrected(conn: Connection, events: Sequence[VisitCorrected]) -> None:
    """Take over the newest state of the visits."""
    await link_store.follow_visits(conn, await keep_corrected(conn, events))


async def on_visit_voided(conn: Connection, events: Sequence[VisitVoided]) -> None:
    """Close the links of visits that never were. What a guest already said stays said."""
    await link_store.close_links(conn, await keep_voided(conn, events))


async def keep_recorded(conn: Connection, events: Sequence[VisitRecorded]) -> list[VisitRecorded]:
    """Keep the visits. Returns one event for each, as the others here do."""
    visits = _one_per_visit(events)
    await visit_store.record_visits(conn, visits)
    return visits


async def keep_corrected(conn: Connection, events: Sequence[VisitCorrected]) -> list[VisitCorrected]:
    """Take over the newest state of the visits."""
    visits = _one_per_visit(sorted(events, key=lambda event: event.corrected_at))
    await visit_store.correct_visits(conn, visits)
    return visits


async def keep_voided(conn: Connection, events: Sequence[VisitVoided]) -> list[VisitVoided]:
    """Mark visits that never were."""
    visits = _one_per_visit(events)
    await visit_store.void_visits(conn, visits)
    return visits


async def on_customer_registered(conn: Connection, events: Sequence[CustomerRegistered]) -> None:
    """Keep who is a guest of which cafe."""
    await guests.add(conn, events)


async def on_customer_erased(conn: Connection, events: Sequence[CustomerErased]) -> None:
    """Empty what the guests said."""
    newest = {(event.cafe_id, event.customer_id): event for event in sorted(events, key=lambda e: e.occurred_at)}
    await erasure.erase_customers(conn, list(newest.values()))
    await parked.forget(conn, [event.customer_id for event in newest.values()])
    await guests.forget(conn, list(newest.values()))


def _one_per_visit(events: Iterable[E]) -> list[E]:
    # One statement can't write a row twice; the last one given wins.
    return list({(event.cafe_id, event.visit_id): event for event in events}.values())

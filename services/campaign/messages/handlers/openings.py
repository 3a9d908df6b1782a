"""Openings of the links in messages."""

from collections.abc import Sequence

from services.campaign.messages.models.values import CounterChange, Opening
from services.campaign.messages.store import openings, results
from shared.clock import now
from shared.database.db import Connection
from shared.events.campaign import MessageDelivered
from shared.events.feedback import FeedbackReceived, LinkOpened
from shared.messaging import outbox


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
        CounterChange(
            row["cafe_id"],
            row["campaign_id"],
            delivered=int(row["arrived"]),
            opened=int(row["first_opened"]),
            returned=int(row["arrived"] and row["is_returned"]),
        )
        for row in opened
    ]
    await results.count(conn, changes, now())
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

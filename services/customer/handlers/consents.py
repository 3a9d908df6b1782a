"""What guests agree to, whoever tells it: a till, staff, or the guest by answering a message."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from services.customer.models.shapes import Answer, Guest
from services.customer.store import activity
from services.customer.store import consents as store
from shared import clock, outbox
from shared.db import Connection
from shared.events.base import caused_by
from shared.events.campaign import ReplyReceived
from shared.events.customer import ConsentChanged


async def on_reply_received(conn: Connection, events: Sequence[ReplyReceived], *, now: datetime | None = None) -> None:
    """A guest who answered with the stop word no longer agrees to marketing by SMS."""
    stops = {Guest(event.cafe_id, event.customer_id): event for event in events if event.opted_out}
    answers = [
        Answer(guest, "sms", "marketing", granted=False, source="reply", occurred_at=event.occurred_at)
        for guest, event in stops.items()
    ]
    if answers:
        await activity.lock(conn, list(stops))
        await keep(conn, answers, {guest: caused_by(event) for guest, event in stops.items()}, now or clock.now())


async def keep(
    conn: Connection, answers: Sequence[Answer], ties: Mapping[Guest, Mapping[str, Any]], now: datetime
) -> None:
    """Keeps the answers and publishes those that are in force from now on. Lock the activity rows first.

    `ties` are the ids (see `caused_by`) of what each guest's answer follows from.
    """
    if not answers:
        return
    events = [
        ConsentChanged(
            cafe_id=answer.guest.cafe_id,
            customer_id=answer.guest.customer_id,
            occurred_at=answer.occurred_at,
            channel=answer.channel,
            purpose=answer.purpose,
            granted=answer.granted,
            source=answer.source,
            **ties[answer.guest],
        )
        for answer in await store.keep(conn, answers, now)
    ]
    await outbox.emit(conn, events)
